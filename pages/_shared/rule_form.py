"""One rule in a dialog: how records are compared, what one match holds, and what happens to the matches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from pages._shared import condition_form
from pages._shared.draft import faults, with_rule
from pages._shared.marks import Marks, inside
from pages._shared.messages import explained
from pages._shared.rule_draft import NET_SHAPES, NUMBERS, SHAPES, Draft, in_order, opened, reversal, rule_data
from pages._shared.wording import link_details, shape_sentence
from recon_engine.plan import Budget, Plan, Rule

WAYS = {"conditions": "By conditions", "link": "By evidence learnt from the data"}
OUTCOMES = {"confirmed": "Confirmed: counts at once", "suggested": "Suggested: counted apart"}
AMBIGUOUS = {
    "best": "Take the best assignment if it is unique",
    "leave": "Leave all of them open",
    "suggest": "Suggest, for a person to decide",
}
_DRAFT = "rule-draft"
Save = Callable[[dict[str, Any]], None]


def open_draft(rule: Rule | None, plan: Plan, shapes: Sequence[str] = SHAPES) -> None:
    """Begin editing a rule, or a new one, of which a match may hold what these `shapes` say."""
    number = st.session_state.get(_DRAFT, {}).get("opened", 0) + 1
    begun = reversal(plan) if rule is None and set(shapes) <= set(NET_SHAPES) else opened(rule, plan)
    st.session_state[_DRAFT] = begun | {"opened": number, "rule": rule, "shapes": tuple(shapes)}


def show(plan: Plan, place: int | None, save: Save) -> None:
    """Draw the form of the rule at `place`, or of a new one. `save` gets the rule as plain plan data, once it is right.

    From the first attempt to save on, what is wrong is marked below the widget that it concerns, until it is right.
    """
    draft: Draft = st.session_state[_DRAFT]
    key, marks = f"rule-{draft['opened']}", Marks()
    name = st.text_input("Name", draft["name"], placeholder="settled later", key=f"{key}-name")
    marks.below("name")
    edited = draft | {"name": name if name == draft["name"] else name.strip()}
    if not set(draft["shapes"]) <= set(NET_SHAPES):  # what cancels out has no evidence but its amount
        edited["by"] = st.segmented_control(
            "Records belong together",
            list(WAYS),
            default=draft["by"],
            required=True,
            format_func=WAYS.__getitem__,
            key=f"{key}-by",
            help="Conditions must all hold. Evidence: how much agreement in each field is worth is learnt, "
            "without labels.",
        )
    if edited["by"] == "link":
        _link(plan, edited, key, marks)
    else:
        st.markdown("**Two records match when all of this holds**")
        edited["conditions"] = condition_form.show(plan, draft["conditions"], key, marks)
    _shape(plan, draft, edited, key)
    marks.below("cardinality", "net")
    edited["outcome"] = st.radio(
        "Outcome",
        list(OUTCOMES),
        format_func=OUTCOMES.__getitem__,
        horizontal=True,
        key=f"{key}-outcome",
        index=list(OUTCOMES).index(draft["outcome"]),
    )
    _more(draft, edited, key, marks)
    rule = rule_data(edited)
    pressed = st.button("Save rule", type="primary", key=f"{key}-save")
    draft["tried"] = pressed or draft.get("tried", False)
    part = f"rules[{len(plan.rules) if place is None else place}]"
    is_wrong = draft["tried"] and marks.show(inside(faults(with_rule(plan, place, rule)), part))
    if pressed and not is_wrong:
        with explained():
            save(rule)


def _link(plan: Plan, edited: Draft, key: str, marks: Marks) -> None:
    """The fields that speak for or against a pair."""
    names = [spec.name for spec in plan.fields]
    chosen = st.pills(
        "Fields that speak for or against a pair",
        names,
        selection_mode="multi",
        default=[name for name in names if name in edited["link_fields"]],
        key=f"{key}-link-fields",
        help="Names, places, dates, amounts: what two records of the same thing would share, even with mistakes in it.",
    )
    marks.below("link.fields")
    unticked = set(edited["link_fields"]) - set(chosen or [])
    edited["link_fields"] = in_order(chosen or [], edited["link_fields"], names)
    edited["compare_as"] = {field: how for field, how in edited["compare_as"].items() if field not in unticked}
    edited["probability"] = st.text_input(
        "Match when it is at least so probable, %", edited["probability"], key=f"{key}-probability", width=320
    )
    marks.below("link.probability")
    if said := link_details(edited["compare_as"], edited["block_on"]):
        st.caption(f"Kept as the plan file says: {said}.")


def _shape(plan: Plan, draft: Draft, edited: Draft, key: str) -> None:
    """How many records of each side one match may hold."""
    shapes = [shape for shape in draft["shapes"] if edited["by"] == "conditions" or shape not in NET_SHAPES]
    edited["shape"] = st.selectbox(
        "One match holds",
        shapes,
        index=shapes.index(draft["shape"]) if draft["shape"] in shapes else 0,
        format_func=lambda shape: shape_sentence(shape, plan.left.label, plan.right.label),
        key=f"{key}-shape",
        on_change=_sum_by_default,
        args=(plan, key),
    )


def _sum_by_default(plan: Plan, key: str) -> None:
    """Several records belong together by their sum, unless said otherwise; one to one has no sum."""
    draft: Draft = st.session_state[_DRAFT]
    shape = st.session_state[f"{key}-shape"]
    numbers = [n for n, c in draft["conditions"].items() if plan.field(_field(c, key, n)).type in NUMBERS]
    if not numbers and shape.startswith("net_"):
        money = next((spec.name for spec in plan.fields if spec.type in NUMBERS), None)
        if money is None:
            return
        condition_form.add(draft["conditions"], money, also=["total"])
        return
    said = {n: st.session_state.get(condition_form.also_key(key, n), draft["conditions"][n]["also"]) for n in numbers}
    summed = [n for n in numbers if "total" in said[n]]
    if shape == "one_to_one":
        for number in summed:
            st.session_state[condition_form.also_key(key, number)] = [a for a in said[number] if a != "total"]
    elif not summed and numbers:
        st.session_state[condition_form.also_key(key, numbers[0])] = ["total", *said[numbers[0]]]


def _field(cells: dict[str, Any], key: str, number: int) -> str:
    return str(st.session_state.get(f"{key}-{number}-field", cells["field"]))


def _more(draft: Draft, edited: Draft, key: str, marks: Marks) -> None:
    """What is rarely changed."""
    usual = draft["when_ambiguous"] == "best" and not draft["gate"] and draft["members"] == Budget().members
    with st.expander("More choices", expanded=not usual):
        edited["when_ambiguous"] = st.selectbox(
            "When records compete",
            list(AMBIGUOUS),
            format_func=AMBIGUOUS.__getitem__,
            key=f"{key}-ambiguous",
            index=list(AMBIGUOUS).index(draft["when_ambiguous"]),
        )
        left, right = st.columns(2)
        edited["gate"] = left.text_input(
            "Only suggest when more than so many % would be accidental",
            draft["gate"],
            placeholder="no gate",
            key=f"{key}-gate",
            help="Each run estimates how many matches are accidents; above this, they wait for a person.",
        )
        edited["members"] = int(
            right.number_input(
                "Search for sums among at most so many candidates",
                min_value=2,
                max_value=40,
                value=draft["members"],
                key=f"{key}-members",
                help="A record with more stays open and says so: a search is complete or it decides nothing.",
            )
        )
        for column, place in ((left, "max_false_rate"), (right, "budget.members")):
            with column:
                marks.below(place)
