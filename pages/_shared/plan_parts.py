"""What the Map step has of every plan, of two sides or more: the plan as a file, and the ways onwards."""

from __future__ import annotations

import streamlit as st

from pages._shared import draft, wizard
from pages._shared.context import services
from pages._shared.marks import Marks
from pages._shared.messages import explained, notice
from recon_engine.nway.plan import parse_plan
from services.database.models import Reconciliation
from services.permissions import Actor
from services.sides import AnyPlan


def plan_file(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, editable: bool) -> None:
    """The plan as the command line reads it."""
    st.caption("The same plan as a file. `python -m recon_engine run` takes it as it is.")
    marks = Marks()
    with st.container(key="plan-file"):
        text = st.text_area("Plan", plan.to_yaml(), height=520, disabled=not editable, label_visibility="collapsed")
    with st.container(horizontal=True):
        applied = st.button("Apply", type="primary", disabled=not editable or text == plan.to_yaml())
        st.download_button(
            "Download", plan.to_yaml(), file_name="plan.yaml", mime="application/yaml", on_click="ignore"
        )
    found = draft.faults(text) if applied else ()
    if applied and not marks.show_here(found, {fault.place: fault.place for fault in found}):
        with explained():
            draft.save(person, reconciliation, parse_plan(text).to_data())
            draft.forget_edits(reconciliation)
            notice("The plan is applied.")
            st.rerun()


def onwards(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, editable: bool) -> None:
    """Back, keep as a template, and on to the run."""
    with st.container(horizontal=True, key="onwards"):
        if st.button("Back to upload", icon=":material/arrow_back:"):
            wizard.go("upload", reconciliation)
        if editable:
            with st.popover("Save as template", icon=":material/bookmark_add:"):
                name = st.text_input("Template name", plan.name)
                if st.button("Save", key="save-template"):
                    with explained():
                        saved = services().plans.save_template(person, name, plan, reconciliation.id)
                        notice(f"'{saved.name}' is saved under Plans, version {saved.version}.")
                        st.rerun()
        if st.button("Continue to run", type="primary", icon=":material/arrow_forward:"):
            wizard.go("run", reconciliation)
