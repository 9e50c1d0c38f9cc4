"""Home: the recent reconciliations, how they went, and the way into a new one."""

from __future__ import annotations

import streamlit as st

from pages._shared import demo, layout, numbers, plan_history, wording
from pages._shared.context import actor, dialog, may, services
from pages._shared.messages import empty_state, explained
from pages._shared.wizard import reachable
from services.database.models import Job, Reconciliation
from services.permissions import Action, Actor

SHOWN = 20
WIDTHS = [4, 1.6, 1.2, 1.2, 1.4]


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


def row(reconciliation: Reconciliation, job: Job | None) -> None:
    """One reconciliation: link to where it stands, status, share matched, breaks, when."""
    steps = reachable(reconciliation, job)
    step = "results" if "results" in steps else reconciliation.step if reconciliation.step in steps else "upload"
    if job is not None and job.status != "succeeded":
        step = "run"
    with st.container(border=True):
        name, status, matched, breaks, when = st.columns(WIDTHS, vertical_alignment="center")
        name.page_link(
            f"{step}.py",
            label=f"**{wording.literal(reconciliation.name)}**",
            icon=":material/arrow_forward:",
            query_params=steps.get(step, {"r": reconciliation.id}),
        )
        with status:
            layout.status_badge(job.status if job else "draft")
        if job is not None and job.summary_json:
            sides = job.summary_json["rows"].values()
            read, done, broken, suggested = (
                sum(rows[part] for rows in sides) for part in ("read", "matched", "breaks", "suggested")
            )
            matched.markdown(wording.share(done, read) + " matched")
            with breaks.container(gap="xxsmall"):
                st.markdown(wording.count(broken, "break"))
                if suggested:
                    st.caption(f"{wording.number(suggested)} suggested")
        when.caption(wording.ago(reconciliation.updated_at, services().clock.now()))


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
    for reconciliation in recent[(place - 1) * SHOWN : place * SHOWN]:
        row(reconciliation, jobs.get(reconciliation.current_job_id or ""))
    if pages > 1:
        st.pagination(pages, key="recent-page")


main()
