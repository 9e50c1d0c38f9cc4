"""The charts. Bars are drawn from the summary's exact counts; lengths may be floats, labels never are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages._shared.wording import CATEGORY_NAMES, amount, day, localised, moment, named, number, share
from services import formats
from services.database.models import Job

CONFIG = {"displayModeBar": False}
COLOURS = {"matched": "#2f8f7b", "suggested": "#d9a13b", "breaks": "#c8574a", "rejected": "#8b95a1"}
CATEGORY_COLOURS = ["#c8574a", "#d98a4b", "#d9a13b", "#8a6fb0", "#8b95a1"]
PARTS = {"matched": "Matched", "suggested": "Suggested", "breaks": "Breaks", "rejected": "Rejected"}
SIDE_COLOURS = ("#4a7fb5", "#8a6fb0", "#3f9aa6", "#c08a3e", "#b5648a", "#7f9147", "#66788a", "#a5694f")
_ROW_PIXELS = 42


def parts_there(rows: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What became of at least one row."""
    return [part for part in PARTS if any(side[part] for side in rows.values())]


def sides_upwards(rows: Mapping[str, Any]) -> list[str]:
    """The sides in the order of their bars: plotly draws the first one at the bottom."""
    return list(rows)[::-1]


def outcome_bars(rows: Mapping[str, Mapping[str, int]], labels: Mapping[str, str]) -> go.Figure:
    """How the rows of each side ended: a trace per part, a stacked bar per side, each as a share of its own rows."""
    figure, sides = go.Figure(), sides_upwards(rows)
    for part in parts_there(rows):
        name, counts = PARTS[part], [rows[side][part] for side in sides]
        shares = [100 * rows[side][part] / max(1, rows[side]["read"]) for side in sides]
        figure.add_bar(
            y=[labels[side] for side in sides],
            x=shares,
            name=name,
            orientation="h",
            marker_color=COLOURS[part],
            customdata=counts,
            text=[number(rows) if part >= 4 else "" for rows, part in zip(counts, shares, strict=True)],
            hovertemplate="%{y}: %{customdata:,} rows " + name.lower() + " (%{x:.1f}%)<extra></extra>",
        )
    figure.update_layout(barmode="stack", xaxis={"ticksuffix": "%", "range": [0, 100]})
    return _calm(figure, legend=True)


def categories(breaks: Mapping[str, int]) -> go.Figure:
    """Breaks by category, the last one on top."""
    return _open_rows({CATEGORY_NAMES.get(name, name): rows for name, rows in breaks.items()})


def rule_waterfall(rules: Sequence[Mapping[str, Any]], total: str) -> go.Figure:
    """How many matches each rule added, in running order; rules that added none are left out."""
    told = [(str(rule["name"]), int(rule["matches"])) for rule in rules if rule["matches"]]
    names, numbers = [name for name, _ in told], [matches for _, matches in told]
    figure = go.Figure(
        go.Waterfall(
            y=[*names, total],
            x=[*numbers, 0],
            orientation="h",
            measure=[*["relative"] * len(names), "total"],
            text=[number(matches) for matches in [*numbers, sum(numbers)]],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": COLOURS["matched"]}},
            totals={"marker": {"color": "#4a7fb5"}},
            connector={"line": {"width": 1, "color": "#9aa5ae"}},
            hovertemplate="%{y}: %{text} matches<extra></extra>",
        )
    )
    figure.update_xaxes(visible=False, range=[0, max(1, sum(numbers)) * 1.15])
    figure.update_yaxes(autorange="reversed")
    return _calm(figure, max(4, 0.75 * len(names)))


def money_in_breaks(totals: Mapping[str, Any], labels: Mapping[str, str]) -> go.Figure | None:
    """The sum that is open on each side, per currency and field; None when no amount is open. Two sides stand beside
    each other; of more, each open sum has a line of its own: side by side their bars would be too thin to be read.
    """
    bars = [
        (label, named(field, currency), str(sums["breaks"]))
        for side, label in labels.items()
        for currency, fields in totals[side].items()
        for field, sums in fields.items()
    ]
    if not any(Decimal(total) for _, _, total in bars):
        return None
    several = len(labels) > 2
    if several:
        bars = [bar for bar in bars if Decimal(bar[2])]
    lines = {bar: f"{bar[0]}, {bar[1]}" if several else bar[1] for bar in bars}
    figure = go.Figure()
    for label, colour in zip(labels.values(), SIDE_COLOURS, strict=False):
        own = [bar for bar in bars if bar[0] == label]
        figure.add_bar(
            y=[lines[bar] for bar in own],
            x=[float(total) for _, _, total in own],
            customdata=[what for _, what, _ in own],
            name=label,
            orientation="h",
            marker_color=colour,
            text=[amount(total) for _, _, total in own],
            textposition="auto",
            hovertemplate=label + " %{customdata}: %{text}<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed")
    if several:
        figure.update_layout(barmode="overlay")
        ordered = sorted(bars, key=lambda bar: bar[1])  # what is alike stands together, the sides in their order
        figure.update_yaxes(categoryorder="array", categoryarray=[lines[bar] for bar in ordered])
        return _calm(figure, max(4, 0.7 * len(bars)))
    return _calm(figure, max(4, len(bars)), legend=True)


