"""What a condition with `total` allows: which sums of one side fit a sum of the other. Exact integer arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon_engine.matching.conditions import percent_integer, units_of, window_units
from recon_engine.plan import Condition, FieldSpec

Ints = NDArray[np.int64]
_NO_SUM = (1, 0)  # an empty interval


@dataclass(frozen=True, slots=True)
class TotalWindow:
    """The condition in minor units. Right less expected must lie in the window, which may depend on the left sum."""

    sign: int
    fixed: int
    fee: tuple[int, int]
    window: tuple[int, int]
    percent: tuple[tuple[int, int], tuple[int, int]] | None
    cap: int | None

    @classmethod
    def of(cls, spec: FieldSpec, condition: Condition) -> TotalWindow:
        """The window of a condition on the field `spec`."""
        net = condition.net_of
        percent = condition.percent
        return cls(
            sign=-1 if condition.sign else 1,
            fixed=units_of(net.fixed, spec) if net else 0,
            fee=percent_integer(net.percent) if net else (0, 1),
            window=(0, 0) if percent else window_units(spec, condition),
            percent=(percent_integer(percent[0]), percent_integer(percent[1])) if percent else None,
            cap=units_of(condition.cap, spec) if condition.cap is not None else None,
        )

    def expected(self, left: int) -> int:
        """What the right sum should be, before any tolerance."""
        value = self.sign * left
        share, denominator = self.fee
        return value - (2 * abs(value) * share + 100 * denominator) // (200 * denominator) - self.fixed

    def allowed(self, left: int) -> tuple[int, int]:
        """The least and the greatest right sum that fit a left sum."""
        low, high = self.window
        if self.percent is not None:
            (low_num, low_den), (high_num, high_den) = self.percent
            low = -((-abs(left) * low_num) // (100 * low_den))
            high = (abs(left) * high_num) // (100 * high_den)
            if self.cap is not None:
                low, high = max(low, -self.cap), min(high, self.cap)
        expected = self.expected(left)
        return expected + low, expected + high

    def fits(self, left: int, right: int) -> bool:
        """Whether two sums fit."""
        low, high = self.allowed(left)
        return low <= right <= high

    def intervals(self, values: Ints, one_side: int) -> tuple[Ints, Ints]:
        """Per value of the side `one_side` (0 left, 1 right), the least and greatest sum of the other that fit."""
        if self.percent is None and not self.fee[0]:
            low, high = self.window
            if one_side == 0:
                expected = self.sign * values - self.fixed
                return expected + low, expected + high
            ends = self.sign * (values + self.fixed - high), self.sign * (values + self.fixed - low)
            return ends if self.sign == 1 else ends[::-1]
        distinct, place = np.unique(values, return_inverse=True)
        find = self.allowed if one_side == 0 else self._left_sums
        found = np.array([find(int(v)) for v in distinct], dtype=np.int64).reshape(-1, 2)
        return found[place, 0], found[place, 1]

    def _left_sums(self, right: int) -> tuple[int, int]:
        """The left sums that fit a right one: they form an interval, as less than everything is kept back."""
        reach = 4 * (abs(right) + abs(self.fixed) + max(map(abs, self.window)) + (self.cap or 0) + 1)
        if self.fee[0] or self.percent:
            reach *= 100
        # `sign * left` grows from -reach to reach: the right sums allowed for it grow too.
        first = _first(-reach, reach, lambda s: self.allowed(self.sign * s)[1] >= right)
        last = _first(-reach, reach, lambda s: self.allowed(self.sign * s)[0] > right) - 1
        if first > last:
            return _NO_SUM
        return (first, last) if self.sign == 1 else (-last, -first)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The least number from `low` to `high` for which `holds`, which stays true from there on; `high` if none."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
