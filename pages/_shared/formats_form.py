"""How numbers and dates are shown to the person who is signed in."""

from __future__ import annotations

import streamlit as st

from pages._shared.context import services
from pages._shared.messages import explained, notice
from services import formats
from services.permissions import Actor

BROWSER = ""


def section(person: Actor) -> None:
    """Both choices; each counts at once, on every page."""
    st.subheader("Numbers and dates", anchor=False)
    usual = formats.style_of(st.context.locale)
    with st.container(horizontal=True):
        numbers = _choice("Numbers", [BROWSER, *formats.NUMBERS], person.number_format, usual.number)
        dates = _choice("Dates", [BROWSER, *formats.DATES], person.date_format, usual.date)
    st.caption("For the screens. Files for other programs, such as CSV, stay as they are: 1234.56 and 2026-11-24.")
    if (numbers, dates) != (person.number_format, person.date_format):
        with explained():
            services().accounts.set_formats(person, numbers, dates)
            notice("Numbers and dates are shown as you chose.")
            st.rerun()


def _choice(label: str, ways: list[str], now: str, usual: str) -> str:
    chosen: str = st.selectbox(
        label,
        ways,
        ways.index(now) if now in ways else 0,
        format_func=lambda way: way or f"As in my browser ({usual})",
        width=280,
    )
    return chosen
