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
# Ranks, the best explanation first.
TAKEN, VALUES, TOTAL, VALUES_TAKEN, KEYS = 0, 1, 2, 3, 4
