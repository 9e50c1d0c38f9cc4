"""Where the records of a delimited file begin and end, and how many separators each has: one pass over the bytes.

Quoting is followed by parity: a byte is inside quotes when an odd number of quotes came before it. That is exact as
long as quotes only wrap fields and are doubled inside them; the pass tells (`stray`) when they are used otherwise.
"""

from __future__ import annotations

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
        return (length == 0) | only_return

    def lines(self, first_line: int) -> Offsets:
        """The physical line on which each record starts, the first one being on `first_line`."""
        before = np.searchsorted(self.inner_breaks, self.starts)
        return np.arange(len(self.starts), dtype=np.int64) + before + first_line


def structure_of(data: Bytes, start: int, separator: int, quote: int | None) -> Structure:
    """Examine `data` from the byte `start`."""
    ends: list[Offsets] = []
    seps: list[Offsets] = []
    inner: list[Offsets] = []
    inside = False
    seen = 0
    stray: int | None = None
    has_nul = False
    for begin in range(start, len(data), _CHUNK):
        chunk = data[begin : begin + _CHUNK]
        has_nul = has_nul or b"\0" in chunk.tobytes()
        breaks = chunk == NEWLINE
        special = breaks | (chunk == separator)
        quotes = chunk == quote if quote is not None else None
        if quotes is not None and (inside or quotes.any()):
            within = np.logical_xor.accumulate(quotes)
            if inside:
                within = ~within
            inner.append(np.flatnonzero(breaks & within) + begin)
            special &= ~within
            if stray is None:
                stray = _first_stray(data, np.flatnonzero(quotes), within, begin, start, separator, quote or 0)
            inside = bool(within[-1])
        places = np.flatnonzero(special)
        is_break = breaks[places]
        counted = np.cumsum(~is_break) + seen
        ends.append(places[is_break] + begin)
        seps.append(counted[is_break])
        seen = int(counted[-1]) if len(counted) else seen
    if len(data) > start and (not ends or not _ends_at(ends, len(data) - 1)):
        ends.append(np.array([len(data)], dtype=np.int64))
        seps.append(np.array([seen], dtype=np.int64))
    if inside and stray is None:
        stray = len(data)
    all_ends = np.concatenate(ends) if ends else np.zeros(0, dtype=np.int64)
    totals = np.concatenate(seps) if seps else np.zeros(0, dtype=np.int64)
    return Structure(
        starts=np.concatenate([np.array([start], dtype=np.int64), all_ends[:-1] + 1])[: len(all_ends)],
        ends=all_ends,
        separators=np.diff(totals, prepend=0),
        inner_breaks=np.concatenate(inner) if inner else np.zeros(0, dtype=np.int64),
        stray=stray,
        has_nul=has_nul,
    )


def _ends_at(ends: list[Offsets], last: int) -> bool:
    filled = next((e for e in reversed(ends) if len(e)), None)
    return filled is not None and int(filled[-1]) == last


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
