"""The rules of a plan as cards, in the order they run: move, edit, remove, add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._shared import draft, rule_form
from pages._shared.context import dialog
from pages._shared.messages import explained
from pages._shared.wording import handling_sentence, literal, rule_in
from recon_engine.plan import Plan
from services.database.models import Reconciliation
from services.permissions import Actor


@dialog("Rule", width="large")
def _edit(person: Actor, reconciliation: Reconciliation, plan: Plan, place: int | None) -> None:
    def save(rule: dict[str, Any]) -> None:
        draft.save(person, reconciliation, draft.with_rule(plan, place, rule))
        st.rerun()

    rule_form.show(plan, place, save)


def show(
    person: Actor, reconciliation: Reconciliation, plan: Plan, suggested: Mapping[str, Any], editable: bool
) -> tuple[DeltaGenerator, list[DeltaGenerator]]:
    """All rules. `suggested` holds confidence and reason by rule name. Returns where their counts go: the headline's
    place, and each rule's.
    """
    headline, counts = st.container(), []
    for place, rule in enumerate(plan.rules):
        with st.container(border=True, key=f"rule-card-{place}"):
            text, buttons = st.columns([5, 1.7], vertical_alignment="center")
            with text.container(gap="xsmall"):
                _description(plan, place, suggested.get(rule.name))
                counts.append(st.container())
            with buttons.container(horizontal=True, horizontal_alignment="right", gap="xsmall", wrap=False):
                if editable:
                    _buttons(person, reconciliation, plan, place)
    if editable and st.button("Add rule", icon=":material/add:"):
        rule_form.open_draft(None, plan)
        _edit(person, reconciliation, plan, None)
    return headline, counts


def _description(plan: Plan, place: int, suggestion: Mapping[str, Any] | None) -> None:
    rule = plan.rules[place]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{place + 1}. {literal(rule.name)}**", width="content")
        if rule.outcome == "suggested":
            st.badge("suggested", color="orange")
        if suggestion:
            st.badge(f"{suggestion['confidence']:.0%} sure", color="gray", help=suggestion["reason"])
    st.markdown(rule_in(plan, rule))
    about = [suggestion["reason"] if suggestion else "", handling_sentence(rule)]
    if any(about):
        st.caption(" · ".join(filter(None, about)))


def _buttons(person: Actor, reconciliation: Reconciliation, plan: Plan, place: int) -> None:
    changed = None
    if st.button(
        "", icon=":material/arrow_upward:", key=f"up-{place}", help="Run earlier", type="tertiary", disabled=place == 0
    ):
        changed = draft.with_rule_moved(plan, place, -1)
    if st.button(
        "",
        icon=":material/arrow_downward:",
        key=f"down-{place}",
        help="Run later",
        type="tertiary",
        disabled=place == len(plan.rules) - 1,
    ):
        changed = draft.with_rule_moved(plan, place, 1)
    if st.button(
        "",
        icon=":material/delete:",
        key=f"delete-{place}",
        help="Remove this rule",
        type="tertiary",
        disabled=len(plan.rules) == 1,
    ):
        changed = draft.without_rule(plan, place)
    if st.button("Edit", icon=":material/edit:", key=f"edit-{place}", type="tertiary"):
        rule_form.open_draft(plan.rules[place], plan)
        _edit(person, reconciliation, plan, place)
    if changed is not None:
        with explained():
            draft.save(person, reconciliation, changed)
            st.rerun()
