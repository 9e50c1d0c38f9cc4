"""What is no longer as it was when the plan in use was saved, said before anything runs."""

from __future__ import annotations

import streamlit as st

from pages._shared.context import services
from pages._shared.wording import count, literal
from recon_engine.plan import Plan
from services.database.models import Reconciliation
from services.permissions import Actor

ICONS = {
    "columns": ":material/view_column:",
    "formats": ":material/calendar_month:",
    "values": ":material/data_alert:",
    "totals": ":material/functions:",
}


def show(person: Actor, reconciliation: Reconciliation) -> None:
    """One box with a line for each thing that drifted; nothing when the plan was not saved or nothing did."""
    if reconciliation.template_id is None or not reconciliation.plan_json or "sides" in reconciliation.plan_json:
        return
    found = services().plans.drift(person, reconciliation.id)
    if not found:
        if reconciliation.left_file_id and reconciliation.right_file_id:
            st.caption(":material/check: These files look like those that the plan was saved with.")
        return
    plan = Plan.build(reconciliation.plan_json)
    with st.container(border=True, key="drift"):
        stops = sum(one.stops for one in found)
        said = f", {count(stops, 'keeps', 'keep')} the plan from reading them rightly" if stops else ""
        st.markdown(f"**{count(len(found), 'thing')} changed since the plan was saved{said}**")
        for one in found:
            label = literal(plan.side(one.side).label)
            colour = "red" if one.stops else "orange"
            st.markdown(f":{colour}[{ICONS[one.kind]}] **{label}**: {literal(one.sentence)}")
