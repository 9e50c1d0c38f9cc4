"""The overview of a result: the conservation statement, the main figures, the charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._shared import charts, result_causes, result_rules, wording
from pages._shared.tables import table
from pages._shared.wizard import labels
from recon_engine.plan import SIDES, Plan
from services.database.models import Job
from services.permissions import Actor

MOST_AMOUNTS = 8
PARTS = ("read", "matched", "suggested", "breaks", "rejected")
HEADINGS = {
    "side": "Side",
    "what": "What",
    "read": "Read",
    "matched": "Matched",
    "suggested": "Suggested",
    "breaks": "Breaks",
    "rejected": "Rejected",
}


def show(person: Actor, job: Job, plan: Plan) -> None:
    """Draw the section."""
    summary = job.summary_json or {}
    names = labels(plan)
    _figures(summary, names)
    _amounts(summary, plan, names)
    _conservation(summary, names)
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        st.markdown("**What became of the rows**")
        st.plotly_chart(charts.outcome_bars(summary["rows"], names), config=charts.CONFIG, key="outcome")
    with right.container(border=True, height="stretch"):
        st.markdown("**Matches added by each rule**")
        st.plotly_chart(charts.rule_waterfall(summary["rules"]), config=charts.CONFIG, key="rules")
    result_causes.show(person, job)
    left, right = st.columns(2, gap="medium")
    found = {name: number for name, number in summary["breaks"].items() if number}
    with left.container(border=True, height="stretch"):
        st.markdown("**Breaks by category**")
        if found:
            st.plotly_chart(charts.categories(found), config=charts.CONFIG, key="categories")
        else:
            st.markdown(":green[:material/check_circle:] No breaks.")
    with right.container(border=True, height="stretch"):
        st.markdown("**Money in breaks**")
        figure = charts.money_in_breaks(summary["totals"], names)
        if figure is None:
            st.markdown(":green[:material/check_circle:] No amount is open.")
        else:
            st.plotly_chart(figure, config=charts.CONFIG, key="money")
    result_rules.show(summary)
    for warning in summary.get("warnings", []):
        st.warning(_text(warning), icon=":material/warning:")


def _figures(summary: Mapping[str, Any], names: Mapping[str, str]) -> None:
    rows = summary["rows"]
    matches = sum(int(rule["matches"]) for rule in summary["rules"])
    with st.grid(5, gap="small"):
        for side in SIDES:
            st.metric(
                f"{names[side]} matched",
                wording.share(rows[side]["matched"], rows[side]["read"]),
                border=True,
                height="stretch",
                delta=f"{wording.number(rows[side]['matched'])} of {wording.count(rows[side]['read'], 'row')}",
                delta_color="off",
                delta_arrow="off",
            )
        st.metric("Matches", wording.number(matches), border=True, height="stretch")
        st.metric("Breaks", wording.number(sum(rows[side]["breaks"] for side in SIDES)), border=True, height="stretch")
        st.metric(
            "Rejected rows",
            wording.number(sum(rows[side]["rejected"] for side in SIDES)),
            border=True,
            height="stretch",
        )


def _amounts(summary: Mapping[str, Any], plan: Plan, names: Mapping[str, str]) -> None:
    """The same by amount: what is open of the first decimal field, per side and currency."""
    money = next((spec.name for spec in plan.fields if spec.type == "decimal"), "")
    sums = [
        (side, wording.named(money, currency), fields[money])
        for side in SIDES
        for currency, fields in summary["totals"][side].items()
        if money in fields
    ]
    if not sums:
        return
    with st.grid(min(4, len(sums)), gap="small"):
        for side, what, found in sums[:MOST_AMOUNTS]:
            st.metric(
                f"{names[side]} {what} open",
                wording.amount(str(found["breaks"])),
                border=True,
                height="stretch",
                delta=f"of {wording.amount(str(found['read']))} read",
                delta_color="off",
                delta_arrow="off",
            )
    if len(sums) > MOST_AMOUNTS:
        st.caption(f"{wording.count(len(sums) - MOST_AMOUNTS, 'more total')} below, under counts and control totals.")


def _conservation(summary: Mapping[str, Any], names: Mapping[str, str]) -> None:
    with st.container(border=True):
        if summary["conserved"]:
            st.markdown(":green[:material/verified:] **Every row is accounted for**, in counts and in exact sums.")
        else:
            st.error("The result does not add up and must not be relied on.", icon=":material/gpp_bad:")
        st.markdown(wording.conservation_sentence(summary, names))
        with st.expander("Counts and control totals"):
            table(_totals(summary, names), HEADINGS, "conservation", amounts=PARTS)


def _totals(summary: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for side in SIDES:
        counts = {part: wording.number(summary["rows"][side][part]) for part in PARTS}
        lines.append({"side": names[side], "what": "rows", **counts})
        for currency, fields in summary["totals"][side].items():
            for field, sums in fields.items():
                amounts = {part: wording.amount(str(sums[part])) for part in PARTS}
                lines.append({"side": names[side], "what": wording.named(field, currency), **amounts})
    return lines


def _text(warning: Any) -> str:
    return str(warning["message"]) if isinstance(warning, Mapping) else str(warning)
