"""Step 4, Results: what became of every row, and the files to prove it."""

from __future__ import annotations

import streamlit as st

from pages._shared import (
    layout,
    progress,
    result_balance,
    result_break,
    result_overview,
    result_rows,
    result_rules,
    wizard,
)
from pages._shared.context import actor, address_parameter, may, services
from pages._shared.messages import explained
from recon_engine.nway.any_plan import build_plan
from services.database.models import Job
from services.errors import NotFound
from services.jobs.queue import UNDER_WAY
from services.permissions import Action, Actor

SHOWN = "_results_shown"
SECTIONS = ["Overview", "Breaks", "Matches", "Differences", "Duplicates", "Rejected", "Balance", "Rules"]
WORKBOOK = "The summary and every table shown here, a sheet each"
EVIDENCE = "Every table as Parquet, the plan as it was run, and the checksums of all files"


def opened(person: Actor) -> Job:
    """The finished run that `?job=` names; ends this run with advice when there is none."""
    identity = address_parameter("job")
    try:
        job = services().jobs.get(person, identity) if identity else None
    except NotFound:
        job = None
    if job is None:
        layout.page_title("Results")
        wizard.nothing_open()
    what = "What became of every row, and the files that prove it."
    steps: dict[layout.Step, dict[str, str]] = {"results": {"job": job.id}}
    if job.reconciliation_id:
        reconciliation = services().plans.get(person, job.reconciliation_id)
        steps = wizard.reachable(reconciliation, job)
        wizard.header(person, reconciliation, what)
    else:
        layout.page_title(str(job.plan_json["name"]), what)
    layout.stepper("results", steps)
    if job.status in UNDER_WAY:
        progress.watch(person, job.id, build_plan(job.plan_json))
        st.stop()
    if job.status != "succeeded":
        progress.ended(job)
        if "run" in steps:
            st.page_link("run.py", label="Back to the run", icon=":material/arrow_back:", query_params=steps["run"])
        st.stop()
    return job


def begin_anew(job: Job) -> None:
    """What was chosen in the tables of another run holds no more: this one is shown from its overview on, or as the
    address says.
    """
    if st.session_state.get(SHOWN) != job.id:
        st.session_state[SHOWN] = job.id
        names = {section.lower() for section in SECTIONS}
        for key in [k for k in st.session_state if k == "section" or str(k).split("-")[0] in names]:
            del st.session_state[key]


def downloads(person: Actor, job: Job) -> None:
    """The summary to attach, the tables to work with, and the evidence as one archive. The API streams them: however
    large, no screen holds them.
    """
    if may(person, Action.RESULT_DOWNLOAD):
        with st.container(horizontal=True, width="content", gap="small"):
            layout.download_link("Summary (.pdf)", f"/api/reconciliation/jobs/{job.id}/summary")
            layout.download_link("Workbook (.xlsx)", f"/api/reconciliation/jobs/{job.id}/workbook", WORKBOOK)
            layout.download_link("Evidence (.zip)", f"/api/reconciliation/jobs/{job.id}/download", EVIDENCE)


def main() -> None:
    """Draw the page."""
    person = actor()
    job = opened(person)
    begin_anew(job)
    plan = build_plan(job.plan_json)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        section = st.segmented_control(
            "Section",
            SECTIONS,
            default=None if "section" in st.session_state else "Overview",
            required=True,
            key="section",
            bind="query-params",
            label_visibility="collapsed",
        )
        downloads(person, job)
    with explained():
        if section == "Overview":
            result_overview.show(person, job, plan)
        elif section == "Breaks":
            result_break.show(person, job, plan)
        elif section == "Balance":
            result_balance.show(person, job, plan)
        elif section == "Rules":
            result_rules.show(job, plan)
        else:
            result_rows.show(person, job, plan, str(section).lower())


main()
