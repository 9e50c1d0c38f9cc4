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
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.plan import SIDES
from services.database.models import Job
from services.permissions import Actor
from services.result_headline import INSIDE_MATCHES, OF_EACH_TWO, against, balanced, uncompared
from services.result_open import NUMBERS, open_columns, open_lines

PARTS = {
    "left": "",
    "right": "",
    "apart": "Difference",
    "breaks": "Breaks",
    "suggested": "Suggested",
    "rejected": "Rejected",
    "alone": "Matched alone",
    "unexplained": "Unexplained",
}
OF_SEVERAL = {"left": "First", "right": "Second"}


def show(person: Actor, job: Job, plan: AnyPlan) -> None:
    """The section: what explains the difference of the sides, and the open items by money, size and age."""
    summary, figures, names = job.summary_json or {}, services().results.figures(person, job.id), labels(plan)
    if not (figures["money"] or figures["ages"]):
        empty_state("Nothing to add up", "The plan has no field of type decimal or date.", ":material/balance:")
        return
    if any(one["sums"] for one in figures["balances"]):
        with st.container(border=True):
            _balance(figures, names)
    if figures["money"]:
        _money(summary, figures, names)
    if figures["ages"]:
        _ages(figures, names)


def _money(summary: Mapping[str, Any], figures: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """The open amounts: their sums, and how large they are."""
    sums, sizes = charts.money_in_breaks(summary["totals"], names), figures["sizes"]
    if sums is None:
        st.markdown(":green[:material/check_circle:] No amount is open.")
        return
    columns = st.columns(2 if sizes else 1, gap="medium")
    with columns[0].container(border=True, height="stretch"):
        st.markdown("**Money in breaks**")
        st.plotly_chart(sums, config=charts.CONFIG, key="money")
    for right in columns[1:]:
        with right.container(border=True, height="stretch"):
            fields = " or ".join(wording.literal(name) for name in dict.fromkeys(figures["amounts"].values()) if name)
            st.markdown(f"**How large the open amounts are** :small[:gray[{fields}, without sign]]")
            st.plotly_chart(charts.sizes(sizes, names), config=charts.CONFIG, key="sizes")


def _balance(figures: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """A line per currency; of several sides for each two that have an amount in common."""
    balances, several = figures["balances"], len(names) > len(SIDES)
    st.markdown("**What the open items explain**")
    if several:
        st.caption(" ".join(filter(None, (OF_EACH_TWO, wording.literal(uncompared(figures, names))))))
    else:
        sides = balanced(balances[0], {side: wording.literal(name) for side, name in names.items()})
        st.caption(f"{sides}. What they leave unexplained {INSIDE_MATCHES}")
    told = {part for one in balances for sums in one["sums"].values() for part in sums}
    parts = {part: heading for part, heading in PARTS.items() if part in told}
    lines = [
        {
            "sides": against(one, names),
            "what": wording.named(one["money"], currency),
            **{part: wording.amount(sums[part]) for part in parts},
        }
        for one in balances
        for currency, sums in one["sums"].items()
    ]
    own = {"sides": "Two sides", "what": "Sum"} if several else {"what": "Sum"}
    table(
        lines, own | parts | (OF_SEVERAL if several else {side: names[side] for side in SIDES}), "balance", False, parts
    )


def _ages(figures: Mapping[str, Any], names: Mapping[str, str]) -> None:
    day = wording.day(date.fromisoformat(figures["as_of"])) if figures["as_of"] else "no date"
    told = f"Days from {wording.literal(figures['date'])} to {day}, the latest date in the files."
    several = len({line["currency"] for line in figures["ages"]}) > 1
    headings = {"age": "Age"} | ({"currency": "Currency"} if several else {}) | open_columns(figures, names)
    lines = [{**line, "currency": line["currency"] or "none"} for line in open_lines(figures, "age", names)]
    with st.container(border=True):
        st.markdown("**How old the open items are**")
        st.caption(told)
        st.plotly_chart(charts.ages(figures["ages"], names), config=charts.CONFIG, key="ages-chart")
        table(lines, headings, "ages", amounts=[name for name in headings if name.startswith(NUMBERS)])
