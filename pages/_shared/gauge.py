"""A gauge of the go / no-go board: where a value lies between well and not well."""

from __future__ import annotations

import plotly.graph_objects as go

from services.rollout.board import Line, Measure

CONFIG = {"displayModeBar": False, "staticPlot": True}
GO, BETWEEN, NO_GO, MARK = "#2f8f7b", "#d9a13b", "#c8574a", "#8b95a1"
HEIGHT = 34


def span(measure: Measure) -> tuple[float, float]:
    """The part of the scale that is drawn: both thresholds, and as much room beyond them."""
    if measure.rising:
        return measure.no_go - (measure.go - measure.no_go), 1.0
    return 0.0, min(1.0, 1.5 * measure.no_go) if measure.unit == "%" and measure.no_go > 0.5 else 1.5 * measure.no_go


def gauge(line: Line) -> go.Figure:
    """One bar in three colours, and a mark where the value is; a value beyond the scale stands at its end."""
    measure = line.measure
    low, high = span(measure)
    if measure.rising:
        zones = [(low, measure.no_go, NO_GO), (measure.no_go, measure.go, BETWEEN), (measure.go, high, GO)]
    else:
        zones = [(low, measure.go, GO), (measure.go, measure.no_go, BETWEEN), (measure.no_go, high, NO_GO)]
    figure = go.Figure()
    for begin, end, colour in zones:
        figure.add_shape(type="rect", x0=begin, x1=end, y0=0.3, y1=0.7, fillcolor=colour, opacity=0.55, line_width=0)
    if line.value is not None:
        place = min(max(line.value, low), high)
        mark = {"symbol": "line-ns", "size": 24, "line": {"width": 4, "color": MARK}}
        figure.add_scatter(x=[place], y=[0.5], mode="markers", marker=mark)
    figure.update_layout(
        height=HEIGHT, margin={"l": 6, "r": 6, "t": 0, "b": 0}, showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[low, high], fixedrange=True)
    figure.update_yaxes(visible=False, range=[0, 1], fixedrange=True)
    return figure
