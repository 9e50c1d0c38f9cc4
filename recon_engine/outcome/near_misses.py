"""Pairs of open records that satisfy a rule but for one condition: what a small change of the plan could bring
together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from recon_engine.matching.candidates import join_key, most_pairs, with_values
from recon_engine.matching.comparables import ID
from recon_engine.matching.conditions import Rarities, holds, likenesses, needed_columns, with_likeness
from recon_engine.plan import Condition, Plan, Rule

# A group of open records that agree on all the rest makes at most so many pairs: in a larger one, chance would speak.
LARGEST_CROWD = 2_500
# Of each side's open records so many are looked at: those whose content comes first by its fingerprint.
MOST_LOOKED_AT = 50_000
MISSES_SCHEMA = {"l": pl.UInt32, "r": pl.UInt32}


@dataclass(frozen=True, slots=True)
class OpenSides:
    """The open records of both sides: `__i` (position in the file), `__id` and the comparable columns; row by row.
    `agreeing` (the pairs that were found for a key) and `limits` are kept for the next rule that asks.
    """

    plan: Plan
    left: pl.DataFrame
    right: pl.DataFrame
    known: Rarities
    agreeing: dict[tuple[Any, ...], pl.DataFrame] = field(default_factory=dict)
    limits: list[int] = field(default_factory=list)

    @property
    def looked_at(self) -> tuple[int, int]:
        """How many open records of each side are looked at."""
        return min(self.left.height, MOST_LOOKED_AT), min(self.right.height, MOST_LOOKED_AT)

    def last_looked_at(self) -> tuple[int, int]:
        """Per side the `__id` up to which records are looked at."""
        if not self.limits:
            for table, count in zip((self.left, self.right), self.looked_at, strict=True):
                self.limits.append(int(table[ID].sort()[count - 1]))
        return self.limits[0], self.limits[1]


def near_misses(sides: OpenSides, rule: Rule, dropped: Condition) -> pl.DataFrame:
    """Pairs (l, r: rows of `sides`) of which at least one record is looked at, that satisfy all of the rule but
    `dropped`. None for a rule without another equality, or exact value, to join on.
    """
    rest = rule.model_copy(update={"on": tuple(c for c in rule.on if c is not dropped)})
    equal = tuple(c for c in rest.on if c.is_equality)
    if not equal:
        # Where only windows are left, their values must agree exactly.
        equal = tuple(Condition(field=c.field) for c in rest.on if c.is_window and not (c.sign or c.net_of))
    if not equal:
        return pl.DataFrame(schema=MISSES_SCHEMA)
    names = tuple((c.field, c.nulls) for c in equal)
    if names not in sides.agreeing:
        sides.agreeing[names] = _agreeing(sides, equal)
    pairs = sides.agreeing[names]
    valued = with_values(pairs, sides.left, sides.right, needed_columns(sides.plan, [rule]))
    others = rest.model_copy(update={"on": tuple(c for c in rest.on if not c.is_text)})
    valued = valued.filter(holds(sides.plan, others))
    if likenesses(rest):
        valued = with_likeness(valued, rest, sides.known).filter(holds(sides.plan, rest))
    missed = ~holds(sides.plan, rule.model_copy(update={"on": (dropped,)}))
    return valued.filter(missed).select("l", "r").sort("l", "r")


def _agreeing(sides: OpenSides, equal: tuple[Condition, ...]) -> pl.DataFrame:
    """Pairs that agree on the fields of these conditions, by their key: l, r. Not of large crowds."""
    key = join_key(sides.plan, equal, tuple(c.field for c in equal))
    left, right = (
        table.lazy().select(k=key, id=ID).with_row_index(name).drop_nulls("k").collect()
        for table, name in ((sides.left, "l"), (sides.right, "r"))
    )
    if most_pairs(left["k"], right["k"])[1] > LARGEST_CROWD:
        counts = [t.lazy().group_by("k").agg(pl.len().cast(pl.Int64).alias(n)) for t, n in ((left, "a"), (right, "b"))]
        fair = counts[0].join(counts[1], on="k").filter(pl.col("a") * pl.col("b") <= LARGEST_CROWD).select("k")
        left, right = (t.lazy().join(fair, on="k", how="semi").collect() for t in (left, right))
    if max(sides.left.height, sides.right.height) <= MOST_LOOKED_AT:
        return left.join(right, on="k").select("l", "r")
    limits = sides.last_looked_at()
    chosen = (left.filter(pl.col("id") <= limits[0]), right), (left, right.filter(pl.col("id") <= limits[1]))
    return pl.concat([a.join(b, on="k").select("l", "r") for a, b in chosen]).unique()
