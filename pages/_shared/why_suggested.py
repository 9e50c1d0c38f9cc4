"""Why fields were suggested: on demand and in whole sentences, and what is least sure without being asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._shared.wording import literal

UNSURE = 0.75  # a suggestion below it is worth a look before anything runs
Suggested = Mapping[str, Mapping[str, Any]]


def on_demand(suggested: Suggested) -> None:
    """The reasons of all fields that are as suggested, beside the other tools of their table."""
    told = {name: one for name, one in suggested.items() if one.get("reason")}
    if told:
        with st.popover("Why suggested", icon=":material/help:", type="tertiary"):
            for name, one in told.items():
                st.markdown(f"**{literal(name)}**, {_sure(one)}: {literal(str(one['reason']))}.")


def least_sure(suggested: Suggested) -> None:
    """Which field to look at first, with the reason; nothing where all are sure."""
    name = min(suggested, key=lambda each: (suggested[each]["confidence"], each), default=None)
    if name is not None and suggested[name]["confidence"] < UNSURE:
        reason = f", {literal(str(suggested[name]['reason']))}" if suggested[name].get("reason") else ""
        st.caption(f":orange[:material/help: Look at **{literal(name)}** first]: {_sure(suggested[name])}{reason}.")


def _sure(one: Mapping[str, Any]) -> str:
    return f"{one['confidence']:.0%} sure"
