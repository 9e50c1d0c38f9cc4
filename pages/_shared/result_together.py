"""Of a result of several sides: which sides were found together, how often, and what such groups are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._shared import wording
from pages._shared.tables import table

KINDS = {
    "complete": "On every side",
    "incomplete": "Lacks a side",
    "ambiguous": "Cannot be told apart",
}
HEADINGS = {"sides": "Found together", "groups": "Groups", "kind": "What that is", "lacks": "Missing"}


def show(summary: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """A line for each set of sides whose records were linked, the most frequent first."""
    if not summary["together"]:
        return
    lines = [
        {
            "sides": " · ".join(names[side] for side in names if side in one["sides"]),
            "groups": wording.number(one["groups"]),
            "kind": KINDS[one["kind"]],
            "lacks": ", ".join(names[side] for side in names if side not in one["sides"]),
        }
        for one in summary["together"]
    ]
    with st.container(border=True):
        st.markdown("**What was found together**")
        st.caption("Records that rules link, over all sides. A record that nothing is linked to is in no group.")
        table(lines, HEADINGS, "together", amounts=("groups",))
