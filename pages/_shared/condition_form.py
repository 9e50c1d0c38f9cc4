"""The conditions of a rule, row by row: field, how it is compared, and only the cells that this way needs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import streamlit as st

from pages._shared.marks import Marks
from pages._shared.rule_draft import ALSO, KINDS, KINDS_OF_TYPE, NUMBERS, Cells, blank
from recon_engine.plan import Plan

METHODS = {
    "jaro_winkler": "like names",
    "levenshtein": "like codes, with few typing mistakes",
    "token_set": "by their words, in any order",
    "tfidf": "like descriptions: rare parts count most",
}
WIDTHS = [2.2, 2.4, 3.6, 0.5]
WINDOWS = ("within", "percent", "days")
# What the cells of a row are in a plan, and what they are called here.
PLACES = {
    "": "",
    ".field": "Field",
    ".within[0]": "From",
    ".within[1]": "To",
    ".percent[0]": "From",
    ".percent[1]": "To",
    ".days[0]": "From",
    ".days[1]": "To",
    ".cap": "At most",
    ".at_least": "At least, %",
    ".found_in": "The text of",
    ".net_of.percent": "Fee, %",
    ".net_of.fixed": "Fee, fixed",
}
LabelVisibility = Literal["visible", "collapsed"]


def show(plan: Plan, conditions: dict[int, Cells], key: str, marks: Marks, *, sums: bool = True) -> dict[int, Cells]:
    """Draw the rows and the way to add one; returns the cells as edited. `sums`: sums, signs and fees can be said.

    Faults of the condition in row n are shown below it, at the place `on[n]`.
    """
    edited = {}
    for row, (number, cells) in enumerate(conditions.items()):
        edited[number] = _row(plan, cells, conditions, number, f"{key}-{number}", sums=sums)
        for place, name in PLACES.items():
            marks.below(f"on[{row}]{place}", name=name)
    if any(cells["kind"] in WINDOWS for cells in edited.values()):
        st.caption("From and To: the right value minus the left value, both ends included.")
    used = {cells["field"] for cells in edited.values()}
    unused = [spec.name for spec in plan.fields if spec.name not in used]
    st.button(
        "Add condition",
        icon=":material/add:",
        key=f"{key}-add",
        type="tertiary",
        disabled=not unused,
        on_click=add,
        args=(conditions, unused[0] if unused else ""),
    )
    return edited


def add(conditions: dict[int, Cells], field: str, **given: Any) -> None:
    """Add a condition on a field."""
    conditions[max(conditions, default=-1) + 1] = blank(field) | given


def also_key(key: str, number: int) -> str:
    """Where the session keeps what else is said of a number."""
    return f"{key}-{number}-also"


def _remove(conditions: dict[int, Cells], number: int) -> None:
    conditions.pop(number, None)


def _row(plan: Plan, kept: Cells, conditions: dict[int, Cells], number: int, key: str, *, sums: bool) -> Cells:
    names = [spec.name for spec in plan.fields]
    label: LabelVisibility = "visible" if number == next(iter(conditions)) else "collapsed"
    cells = st.columns(WIDTHS, vertical_alignment="bottom")
    place = names.index(kept["field"]) if kept["field"] in names else 0
    field = cells[0].selectbox("Field", names, index=place, key=f"{key}-field", label_visibility=label)
    kinds = KINDS_OF_TYPE[plan.field(field).type]
    kind = cells[1].selectbox(
        "Compared",
        kinds,
        index=kinds.index(kept["kind"]) if kept["kind"] in kinds else 0,
        format_func=KINDS.__getitem__,
        key=f"{key}-kind",
        label_visibility=label,
    )
    edited = kept | {"field": field, "kind": kind}
    with cells[2]:
        _details(plan, edited, key)
    cells[3].button(
        "",
        icon=":material/close:",
        key=f"{key}-remove",
        type="tertiary",
        help="Remove this condition",
        disabled=len(conditions) == 1,
        on_click=_remove,
        args=(conditions, number),
    )
    if sums and plan.field(field).type in NUMBERS and kind != "both_empty":
        with cells[2] if kind == "equality" else nullcontext():
            _also(edited, key)
        if "fee" in edited["also"]:
            _fee(edited, key)
    else:
        edited["also"] = []
    return edited


def _details(plan: Plan, edited: Cells, key: str) -> None:
    """The cells that the kind of condition needs."""
    kind = edited["kind"]
    if kind in WINDOWS:
        cells = st.columns(3 if kind == "percent" else 2)
        edited["low"] = cells[0].text_input("From", edited["low"], key=f"{key}-low")
        edited["high"] = cells[1].text_input("To", edited["high"], key=f"{key}-high")
        if kind == "percent":
            edited["cap"] = cells[2].text_input("At most", edited["cap"], key=f"{key}-cap", placeholder="no cap")
    elif kind == "similarity":
        cells = st.columns([2.4, 1])
        edited["method"] = cells[0].selectbox(
            "Alike",
            list(METHODS),
            index=list(METHODS).index(edited["method"]),
            format_func=METHODS.__getitem__,
            key=f"{key}-method",
        )
        edited["at_least"] = cells[1].text_input("At least, %", edited["at_least"], key=f"{key}-at-least")
    elif kind == "found_in":
        texts = [spec.name for spec in plan.fields if spec.type == "text"]
        edited["found_in"] = st.selectbox(
            "The text of",
            texts,
            index=texts.index(edited["found_in"]) if edited["found_in"] in texts else 0,
            key=f"{key}-found-in",
        )


def _also(edited: Cells, key: str) -> None:
    """What else can be said of a number, in one quiet line below it."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = st.pills(
            "Also",
            list(ALSO),
            selection_mode="multi",
            default=edited["also"],
            format_func=ALSO.__getitem__,
            key=f"{key}-also",
            label_visibility="collapsed",
            help="Added up: the many side's sum is compared. After a fee: the right value is the left one less it.",
        )
        edited["also"] = [name for name in ALSO if name in (chosen or [])]


def _fee(edited: Cells, key: str) -> None:
    """The fee that was kept back, on a line of its own."""
    percent, fixed = st.columns(WIDTHS)[2].columns(2)
    edited["fee_percent"] = percent.text_input(
        "Fee, %", edited["fee_percent"], key=f"{key}-fee-percent", placeholder="0"
    )
    edited["fee_fixed"] = fixed.text_input("Fee, fixed", edited["fee_fixed"], key=f"{key}-fee-fixed", placeholder="0")
