"""Tables of one page of rows. Paging happens on the server: no screen ever receives more than a page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlencode

import streamlit as st

from pages._shared.layout import download_link
from pages._shared.wording import amount, count, day, number, share
from recon_engine.nway.any_plan import AnyPlan
from services.database.models import Job
from services.results import MAX_SHEET_ROWS

PAGE_ROWS = 50
WIDE = 220  # pixels of a choice above a table: four of them stand in one line
MOST_LETTERS = 64  # that choices side by side may have
LONGEST_SIDE = 24  # letters that the name of a side has before it is cut in a table
_ALL = "all"
ROW_HELP = "Data rows are counted from 1 below the header: with the header in line 1, row 9 is line 10 of the file"


def page_number(key: str) -> int:
    """The page chosen in the table called `key`; 1 at first."""
    kept = st.session_state.get(f"{key}-page") or st.query_params.get(f"{key}-page", "1")
    return max(1, int(kept)) if str(kept).isdecimal() else 1


def pager(
    key: str, total: int, nouns: tuple[str, str], whole: Callable[[str], str] | None = None, size: int = PAGE_ROWS
) -> None:
    """Which of how many rows are shown, the way through them, and the address that answers `whole`, the table in a
    format: as CSV, and as a spreadsheet where one holds it.
    """
    pages, told = max(1, -(-total // size)), count(total, *nouns)
    if pages > 1:
        first = (page_number(key) - 1) * size
        told = f"{number(first + 1)} to {number(min(first + size, total))} of {told}"
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(told, width="content")
        if pages > 1:
            st.pagination(pages, key=f"{key}-page", bind="query-params")
        if whole is not None:
            with st.container(horizontal=True, width="content", gap="small"):
                download_link("All of these (.csv)", whole("csv"))
                if total <= MAX_SHEET_ROWS:
                    download_link("All of these (.xlsx)", whole("xlsx"))


def first_page(key: str) -> None:
    """Begin again at the first page: what the table holds has changed."""
    st.session_state[f"{key}-page"] = 1


def part(key: str, column: str, every: str, choices: Mapping[str, str]) -> str | None:
    """Which rows of the table called `key` are shown: those with one of the `choices` (values of the column, and their
    names); None for `every`. The address holds it, so that it can be passed on.
    """
    told: dict[str, Any] = {
        "key": f"{key}-{column}",
        "bind": "query-params",
        "on_change": first_page,
        "args": (key,),
        "format_func": lambda one: choices.get(one, every),
    }
    options, heading = [_ALL, *choices], column.capitalize()
    chosen: str
    if len("".join([every, *choices.values()])) > MOST_LETTERS:  # side by side they would push the others out of line
        chosen = st.selectbox(heading, options, width=WIDE, **told)
    else:
        chosen = st.segmented_control(heading, options, default=_ALL, required=True, **told)
    return None if chosen == _ALL else chosen


def order(key: str, choices: Mapping[str, str]) -> str | None:
    """What the rows of the table called `key` are sorted by, as `sort` of a result's page; None when as they are."""
    chosen: str = st.selectbox(
        "Order",
        ["", *choices],
        key=f"{key}-order",
        bind="query-params",
        on_change=first_page,
        args=(key,),
        format_func=lambda one: choices.get(one, "As in the files"),
        width=WIDE,
    )
    return chosen or None


def orders(plan: AnyPlan) -> dict[str, str]:
    """The orders of records by their amounts and dates."""
    ends = {"decimal": ("largest", "smallest"), "date": ("newest", "oldest"), "datetime": ("newest", "oldest")}
    return {
        f"{sign}{spec.name}": f"{spec.name}, {end} first"
        for spec in plan.fields
        if spec.type in ends
        for sign, end in zip(("-", ""), ends[spec.type], strict=True)
    }


