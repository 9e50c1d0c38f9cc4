"""Comparable values: each mapped field as fixed-width columns that are fast to join and exact to compare.

| field type | column(s) | meaning |
|---|---|---|
| text, where texts are likened | `f|text` String | the cleaned text |
| text | `f` UInt64, `f|2` UInt64 | 128-bit fingerprint of the cleaned text; `verify` re-checks on the text itself |
| decimal | `f` Int64 | minor units (10^-scale) |
| integer | `f` Int64 | the number |
| date | `f` Int32 | days since 1970-01-01 |
| datetime | `f` Int64 | microseconds since 1970-01-01 UTC |
| boolean | `f` UInt8 | 0 or 1 |

`__id` UInt64 is equal for records that are equal in every mapped field: those are interchangeable.
Null stays null.
"""

from __future__ import annotations

import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.plan import FieldSpec, Plan, SideName

ID = "__id"
MICROSECONDS_PER_DAY = 86_400_000_000
_SEEDS = (378, 377)


def columns_of(spec: FieldSpec) -> list[str]:
    """The comparable columns of a field."""
    return [spec.name, f"{spec.name}|2"] if spec.type == "text" else [spec.name]


def text_column(name: str) -> str:
    """The column that holds a field's cleaned text."""
    return f"{name}|text"


def plain_value(value: pl.Expr, spec: FieldSpec, side: SideName) -> pl.Expr:
    """A typed value after cleaning: text as String, decimals as Int64 minor units, the others as they are."""
    steps = spec.clean.left if side == "left" else spec.clean.right
    if spec.type == "decimal":
        value = value.to_physical().cast(pl.Int64)
    return cleaned(value, steps)


def comparable_columns(values: dict[str, pl.Expr], plan: Plan, side: SideName) -> list[pl.Expr]:
    """Expressions of `__id` and of the comparable columns that the plan's rules and compared fields look at.

    `values` gives the typed value of each field by name. Fields that are only compared need no second fingerprint.
    """
    ruled = {name for rule in plan.all_rules for name in rule.fields}
    texts = {name for rule in plan.all_rules for name in rule.text_fields}
    columns: list[pl.Expr] = []
    identity: pl.Expr = pl.lit(0, dtype=pl.UInt64)
    for position, spec in enumerate(plan.fields):
        value = plain_value(values[spec.name], spec, side)
        if spec.type == "text":
            parts: list[pl.Expr] = [pl.when(value.is_not_null()).then(value.hash(seed)) for seed in _SEEDS]
        elif spec.type == "date":
            parts = [value.to_physical().cast(pl.Int32)]
        elif spec.type == "datetime":
            parts = [value.to_physical().cast(pl.Int64)]
        elif spec.type == "boolean":
            parts = [value.cast(pl.UInt8)]
        else:
            parts = [value.cast(pl.Int64)]
        identity = identity + parts[0].hash(position + 1)
        used = len(parts) if spec.name in ruled else 1 if spec.name in plan.compare else 0
        columns += [p.alias(n) for p, n in zip(parts[:used], columns_of(spec)[:used], strict=True)]
        if spec.type == "text" and spec.name in texts:
            columns.append(value.alias(text_column(spec.name)))
    return [*columns, identity.alias(ID)]


def at(values: pl.Series) -> pl.Expr:
    """Of `values`, which are by position, that of the record at `__i`."""
    return pl.col("__i").map_batches(values.gather, return_dtype=values.dtype, is_elementwise=True)
