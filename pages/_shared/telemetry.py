"""What the screens count of themselves: sessions, sessions that met an error of ours, and the time of each run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from services import metrics

_OPENED, _CRASHED = "_session_counted", "_crash_counted"


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
        metrics.ui_rerun_seconds.labels(run.page).observe(time.perf_counter() - started)


def crashed(_error: Exception) -> None:
    """Count a session that met an uncaught error, once. The page goes on to say that something went wrong."""
    if _CRASHED not in st.session_state:
        st.session_state[_CRASHED] = True
        metrics.ui_sessions_crashed.inc()
