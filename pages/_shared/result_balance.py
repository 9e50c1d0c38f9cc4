"""What the open items explain of the difference between the sides, and how old they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import streamlit as st

from pages._shared import wording
from pages._shared.tables import table
from recon_engine.plan import SIDES
from services.result_headline import INSIDE_MATCHES, balanced

PARTS = {
    "left": "",
    "right": "",
    "apart": "Difference",
    "breaks": "Breaks",
    "suggested": "Suggested",
    "rejected": "Rejected",
    "unexplained": "Unexplained",
}


def show(figures: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Both tables, as far as the plan has amounts and dates."""
    for draw, told in ((_balance, figures["balance"]), (_ages, figures["ages"])):
        if told:
            with st.container(border=True):
                draw(figures, names)


def _balance(figures: Mapping[str, Any], names: Mapping[str, str]) -> None:
    sides = balanced(figures, {side: wording.literal(name) for side, name in names.items()})
    st.markdown("**What the open items explain**")
    st.caption(f"{sides}. What they leave unexplained {INSIDE_MATCHES}")
    lines = [
        {"what": wording.named(figures["money"], currency), **{part: wording.amount(sums[part]) for part in PARTS}}
        for currency, sums in figures["balance"].items()
    ]
    table(lines, {"what": "Sum"} | PARTS | {side: names[side] for side in SIDES}, "balance", amounts=PARTS)


def _ages(figures: Mapping[str, Any], names: Mapping[str, str]) -> None:
    day = wording.day(date.fromisoformat(figures["as_of"])) if figures["as_of"] else "no date"
    st.markdown("**How old the open items are**")
    st.caption(f"Days from {wording.literal(figures['date'])} to {day}, the latest date in the files.")
    several = len({line["currency"] for line in figures["ages"]}) > 1
    headings = {"age": "Age"} | ({"currency": "Currency"} if several else {})
    for side in SIDES:
        headings[f"{side}-rows"] = f"{names[side]} rows"
        if figures["money"]:
            headings[f"{side}-total"] = f"{names[side]} {figures['money']}"
    lines = [
        {
            "age": line["age"],
            "currency": line["currency"] or "none",
            **{f"{side}-rows": wording.number(line[side]["rows"]) for side in SIDES},
            **{f"{side}-total": wording.amount(line[side]["total"]) for side in SIDES},
        }
        for line in figures["ages"]
    ]
    table(lines, headings, "ages", amounts=[name for name in headings if "-" in name])
