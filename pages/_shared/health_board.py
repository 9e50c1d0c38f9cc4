"""The pieces of the health page: dense, readable from some metres away, in both themes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from typing import Literal

import plotly.graph_objects as go
import streamlit as st

from pages._shared.wording import number
from recon_engine.evidence import engine_version
from services.health import NOT_KNOWN, Health
from services.rolling import Figures, Window

Tone = Literal["ok", "degraded", "down", "quiet"]
ICONS: dict[Tone, str] = {"ok": "●", "degraded": "▲", "down": "■", "quiet": "○"}
COLOURS: dict[str, dict[Tone, str]] = {
    "light": {"ok": "#1f7564", "degraded": "#8f5d05", "down": "#a83c32", "quiet": "#5d6973"},
    "dark": {"ok": "#4fb39d", "degraded": "#e0b057", "down": "#e07a6c", "quiet": "#97a3ae"},
}
NAMES = {
    "database": "Database",
    "storage": "Storage",
    "worker": "Workers",
    "redis": "Redis",
    "mail": "Mail",
    "breakers": "Circuits",
}
CIRCUITS = {"database": "database", "storage": "s3", "redis": "redis", "mail": "smtp"}
CRASH_FREE, ERRORS, P95_SECONDS = (0.998, 0.995), (0.001, 0.01), (0.5, 1.0)
"""What is good, and beyond what nobody goes live: the figures of the go/no-go board."""


@cache
def version() -> str:
    """The version that this process runs."""
    return engine_version()[:8]


def colours() -> dict[Tone, str]:
    """The colours of the theme at hand."""
    return COLOURS["dark" if st.context.theme.type == "dark" else "light"]


def style() -> None:
    """The page's own rules: it is one wide screen."""
    tones = "".join(f".hb-{tone} {{ --tone: {colour}; }}" for tone, colour in colours().items())
    st.html(
        "<style>"
        + tones
        + """
        .stMainBlockContainer { max-width: 1900px; padding-top: 2.5rem; }
        .hb-banner { border-left: .5rem solid var(--tone); padding: .55rem 1rem; border-radius: .4rem; display: flex;
            justify-content: space-between; align-items: baseline; gap: 2rem;
            background: color-mix(in srgb, var(--tone) 12%, transparent); }
        .hb-banner b { font-size: 1.45rem; font-weight: 600; color: var(--tone); }
        .hb-banner span { opacity: .75; font-variant-numeric: tabular-nums; white-space: nowrap; }
        .hb-row { display: grid; gap: .6rem; }
        .hb-card { border: 1px solid rgba(128, 140, 150, .3); border-radius: .4rem; padding: .5rem .8rem; }
        .hb-card.hb-degraded, .hb-card.hb-down { border-color: var(--tone); }
        .hb-card h4 { margin: 0; padding: 0; font-size: .95rem; font-weight: 600; display: flex; gap: .45rem; }
        .hb-card h4 i { color: var(--tone); font-style: normal; }
        .hb-card h4 em { margin-left: auto; font-style: normal; font-weight: 400; opacity: .8; }
        .hb-card p { margin: .15rem 0 0; font-size: .87rem; opacity: .85; line-height: 1.35; }
        .hb-big { display: flex; gap: 1.1rem; align-items: baseline; font-variant-numeric: tabular-nums; }
        .hb-big div { color: var(--tone); font-size: 1.25rem; font-weight: 600; white-space: nowrap; }
        .hb-big div:first-child { font-size: 1.7rem; }
        .hb-big small { display: block; color: inherit; font-size: .75rem; font-weight: 400; }
        </style>"""
    )


def sentence(health: Health) -> tuple[Tone, str]:
    """The state of the whole, in words."""
    down = [NAMES.get(name, name) for name, part in health.parts.items() if part.state == "down"]
    weak = [NAMES.get(name, name) for name, part in health.parts.items() if part.state == "degraded"]
    if health.status == "down":
        return "down", "Down: the database does not answer. People are asked to try again in a few minutes."
    if down:
        return "degraded", f"Degraded: {_listed(down)} {'is' if len(down) == 1 else 'are'} down; the service goes on."
    if weak:
        return "degraded", f"Degraded: look at {_listed(weak)}."
    return "ok", "All is well."


def banner(health: Health, note: str) -> None:
    """The one line to see from afar."""
    tone, text = sentence(health)
    st.html(f'<div class="hb-banner hb-{tone}" role="status"><b>{escape(text)}</b><span>{escape(note)}</span></div>')


def card(title: str, lines: Sequence[str], tone: Tone = "quiet", aside: str = "") -> str:
    """A titled card of some lines, as HTML."""
    told = "".join(f"<p>{escape(line)}</p>" for line in lines)
    mark = "" if tone == "quiet" else f'<i aria-label="{tone}">{ICONS[tone]}</i>'
    return f'<div class="hb-card hb-{tone}"><h4>{mark}{escape(title)}<em>{escape(aside)}</em></h4>{told}</div>'


def row(cards: Sequence[str], columns: int) -> None:
    """Cards side by side."""
    st.html(f'<div class="hb-row" style="grid-template-columns: repeat({columns}, 1fr)">{"".join(cards)}</div>')


