"""Which subsets of many records add up to what is wanted: the sums of both halves, met in the middle.

Many records with equally many candidates are searched at once. All subsets that fit are counted; they are told by
number, the first candidate being the lowest bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recon_engine.matching.settled import Ints


@dataclass(frozen=True, slots=True)
class Met:
    """Per seeking record how many subsets fit and how many would by chance; and the fitting subsets (row, subset) of
    those with at most as many as are looked at.
    """

    fits: Ints
    by_chance: NDArray[np.float64]
    row: Ints
    subset: Ints


@dataclass(frozen=True, slots=True)
class _Half:
    """Sums of subsets of one half of the candidates, all rows after another."""

    row: Ints
    sum: Ints
    subset: Ints


@lru_cache(maxsize=64)
def every_subset(n: int) -> Ints:
    """Every subset of n records as a column of zeros and ones, the first record being the lowest bit."""
    return ((np.arange(1 << n)[None, :] >> np.arange(n)[:, None]) & 1).astype(np.int64)


def around(lowest: Ints, highest: Ints) -> tuple[Ints, Ints]:
    """How many sums a window holds, and how far around it sums are counted to tell how many fit by chance."""
    span = highest - lowest + 1
    return span, np.maximum(np.abs(highest) // 20, np.maximum(20 * span, 1))


def meet(values: Ints, lowest: Ints, highest: Ints, looked_at: int) -> Met:
    """Search each row of `values` for the subsets, but the empty one, whose sum lies in the row's window.

    A row's sums times the number of rows must stay below 2**62.
    """
    count, n = values.shape
    half = n // 2
    span, wide = around(lowest, highest)
    parts = values[:, :half], values[:, half:]
    least, most = ([limit(part, 0).sum(axis=1) for part in parts] for limit in (np.minimum, np.maximum))
    # Of each half only the sums that the other can bring near the wanted one: of many candidates, few.
    floors = [np.maximum(least[k], lowest - wide - most[1 - k]) for k in (0, 1)]
    roofs = [np.minimum(most[k], highest + wide - least[1 - k]) for k in (0, 1)]
    # Rows are told apart by their place on one long line: each has a stretch of it to itself, with room at both ends.
    stretch = max(0, *(int((roof - floor).max()) for roof, floor in zip(roofs, floors, strict=True))) + 3
    base = floors[1]
    # Falling sums seek rising ones: look-ups in order are several times as fast.
    one = _sums_between(parts[0], floors[0], roofs[0], stretch, falling=True)
    other = _sums_between(parts[1], floors[1], roofs[1], stretch)
    line = other.row * stretch + (other.sum - base[other.row] + 1)

    def place(bound: Ints, side: Literal["left", "right"]) -> Ints:
        wanted = (bound - base)[one.row] - one.sum + 1
        return np.asarray(np.searchsorted(line, one.row * stretch + np.clip(wanted, 0, stretch - 1), side=side))

    begin = place(lowest, "left")
    counts = place(highest, "right") - begin
    empty = (lowest <= 0) & (highest >= 0)
    fits = np.bincount(one.row, counts, minlength=count).astype(np.int64) - empty
    near = place(highest + wide, "right") - place(lowest - wide, "left")
    by_chance = np.bincount(one.row, near, minlength=count) * span / (span + 2 * wide)

    at = np.flatnonzero((counts > 0) & (fits <= looked_at)[one.row])
    times = counts[at]
    at = np.repeat(at, times)
    offset = np.arange(len(at)) - np.repeat(np.cumsum(times) - times, times)
    subset = one.subset[at] | other.subset[begin[at] + offset] << half
    some = subset > 0
    return Met(fits, by_chance, one.row[at][some], subset[some])


def _sums_between(values: Ints, floors: Ints, roofs: Ints, stretch: int, *, falling: bool = False) -> _Half:
    """The sums of every row's subsets that lie in the row's interval, row by row, in order."""
    half = values.shape[1] // 2
    low, high = (part @ every_subset(part.shape[1]) for part in (values[:, :half], values[:, half:]))
    sums = (high[:, :, None] + low[:, None, :]).reshape(len(values), -1)
    row, subset = np.nonzero((sums >= floors[:, None]) & (sums <= roofs[:, None]))
    sums = sums[row, subset]
    order = np.argsort(row * stretch + (roofs[row] - sums if falling else sums - floors[row]))
    return _Half(row, sums[order], subset[order])
