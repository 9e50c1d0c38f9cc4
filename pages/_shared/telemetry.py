"""What the screens count of themselves: sessions, sessions that met an error of ours, and the time of each run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from services import logs, metrics

_OPENED, _CRASHED, _PAGE = "_session_counted", "_crash_counted", "_page_counted"


@dataclass
class Run:
    """One run of the script; `page` is known once the address has been read."""

    page: str = "none"


@contextmanager
def timed() -> Iterator[Run]:
    """Count the session at its first run, and time this run, however it ends."""
    if _OPENED not in st.session_state:
        st.session_state[_OPENED] = True
        metrics.ui_sessions.inc()
    run, started = Run(), time.perf_counter()
    try:
        yield run
    finally:
        st.session_state[_PAGE] = run.page
        metrics.ui_rerun_seconds.labels(run.page).observe(time.perf_counter() - started)


@contextmanager
def counted_alone() -> Iterator[None]:
    """Time a part of a page that a person's press draws alone, as a run of its page with an id of its own."""
    with logs.request(), timed() as run:
        run.page = st.session_state.get(_PAGE, run.page)
        yield


def crashed(_error: Exception) -> None:
    """Count a session that met an uncaught error, once. The page goes on to say that something went wrong."""
    if _CRASHED not in st.session_state:
        st.session_state[_CRASHED] = True
        metrics.ui_sessions_crashed.inc()
