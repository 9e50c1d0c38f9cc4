"""The charts. Bars are drawn from the summary's exact counts; lengths may be floats, labels never are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages._shared.wording import CATEGORY_NAMES, named
from services.database.models import Job

CONFIG = {"displayModeBar": False}
COLOURS = {"matched": "#2f8f7b", "suggested": "#d9a13b", "breaks": "#c8574a", "rejected": "#8b95a1"}
CATEGORY_COLOURS = ["#c8574a", "#d98a4b", "#d9a13b", "#8a6fb0", "#8b95a1"]
PARTS = {"matched": "Matched", "suggested": "Suggested", "breaks": "Breaks", "rejected": "Rejected"}
_ROW_PIXELS = 42


def outcome_bars(rows: Mapping[str, Mapping[str, int]], labels: Mapping[str, str]) -> go.Figure:
    """How the rows of each side ended: one stacked bar per side, each as a share of its own rows."""
    figure = go.Figure()
    sides = ["right", "left"]  # plotly draws the first bar at the bottom
    for part, name in PARTS.items():
        counts = [rows[side][part] for side in sides]
        shares = [100 * rows[side][part] / max(1, rows[side]["read"]) for side in sides]
        figure.add_bar(
            y=[labels[side] for side in sides],
            x=shares,
            name=name,
            orientation="h",
            marker_color=COLOURS[part],
            customdata=counts,
            text=[f"{number:,}" if share >= 4 else "" for number, share in zip(counts, shares, strict=True)],
            hovertemplate="%{y}: %{customdata:,} rows " + name.lower() + " (%{x:.1f}%)<extra></extra>",
        )
    figure.update_layout(barmode="stack", xaxis={"ticksuffix": "%", "range": [0, 100]})
    return _calm(figure, legend=True)


def categories(breaks: Mapping[str, int]) -> go.Figure:
    """Breaks by category, the largest on top."""
    ordered = sorted(breaks.items(), key=lambda item: item[1])
    figure = go.Figure(
        go.Bar(
            y=[CATEGORY_NAMES.get(name, name) for name, _ in ordered],
            x=[number for _, number in ordered],
            text=[f"{number:,}" for _, number in ordered],
            orientation="h",
            marker_color=COLOURS["breaks"],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,}<extra></extra>",
        )
    )
    figure.update_xaxes(visible=False)
    return _calm(figure)


def rule_waterfall(rules: Sequence[Mapping[str, Any]]) -> go.Figure:
    """How many matches each rule added, in running order."""
    names = [f"{place}. {rule['name']}" for place, rule in enumerate(rules, start=1)]
    numbers = [int(rule["matches"]) for rule in rules]
    figure = go.Figure(
        go.Waterfall(
            x=[*names, "All matches"],
            y=[*numbers, 0],
            measure=[*["relative"] * len(rules), "total"],
            text=[f"{number:,}" for number in [*numbers, sum(numbers)]],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": COLOURS["matched"]}},
            totals={"marker": {"color": "#4a7fb5"}},
            connector={"line": {"width": 1, "color": "#9aa5ae"}},
            hovertemplate="%{x}: %{text} matches<extra></extra>",
        )
    )
    figure.update_yaxes(visible=False, range=[0, max(1, sum(numbers)) * 1.15])
    return _calm(figure)


def money_in_breaks(totals: Mapping[str, Any], labels: Mapping[str, str]) -> go.Figure | None:
    """The sum that is open on each side, per currency and field; None when no amount is open."""
    bars: list[tuple[str, str, str]] = []
    for side in ("left", "right"):
        for currency, fields in totals[side].items():
            for field, sums in fields.items():
                bars.append((labels[side], named(field, currency), str(sums["breaks"])))
    if not any(Decimal(total) for _, _, total in bars):
        return None
    figure = go.Figure()
    for label, colour in zip(labels.values(), ("#4a7fb5", "#8a6fb0"), strict=True):
        own = [bar for bar in bars if bar[0] == label]
        figure.add_bar(
            y=[what for _, what, _ in own],
            x=[float(total) for _, _, total in own],
            name=label,
            orientation="h",
            marker_color=colour,
            text=[f"{Decimal(total):,f}" for _, _, total in own],
            textposition="auto",
            hovertemplate=label + " %{y}: %{text}<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed")
    return _calm(figure, max(4, len(bars)), legend=True)


def trend(jobs: Sequence[Job]) -> go.Figure:
    """The share of rows matched in each finished run, over time."""
    points = []
    for job in sorted(jobs, key=lambda one: one.created_at):
        rows = (job.summary_json or {})["rows"]
        read = rows["left"]["read"] + rows["right"]["read"]
        points.append((job.created_at, 100 * (rows["left"]["matched"] + rows["right"]["matched"]) / max(1, read)))
    figure = go.Figure(
        go.Scatter(
            x=[when for when, _ in points],
            y=[value for _, value in points],
            mode="lines+markers",
            line={"color": COLOURS["matched"], "width": 2},
            hovertemplate="%{x|%d %b %H:%M}: %{y:.1f}%<extra></extra>",
        )
    )
    figure.update_yaxes(range=[0, 102], ticksuffix="%")
    return _calm(figure, 3)


def _calm(figure: go.Figure, bars: int = 4, legend: bool = False) -> go.Figure:
    """The same quiet look for all: no grid noise, room for labels, theme's own text colour."""
    figure.update_layout(
        height=_ROW_PIXELS * bars + 60,
        margin={"l": 8, "r": 48, "t": 8, "b": 8},
        showlegend=legend,
        legend={"orientation": "h", "y": -0.12, "yanchor": "top", "x": 0, "traceorder": "normal"},
        bargap=0.35,
        font={"color": "#e3e8ec" if st.context.theme.type == "dark" else "#1d2730"},
    )
    figure.update_xaxes(showgrid=False, zeroline=False, automargin=True)
    figure.update_yaxes(showgrid=False, zeroline=False, automargin=True)
    return figure
