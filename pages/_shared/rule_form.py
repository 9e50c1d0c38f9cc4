"""One rule in a dialog: its conditions row by row, its outcome, what to do when records compete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import streamlit as st

from recon_engine.plan import Condition, Plan, Rule

KINDS = {
    "equality": "is equal",
    "within": "within an amount",
    "percent": "within a percentage",
    "days": "within days",
}
KINDS_OF_TYPE = {
    "decimal": ["equality", "within", "percent"],
    "integer": ["equality", "within", "percent"],
    "date": ["equality", "days"],
    "datetime": ["equality", "days"],
}
OUTCOMES = {"confirmed": "Confirmed: counts at once", "suggested": "Suggested: a person confirms"}
AMBIGUOUS = {
    "best": "Take the best assignment if it is unique",
    "leave": "Leave all of them open",
    "suggest": "Suggest, for a person to decide",
}
_DRAFT = "rule-draft"
LabelVisibility = Literal["visible", "collapsed"]
Save = Callable[[dict[str, Any]], None]


def open_draft(rule: Rule | None, plan: Plan) -> None:
    """Begin editing a rule, or a new one that starts with the first field equal."""
    conditions = [_plain(c) for c in rule.on] if rule else [_blank(plan.fields[0].name)]
    opened = st.session_state.get(_DRAFT, {}).get("opened", 0) + 1
    st.session_state[_DRAFT] = {"opened": opened, "added": len(conditions), "conditions": dict(enumerate(conditions))}


def _plain(condition: Condition) -> dict[str, Any]:
    for kind in ("within", "percent", "days"):
        window = getattr(condition, kind)
        if window is not None:
            low, high = (str(end) for end in window)
            cap = "" if condition.cap is None else str(condition.cap)
            return {"field": condition.field, "kind": kind, "low": low, "high": high, "cap": cap, "nulls": None}
    return _blank(condition.field) | {"nulls": condition.nulls}


def _blank(field: str) -> dict[str, Any]:
    return {"field": field, "kind": "equality", "low": "0", "high": "0", "cap": "", "nulls": None}


def _add(field: str) -> None:
    draft = st.session_state[_DRAFT]
    draft["conditions"][draft["added"]] = _blank(field)
    draft["added"] += 1


def _remove(number: int) -> None:
    del st.session_state[_DRAFT]["conditions"][number]


def show(plan: Plan, rule: Rule | None, save: Save) -> None:
    """Draw the form. `save` gets the rule as plain plan data; it raises when the plan would become wrong."""
    draft = st.session_state[_DRAFT]
    key = f"rule-{draft['opened']}"
    name = st.text_input("Name", rule.name if rule else "", placeholder="settled later", key=f"{key}-name")
    st.markdown("**Two records match when all of this holds**")
    st.caption("Windows are the right value minus the left value, both ends included.")
    kept = draft["conditions"]
    conditions = [_condition(plan, kept[number], f"{key}-{number}", number, next(iter(kept))) for number in kept]
    used = {condition["field"] for condition in conditions}
    unused = [spec.name for spec in plan.fields if spec.name not in used]
    st.button(
        "Add condition",
        icon=":material/add:",
        key=f"{key}-add",
        type="tertiary",
        disabled=not unused,
        on_click=_add,
        args=(unused[0] if unused else "",),
    )
    outcome = st.radio(
        "Outcome",
        list(OUTCOMES),
        format_func=OUTCOMES.__getitem__,
        horizontal=True,
        key=f"{key}-outcome",
        index=list(OUTCOMES).index(rule.outcome if rule else "confirmed"),
    )
    ambiguous = st.selectbox(
        "When records compete",
        list(AMBIGUOUS),
        format_func=AMBIGUOUS.__getitem__,
        key=f"{key}-ambiguous",
        index=list(AMBIGUOUS).index(rule.when_ambiguous if rule else "best"),
    )
    if st.button("Save rule", type="primary", key=f"{key}-save"):
        on = [_condition_data(condition) for condition in conditions]
        save({"name": name.strip(), "on": on, "outcome": outcome, "when_ambiguous": ambiguous})


def _condition(plan: Plan, kept: dict[str, Any], key: str, number: int, first: int) -> dict[str, Any]:
    names = [spec.name for spec in plan.fields]
    label: LabelVisibility = "visible" if number == first else "collapsed"
    cells = st.columns([2.2, 2.1, 1, 1, 1, 0.5], vertical_alignment="bottom")
    place = names.index(kept["field"]) if kept["field"] in names else 0
    field = cells[0].selectbox("Field", names, index=place, key=f"{key}-field", label_visibility=label)
    kinds = KINDS_OF_TYPE.get(plan.field(field).type, ["equality"])
    kind = cells[1].selectbox(
        "Compared",
        kinds,
        index=kinds.index(kept["kind"]) if kept["kind"] in kinds else 0,
        format_func=KINDS.__getitem__,
        key=f"{key}-kind",
        label_visibility=label,
    )
    edited = kept | {"field": field, "kind": kind}
    if kind != "equality":
        edited["low"] = cells[2].text_input("From", kept["low"], key=f"{key}-low")
        edited["high"] = cells[3].text_input("To", kept["high"], key=f"{key}-high")
    if kind == "percent":
        edited["cap"] = cells[4].text_input("At most", kept["cap"], key=f"{key}-cap", placeholder="no cap")
    cells[5].button(
        "",
        icon=":material/close:",
        key=f"{key}-remove",
        type="tertiary",
        help="Remove this condition",
        on_click=_remove,
        args=(number,),
    )
    return edited


def _condition_data(condition: dict[str, Any]) -> Any:
    kind = condition["kind"]
    if kind == "equality":
        nulls = condition["nulls"]
        return {"field": condition["field"], "nulls": nulls} if nulls else condition["field"]
    low, high = (condition[end].strip() or "0" for end in ("low", "high"))
    data: dict[str, Any] = {"field": condition["field"], kind: [low, high]}
    if kind == "percent" and condition["cap"].strip():
        data["cap"] = condition["cap"].strip()
    return data
