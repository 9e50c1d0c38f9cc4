"""The frame of every screen: title row, wizard stepper, status badges."""

from __future__ import annotations

from html import escape
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._shared.messages import show_notice
from pages._shared.wording import STATUS_LOOKS

Step = Literal["upload", "map", "run", "results"]
STEPS: dict[Step, str] = {"upload": "Upload", "map": "Map", "run": "Run", "results": "Results"}
ORDER = list(STEPS)
BadgeColour = Literal["red", "orange", "blue", "green", "gray"]


def page_title(title: str, what: str = "") -> None:
    """The page's title, one line on what it is for, and any notice left by the page before."""
    st.title(title, anchor=False)
    if what:
        st.caption(what)
    show_notice()


def stepper(current: Step, reachable: dict[Step, dict[str, str]]) -> dict[Step, DeltaGenerator]:
    """The four steps of the wizard. `reachable` holds the address parameters of each step that can be opened; what is
    given back is where each one is written.
    """
    place, written = ORDER.index(current), {}
    with st.container(key="stepper"):
        for index, (column, step) in enumerate(zip(st.columns(4, gap="small"), ORDER, strict=True)):
            with column.container(gap=None, key=f"step-{'on' if index <= place else 'off'}-{step}"):
                written[step] = st.empty()
            write_step(written[step], step, current, reachable.get(step))
    return written


def write_step(where: DeltaGenerator, step: Step, current: Step, address: dict[str, str] | None) -> None:
    """The name of a step; one that cannot be opened has no address, and is no link."""
    index = ORDER.index(step)
    icon = ":material/check_circle:" if index < ORDER.index(current) else f":material/counter_{index + 1}:"
    name = f"**{STEPS[step]}**" if step == current else STEPS[step]
    if address is None:
        where.markdown(f":gray[{icon} {name}]")
    else:
        where.page_link(f"{step}.py", label=name, icon=icon, query_params=address, width="stretch")


def status_badge(status: str) -> None:
    """A job's or draft's status as a coloured badge."""
    label, colour, icon = STATUS_LOOKS[status]
    st.badge(label, icon=icon, color=colour)  # type: ignore[arg-type]  # the table holds only badge colours


def download_link(label: str, address: str, what: str = "") -> None:
    """A link that looks like a button and makes the browser save what the address answers: `what` that is."""
    title = f' title="{escape(what)}"' if what else ""
    st.html(f'<a class="download" href="{escape(address)}"{title} download>{escape(label)}</a>', width="content")


def _accent() -> str:
    """The colour of links in the theme at hand: the styles below cannot ask Streamlit for it."""
    return "#8cc4e4" if st.context.theme.type == "dark" else "#22577a"


def _quiet() -> str:
    """The colour of remarks: paler than text, and still read with ease."""
    return "#97a3ae" if st.context.theme.type == "dark" else "#5d6973"


def _primary() -> str:
    """The colour of the button for the next step, for one that a library draws."""
    return "#2f749f" if st.context.theme.type == "dark" else "#22577a"


def _ground() -> str:
    """The colour behind everything, for what stays in view while the page moves below it."""
    return "#12171c" if st.context.theme.type == "dark" else "#ffffff"


def brand() -> None:
    """The product's name above the navigation."""
    colour = _accent()
    st.logo(
        f"""<svg xmlns="http://www.w3.org/2000/svg" width="190" height="28" viewBox="0 0 190 28" fill="none">
        <rect x="1" y="6" width="14" height="16" rx="3" stroke="{colour}" stroke-width="2.2"/>
        <rect x="9" y="6" width="14" height="16" rx="3" stroke="{colour}" stroke-width="2.2"/>
        <text x="34" y="20" font-family="Source Sans, Source Sans Pro, sans-serif" font-size="18" font-weight="600"
        fill="{colour}">Reconciliation</text></svg>""",
        link=None,
    )


