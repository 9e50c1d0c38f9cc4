"""The rules of a plan as cards, in the order they run: move, edit, remove, add."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._shared import draft, rule_form
from pages._shared.context import dialog
from pages._shared.messages import explained
from pages._shared.wording import handling_sentence, literal, rule_in
from recon_engine.nway.plan import Pair, SidesPlan
from recon_engine.plan import Plan
from services.database.models import Reconciliation
from services.permissions import Actor
from services.sides import AnyPlan


@dialog("Rule", width="large")
def _edit(
    person: Actor, reconciliation: Reconciliation, plan: AnyPlan, place: int | None, between: Pair | None = None
) -> None:
    between = between if place is None else getattr(plan.rules[place], "between", None)

    def save(rule: dict[str, Any]) -> None:
        told = {**rule, "between": list(between)} if between else rule
        draft.save(person, reconciliation, draft.with_rule(plan, place, told))
        st.rerun()

    view, own = _as_two_sided(plan, place, between)
    rule_form.show(view, own, save)


def _between(plan: SidesPlan) -> Pair:
    """The two sides that a new rule is to look at, in the order in which other rules name them."""
    named = {rule.between for rule in plan.rules}
    pairs = [
        (two, one) if (two, one) in named else (one, two)
        for one, two in combinations(plan.labels, 2)
        if any({one, two} <= spec.columns.keys() for spec in plan.fields)
    ]
    names = plan.labels
    return st.selectbox(
        "A rule between", pairs, format_func=lambda pair: f"{names[pair[0]]} and {names[pair[1]]}", width=320
    )


def _as_two_sided(plan: AnyPlan, place: int | None, between: Pair | None) -> tuple[Plan, int | None]:
    """The plan as the form of a rule sees it, and the place of the rule in it: of several sides, that of a pair that
    the rule looks at.
    """
    if isinstance(plan, Plan):
        return plan, place
    if place is None:
        return plan.pair_plan(*(between or next(iter(plan.pairs)))), None
    rule = plan.rules[place]
    pair = next(pair for pair, rules in plan.pairs.items() if rule in rules)
    return plan.pair_plan(*pair), plan.pairs[pair].index(rule)


def show(
    person: Actor, reconciliation: Reconciliation, plan: AnyPlan, suggested: Mapping[str, Any], editable: bool
) -> tuple[DeltaGenerator, list[DeltaGenerator]]:
    """All rules. `suggested` holds confidence and reason by rule name. Returns where their counts go: the headline's
    place, and each rule's.
    """
    headline, counts = st.container(), []
    for place, rule in enumerate(plan.rules):
        with st.container(border=True, key=f"rule-card-{place}"):
            text, buttons = st.columns([5, 1.7], vertical_alignment="center")
            with text.container(gap="xsmall"):
                counts.append(_description(plan, place, suggested.get(rule.name)))
            with buttons.container(horizontal=True, horizontal_alignment="right", gap="xsmall", wrap=False):
                if editable:
                    _buttons(person, reconciliation, plan, place)
    if editable:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            between = _between(plan) if isinstance(plan, SidesPlan) else None
            if st.button("Add rule", icon=":material/add:"):
                rule_form.open_draft(None, _as_two_sided(plan, None, between)[0])
                _edit(person, reconciliation, plan, None, between)
    return headline, counts


def _description(plan: AnyPlan, place: int, suggestion: Mapping[str, Any] | None) -> DeltaGenerator:
    """What the rule is and does. Returns where its count goes: in the line of its name, for a short page; of a rule
    that looks at more than two sides, which has several, below that.
    """
    rule = plan.rules[place]
    pairs = 1 if isinstance(plan, Plan) else sum(rule in rules for rules in plan.pairs.values())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{place + 1}. {literal(rule.name)}**", width="content")
        if rule.outcome == "suggested":
            st.badge("suggested", color="orange")
        if suggestion:
            st.badge(f"{suggestion['confidence']:.0%} sure", color="gray", help=suggestion["reason"])
        count = st.container(width="content") if pairs == 1 else None
    st.markdown(rule_in(plan, rule))
    count = count or st.container()
    reason = suggestion["reason"] if suggestion else ""
    about = [reason[:1].upper() + reason[1:], handling_sentence(rule)]
    if any(about):
        st.caption(" · ".join(filter(None, about)))
    return count


def _buttons(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, place: int) -> None:
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
        rule_form.open_draft(plan.rules[place], _as_two_sided(plan, place, None)[0])
        _edit(person, reconciliation, plan, place)
    if changed is not None:
        with explained():
            draft.save(person, reconciliation, changed)
            st.rerun()
