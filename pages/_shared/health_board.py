"""The pieces of the health page: dense, readable from some metres away, in both themes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from typing import Literal

import plotly.graph_objects as go
import streamlit as st

from pages._shared.wording import number
from recon_engine.evidence import engine_version
from services.health import NOT_KNOWN, Health
from services.rolling import Figures, Window
from services.rollout.board import BY_NAME, LEAST_CALLS, LEAST_FAILURES, Verdict

Tone = Literal["ok", "degraded", "down", "quiet"]
ICONS: dict[Tone, str] = {"ok": "●", "degraded": "▲", "down": "■", "quiet": "○"}
MARKS: dict[Tone, str] = {tone: f"{ICONS[tone]} " for tone in ("degraded", "down")}
BAD: frozenset[Tone] = frozenset(MARKS)
NOTHING = "–"
JUDGED = f"Grey: fewer than {LEAST_CALLS} calls or {LEAST_FAILURES} failures, too few to call it bad."
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
TONES: dict[Verdict, Tone] = {
    Verdict.GO: "ok",
    Verdict.WATCH: "degraded",
    Verdict.NO_GO: "down",
    Verdict.UNKNOWN: "quiet",
}
CRASH_FREE, ERRORS, API = (BY_NAME[name] for name in ("crash_free", "error_rate", "p95"))
PAGES = replace(API, go=2.0, no_go=5.0)
"""The figures are judged as on the go / no-go board, pages by limits of their own."""


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
        .hb-card { container-type: inline-size; }
        .hb-big { display: flex; gap: min(1.1rem, 4.5cqi); align-items: baseline; font-variant-numeric: tabular-nums; }
        .hb-big div { color: var(--tone); font-size: min(1.25rem, 7.6cqi); font-weight: 600; white-space: nowrap; }
        .hb-big div:first-child { font-size: min(1.7rem, 10cqi); }
        .hb-big small { display: block; color: inherit; font-size: .75rem; font-weight: 400; }
        </style>"""
    )


@dataclass(frozen=True, slots=True)
class Card:
    """A titled card of some lines."""

    title: str
    lines: Sequence[str]
    tone: Tone = "quiet"
    aside: str = ""

    @property
    def html(self) -> str:
        """As the page draws it."""
        told = "".join(f"<p>{escape(line)}</p>" for line in self.lines)
        mark = "" if self.tone == "quiet" else f'<i aria-label="{self.tone}">{ICONS[self.tone]}</i>'
        head = f"<h4>{mark}{escape(self.title)}<em>{escape(self.aside)}</em></h4>"
        return f'<div class="hb-card hb-{self.tone}">{head}{told}</div>'


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure over each span: its text and how good it is."""

    title: str
    values: Mapping[str, tuple[str, Tone]]

    @property
    def html(self) -> str:
        """As the page draws it. What is not well has a mark besides its colour."""
        numbers = "".join(
            f'<div class="hb-{tone}">{escape(text)}<small>{MARKS.get(tone, "")}{span}</small></div>'
            for span, (text, tone) in self.values.items()
        )
        return f'<div class="hb-card"><h4>{self.title}</h4><div class="hb-big">{numbers}</div></div>'

    def is_bad(self, span: str) -> bool:
        """Whether the figure of this span calls for attention."""
        return self.values[span][1] in BAD

    @property
    def is_judged(self) -> bool:
        """Whether every figure that there is has a colour."""
        return all(tone != "quiet" or text == NOTHING for text, tone in self.values.values())


def sentence(health: Health, tiles: Sequence[Tile], cards: Sequence[Card]) -> tuple[Tone, str]:
    """The state of the whole, in words that agree with every card, and with the figures of the shortest span.

    What was bad in a longer span only is over: it is named, and alarms nobody.
    """
    if health.status == "down":
        return "down", "Down: the database does not answer. People are asked to try again in a few minutes."
    now, *earlier = tiles[0].values
    down = [card.title for card in cards if card.tone == "down"]
    weak = [card.title for card in cards if card.tone == "degraded" and not (down and card.title == NAMES["breakers"])]
    bad = [tile for tile in tiles if tile.is_bad(now)]
    told = [f"{_listed(down)} {'is' if len(down) == 1 else 'are'} down; the service goes on"] if down else []
    told += [f"look at {_listed(weak)}"] if weak else []
    told += [f"{_listed([f'{tile.title} {tile.values[now][0]}' for tile in bad])} in the last {now}"] if bad else []
    if told:
        worst = any(tile.values[now][1] == "down" for tile in bad)
        return ("down", f"In trouble: {'; '.join(told)}.") if worst else ("degraded", f"Degraded: {'; '.join(told)}.")
    over = [span for span in earlier if any(tile.is_bad(span) for tile in tiles)]
    if over:
        named = _listed([tile.title for tile in tiles if any(tile.is_bad(span) for span in over)])
        return "ok", f"All is well. Not so in the last {_listed(over)}: {named}."
    return "ok", "All is well."


def banner(tone: Tone, text: str, note: str) -> None:
    """The one line to see from afar."""
    st.html(f'<div class="hb-banner hb-{tone}" role="status"><b>{escape(text)}</b><span>{escape(note)}</span></div>')


def row(cards: Sequence[Card | Tile], columns: int) -> None:
    """Cards side by side."""
    drawn = "".join(card.html for card in cards)
    st.html(f'<div class="hb-row" style="grid-template-columns: repeat({columns}, minmax(0, 1fr))">{drawn}</div>')


def dependencies(health: Health) -> list[Card]:
    """A card for each part: state, detail, latency, circuit."""
    cards = []
    for name, part in health.parts.items():
        lines = [part.detail]
        circuit = health.breakers.get(CIRCUITS.get(name, ""))
        if circuit is not None:
            waits = f", tried again in {circuit.retry_after_seconds:.0f} s" if circuit.retry_after_seconds else ""
            lines.append(f"circuit {circuit.state.replace('_', '-')}{waits}")
        tone: Tone = "quiet" if part == NOT_KNOWN else part.state
        cards.append(Card(NAMES.get(name, name), lines, tone, f"{part.latency_ms:.0f} ms"))
    return cards


def figures(spans: Mapping[str, Figures]) -> list[Tile]:
    """The tiles. A time of fewer than 100 calls, and a rate with fewer than 5 failures, is never called bad."""
    tiles: dict[str, dict[str, tuple[str, Tone]]] = {}
    for span, f in spans.items():
        for title, text, tone in (
            ("Crash-free rate", _percent(f.crash_free), TONES[CRASH_FREE.judge(f.crash_free, f.failures)]),
            ("Errors", _percent(f.error_rate), TONES[ERRORS.judge(f.error_rate, f.counts["errors"])]),
            ("API, P95", _time(f.api_p95_seconds), TONES[API.judge(f.api_p95_seconds, f.api_calls)]),
            ("Pages, P95", _time(f.page_p95_seconds), TONES[PAGES.judge(f.page_p95_seconds, f.page_runs)]),
            ("Requests", number(f.requests), "quiet"),
        ):
            tiles.setdefault(title, {})[span] = (text, tone)
    return [Tile(title, values) for title, values in tiles.items()]


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
        return NOTHING
    return f"{value:.0%}" if value in (0, 1) else f"{min(99.99, max(0.01, value * 100)):.2f}%"


def _time(seconds: float | None) -> str:
    return (
        NOTHING
        if seconds is None
        else f"{seconds * 1000:.0f} ms"
        if seconds < 1
        else f"{seconds:.1f} s"
        if seconds < 10
        else "> 10 s"
    )
