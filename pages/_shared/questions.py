"""What the data cannot decide, asked before anything runs: date orders, and the suggestion's own questions."""

from __future__ import annotations

import streamlit as st

from pages._shared import draft
from pages._shared.messages import explained
from pages._shared.wizard import labels
from recon_engine.nway.any_plan import AnyPlan
from services.database.models import Reconciliation
from services.fit import OpenDates
from services.permissions import Actor

READS = {
    "%d/%m/%Y": "day first",
    "%m/%d/%Y": "month first",
    "%d-%m-%Y": "day first",
    "%m-%d-%Y": "month first",
    "%d.%m.%Y": "day first",
    "%m.%d.%Y": "month first",
    "%d/%m/%y": "day first",
    "%m/%d/%y": "month first",
}


def show(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, editable: bool) -> bool:
    """Every open question. An answered date order is saved in the plan and no longer asked; true while one is open."""
    asked = draft.undecided(person, reconciliation, plan)
    for one in asked:
        if chosen := _date_order(labels(plan)[one.side], one, editable):
            data = plan.to_data()
            for field in data["fields"]:
                if field["name"] == one.field:
                    field["formats"] = {**field.get("formats", {}), one.side: chosen}
            with explained():
                draft.save(person, reconciliation, data)
                draft.forget_edits(reconciliation)
                st.rerun()
    # A question on the dates of a mapped column is asked above as a choice, until it is answered.
    dates = [spec for spec in plan.fields if spec.type in ("date", "datetime")]
    made = {side: plan.side(side).combined for side in plan.labels}  # type: ignore[arg-type]
    chosen_above = [f"'{name}'" for spec in dates for side, name in spec.columns.items() if name not in made[side]]
    for question in (reconciliation.suggestion_json or {}).get("questions", []):
        if not ("set formats" in question and any(name in question for name in chosen_above)):
            st.info(f"{question[:1].upper()}{question[1:].rstrip('.')}.", icon=":material/help:")
    return bool(asked)


def _date_order(label: str, asked: OpenDates, editable: bool) -> str | None:
    """Ask in which order the dates of a side's column are written; None until that is said."""
    with st.container(border=True):
        st.markdown(
            f":orange[:material/help:] **{label}: `{asked.name}` fits more than one date order.** "
            f"Samples: {', '.join(map(str, asked.column['samples'][:3]))}"
        )
        return st.segmented_control(
            "Date order",
            asked.column["date_formats"],
            key=f"ask-{asked.field}-{asked.side}",
            disabled=not editable,
            format_func=lambda one: f"{one} ({READS[one]})" if one in READS else one,
            label_visibility="collapsed",
        )