def dependencies(health: Health) -> list[str]:
    """A card for each part: state, detail, latency, circuit."""
    cards = []
    for name, part in health.parts.items():
        lines = [part.detail]
        circuit = health.breakers.get(CIRCUITS.get(name, ""))
        if circuit is not None:
            waits = f", tried again in {circuit.retry_after_seconds:.0f} s" if circuit.retry_after_seconds else ""
            lines.append(f"circuit {circuit.state.replace('_', '-')}{waits}")
        tone: Tone = "quiet" if part == NOT_KNOWN else part.state
        cards.append(card(NAMES.get(name, name), lines, tone, f"{part.latency_ms:.0f} ms"))
    return cards


def figures(spans: Mapping[str, Figures]) -> list[str]:
    """The tiles: each figure over each span, in the colour of how good it is."""
    shown = {
        "Crash-free rate": [(_percent(f.crash_free), _low(f.crash_free, CRASH_FREE)) for f in spans.values()],
        "Errors": [(_percent(f.error_rate), _high(f.error_rate, ERRORS)) for f in spans.values()],
        "API, P95": [(_time(f.api_p95_seconds), _high(f.api_p95_seconds, P95_SECONDS)) for f in spans.values()],
        "Pages, P95": [(_time(f.page_p95_seconds), _high(f.page_p95_seconds, (2.0, 5.0))) for f in spans.values()],
        "Requests": [(number(f.requests), "quiet") for f in spans.values()],
    }
    tiles = []
    for title, values in shown.items():
        numbers = "".join(
            f'<div class="hb-{tone}">{escape(text)}<small>{span}</small></div>'
            for (text, tone), span in zip(values, spans, strict=True)
        )
        tiles.append(f'<div class="hb-card"><h4>{title}</h4><div class="hb-big">{numbers}</div></div>')
    return tiles


def traffic(window: Window) -> go.Figure:
    """Requests that were answered, and those that failed, over time."""
    at = [when for when, _ in window.parts]
    figure = go.Figure()
    good = [part.requests - part.counts["errors"] for _, part in window.parts]
    figure.add_bar(x=at, y=good, name="answered", marker_color=colours()["ok"])
    failed = [part.counts["errors"] for _, part in window.parts]
    figure.add_bar(x=at, y=failed, name="failed", marker_color=colours()["down"])
    figure.update_layout(barmode="stack")
    figure.update_yaxes(rangemode="tozero")
    return _small(figure, "Requests")


def times(window: Window) -> go.Figure:
    """The P95 of the API and of the pages over time."""
    at = [when for when, _ in window.parts]
    figure = go.Figure()
    for name, values, colour in (
        ("API", [part.api_p95_seconds for _, part in window.parts], colours()["ok"]),
        ("Pages", [part.page_p95_seconds for _, part in window.parts], "#4a7fb5"),
    ):
        figure.add_scatter(
            x=at,
            y=[None if value is None else value * 1000 for value in values],
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": 4},
        )
    figure.update_yaxes(ticksuffix=" ms", rangemode="tozero")
    return _small(figure, "P95")


def crash_free(window: Window) -> go.Figure:
    """The crash-free rate over time, and the target."""
    at = [when for when, _ in window.parts]
    values = [part.crash_free for _, part in window.parts]
    figure = go.Figure()
    figure.add_scatter(
        x=at,
        y=[None if value is None else value * 100 for value in values],
        name="crash-free",
        mode="lines+markers",
        line={"color": colours()["ok"], "width": 2},
        marker={"size": 4},
        connectgaps=False,
    )
    figure.add_hline(y=99.8, line={"color": colours()["degraded"], "width": 1, "dash": "dot"})
    lowest = min((value * 100 for value in values if value is not None), default=99.0)
    figure.update_yaxes(range=[min(99.0, lowest - 1), 100.1], ticksuffix="%")
    return _small(figure, "Crash-free rate")


def _small(figure: go.Figure, title: str) -> go.Figure:
    text = "#e3e8ec" if st.context.theme.type == "dark" else "#1d2730"
    figure.update_layout(
        height=260,
        margin={"l": 8, "r": 8, "t": 32, "b": 8},
        title={"text": title, "font": {"size": 14, "color": text}, "x": 0, "xanchor": "left", "y": 0.98},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.2, "yanchor": "top"},
        showlegend=len(figure.data) > 1,
        font={"color": text},
        bargap=0.15,
        hovermode="x unified",
        uirevision="kept",
    )
    figure.update_xaxes(showgrid=False, zeroline=False, automargin=True)
    figure.update_yaxes(
        gridcolor="rgba(128,140,150,.18)", zeroline=False, automargin=True, rangemode="tozero", nticks=5
    )
    return figure


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _percent(value: float | None) -> str:
    """Never rounded to 100 % while something failed, nor to 0 % while something did."""
    if value is None:
        return "–"
    return f"{value:.0%}" if value in (0, 1) else f"{min(99.99, max(0.01, value * 100)):.2f}%"


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.0f} ms" if seconds < 10 else "> 10 s"


def _low(value: float | None, edges: tuple[float, float]) -> Tone:
    return "quiet" if value is None else "ok" if value >= edges[0] else "degraded" if value >= edges[1] else "down"


def _high(value: float | None, edges: tuple[float, float]) -> Tone:
    return "quiet" if value is None else "ok" if value <= edges[0] else "degraded" if value <= edges[1] else "down"
