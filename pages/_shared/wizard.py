"""What the four wizard steps share: the reconciliation named by the address, its stepper, its way onwards."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

from pages._shared import layout
from pages._shared.context import address_parameter, dialog, may, services
from pages._shared.messages import empty_state, explained, show_notice
from pages._shared.wording import literal
from recon_engine.nway.any_plan import AnyPlan, build_plan
from recon_engine.plan import SIDES
from services.database.models import Job, Reconciliation
from services.errors import NotFound
from services.permissions import Action, Actor
from services.sides import EVERY

ORDINALS = ("Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth")
TITLES = {"left": "Left side", "right": "Right side"} | {
    side: f"{ordinal} side" for side, ordinal in zip(EVERY[2:], ORDINALS, strict=True)
}


def opened(person: Actor, step: layout.Step, what: str) -> Reconciliation:
    """The reconciliation that `?r=` names, with title and stepper drawn; ends with advice when there is none."""
    reconciliation = titled(person, step, what)
    layout.stepper(step, reachable(reconciliation, current_job(person, reconciliation)))
    return reconciliation


def titled(person: Actor, step: layout.Step, what: str) -> Reconciliation:
    """The reconciliation that `?r=` names, with its title drawn; ends with advice when there is none.

    A browser that goes back from the results may come here with the `?job=` of these.
    """
    identity = address_parameter("r") or _of_run(person)
    if identity is None:
        layout.page_title(step.capitalize(), what)
        nothing_open()
    try:
        reconciliation = services().plans.get(person, identity)
    except NotFound:
        layout.page_title(step.capitalize(), what)
        nothing_open()
    header(person, reconciliation, what)
    return reconciliation


class MapSteps:
    """The stepper on Map: while something there waits for a person, it leads no further than the page's own button."""

    def __init__(self, person: Actor, reconciliation: Reconciliation) -> None:
        steps = reachable(reconciliation, current_job(person, reconciliation))
        self._key, self._onwards = f"held-{reconciliation.id}", steps.get("run")
        if st.session_state.get(self._key, False):  # as it was left: what does not change since does not flicker
            steps.pop("run", None)
        self._written = layout.stepper("map", steps)

    def hold(self, waits: bool) -> None:
        """Say whether something waits, which is known only when the page below is drawn."""
        if waits != st.session_state.get(self._key, False):
            st.session_state[self._key] = waits
            layout.write_step(self._written["run"], "run", "map", None if waits else self._onwards)


def _of_run(person: Actor) -> str | None:
    """The reconciliation of the run that `?job=` names."""
    job = address_parameter("job")
    try:
        return services().jobs.get(person, job).reconciliation_id if job else None
    except NotFound:
        return None


def header(person: Actor, reconciliation: Reconciliation, what: str) -> None:
    """The reconciliation's name, which can be changed here, and one line on what the step is for."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(literal(reconciliation.name), anchor=False, width="content")
        if may(person, Action.PLAN_EDIT) and st.button("Rename", icon=":material/edit_note:", type="tertiary"):
            _rename(person, reconciliation)
    st.caption(what)
    show_notice()


@dialog("Rename")
def _rename(person: Actor, reconciliation: Reconciliation) -> None:
    with st.form("rename", border=False):
        name = st.text_input("Name", reconciliation.name, max_chars=200)
        if st.form_submit_button("Save name", type="primary"):
            with explained():
                services().plans.rename(person, reconciliation.id, name)
                st.rerun()


def nothing_open() -> NoReturn:
    """Say that no reconciliation is open, and where to find one."""
    empty_state("No reconciliation is open here", "Open one from the list, or start a new one, on the Home screen.")
    st.page_link("home.py", label="Go to Home", icon=":material/home:")
    st.stop()


def current_job(person: Actor, reconciliation: Reconciliation) -> Job | None:
    """The reconciliation's latest run, or None before the first."""
    if reconciliation.current_job_id is None:
        return None
    return services().jobs.get(person, reconciliation.current_job_id)


def reachable(reconciliation: Reconciliation, job: Job | None) -> dict[layout.Step, dict[str, str]]:
    """The steps that can be opened now, each with its address parameters."""
    here = {"r": reconciliation.id}
    steps: dict[layout.Step, dict[str, str]] = {"upload": here}
    if all(reconciliation.file_ids(side) for side in reconciliation.sides):
        steps["map"] = here
        if _planned(reconciliation):
            steps["run"] = here
    if job is not None and job.status == "succeeded":
        steps["results"] = {"job": job.id}
    return steps


def go(step: layout.Step, reconciliation: Reconciliation) -> NoReturn:
    """Open another step of the same reconciliation."""
    st.switch_page(f"{step}.py", query_params={"r": reconciliation.id})


def saved_plan(reconciliation: Reconciliation) -> AnyPlan | None:
    """The draft's plan, or None before the mapping step and when it is of more or fewer sides than there are now."""
    return build_plan(reconciliation.plan_json or {}) if _planned(reconciliation) else None


def _planned(reconciliation: Reconciliation) -> bool:
    plan = reconciliation.plan_json
    return bool(plan) and len((plan or {}).get("sides", SIDES)) == len(reconciliation.sides)


def labels(plan: AnyPlan) -> dict[str, str]:
    """What the user calls the sides."""
    return plan.labels


def file_ids(reconciliation: Reconciliation) -> list[list[str]]:
    """The files of each side, in their order."""
    return [reconciliation.file_ids(side) for side in reconciliation.sides]
