"""Searches for sums agree with the plain way of doing the same, whatever the signs and windows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_engine.matching.meeting import around, every_subset, meet
from recon_engine.matching.total_window import TotalWindow

amounts = st.integers(-30, 60)
windows = st.tuples(st.integers(-40, 120), st.integers(-1, 5))  # a window of -1 is empty


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """A few records with equally many candidates, and what each of them seeks."""
    n, rows = draw(st.integers(4, 9)), draw(st.integers(1, 4))
    values = draw(st.lists(st.lists(amounts, min_size=n, max_size=n), min_size=rows, max_size=rows))
    return values, draw(st.lists(windows, min_size=rows, max_size=rows))


@settings(max_examples=60)
@given(search=searches(), looked_at=st.sampled_from([2, 1_000]))
def test_halves_that_meet_find_every_subset(
    search: tuple[list[list[int]], list[tuple[int, int]]], looked_at: int
) -> None:
    """As many subsets fit as when all are listed, the same ones, and as many lie around the window."""
    values = np.array(search[0])
    lowest = np.array([low for low, _ in search[1]])
    highest = lowest + np.array([more for _, more in search[1]])
    met = meet(values, lowest, highest, looked_at)
    span, wide = around(lowest, highest)
    sums = values @ every_subset(values.shape[1])
    for row, (low, high) in enumerate(zip(lowest, highest, strict=True)):
        fitting = {k for k in np.flatnonzero((sums[row] >= low) & (sums[row] <= high)).tolist() if k}
        assert met.fits[row] == len(fitting)
        found = met.subset[met.row == row].tolist()
        assert sorted(found) == (sorted(fitting) if len(fitting) <= looked_at else [])
        if fitting:
            near = ((sums[row] >= low - wide[row]) & (sums[row] <= high + wide[row])).sum()
            assert np.isclose(met.by_chance[row], near * span[row] / (span[row] + 2 * wide[row]))


@given(
    sign=st.sampled_from([1, -1]),
    fixed=st.integers(-9, 9),
    low=st.integers(-5, 5),
    width=st.integers(0, 6),
    values=st.lists(st.integers(-50, 50), min_size=1, max_size=9),
)
def test_intervals_hold_just_what_fits(sign: int, fixed: int, low: int, width: int, values: list[int]) -> None:
    """From either side, a sum of the other lies in the interval when the two fit, and only then."""
    window = TotalWindow(sign, fixed, (0, 1), (low, low + width), None, None)
    for side in (0, 1):
        least, most = window.intervals(np.array(values), side)
        for value, a, b in zip(values, least, most, strict=True):
            for other in (a - 1, a, b, b + 1):
                pair = (value, int(other)) if side == 0 else (int(other), value)
                assert window.fits(*pair) == (a <= other <= b)
