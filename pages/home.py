"""Home: the recent reconciliations, how they went, and the way into a new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import streamlit as st

from pages._shared import demo, layout, numbers, plan_history, wording
from pages._shared.context import actor, dialog, may, services
from pages._shared.messages import empty_state, explained
from pages._shared.wizard import reachable
from services.database.models import Job, Reconciliation
from services.permissions import Action, Actor
from services.result_shown import SUGGESTED

SHOWN = 20
WIDTHS = {"status": 120, "matched": 130, "waiting": 215, "when": 120}  # pixels: what finds no room goes below


@dialog("New reconciliation")
def ask_name(person: Actor) -> None:
    """Ask for a name and open the first step."""
    with st.form("new-reconciliation", border=False):
        name = st.text_input("Name", placeholder="Bank against ledger, November", max_chars=200)
        if st.form_submit_button("Start", type="primary"):
            with explained():
                started = services().plans.start(person, name.strip() or "Untitled reconciliation")
                st.switch_page("upload.py", query_params={"r": started.id})


def actions(person: Actor) -> None:
    """The two ways to begin."""
    with st.container(horizontal=True):
        if st.button("New reconciliation", type="primary", icon=":material/add:"):
            ask_name(person)
        if st.button("Try the demo", icon=":material/play_arrow:", help="Two small files with planted breaks"):
            with explained(), st.spinner("Preparing the demo files"):
                st.switch_page("map.py", query_params={"r": demo.start(person)})


def row(reconciliation: Reconciliation, job: Job | None, decided: int) -> None:
    """One reconciliation: where it stands, how it went, what waits. `decided`: how many suggested matches are."""
    steps = reachable(reconciliation, job)
    step = "results" if "results" in steps else reconciliation.step if reconciliation.step in steps else "upload"
    if job is not None and job.status != "succeeded":
        step = "run"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container():
            st.page_link(
                f"{step}.py",
                label=f"**{wording.literal(reconciliation.name)}**",
                icon=":material/arrow_forward:",
                query_params=steps.get(step, {"r": reconciliation.id}),
            )
        status, matched, waits, when = (st.container(width=width, gap="xxsmall") for width in WIDTHS.values())
        with status:
            layout.status_badge(job.status if job else "draft")
        if job is not None and job.summary_json:
            rows = job.summary_json["rows"].values()
            matched.markdown(wording.share(total(rows, "matched"), total(rows, "read")) + " matched")
            with waits:
                st.markdown(wording.count(total(rows, "breaks"), "break"))
                if told := suggestions(job.summary_json.get(SUGGESTED), total(rows, "suggested"), decided):
                    st.caption(told)
        else:  # an empty one would not hold its place
            matched.space("xsmall")
            waits.space("xsmall")
        when.caption(wording.ago(reconciliation.updated_at, services().clock.now()))


def total(rows: Iterable[Mapping[str, int]], part: str) -> int:
    """How many rows of all sides became that."""
    return sum(one[part] for one in rows)


def suggestions(matches: int | None, rows: int, decided: int) -> str:
    """How far people are with what a run only suggested, counted in matches, as they decide; empty where it suggested
    nothing. `matches`: None of a run of a version that did not count them.
    """
    if matches is None:
        left = wording.count(rows, "row suggested", "rows suggested") if rows else ""
        return wording.count(decided, "match decided", "matches decided") if decided else left
    if not decided:
        return wording.count(matches, "suggested match", "suggested matches") if matches else ""
    if decided < matches:
        return f"{wording.number(decided)} of {wording.number(matches)} suggested decided"
    return f"{wording.number(matches)} suggested, all decided"


def main() -> None:
    """Draw the page."""
    person = actor()
    layout.page_title(
        "Reconciliations", "Compare files, and account for every row: matched, suggested, open or rejected."
    )
    if may(person, Action.JOB_LAUNCH):
        actions(person)
    recent = services().plans.list(person)
    if not recent:
        empty_state("No reconciliation yet", "Start one with files of your own, or try the demo first.")
        return
    jobs = {job.id: job for job in services().jobs.list(person, limit=200)}
    finished = [job for job in jobs.values() if job.summary_json and job.result_prefix]
    with explained():
        numbers.show(person)
        plan_history.show(person, finished)
    st.subheader("Recent", anchor=False)
    pages = max(1, -(-len(recent) // SHOWN))
    place = st.session_state.get("recent-page", 1)
    shown = recent[(place - 1) * SHOWN : place * SHOWN]
    decided = services().reviews.decided(person, [one.current_job_id for one in shown if one.current_job_id])
    for reconciliation in shown:
        job = jobs.get(reconciliation.current_job_id or "")
        row(reconciliation, job, decided.get(job.id, 0) if job else 0)
    if pages > 1:
        st.pagination(pages, key="recent-page")


main()
