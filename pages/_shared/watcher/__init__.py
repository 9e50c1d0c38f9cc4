"""Looks after every open page: once its session has ended the sign-in form comes in its place, and a browser that goes
from light to dark is given a page in its colours. A script in the browser asks, because a part of a page that the clock
draws makes the browser go through the whole page each time. The same script loads what the next pages are drawn with.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages._shared.own_component import own_component

KEY = "watcher"
# The scripts of Streamlit that are large and first needed on Map (its table) and on Results (its charts).
LARGE = ("DataFrame", "PlotlyChart")


def _ahead() -> list[str]:
    scripts = Path(st.__file__).parent / "static" / "static" / "js"
    return [path.name for name in LARGE for path in sorted(scripts.glob(f"{name}.*.js"))]


AHEAD = _ahead()


def watch(*, session: bool) -> None:
    """Begin to watch the colours, and the session when there is one; what is found runs the page anew."""
    mount = own_component(KEY, Path(__file__).parent, html="<span hidden></span>", js="watcher.js")
    with st.container(key=KEY):  # takes no room: layout.style
        mount(
            key="watching",
            data={"session": session, "ahead": AHEAD if session else []},
            on_over_change=lambda: None,
            on_recoloured_change=lambda: None,
        )
