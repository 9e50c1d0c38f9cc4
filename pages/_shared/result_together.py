"""Of a result of several sides: which sides were found together, how often, and what such groups are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._shared.tables import table
from services.result_together import TOGETHER, together

HEADINGS = {"sides": "Found together", "groups": "Groups", "kind": "What that is", "lacks": "Missing"}


def show(summary: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """A line for each set of sides whose records were linked, the most frequent first."""
    if lines := together(summary, names):
        with st.container(border=True):
            st.markdown("**What was found together**")
            st.caption(TOGETHER)
            table(lines, HEADINGS, "together", amounts=("groups",))
