"""Step 3, Run: launch, watch rule by rule, cancel, retry."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from pages._shared import draft, progress, wizard, wording
from pages._shared.context import actor, may, services
from pages._shared.messages import explained
from recon_engine.nway.any_plan import AnyPlan, build_plan
from recon_engine.plan import Rule
from services.database.models import Job, Reconciliation
from services.jobs.queue import UNDER_WAY
from services.permissions import Action, Actor
from services.sides import with_files


def expected(person: Actor, reconciliation: Reconciliation, plan: AnyPlan) -> None:
    """How large the run will be, before anything starts."""
    left, right, *further = wizard.file_ids(reconciliation)
    found = services().jobs.estimate(person, plan, left, right, further) if left and right else None
    if found is None:
        return
    with st.container(horizontal=True, key="expected"):
        first, *others = plan.labels.values()
        st.metric(f"{first}, rows", wording.number(found.left_rows), border=True)
        st.metric(f"{' and '.join(others)}, rows", wording.number(found.right_rows), border=True)
        st.metric("Memory, about", wording.size(found.memory_bytes), border=True)
        st.metric("Time, about", wording.lasted(found.seconds), border=True)
    if found.partitions > 1:
        st.caption("It does not fit into the memory that one run may take: it goes through the disk in parts.")


def totals(person: Actor, reconciliation: Reconciliation) -> None:
    """What would count everything twice, said before it does."""
    if names := draft.with_totals(person, reconciliation):
        told = ", ".join(map(wording.literal, names))
        st.warning(
            f"The last row of {told} looks like a total: as a record it would count everything twice. "
            "**Upload** leaves it out with one press.",
            icon=":material/functions:",
        )


def about_to_run(plan: AnyPlan) -> None:
    """What the run will do, in words, before it is launched."""
    with st.container(border=True):
        st.markdown(
            f"{wording.against(plan)}: {wording.count(len(plan.fields), 'field')}, "
            f"{wording.count(len(plan.rules), 'rule')}"
        )
        st.markdown("\n".join(f"{place}. {_told(plan, rule)}" for place, rule in enumerate(plan.rules, start=1)))
        if plan.compare:
            st.caption("Compared inside each match: " + ", ".join(plan.compare))
        for side, label in plan.labels.items():
            if (search := plan.duplicates_of(side)) is not None:
                st.caption(f"Duplicates in {wording.literal(label)}: {wording.duplicates_sentence(search)}")


def _told(plan: AnyPlan, rule: Rule) -> str:
    told = f"**{wording.literal(rule.name)}**: {wording.rule_in(plan, rule)}"
    return f"{told} :orange-badge[suggested]" if rule.outcome == "suggested" else told


def launch(
    person: Actor,
    reconciliation: Reconciliation,
    plan: AnyPlan,
    label: str,
    kind: Literal["primary", "secondary"] = "primary",
) -> None:
    """The button that queues a run; what is left to do on Map keeps it from being pressed."""
    left, right, *further = wizard.file_ids(reconciliation)
    if not all((left, right, *further)):
        return
    waits = draft.left_to_do(person, reconciliation, plan)
    pressed = st.button(label, type=kind, icon=":material/play_arrow:", disabled=bool(waits))
    if waits:
        st.caption(f":orange[:material/edit: {waits}]", width="content")
    if pressed:
        with explained():
            job = services().jobs.launch(person, reconciliation.id, plan, left, right, further=further)
            st.session_state["watched"] = job.id  # it may end before it is seen to run
            st.rerun()


def ended(person: Actor, reconciliation: Reconciliation, job: Job, plan: AnyPlan) -> None:
    """How the last run ended, and what can be done next."""
    with st.container(border=True):
        progress.ended(job)
    changed = job.status == "succeeded" and _without_files(build_plan(job.plan_json)) != _without_files(plan)
    if changed:
        st.warning(
            "The plan was changed after this run: its result is that of the plan before.", icon=":material/edit:"
        )
    # The same again would most likely fail again: the way on is to change something.
    stuck = job.status == "failed" and (job.finished_at is None or reconciliation.updated_at <= job.finished_at)
    with st.container(horizontal=True, vertical_alignment="center"):
        if changed and may(person, Action.JOB_LAUNCH):
            launch(person, reconciliation, plan, "Run with the changed plan")
        kind: Literal["primary", "secondary"] = "secondary" if changed else "primary"
        if job.status == "succeeded" and st.button("Open results", type=kind, icon=":material/fact_check:"):
            st.switch_page("results.py", query_params={"job": job.id})
        if may(person, Action.JOB_LAUNCH) and not changed:
            if job.status == "succeeded":
                launch(person, reconciliation, plan, "Run again", "secondary")
            else:
                launch(person, reconciliation, plan, "Retry", "secondary" if stuck else "primary")
        if st.button("Back to mapping", type="primary" if stuck else "secondary", icon=":material/arrow_back:"):
            wizard.go("map", reconciliation)


def _without_files(plan: AnyPlan) -> dict[str, Any]:
    return with_files(plan, {side: [] for side in plan.labels}).to_data()


def earlier(person: Actor, reconciliation: Reconciliation, job: Job) -> None:
    """The results of the runs before the last one."""
    runs = services().jobs.list(person, reconciliation_id=reconciliation.id)
    others = [one for one in runs if one.status == "succeeded" and one.id != job.id]
    if others:
        with st.expander(wording.count(len(others), "earlier result")):
            for one in others:
                when = wording.moment(one.finished_at or one.created_at)
                st.page_link("results.py", label=when, icon=":material/fact_check:", query_params={"job": one.id})


def main() -> None:
    """Draw the page."""
    person = actor()
    reconciliation = wizard.opened(person, "run", "What will be run, and how it goes. A run goes on without this page.")
    plan = wizard.saved_plan(reconciliation)
    if plan is None:
        wizard.go("map", reconciliation)
    job = wizard.current_job(person, reconciliation)
    if job is not None and job.status in UNDER_WAY:
        st.session_state["watched"] = job.id
        progress.watch(person, job.id, plan)
        return
    if job is not None and job.status == "succeeded" and st.session_state.pop("watched", None) == job.id:
        st.switch_page("results.py", query_params={"job": job.id})
    if job is None:
        expected(person, reconciliation, plan)
        totals(person, reconciliation)
        about_to_run(plan)
        if may(person, Action.JOB_LAUNCH):
            with st.container(horizontal=True, vertical_alignment="center", key="onwards"):
                if st.button("Back to mapping", icon=":material/arrow_back:"):
                    wizard.go("map", reconciliation)
                launch(person, reconciliation, plan, "Run reconciliation")
        return
    ended(person, reconciliation, job, plan)
    if job.status != "succeeded":  # what a run took is no longer expected
        expected(person, reconciliation, plan)
    about_to_run(plan)
    earlier(person, reconciliation, job)


main()