def style() -> None:
    """The few rules that Streamlit's theme cannot say: the stepper's line, tabular figures, a calmer page width, and
    the wizard's next step, which stays in view at the foot of the window however long the page is; dialogs, which stand
    there at once.
    """
    st.html(
        f"<style>:root {{ --accent: {_accent()}; --quiet: {_quiet()}; --primary: {_primary()};"
        f" --ground: {_ground()}; }}"
        """
        .st-key-stepper { margin-bottom: .5rem; }
        [class*="st-key-step-on-"] { border-top: 3px solid var(--accent); padding-top: .25rem; }
        [class*="st-key-step-"] [data-testid="stMarkdown"] { padding: .15rem .5rem 0; }
        [class*="st-key-step-"] [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
        [class*="st-key-step-"] [data-testid="stMarkdown"] p { margin: 0; font-size: .875rem; line-height: 1rem; }
        [class*="st-key-step-"] [data-testid="stMarkdown"] [role="img"] {
            font-size: 1rem; margin-right: .5rem; vertical-align: -.2em !important; }
        div[data-testid="stCaptionContainer"] { opacity: 1; }
        div[data-testid="stCaptionContainer"] > p { color: var(--quiet); }
        :is(a, button, summary, canvas, [role="radio"], [role="tab"]):focus-visible {
            outline: 2px solid var(--accent) !important; outline-offset: 2px; }
        .stMain:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
        :is([role="radio"], [role="tab"])[data-selected="true"] p { color: var(--accent); }
        .st-key-watcher { display: none; }
        .stDialog[data-entering] { animation: none !important; }
        [data-testid="stBaseButton-tertiary"] { min-width: 24px; min-height: 24px; }
        .stMainBlockContainer { max-width: 1680px; padding-left: 3rem; padding-right: 3rem; }
        [class*="st-key-step-off-"] { border-top: 3px solid rgba(128, 140, 150, .3); padding-top: .25rem; }
        :has(> .st-key-onwards) { position: sticky; bottom: 0; z-index: 5; padding: .6rem 0; background: var(--ground);
            border-top: 1px solid rgba(128, 140, 150, .25); }
        .stMain:has(.st-key-onwards) { scroll-padding-bottom: 5rem; }
        a.download {
            display: inline-block; padding: .45rem .8rem; border-radius: .4rem; text-decoration: none; color: inherit;
            white-space: nowrap; border: 1px solid rgba(128, 140, 150, .45); font-size: .93rem;
        }
        .st-key-plan-file textarea { font-family: "Source Code Pro", monospace; font-size: .87rem; }
        .sides { overflow-x: auto; }
        .sides table { border-collapse: collapse; min-width: 55%; font-size: .93rem; }
        .sides th, .sides td { text-align: left; padding: .35rem .7rem; font-weight: 400; vertical-align: top;
            border-bottom: 1px solid rgba(128, 140, 150, .25); overflow-wrap: anywhere; }
        .sides thead th, .sides .empty { color: var(--quiet); }
        .sides .empty { font-style: italic; }
        .sides .amount { font-variant-numeric: tabular-nums; text-align: right; }
        .sides mark { background: rgba(217, 161, 59, .38); color: inherit; border-radius: 2px; }
        a.download:hover { border-color: currentColor; }
        .st-key-FormSubmitter-sign-in-Sign-in, .st-key-FormSubmitter-sign-in-Sign-in > * { width: 100% !important; }
        .st-key-FormSubmitter-sign-in-Sign-in button { width: 100%; color: #ffffff; border-color: transparent;
            background: var(--primary); }
        .st-key-FormSubmitter-sign-in-Sign-in button:is(:hover, :focus-visible, :active) {
            background: color-mix(in srgb, var(--primary) 80%, #000000); }
        [data-testid="stMetricDelta"] * { white-space: normal !important; overflow-wrap: anywhere; }
        [data-testid="stMetricValue"] { font-variant-numeric: tabular-nums; }
        </style>"""
    )
