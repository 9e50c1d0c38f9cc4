"""The rules of a run: what each added, and how many of its matches are estimated to be accidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages._shared import chart_clicks, charts, wording
from pages._shared.tables import table
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.plan import Plan
from services.database.models import Job

METHODS = {
    "decoys": "on shuffled values",
    "probabilities": "from its probabilities",
    "relatives": "from near relatives in each file",
    "sums": "from the sums that fit by chance",
}
HEADINGS = {
    "name": "Rule",
    "matches": "Matches",
    "accidental": "Accidental, estimated",
    "how": "How estimated",
    "outcome": "Counts as",
    "candidates": "Candidate pairs",
    "ambiguous": "Ambiguous records",
    "seconds": "Time",
}


def show(job: Job, plan: AnyPlan) -> None:
    """The charts of what the rules added and of their false rates with the intervals; all figures as a table. A rule of
    several sides has a line for each two sides that it links, or one for the side that it nets.
    """
    rules = wording.rules_that_ran((job.summary_json or {})["rules"], [rule.name for rule in plan.rules], plan.labels)
    of_two = isinstance(plan, Plan)
    what, of_all = ("Matches", "All matches") if of_two else ("Links of two sides", "All links")
    if not of_two and any("net" in rule for rule in rules):
        what, of_all = "Links of two sides and reversals", "All links and reversals"
    added, sure = st.columns(2, gap="medium")
    with added.container(border=True, height="stretch"):
        st.markdown(f"**{what} added by each rule**")
        bars = [("Matches", {"rule": (rule["rule"], rule["rule"])}) for rule in rules if rule["matches"]]
        chart_clicks.clickable(charts.rule_waterfall(rules, of_all), "rules", [[*bars, ("Matches", {})]])
    with sure.container(border=True, height="stretch"):
        st.markdown("**How many matches may be accidents**")
        figure = charts.false_rates(rules)
        if figure is None:
            st.caption("Nothing can be said of rules that matched nothing.")
        else:
            st.caption("Estimated share of each rule's matches, with the interval in which it lies.")
            st.plotly_chart(figure, config=charts.CONFIG, key="false-rates")
    _all_figures(rules)


def _all_figures(rules: Sequence[Mapping[str, Any]]) -> None:
    lines = [
        {
            **rule,
            "matches": wording.number(rule["matches"]),
            "candidates": wording.number(rule["candidates"]),
            "accidental": wording.chance_sentence(chance),
            "how": METHODS.get((chance or {}).get("method", ""), ""),
            "outcome": rule.get("outcome", ""),
            "seconds": wording.lasted(float(rule["seconds"])),
        }
        for rule, chance in ((rule, rule.get("chance") if rule["matches"] else None) for rule in rules)
    ]
    table(lines, HEADINGS, "rules-table", amounts=("matches", "candidates", "accidental", "seconds"))
