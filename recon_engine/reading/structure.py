"""Where the records of a delimited file begin and end, and how many separators each has: one pass over the bytes.

Quoting is followed by parity: a byte is inside quotes when an odd number of quotes came before it. That is exact as
long as quotes only wrap fields and are doubled inside them; the pass tells (`stray`) when they are used otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
_CHUNK = 1 << 21
NEWLINE = 10
RETURN = 13


@dataclass(frozen=True, slots=True)
class Structure:
    """The records of a file from `start` on: byte offsets, separators outside quotes, line breaks inside quotes.

    `stray` is the offset of the first quote that neither opens nor closes a field, or is never closed; None when all
    quotes are regular (then the other fields can be trusted).
    """

    starts: Offsets
    ends: Offsets
    separators: Offsets
    inner_breaks: Offsets
    stray: int | None
    has_nul: bool

    def blank(self, data: Bytes) -> npt.NDArray[np.bool_]:
        """True for records that are empty lines."""
        length = self.ends - self.starts
        only_return = np.zeros(len(length), dtype=np.bool_)
        ones = np.flatnonzero(length == 1)
        only_return[ones] = data[self.starts[ones]] == RETURN
        return np.asarray((length == 0) | only_return, dtype=np.bool_)

    def lines(self, first_line: int) -> Offsets:
        """The physical line on which each record starts, the first one being on `first_line`."""
        before = np.searchsorted(self.inner_breaks, self.starts)
        return np.arange(len(self.starts), dtype=np.int64) + before + first_line


@dataclass(slots=True)
class _Piece:
    """What one chunk of the file shows; offsets are of the file, `totals` counts separators from the start."""

    ends: Offsets
    totals: Offsets
    inner_breaks: Offsets
    stray: int | None
    has_nul: bool
    is_ascii: bool


def _pieces(data: Bytes, start: int, separator: int, quote: int | None) -> Iterator[_Piece]:
    inside = False
    seen = 0
    nothing = np.zeros(0, dtype=np.int64)
    last = nothing
    for begin in range(start, len(data), _CHUNK):
        chunk = data[begin : begin + _CHUNK]
        raw = chunk.tobytes()
        breaks = chunk == NEWLINE
        special = breaks | (chunk == separator)
        inner, stray = nothing, None
        if quote is not None and (inside or bytes([quote]) in raw):
            quotes = chunk == quote
            within = np.logical_xor.accumulate(quotes)
            if inside:
                within = ~within
            inner = np.flatnonzero(breaks & within) + begin
            special &= ~within
            stray = _first_stray(data, np.flatnonzero(quotes), within, begin, start, separator, quote)
            inside = bool(within[-1])
        places = np.flatnonzero(special)
        is_break = breaks[places]
        counted = np.cumsum(~is_break) + seen
        seen = int(counted[-1]) if len(counted) else seen
        ends = places[is_break] + begin
        last = ends if len(ends) else last
        yield _Piece(ends, counted[is_break], inner, stray, b"\0" in raw, raw.isascii())
    if len(data) > start and not (len(last) and last[-1] == len(data) - 1):
        end, total = np.array([len(data)], dtype=np.int64), np.array([seen], dtype=np.int64)
        yield _Piece(end, total, nothing, len(data) if inside else None, has_nul=False, is_ascii=True)
    elif inside:
        yield _Piece(nothing, nothing, nothing, len(data), has_nul=False, is_ascii=True)


def structure_of(data: Bytes, start: int, separator: int, quote: int | None) -> Structure:
    """Examine `data` from the byte `start`."""
    pieces = list(_pieces(data, start, separator, quote))
    nothing = np.zeros(0, dtype=np.int64)
    all_ends = np.concatenate([nothing, *(p.ends for p in pieces)])
    totals = np.concatenate([nothing, *(p.totals for p in pieces)])
    return Structure(
        starts=np.concatenate([np.array([start], dtype=np.int64), all_ends[:-1] + 1])[: len(all_ends)],
        ends=all_ends,
        separators=np.diff(totals, prepend=0),
        inner_breaks=np.concatenate([nothing, *(p.inner_breaks for p in pieces)]),
        stray=next((p.stray for p in pieces if p.stray is not None), None),
        has_nul=any(p.has_nul for p in pieces),
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a file is as regular as a scan of it needs, and whether it holds NUL bytes."""

    is_regular: bool
    has_nul: bool


def verdict_on(data: Bytes, start: int, separator: int, quote: int | None, columns: int) -> Verdict:
    """Check that every record after the header has `columns` cells and no quote is stray, keeping nothing in memory."""
    if quote is None and columns > 1 and _is_plain(data, start, separator, columns):
        return Verdict(is_regular=True, has_nul=False)
    before_end, before_total, header = start - 1, 0, True
    for piece in _pieces(data, start, separator, quote):
        if piece.has_nul:
            return Verdict(is_regular=False, has_nul=True)
        if piece.stray is not None or not (piece.is_ascii or _is_utf8(data, piece, before_end + 1)):
            return Verdict(is_regular=False, has_nul=False)
        if len(piece.ends):
            widths = np.diff(piece.totals, prepend=before_total) + 1
            lengths = np.diff(piece.ends, prepend=before_end) - 1
            # A record of one byte can only be a lone carriage return, or a cell of a one-column file: look closer.
            short = lengths <= 1 if columns == 1 else lengths == 0
            if header:
                widths, short, header = widths[1:], short[1:], False
            if (widths != columns).any() or short.any():
                return Verdict(is_regular=False, has_nul=False)
            before_end, before_total = int(piece.ends[-1]), int(piece.totals[-1])
    return Verdict(is_regular=True, has_nul=False)


def _is_plain(data: Bytes, start: int, separator: int, columns: int) -> bool:
    """Whether an ASCII file shows, from the header on, nothing but its separators and line feeds in their rhythm.

    Says no also where only a closer look can tell.
    """
    others = bytes(set(range(256)) - {separator, NEWLINE})
    rhythm = bytes([separator]) * (columns - 1) + bytes([NEWLINE])
    rest = b""
    for begin in range(start, len(data), _CHUNK):
        raw = data[begin : begin + _CHUNK].tobytes()
        if b"\0" in raw or not raw.isascii():
            return False
        marks = rest + raw.translate(None, others)
        whole = len(marks) - len(marks) % columns
        if marks[:whole] != rhythm * (whole // columns):
            return False
        rest = marks[whole:]
    return rest in (b"", rhythm[:-1])


def _is_utf8(data: Bytes, piece: _Piece, start: int) -> bool:
    # Whole records only: a chunk can end in the middle of a character. The next piece looks at the rest.
    end = int(piece.ends[-1]) if len(piece.ends) else start
    try:
        data[start:end].tobytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _first_stray(
    data: Bytes, places: Offsets, within: npt.NDArray[np.bool_], begin: int, start: int, separator: int, quote: int
) -> int | None:
    opening = within[places]
    opens = places[opening] + begin
    closes = places[~opening] + begin
    before = data[np.maximum(opens - 1, 0)]
    after = data[np.minimum(closes + 1, len(data) - 1)]
    good_open = (before == separator) | (before == NEWLINE) | (before == quote) | (opens == start)
    good_close = (after == separator) | (after == NEWLINE) | (after == RETURN) | (after == quote)
    good_close |= closes == len(data) - 1
    bad = np.concatenate([opens[~good_open], closes[~good_close]])
    return int(bad.min()) if len(bad) else None