def false_rates(rules: Sequence[Mapping[str, Any]]) -> go.Figure | None:
    """The estimated share of accidental matches of each rule with its interval; None when nothing was estimated."""
    told = [rule for rule in rules if rule.get("chance") and rule["matches"]]
    if not told:
        return None
    rates = [100 * rule["chance"]["false_rate"] for rule in told]
    ends = [(100 * rule["chance"]["low"], 100 * rule["chance"]["high"]) for rule in told]
    figure = go.Figure(
        go.Scatter(
            y=[str(rule["name"]) for rule in told],
            x=rates,
            mode="markers+text",
            text=[f"  {localised(f'{rate:.2g}')}%" for rate in rates],
            textposition="top center",
            marker={"size": 10, "color": COLOURS["suggested"]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - rate for rate, (_, high) in zip(rates, ends, strict=True)],
                "arrayminus": [rate - low for rate, (low, _) in zip(rates, ends, strict=True)],
                "color": COLOURS["rejected"],
                "thickness": 2,
                "width": 6,
            },
            customdata=ends,
            hovertemplate="%{y}: %{x:.3g}% (%{customdata[0]:.3g}% to %{customdata[1]:.3g}%)<extra></extra>",
            cliponaxis=False,
        )
    )
    figure.update_yaxes(autorange="reversed")
    _calm(figure, max(1.5, 0.9 * len(told)))
    highest = max(high for _, high in ends)
    return figure.update_xaxes(ticksuffix="%", rangemode="tozero", range=[-highest / 40, max(0.1, highest * 1.1)])


