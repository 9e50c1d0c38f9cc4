"""The rules of a run: what each yielded, and how many of its matches are estimated to be accidents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._shared import charts, wording
from pages._shared.tables import table

METHODS = {
    "decoys": "by running it on shuffled values",
    "probabilities": "from its probabilities",
    "sums": "from the sums that fit by chance",
}
HEADINGS = {
    "name": "Rule",
    "matches": "Matches",
    "accidental": "Accidental, estimated",
    "how": "How estimated",
    "outcome": "Counts as",
    "candidates": "Candidates",
    "ambiguous": "Ambiguous",
    "seconds": "Time",
}


def show(summary: Mapping[str, Any]) -> None:
    """The chart of false rates with their intervals, and all figures as a table."""
    rules = summary["rules"]
    with st.container(border=True, key="rules-detail"):
        st.markdown("**How sure each rule is**")
        figure = charts.false_rates(rules)
        if figure is not None:
            st.caption("Estimated share of accidental matches, with the interval in which it lies.")
            st.plotly_chart(figure, config=charts.CONFIG, key="false-rates")
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
