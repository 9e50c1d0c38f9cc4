"""The rules of a plan as cards, in the order they run: move, edit, remove, add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, TypeGuard

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._shared import draft, rule_form
from pages._shared.context import dialog
from pages._shared.messages import explained
from pages._shared.rule_draft import NET_SHAPES, NUMBERS, SHAPES
from pages._shared.wording import handling_sentence, literal, rule_in
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import Pair, SidesPlan, SidesRule
from recon_engine.plan import Plan
from services.database.models import Reconciliation
from services.permissions import Actor


@dialog("Rule", width="large")
def _edit(
    person: Actor, reconciliation: Reconciliation, plan: AnyPlan, place: int | None, between: Pair | None = None
) -> None:
    if isinstance(plan, SidesPlan) and place is not None:
        between = _looked_at(plan.rules[place])

    def save(rule: dict[str, Any]) -> None:
        told = {**rule, "between": list(between)} if between else rule
        if _is_alone(between):
            told = {**rule, "net": between[0]}  # which the form knows as its left side
        what = f"Rule '{literal(rule['name'])}' is saved."
        draft.save(person, reconciliation, draft.with_rule(plan, place, told), what)
        st.rerun()

    view, own = _as_two_sided(plan, place, between)
    rule_form.show(view, own, save)


def _is_alone(between: Pair | None) -> TypeGuard[Pair]:
    """Whether a rule nets one side: then it stands here twice."""
    return between is not None and between[0] == between[1]


def _looked_at(rule: SidesRule) -> Pair | None:
    """The two sides that a rule names, or twice the one that it nets."""
    return (rule.net, rule.net) if rule.net else rule.between


def _between(plan: SidesPlan) -> Pair:
    """The two sides that a new rule is to look at, in the order in which other rules name them; or twice one side, to
    net it.
    """
    named = {rule.between for rule in plan.rules}
    pairs = [
        (two, one) if (two, one) in named else (one, two)
        for one, two in combinations(plan.labels, 2)
        if any({one, two} <= spec.columns.keys() for spec in plan.fields)
    ]
    amounts = {side for spec in plan.fields if spec.type in NUMBERS for side in spec.columns}
    pairs += [(side, side) for side in plan.labels if side in amounts]
    names = plan.labels

    def title(pair: Pair) -> str:
        return f"{names[pair[0]]} alone (reversals)" if _is_alone(pair) else f"{names[pair[0]]} and {names[pair[1]]}"

    return st.selectbox("A rule for", pairs, format_func=title, width=320)


def _as_two_sided(plan: AnyPlan, place: int | None, between: Pair | None) -> tuple[Plan, int | None]:
    """The plan as the form of a rule sees it, and the place of the rule in it: of several sides, that of a pair that
    the rule looks at, or of the side that it nets.
    """
    if isinstance(plan, Plan):
        return plan, place
    rule = None if place is None else plan.rules[place]
    between = between if rule is None else _looked_at(rule)
    if _is_alone(between):
        view = plan.side_plan(between[0])
        return view, None if rule is None else [one.name for one in view.rules].index(rule.name)
    if rule is None:
        return plan.pair_plan(*(between or next(iter(plan.pairs)))), None
    pair = next(pair for pair, rules in plan.pairs.items() if rule in rules)
    return plan.pair_plan(*pair), plan.pairs[pair].index(rule)


def _shapes(plan: AnyPlan, between: Pair | None) -> Sequence[str]:
    """What a match of such a rule may hold."""
    if isinstance(plan, Plan):
        return SHAPES
    return NET_SHAPES[:1] if _is_alone(between) else [shape for shape in SHAPES if shape not in NET_SHAPES]


def _may_change_places(plan: AnyPlan, place: int) -> bool:
    """Whether the rule at `place` and the next one may: of several sides, those that net one stay above the others."""
    if not 0 <= place < len(plan.rules) - 1:
        return False
    kinds = {rule.net is None for rule in plan.rules[place : place + 2]}
    return isinstance(plan, Plan) or len(kinds) == 1


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
                rule_form.open_draft(None, _as_two_sided(plan, None, between)[0], _shapes(plan, between))
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
    changed, what = None, "The order of the rules is saved."
    if st.button(
        "",
        icon=":material/arrow_upward:",
        key=f"up-{place}",
        help="Run earlier",
        type="tertiary",
        disabled=not _may_change_places(plan, place - 1),
    ):
        changed = draft.with_rule_moved(plan, place, -1)
    if st.button(
        "",
        icon=":material/arrow_downward:",
        key=f"down-{place}",
        help="Run later",
        type="tertiary",
        disabled=not _may_change_places(plan, place),
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
        changed, what = draft.without_rule(plan, place), f"Rule '{literal(plan.rules[place].name)}' is removed."
    if st.button("Edit", icon=":material/edit:", key=f"edit-{place}", type="tertiary"):
        rule = plan.rules[place]
        between = _looked_at(rule) if isinstance(rule, SidesRule) else None
        own = rule.plain if isinstance(rule, SidesRule) else rule
        rule_form.open_draft(own, _as_two_sided(plan, place, None)[0], _shapes(plan, between))
        _edit(person, reconciliation, plan, place)
    if changed is not None:
        with explained():
            draft.save(person, reconciliation, changed, what)
            st.rerun()