def whole_table(job: Job, name: str, filters: Mapping[str, Any], sort: str | None, form: str) -> str:
    """The address that answers the whole table, filtered and sorted alike, in a format."""
    asked = {"format": form, **filters} | ({"sort": sort} if sort else {})
    return f"/api/reconciliation/jobs/{job.id}/results/{name}?{urlencode(asked, doseq=True)}"


def table(
    rows: Sequence[Mapping[str, Any]],
    headings: Mapping[str, str],
    key: str,
    selectable: bool = False,
    amounts: Collection[str] = (),
    widths: Mapping[str, int] | None = None,
) -> int | None:
    """Rows as a table with the given columns and headings; returns the place of the selected row.

    The columns named in `amounts` stand at the right, as numbers do. Those in `widths` are so many pixels wide: a long
    text there must not push what follows it out of sight; opening its cell shows all of it.
    """
    shown = [{heading: _shown(row.get(name)) for name, heading in headings.items()} for row in rows]
    told: dict[str, Any] = {name: st.column_config.TextColumn(alignment="right") for name in amounts}
    told |= {name: st.column_config.TextColumn(width=width) for name, width in (widths or {}).items()}
    if any(len(str(row.get("side"))) > LONGEST_SIDE for row in rows):
        told["side"] = st.column_config.TextColumn(width=190)
    told |= {name: st.column_config.Column(help=ROW_HELP) for name in ("row", "left_row", "right_row")}
    settings = {headings[name]: column for name, column in told.items() if name in headings}
    height = _height(len(shown), selectable)
    if not selectable:
        st.dataframe(shown, hide_index=True, key=key, placeholder="", height=height, column_config=settings)
        return None
    page = page_number(key.removesuffix("-table"))
    with st.container(key=key):
        state = st.dataframe(
            shown,
            hide_index=True,
            key=f"{key}-{page}",  # what is selected on one page is not on the next
            placeholder="",
            height=height,
            column_config=settings,
            on_select="rerun",
            selection_mode="single-row",
        )
    chosen = state["selection"]["rows"]
    return int(chosen[0]) if chosen and chosen[0] < len(rows) else None


def amount_fields(plan: AnyPlan) -> list[str]:
    """The fields whose values are amounts."""
    return [spec.name for spec in plan.fields if spec.type == "decimal"]


def _height(rows: int, selectable: bool) -> int | Literal["content"]:
    """All rows when they are few; else a part of them, and the rest scrolls. What opens below a table that rows are
    selected in begins in the same window, so that a selection is seen to do something.
    """
    most, height = (8, 330) if selectable else (15, 560)
    return "content" if rows <= most else height


def _shown(value: Any) -> Any:
    """Text and whole numbers as they are (they may be codes); all else as its text."""
    return value if value is None or isinstance(value, str | int) else as_text(value)


def in_style(text: str | None, kind: str) -> str | None:
    """A value that a result holds as text, of a field of this type: amounts and dates as the person wants them."""
    if not text:
        return text
    return amount(text) if kind == "decimal" else day(date.fromisoformat(text)) if kind == "date" else text


def apart(text: str | None, kind: str) -> str | None:
    """How far two values of a field of this type are apart, from what a result holds of it: an amount, days, seconds,
    or the words that two texts have in common. None where nothing can be said.
    """
    if not text or kind in ("integer", "boolean"):
        return text
    if kind == "text":
        part = Decimal(text)
        if part in (0, 1):
            return "the same words, written differently" if part else "no word in common"
        return f"{share(part, 1)} of words in common"
    return amount(text) if kind == "decimal" else count(int(text), "day" if kind == "date" else "second")


def as_text(value: Any) -> str | None:
    """A value as text: amounts and dates as the person wants them, an amount with every digit, also its last zero."""
    if isinstance(value, Decimal):
        return amount(value)
    if isinstance(value, datetime):
        return f"{day(value)} {value:%X}"
    return None if value is None else day(value) if isinstance(value, date) else str(value)
