"""How the screens speak: errors as one sentence, notices that outlive a page change, empty states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from recon_engine.errors import ReconError
from services.errors import ServiceError

_NOTICE = "_notice"


@contextmanager
def explained() -> Iterator[None]:
    """Show an expected failure as its own sentence instead of ending the page."""
    try:
        yield
    except (ServiceError, ReconError) as error:
        st.error(str(error), icon=":material/error:")


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