def causes(found: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The breaks that each cause explains, numbered as in the list beside it."""
    figure = go.Figure(
        go.Bar(
            y=[str(place) for place in range(1, len(found) + 1)],
            x=[cause["rows"] for cause in found],
            text=[number(cause["rows"]) for cause in found],
            orientation="h",
            marker_color="#4a7fb5",
            textposition="outside",
            cliponaxis=False,
            customdata=[str(cause["cause"]) for cause in found],
            hovertemplate="%{customdata}: %{x:,} breaks<extra></extra>",
        )
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(autorange="reversed", type="category")
    return _calm(figure, 1.5 * len(found) - 0.8)  # as high as the list beside it


def evidence(bits: Mapping[str, float]) -> go.Figure:
    """What each field says for or against a linked pair, in bits, from what is known before to the sum."""
    fields = sorted((name for name in bits if name != "prior"), key=lambda name: -abs(bits[name]))
    names = [*(["prior"] if "prior" in bits else []), *fields]
    values = [bits[name] for name in names]
    figure = go.Figure(
        go.Waterfall(
            x=["before looking" if name == "prior" else name for name in names] + ["evidence"],
            y=[*values, 0],
            measure=[*["relative"] * len(names), "total"],
            text=[localised(f"{value:+.1f}") for value in [*values, sum(values)]],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": COLOURS["matched"]}},
            decreasing={"marker": {"color": COLOURS["breaks"]}},
            totals={"marker": {"color": "#4a7fb5"}},
            connector={"line": {"width": 1, "color": "#9aa5ae"}},
            hovertemplate="%{x}: %{text} bits<extra></extra>",
        )
    )
    figure.update_yaxes(visible=False)
    _calm(figure, 5)
    return figure.update_layout(margin={"t": 28}).update_yaxes(zeroline=True, zerolinecolor="#9aa5ae")


def trend(jobs: Sequence[Job]) -> go.Figure:
    """The share of rows matched in each finished run of a plan, in running order."""
    points = []
    for job in sorted(jobs, key=lambda one: one.created_at):
        sides = (job.summary_json or {})["rows"].values()
        read, matched = (sum(rows[part] for rows in sides) for part in ("read", "matched"))
        points.append((job.created_at, 100 * matched / max(1, read), share(matched, read)))
    shares = [value for _, value, _ in points]
    figure = go.Figure(
        go.Scatter(
            x=list(range(1, len(points) + 1)),
            y=shares,
            mode="lines+markers+text",
            text=[*[""] * (len(points) - 1), points[-1][2]],
            textposition="top center",
            line={"color": COLOURS["matched"], "width": 2},
            customdata=[(moment(when), told) for when, _, told in points],
            hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
            cliponaxis=False,
        )
    )
    _calm(figure, 3)
    room = max(1.0, (max(shares) - min(shares)) / 3)
    figure.update_yaxes(range=[max(0, min(shares) - room), min(100, max(shares)) + room], ticksuffix="%", nticks=4)
    one_day = points[0][0].date() == points[-1][0].date()
    labels = [f"{when:%H:%M}" if one_day else day(when) for when, _, _ in points]
    every = max(1, len(points) // 8)
    return figure.update_xaxes(tickvals=list(range(1, len(points) + 1, every)), ticktext=labels[::every])


def volumes(days: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The rows that were read on each day, and the breaks among them."""
    at = [date.fromisoformat(one["day"]) for one in days]
    figure = go.Figure()
    for name, values, colour in (
        ("No break", [one["rows"] - one["breaks"] for one in days], COLOURS["matched"]),
        ("Breaks", [one["breaks"] for one in days], COLOURS["breaks"]),
    ):
        figure.add_bar(
            x=[day(when) for when in at],
            y=values,
            name=name,
            marker_color=colour,
            width=min(0.7, 0.15 * len(days)),  # a first day fills no room
            hovertemplate="%{x}: %{y:,} " + name.lower() + "<extra></extra>",
        )
    figure.update_layout(barmode="stack")
    _calm(figure, 4, legend=True)
    return figure.update_xaxes(type="category", nticks=8)


def sizes(steps: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> go.Figure:
    """How many open records of each side have amounts so large, in steps of ten."""
    names = [f"to {amount(step['most'])}" if step["most"] else "more" for step in steps]
    return _by_side(names, {side: [step["sides"][side] for step in steps] for side in labels}, labels)


def ages(lines: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> go.Figure:
    """How many open records of each side are so old; all currencies together."""
    names = list(dict.fromkeys(line["age"] for line in lines))
    counts = {
        side: [sum(one["sides"][side]["rows"] for one in lines if one["age"] == name) for name in names]
        for side in labels
    }
    return _by_side(names, counts, labels)


def _by_side(names: Sequence[str], counts: Mapping[str, Sequence[int]], labels: Mapping[str, str]) -> go.Figure:
    figure = go.Figure()
    for side, colour in zip(labels, SIDE_COLOURS, strict=False):
        figure.add_bar(
            x=names,
            y=counts[side],
            name=labels[side],
            marker_color=colour,
            text=[number(rows) if rows else "" for rows in counts[side]],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=labels[side] + ", %{x}: %{y:,}<extra></extra>",
        )
    figure.update_yaxes(visible=False)
    _calm(figure, 4.5, legend=True)
    return figure.update_layout(margin={"t": 24}).update_xaxes(type="category")


def ageing(ages: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The open records by age, the youngest on top."""
    return _open_rows({one["age"]: one["rows"] for one in ages}).update_yaxes(autorange="reversed")


def _open_rows(counts: Mapping[str, int]) -> go.Figure:
    """How many open rows are of each kind, the last kind on top."""
    figure = go.Figure(
        go.Bar(
            y=list(counts),
            x=list(counts.values()),
            text=[number(rows) for rows in counts.values()],
            orientation="h",
            marker_color=COLOURS["breaks"],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,}<extra></extra>",
        )
    )
    figure.update_xaxes(visible=False)
    return _calm(figure)


def _calm(figure: go.Figure, bars: float = 4, legend: bool = False) -> go.Figure:
    """The same quiet look for all: no grid noise, room for labels, theme's own text colour."""
    figure.update_layout(
        height=_ROW_PIXELS * bars + 60,
        separators=formats.current().separators,
        margin={"l": 8, "r": 48, "t": 8, "b": 64 if legend else 8},  # the legend stands below the axis
        showlegend=legend,
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        bargap=0.35,
        font={"color": "#e3e8ec" if st.context.theme.type == "dark" else "#1d2730"},
    )
    figure.update_xaxes(showgrid=False, zeroline=False, automargin=True, separatethousands=True)
    figure.update_yaxes(showgrid=False, zeroline=False, automargin=True)
    return figure
