"""Explanations of an open record: their columns, and which one is the best."""

from __future__ import annotations

import polars as pl

NEAREST_SCHEMA = {
    "i": pl.UInt32,
    "other": pl.UInt32,
    "other_id": pl.UInt64,
    "rule": pl.UInt16,
    "rank": pl.UInt8,
    "failing": pl.UInt8,
    "excess": pl.Float64,
    "distance": pl.Float64,
    "reason": pl.String,
}
# The best explanation of a record comes first; ties are decided by the counterpart's content.
ORDER = ["i", "rank", "failing", "excess", "rule", "other_id", "other"]
# Ranks, the best explanation first. LIKELY and FAINT are of pairs that share no key but have a score: an open
# counterpart that is rather the same than not, and any other.
TAKEN, VALUES, TOTAL, VALUES_TAKEN, LIKELY, KEYS, FAINT = range(7)


def failing_once(number: int, rank: pl.Expr, excess: pl.Expr, distance: pl.Expr, reason: pl.Expr) -> list[pl.Expr]:
    """The columns of NEAREST_SCHEMA, for pairs (i, other, other_id) that one thing keeps from fitting a rule."""
    return [
        pl.col("i", "other", "other_id"),
        pl.lit(number, dtype=pl.UInt16).alias("rule"),
        rank.cast(pl.UInt8).alias("rank"),
        pl.lit(1, dtype=pl.UInt8).alias("failing"),
        excess.alias("excess"),
        distance.alias("distance"),
        reason.alias("reason"),
    ]
