"""Tables of one page of rows. Paging happens on the server: no screen ever receives more than a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import streamlit as st

from pages._shared.layout import download_link
from pages._shared.wording import count

PAGE_ROWS = 50


def page_number(key: str) -> int:
    """The page chosen in the table called `key`; 1 at first."""
    return int(st.session_state.get(f"{key}-page", 1))


def pager(key: str, total: int, nouns: tuple[str, str], whole: str = "", size: int = PAGE_ROWS) -> None:
    """How many rows there are, the way through them, and the address that answers the whole table as CSV."""
    pages = max(1, -(-total // size))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(count(total, *nouns), width="content")
        if pages > 1:
            st.pagination(pages, key=f"{key}-page")
        if whole:
            download_link("Whole table (.csv)", whole)


def table(
    rows: Sequence[Mapping[str, Any]], headings: Mapping[str, str], key: str, selectable: bool = False
) -> int | None:
    """Rows as a table with the given columns and headings; returns the place of the selected row."""
    frame = [{heading: _shown(row.get(name)) for name, heading in headings.items()} for row in rows]
    if not selectable:
        st.dataframe(frame, hide_index=True, key=key, placeholder="", height=_height(len(frame)))
        return None
    state = st.dataframe(
        frame,
        hide_index=True,
        key=key,
        placeholder="",
        height=_height(len(frame)),
        on_select="rerun",
        selection_mode="single-row",
    )
    chosen = state["selection"]["rows"]
    return int(chosen[0]) if chosen and chosen[0] < len(rows) else None


def _height(rows: int) -> int:
    """Pixels for the rows, at most fifteen of them; the rest scrolls."""
    return 38 + 35 * min(rows, 15)


def _shown(value: Any) -> Any:
    """Text and exact numbers as they are; all else as its text, so that no amount is shown as a float."""
    return value if value is None or isinstance(value, str | int | Decimal) else str(value)


def as_text(value: Any) -> str | None:
    """A value for a column that holds values of several types."""
    return None if value is None else str(value)
