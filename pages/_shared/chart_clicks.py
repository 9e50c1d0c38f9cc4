"""A click on a bar opens the rows that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from pages._shared.charts import CONFIG
from pages._shared.tables import first_page

Rows = tuple[str, Mapping[str, tuple[str, str]]]
"""A section of the results, and what is chosen there above the table: the value, and the words that stand for it."""
_CHOICES = ("side", "outcome", "category", "cause", "rule", "field")


def clickable(figure: go.Figure, key: str, bars: Sequence[Sequence[Rows]]) -> None:
    """Draw the chart; `bars` says per trace of it, and per bar of the trace, which rows these are."""
    figure.update_xaxes(fixedrange=True).update_yaxes(fixedrange=True)  # a press is a click, and moves nothing
    st.plotly_chart(figure, config=CONFIG, key=key, on_select=partial(_open, key, bars), selection_mode="points")


def _open(key: str, bars: Sequence[Sequence[Rows]]) -> None:
    for point in st.session_state[key]["selection"]["points"][:1]:
        open_rows(bars[point["curve_number"]][point["point_index"]])


def open_rows(rows: Rows) -> None:
    """Let the next run of the page show these rows."""
    section, chosen = rows
    name = section.lower()
    st.session_state["section"] = section
    for known in (f"{name}-{choice}" for choice in _CHOICES):  # what was chosen there before holds no more
        st.session_state.pop(known, None)
        st.query_params.pop(known, None)
    for choice, (value, words) in chosen.items():  # a choice that is not drawn yet writes no address by itself
        st.session_state[f"{name}-{choice}"] = value
        st.query_params[f"{name}-{choice}"] = words
    first_page(name)
