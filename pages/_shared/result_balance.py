"""What the open items explain of the difference between the sides, and how old they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import streamlit as st

from pages._shared import charts, wording
from pages._shared.context import services
from pages._shared.messages import empty_state
from pages._shared.tables import table
from pages._shared.wizard import labels
from recon_engine.plan import SIDES, Plan
from services.database.models import Job
from services.permissions import Actor
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


def show(person: Actor, job: Job, plan: Plan) -> None:
    """The section: what explains the difference of the sides, and the open items by money, size and age."""
    summary, figures, names = job.summary_json or {}, services().results.figures(person, job.id), labels(plan)
    if not (figures["balance"] or figures["ages"]):
        empty_state("Nothing to add up", "The plan has no field of type decimal or date.", ":material/balance:")
        return
    if figures["balance"]:
        with st.container(border=True):
            _balance(figures, names)
        _money(summary, figures, names)
    if figures["ages"]:
        _ages(figures, names)


def _money(summary: Mapping[str, Any], figures: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """The open amounts: their sums, and how large they are."""
    sums, sizes = charts.money_in_breaks(summary["totals"], names), figures.get("sizes", [])
    if sums is None:
        st.markdown(":green[:material/check_circle:] No amount is open.")
        return
    columns = st.columns(2 if sizes else 1, gap="medium")
    with columns[0].container(border=True, height="stretch"):
        st.markdown("**Money in breaks**")
        st.plotly_chart(sums, config=charts.CONFIG, key="money")
    for right in columns[1:]:
        with right.container(border=True, height="stretch"):
            st.markdown(
                f"**How large the open amounts are** :small[:gray[{wording.literal(figures['money'])}, without sign]]"
            )
            st.plotly_chart(charts.sizes(sizes, names), config=charts.CONFIG, key="sizes")


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
    told = f"Days from {wording.literal(figures['date'])} to {day}, the latest date in the files."
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
    with st.container(border=True):
        st.markdown("**How old the open items are**")
        st.caption(told)
        st.plotly_chart(charts.ages(figures["ages"], names), config=charts.CONFIG, key="ages-chart")
        table(lines, headings, "ages", amounts=[name for name in headings if "-" in name])
