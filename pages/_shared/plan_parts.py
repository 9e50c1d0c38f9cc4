"""What the Map step has of every plan, of two sides or more: the plan as a file, and the ways onwards."""

from __future__ import annotations

from zlib import crc32

import streamlit as st
from streamlit.elements.lib.mutable_tab_container import TabContainer

from pages._shared import draft, wizard
from pages._shared.context import services
from pages._shared.marks import Marks
from pages._shared.messages import explained, notice
from recon_engine.nway.any_plan import AnyPlan, parse_plan
from services.database.models import Reconciliation
from services.permissions import Actor

DISCARDED, TYPED = "plan-file-discarded", "plan-file-typed"


def tabs() -> tuple[TabContainer, TabContainer]:
    """The two ways to see a plan: its fields and rules, and its file."""
    visual, file = st.tabs(["Fields and rules", "Plan file"], key="plan-tabs", on_change="rerun")
    return visual, file


UNAPPLIED = "The plan file has changes that are not applied. Apply or discard them first."
UNSAVED = "A change above is not saved yet: mend what is marked, or take it back."
UNANSWERED = "In which order some dates are written is open: say it at the top of Fields and rules first."


def waiting(unsaved: bool, unapplied: bool, unanswered: bool) -> str | None:
    """What keeps the plan from being run, in a sentence."""
    return UNSAVED if unsaved else UNAPPLIED if unapplied else UNANSWERED if unanswered else None


def plan_file(tab: TabContainer, person: Actor, reconciliation: Reconciliation, plan: AnyPlan, editable: bool) -> bool:
    """The plan as the command line reads it, drawn when its tab is open. True while its text has changes that are not
    applied.
    """
    kept = plan.to_yaml()
    # A plan that was changed elsewhere, and changes that were discarded, begin a new text.
    key = f"plan-text-{crc32(kept.encode())}-{st.session_state.get(DISCARDED, 0)}"
    st.session_state.setdefault(key, kept)
    if tab.open:
        with tab:
            text = _plan_text(person, reconciliation, kept, key, editable)
    else:
        # What is typed into a field that is not drawn, here or while another page is, would be forgotten.
        text = st.session_state[key] = st.session_state.get(TYPED, {}).get(key, kept)
    st.session_state[TYPED] = {key: text}
    return bool(text != kept)


def _plan_text(person: Actor, reconciliation: Reconciliation, kept: str, key: str, editable: bool) -> str:
    st.caption("The same plan as a file. `python -m recon_engine run` takes it as it is.")
    marks = Marks()
    with st.container(key="plan-file"):
        text = st.text_area("Plan", height=520, disabled=not editable, label_visibility="collapsed", key=key)
    with st.container(horizontal=True):
        applied = st.button("Apply", type="primary", disabled=not editable or text == kept)
        if st.button("Discard changes", disabled=text == kept):
            st.session_state[DISCARDED] = st.session_state.get(DISCARDED, 0) + 1
            st.rerun()
        st.download_button("Download", kept, file_name="plan.yaml", mime="application/yaml", on_click="ignore")
    found = draft.faults(text) if applied else ()
    if applied and not marks.show_here(found, {fault.place: fault.place for fault in found}):
        with explained():
            draft.save(person, reconciliation, parse_plan(text).to_data(), "The plan file is applied.")
            draft.forget_edits(reconciliation)
            notice("The plan is applied.")
            st.rerun()
    return str(text)


def onwards(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, editable: bool, waits: str | None) -> None:
    """Back, keep the plan, on to the run, and back by one change; what `waits` for a decision keeps from going on."""
    with st.container(horizontal=True, vertical_alignment="center", key="onwards"):
        if st.button("Back to upload", icon=":material/arrow_back:"):
            wizard.go("upload", reconciliation)
        if editable:
            with st.popover("Save plan", icon=":material/bookmark_add:"):
                st.caption("Kept under Plans, for next month's files. This reconciliation goes on with its own copy.")
                name = st.text_input("Name of the plan", plan.name)
                if st.button("Save", key="save-template"):
                    with explained():
                        saved = services().plans.save_template(person, name, plan, reconciliation.id)
                        notice(f"'{saved.name}' is saved under Plans, version {saved.version}.")
                        st.rerun()
        kind: draft.Kind = "secondary" if waits else "primary"
        if st.button("Continue to run", type=kind, icon=":material/arrow_forward:", disabled=bool(waits)):
            wizard.go("run", reconciliation)
        if waits:
            st.caption(f":orange[:material/edit: {waits}]", width="content")
        if editable and waits in (None, UNANSWERED) and (done := draft.undoable(reconciliation)):
            st.caption(done, width="content")
            if st.button("Undo", icon=":material/undo:", type="tertiary"):
                with explained():
                    draft.undo(person, reconciliation)
                    st.rerun()
