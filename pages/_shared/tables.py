"""Tables of one page of rows. Paging happens on the server: no screen ever receives more than a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages._shared.wording import count

PAGE_ROWS = 50


def page_number(key: str) -> int:
    """The page chosen in the table called `key`; 1 at first."""
    return int(st.session_state.get(f"{key}-page", 1))


def pager(key: str, total: int, noun: str, size: int = PAGE_ROWS) -> None:
    """How many rows there are, and the way through them."""
    pages = max(1, -(-total // size))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(count(total, noun), width="content")
        if pages > 1:
            st.pagination(pages, key=f"{key}-page")


def table(
    rows: Sequence[Mapping[str, Any]], headings: Mapping[str, str], key: str, selectable: bool = False
) -> int | None:
    """Rows as a table with the given columns and headings; returns the place of the selected row."""
    frame = [{heading: _shown(row.get(name)) for name, heading in headings.items()} for row in rows]
    if not selectable:
        st.dataframe(frame, hide_index=True, key=key, placeholder="")
        return None
    state = st.dataframe(
        frame, hide_index=True, key=key, placeholder="", on_select="rerun", selection_mode="single-row"
    )
    chosen = state["selection"]["rows"]
    return int(chosen[0]) if chosen and chosen[0] < len(rows) else None


def _shown(value: Any) -> Any:
    """Text and whole numbers as they are; all else as its exact text, so that no amount becomes a float."""
    return value if value is None or isinstance(value, str | int) else str(value)
