"""How many of a linkage's matches are accidents: near relatives, taken for what they resemble.

A record without a counterpart finds in the other table what it would find in its own, or what records of the other
find there: relatives, such as another size of the same product. Where a table holds each thing once, its own pairs
thus are decoys, as `matching.decoys` makes them for rules. How many records have no counterpart follows from those
that find nothing, since of records without one a known share does. Both tables are asked; where they disagree, as
they do when one names things more precisely, the truth is taken to lie between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon_engine.rules import Cardinality

# Counts of rare events: their square roots vary by one half; the interval is three of these.
_REACH = 1.5
_LOW, _ESTIMATE, _HIGH = -1, 0, 1


@dataclass(frozen=True)
class Relatives:
    """What a sample of one table's `rows` records finds by the linkage: `found`, whether a record of the other table;
    `alike`, how many records of its own.
    """

    rows: int
    found: NDArray[np.bool_]
    alike: NDArray[np.int64]

    def finds(self, rows: int, free: float, end: int) -> float:
        """The probability that a record without a counterpart finds one in a table like this, of so many `rows` and
        each `free` with a probability; at one end of its interval.
        """
        ratio = rows / self.rows
        chance = 1 - (1 - free * min(1.0, ratio)) ** (self.alike * max(1.0, ratio))
        tried, hits = len(self.alike), float(chance.sum())
        if end == _HIGH:
            hits = (np.sqrt(hits + 1) + _REACH) ** 2
        elif end == _LOW:
            hits = max(0.0, np.sqrt(hits) - _REACH) ** 2
        return min(1.0, float(hits) / tried) if tried else 0.0


def accidents(left: Relatives, right: Relatives, cardinality: Cardinality) -> tuple[float, float, float] | None:
    """How many pairs are accidents: estimate, low and high. None where neither side has each thing once.

    A side of many may hold a thing more than once, so only the side of one is asked what relatives do.
    """
    if cardinality == "many_to_many":
        return None
    asked = {"one_to_one": (left, right), "one_to_many": (left,), "many_to_one": (right,)}[cardinality]
    ends: list[float] = []
    for end, between in ((_ESTIMATE, _mean), (_LOW, min), (_HIGH, max)):
        look = _Look(asked, between, end)
        ways = []
        if cardinality != "many_to_one":  # a right record belongs to one left
            ways.append(look.accidents(right, left, look.lone(left, right) if cardinality == "one_to_one" else 1.0))
        if cardinality != "one_to_many":
            ways.append(look.accidents(left, right, look.lone(right, left) if cardinality == "one_to_one" else 1.0))
        ends.append(min(ways))
    return ends[0], ends[1], ends[2]


@dataclass(frozen=True)
class _Look:
    """What the tables that are `asked` tell together, at one end of the interval."""

    asked: Sequence[Relatives]
    between: Callable[[Sequence[float]], float]
    end: int

    def accidents(self, own: Relatives, other: Relatives, free: float) -> float:
        """How many records of `own` that have no counterpart find one of `other` that is `free`."""
        return own.rows * self.lone(own, other) * self._finds(other.rows, free)

    def lone(self, own: Relatives, other: Relatives) -> float:
        """The share of the records of `own` that have no counterpart: all that find nothing are taken for such."""
        nothing = 1 - self._finds(other.rows, 1.0)
        return min(1.0, (1 - float(own.found.mean())) / max(nothing, 1 / (len(own.found) + 1)))

    def _finds(self, rows: int, free: float) -> float:
        return self.between([table.finds(rows, free, self.end) for table in self.asked])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
