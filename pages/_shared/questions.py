"""What the data cannot decide, asked before anything runs: date orders, and the suggestion's own questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._shared import draft
from pages._shared.messages import explained
from pages._shared.wizard import labels
from recon_engine.plan import SIDES, FieldSpec, Plan, SideName
from services.database.models import Reconciliation
from services.fit import shared_columns
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


def show(person: Actor, reconciliation: Reconciliation, plan: Plan, editable: bool) -> None:
    """Every open question. An answered date order is saved in the plan and no longer asked."""
    profiles = {side: shared_columns(draft.files_of(person, reconciliation, side)) for side in SIDES}
    dates = [spec for spec in plan.fields if spec.type in ("date", "datetime")]
    for spec in dates:
        for side in SIDES:
            column = profiles[side].get(spec.column(side), {})
            given = spec.formats.left if side == "left" else spec.formats.right
            if given is None and column.get("undecided") and len(column["date_formats"]) > 1:
                _ask(person, reconciliation, plan, spec, side, column, editable)
    # A question on the dates of a mapped column is asked above as a choice, until it is answered.
    chosen_above = [f"'{spec.column(side)}'" for spec in dates for side in SIDES]
    for question in (reconciliation.suggestion_json or {}).get("questions", []):
        if not ("formats" in question and any(name in question for name in chosen_above)):
            st.info(f"{question[:1].upper()}{question[1:].rstrip('.')}.", icon=":material/help:")


def _ask(
    person: Actor,
    reconciliation: Reconciliation,
    plan: Plan,
    spec: FieldSpec,
    side: SideName,
    column: Mapping[str, Any],
    editable: bool,
) -> None:
    if chosen := date_order(labels(plan)[side], spec.column(side), column, f"ask-{spec.name}-{side}", editable):
        data = plan.to_data()
        for field in data["fields"]:
            if field["name"] == spec.name:
                field["formats"] = {**field.get("formats", {}), side: chosen}
        with explained():
            draft.save(person, reconciliation, data)
            draft.forget_edits(reconciliation)
            st.rerun()


def date_order(label: str, name: str, column: Mapping[str, Any], key: str, editable: bool) -> str | None:
    """Ask in which order the dates of a side's column are written; None until that is said."""
    with st.container(border=True):
        st.markdown(
            f":orange[:material/help:] **{label}: `{name}` fits more than one date order.** "
            f"Samples: {', '.join(map(str, column['samples'][:3]))}"
        )
        return st.segmented_control(
            "Date order",
            column["date_formats"],
            key=key,
            disabled=not editable,
            format_func=lambda one: f"{one} ({READS[one]})" if one in READS else one,
            label_visibility="collapsed",
        )
