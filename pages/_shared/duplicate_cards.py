"""Duplicates: one small card a side, saying what counts as the same thing twice and what happens to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._shared import condition_form, draft
from pages._shared.context import dialog
from pages._shared.marks import Marks, inside
from pages._shared.messages import explained
from pages._shared.rule_draft import blank, cells_of, condition_data
from pages._shared.wizard import labels
from pages._shared.wording import duplicates_sentence, literal
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.plan import Duplicates, Plan
from services.database.models import Reconciliation
from services.permissions import Actor

_DRAFT = "duplicates-draft"
_BESIDE = 3


def show(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, editable: bool) -> Mapping[str, DeltaGenerator]:
    """The section: a card for each side, at most three beside each other. Returns where it is told, by side, how many
    records are there twice.
    """
    st.subheader("Duplicates", anchor=False)
    st.caption(
        "Each side can be searched for records that are the same thing twice, before the rules run: equal in all that "
        "you name, or nearly, as texts that are alike and amounts or days that are near. The result lists them."
    )
    sides, places = list(plan.labels), {}
    beside = min(len(sides), _BESIDE)
    for first in range(0, len(sides), beside):
        for side, column in zip(sides[first : first + beside], st.columns(beside), strict=False):
            with column.container(border=True, key=f"duplicates-{side}", height="stretch", gap="xsmall"):
                places[side] = _card(person, reconciliation, plan, side, editable)
    return places


def _card(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, side: str, editable: bool) -> DeltaGenerator:
    search = plan.duplicates_of(side)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{literal(labels(plan)[side])}**", width="content")
        label, icon = ("Edit", ":material/edit:") if search else ("Search", ":material/search:")
        if editable and st.button(label, key=f"duplicates-edit-{side}", type="tertiary", icon=icon):
            _open(_fields_of(plan, side), search)
            _edit(person, reconciliation, plan, side)
    st.markdown(duplicates_sentence(search))
    return st.container()


def _fields_of(plan: AnyPlan, side: str) -> Plan:
    """A plan that has only the fields of the side."""
    return plan if isinstance(plan, Plan) else plan.side_plan(side)


def _open(plan: Plan, search: Duplicates | None) -> None:
    number = st.session_state.get(_DRAFT, {}).get("opened", 0) + 1
    conditions = [cells_of(c) for c in search.on] if search else [blank(spec.name) for spec in plan.fields]
    st.session_state[_DRAFT] = {"opened": number, "conditions": dict(enumerate(conditions)), "search": search}


@dialog("Duplicates", width="large")
def _edit(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, side: str) -> None:
    kept = st.session_state[_DRAFT]
    search: Duplicates | None = kept["search"]
    key, marks = f"duplicates-{kept['opened']}", Marks()
    st.markdown(f"**Two records of {literal(labels(plan)[side])} are the same thing twice when all of this holds**")
    edited = condition_form.show(_fields_of(plan, side), kept["conditions"], key, marks, sums=False)
    exclude = st.toggle(
        "Leave all but the first out of matching", value=search.exclude if search else False, key=f"{key}-exclude"
    )
    with st.container(horizontal=True):
        pressed = st.button("Save", type="primary", key=f"{key}-save")
        if search and st.button("Do not search", key=f"{key}-none"):
            _save(person, reconciliation, draft.with_duplicates(plan, side, None))
    data = draft.with_duplicates(plan, side, {"on": [condition_data(c) for c in edited.values()], "exclude": exclude})
    kept["tried"] = pressed or kept.get("tried", False)
    is_wrong = kept["tried"] and marks.show(inside(draft.faults(data), f"duplicates.{side}"))
    if pressed and not is_wrong:
        _save(person, reconciliation, data)


def _save(person: Actor, reconciliation: Reconciliation, data: dict[str, Any]) -> None:
    with explained():
        draft.save(person, reconciliation, data)
        st.rerun()
