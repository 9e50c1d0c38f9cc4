"""What one rule decided on the open records: settled pairs and sets, ties, and the evidence that goes with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Ids = NDArray[np.uint64]
Bools = NDArray[np.bool_]

PAIRS_SCHEMA: dict[str, Any] = {
    "l": pl.UInt32,
    "r": pl.UInt32,
    "weight": pl.Int64,
    "rivals": pl.UInt32,
    "margin": pl.Float64,
}
SETS_SCHEMA: dict[str, Any] = {
    "set": pl.Int64,
    "side": pl.UInt8,
    "i": pl.UInt32,
    "weight": pl.Int64,
    "rivals": pl.UInt32,
    "margin": pl.Float64,
}
CERTIFICATES_SCHEMA: dict[str, Any] = {
    "set": pl.Int64,
    "search": pl.String,
    "candidates": pl.UInt32,
    "by_chance": pl.Float64,
}
LINKS_SCHEMA: dict[str, Any] = {"l": pl.UInt32, "r": pl.UInt32, "field": pl.String, "bits": pl.Float64}
NEAR_SCHEMA: dict[str, Any] = {
    "l": pl.UInt32,
    "r": pl.UInt32,
    "probability": pl.Float64,
    "field": pl.String,
    "bits": pl.Float64,
}
TIES_SCHEMA: dict[str, Any] = {"component": pl.Int64, "side": pl.UInt8, "i": pl.UInt32, "capped": pl.Boolean}


@dataclass(slots=True)
class Settled:
    """What one rule decided.

    `pairs`: one row per settled pair: l, r, weight, rivals (other candidates of either record), margin (weight units).
    `ties`: one row per tied record: component (equal numbers compete), side (0 left, 1 right), i, capped.
    `sets`: one row per record of a match that is not one to one: set (a number, unique within the rule), side, i.
    `certificates`: per set of a search for sums: how it was searched, among how many candidates, and how many sets
    would fit by chance.
    `links`: per pair of a linkage and field, the weight of the field's evidence in bits: l, r, field, bits.
    `near`: of the records that a linkage left open, the pairs that it scores best, each with the field whose bits cost
    most (null: none costs any).
    `facts`: what a linkage learnt, as plain data.
    """

    pairs: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PAIRS_SCHEMA))
    ties: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TIES_SCHEMA))
    sets: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SETS_SCHEMA))
    certificates: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CERTIFICATES_SCHEMA))
    links: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LINKS_SCHEMA))
    near: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=NEAR_SCHEMA))
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Parts:
    """Collects arrays of settled pairs and ties."""

    pairs: list[tuple[Ints, ...]] = field(default_factory=list)
    ties: list[tuple[Ints, Ints, int, bool]] = field(default_factory=list)

    def settle(self, left: Ints, right: Ints, weight: Ints, rivals: Ints, margin: Ints) -> None:
        """Adds settled pairs."""
        if len(left):
            self.pairs.append((left, right, weight, rivals, margin))

    def tie(self, component: Ints, side: int, i: Ints, capped: bool = False) -> None:
        """Adds tied records of one side."""
        if len(i):
            self.ties.append((component, i, side, capped))

    def result(self) -> Settled:
        """All of it, as frames."""
        settled = Settled()
        if self.pairs:
            columns = zip(
                ("l", "r", "weight", "rivals", "margin"),
                map(np.concatenate, zip(*self.pairs, strict=True)),
                strict=True,
            )
            settled.pairs = pl.DataFrame(dict(columns)).cast(PAIRS_SCHEMA)  # type: ignore[arg-type]
        if self.ties:
            count = [len(i) for _, i, _, _ in self.ties]
            component, i, side, capped = zip(*self.ties, strict=True)
            ties = {
                "component": np.concatenate(component),
                "side": np.repeat(side, count),
                "i": np.concatenate(i),
                "capped": np.repeat(capped, count),
            }
            settled.ties = pl.DataFrame(ties).cast(TIES_SCHEMA).unique()  # type: ignore[arg-type]
        return settled
