"""Columns that the plan makes of several: which there are, and how another one is made, or one is taken out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages._shared import draft, wizard
from pages._shared.context import dialog
from pages._shared.messages import explained
from pages._shared.wording import literal
from recon_engine.nway.any_plan import AnyPlan
from services.database.models import Reconciliation
from services.fit import made_by
from services.permissions import Actor
from services.plan_columns import columns_of, with_made
from services.sides import by_name

Columns = Mapping[str, Sequence[str]]


def made(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, editable: bool) -> None:
    """Each column that the plan makes, which no file has by its name, and the way to take it out."""
    for side, label in plan.labels.items():
        reader = plan.side(side)  # type: ignore[arg-type]
        for name, parts in made_by(reader).items():
            told = " and ".join(literal(part) for part in parts)
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                told = f":material/merge: In {literal(label)}, **{literal(name)}** is made of {told}."
                st.caption(told, width="content")
                unread = name not in (spec.columns.get(side) for spec in plan.fields)  # type: ignore[call-overload]
                chosen = editable and unread and name in reader.combined
                if chosen and st.button("Take it out", key=f"unmake-{side}-{name}", type="tertiary"):
                    without = with_made(plan, {side: {name: None}})
                    _save(person, reconciliation, without, f"'{literal(name)}' is taken out.")


def tool(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, columns: Sequence[Sequence[str]]) -> None:
    """The way to make another one, beside the other tools of the table of fields."""
    if st.button("Combine columns", icon=":material/merge:", type="tertiary", help=WHAT_FOR):
        files = by_name(plan, [draft.files_of(person, reconciliation, side) for side in reconciliation.sides])
        uploaded = {
            side: {name for file in own for name in file.options_json.get("combined", {})}
            for side, own in files.items()
        }
        _make(person, reconciliation, plan, by_name(plan, columns), uploaded)


WHAT_FOR = "For what one file writes in several columns and the other in one, such as a name"


@dialog("Combine columns")
def _make(
    person: Actor, reconciliation: Reconciliation, plan: AnyPlan, columns: Columns, made: Mapping[str, set[str]]
) -> None:
    """Ask of which side, which columns in which order, and what the new one is called. `made`: of others on Upload."""
    names = wizard.labels(plan)
    side = st.radio("Side", list(names), format_func=lambda one: literal(names[one]), horizontal=True)
    taken = [*columns[side], *columns_of(plan, side), *made_by(plan.side(side))]  # type: ignore[arg-type]
    whole = [name for name in columns[side] if name not in made[side]]
    parts = st.multiselect("Columns, in their order", whole, max_selections=20, key=f"combine-{side}")
    name = st.text_input(
        "Name of the new column", " ".join(parts), max_chars=200, key=f"combine-{side}-{parts}"
    ).strip()
    if name in taken:
        st.error(f"{literal(names[side])} has a column '{literal(name)}' already.", icon=":material/error:")
    ready = len(parts) > 1 and bool(name) and name not in taken
    if st.button("Combine", type="primary", disabled=not ready):
        _save(person, reconciliation, with_made(plan, {side: {name: parts}}), f"'{literal(name)}' can be mapped now.")


def _save(person: Actor, reconciliation: Reconciliation, data: dict[str, Any], what: str) -> None:
    with explained():
        draft.save(person, reconciliation, data, what)
        draft.forget_edits(reconciliation)
        st.rerun()
