"""While a service is away: the page stays as it is, with all that was typed, and goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import streamlit as st
from streamlit.errors import StreamlitAPIException

from services.errors import Unavailable

PAUSE_SECONDS = 2.0
_SHOWN = "_page_shown"


@contextmanager
def waited_out(scope: Literal["app", "fragment"] = "app") -> Iterator[None]:
    """Say that the service is away, and run the page, or the part of it, again until it is back.

    A run that ends in a rerun takes nothing off the screen and forgets no widget: what stood on the page, and what
    was typed into it, is there when a later run succeeds. Only a page that was never shown has nothing to keep.
    """
    try:
        yield
    except Unavailable as error:
        if _SHOWN not in st.session_state:
            st.warning(f"{error.message} This page goes on by itself.", icon=":material/cloud_off:")
        else:
            st.toast(error.message, icon=":material/cloud_off:", duration=int(PAUSE_SECONDS * 2))
        time.sleep(PAUSE_SECONDS)
        try:
            st.rerun(scope=scope)
        except StreamlitAPIException:  # a part that is drawn with its page for the first time
            st.warning(error.message, icon=":material/cloud_off:")
        return
    st.session_state[_SHOWN] = True
