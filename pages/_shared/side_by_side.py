"""Values side by side, field by field, with what differs marked character by character."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from typing import Any

import streamlit as st

from pages._shared.tables import as_text

LONGEST = 400  # characters; longer texts are marked as a whole
EMPTY = '<span class="empty">empty</span>'


def show(
    fields: Sequence[tuple[str, Any, Any]],
    headings: tuple[str, str],
    notes: Mapping[str, str],
    amounts: Collection[str] = (),
) -> None:
    """A table of fields, each with two values; `notes` says in the last column what differs, by field."""
    lines = []
    for name, one, other in fields:
        left, right = marked(as_text(one), as_text(other))
        kind = ' class="amount"' if name in amounts else ""
        note = escape(notes.get(name, ""))
        lines.append(
            f'<tr><th scope="row">{escape(name)}</th><td{kind}>{left}</td><td{kind}>{right}</td><td>{note}</td></tr>'
        )
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in ("Field", *headings, "Difference"))
    st.html(f'<div class="sides"><table><thead><tr>{titles}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>')


def marked(one: str | None, other: str | None) -> tuple[str, str]:
    """Two values as HTML; the characters that only one of them has are marked."""
    if one is None or other is None or one == other:
        return _plain(one), _plain(other)
    if len(one) > LONGEST or len(other) > LONGEST:
        return f"<mark>{escape(one)}</mark>", f"<mark>{escape(other)}</mark>"
    left, right = [], []
    for kind, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        same = kind == "equal"
        left.append(_piece(one[a:b], same=same))
        right.append(_piece(other[c:d], same=same))
    return "".join(left), "".join(right)


def _piece(text: str, *, same: bool) -> str:
    return escape(text) if same or not text else f"<mark>{escape(text)}</mark>"


def _plain(text: str | None) -> str:
    return EMPTY if text is None else escape(text)
