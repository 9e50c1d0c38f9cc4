"""How the screens speak: errors as one sentence, notices that outlive a page change, empty states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from recon_engine.errors import ReconError
from services.errors import ServiceError, TooMany

_NOTICE = "_notice"


@contextmanager
def explained() -> Iterator[None]:
    """Show an expected failure as its own sentence instead of ending the page."""
    try:
        yield
    except TooMany as error:
        st.warning(_by_the_readers_clock(error), icon=":material/hourglass_top:")
    except (ServiceError, ReconError) as error:
        st.error(str(error), icon=":material/error:")


def _by_the_readers_clock(error: TooMany) -> str:
    """The sentence of a limit, with the time as the person's own clock shows it."""
    if error.opens_at is None:
        return error.message
    try:
        zone = ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):  # the browser names it, and browsers differ
        return error.message
    return (
        f"{error.reason} Please try again at {error.opens_at.astimezone(zone):%H:%M:%S}. Nothing you entered is lost."
    )


def notice(text: str) -> None:
    """Say something once, after the page change or rerun that follows."""
    st.session_state[_NOTICE] = text


def show_notice() -> None:
    """Show what `notice` left, once."""
    text = st.session_state.pop(_NOTICE, None)
    if text:
        st.toast(text, icon=":material/info:", duration="long")


def empty_state(title: str, what_next: str, icon: str = ":material/inbox:") -> None:
    """An empty list, and what to do about it."""
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.markdown(f"### {icon}", width="content")
        st.markdown(f"**{title}**", width="content")
        st.caption(what_next, width="content")
