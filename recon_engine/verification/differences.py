"""Re-checks the differences of a result on the values in the files alone: those that are told, and that none is left
out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from recon_engine.matching.comparables import plain_value
from recon_engine.outcome.differences import rules_that_agree, shown
from recon_engine.plan import SIDES, FieldSpec, Plan, SideName
from recon_engine.verification.checks import PLACE, Check, as_text, how_many, is_tie

_ROWS = ["match_id", "left_row", "right_row"]
_TOLD = ["left_value", "right_value", "difference"]


def differences_hold(folder: Path, plan: Plan) -> Check:
    """Whether `differences.parquet` is what the matched records' values are found to differ in."""
    told = pl.scan_parquet(folder / "differences.parquet")
    wrong = how_many(told.filter(~as_text("field").is_in(plan.compare)))
    pairs = _pairs(folder, plan)
    for name in plan.compare:
        found = _found(folder, plan, plan.field(name), pairs)
        mine = told.filter(as_text("field") == name).select(*_ROWS, *_TOLD)
        both = pl.concat([found.with_columns(n=pl.lit(1)), mine.with_columns(n=pl.lit(-1))])
        unlike = both.group_by(*_ROWS, *_TOLD).agg(pl.col("n").sum()).select(pl.col("n").abs().sum())
        wrong += int(unlike.collect(engine="streaming").item() or 0)
    detail = f"{wrong} are not what the values differ in" if wrong else "those of the values"
    return Check("differences", not wrong, detail)


def _pairs(folder: Path, plan: Plan) -> pl.LazyFrame:
    """The pairs of records whose values are compared: where one record of a side is matched, alone or with several."""
    matches = pl.scan_parquet(folder / "matches.parquet").with_columns(as_text("side", "source", "rule"))
    settled = pl.concat([matches.filter(pl.col("rule") == rule.name, ~is_tie(rule)) for rule in plan.rules])
    left, right = (
        settled.filter(pl.col("side") == side).select(
            "match_id", "rule", pl.col("source").alias(f"{side}_source"), pl.col("row").alias(f"{side}_row")
        )
        for side in SIDES
    )
    pairs = left.join(right.drop("rule"), on="match_id")
    counts = [pl.struct(f"{side}_source", f"{side}_row").n_unique().over("match_id") for side in SIDES]
    return pairs.filter(pl.min_horizontal(counts) == 1)


def _found(folder: Path, plan: Plan, spec: FieldSpec, pairs: pl.LazyFrame) -> pl.LazyFrame:
    """What differs in one field, as the table tells it."""
    agreed = [plan.rules[number].name for number in rules_that_agree(plan, spec.name)]
    asked = pairs.filter(~pl.col("rule").is_in(agreed))
    for side in SIDES:
        records = pl.scan_parquet(folder / f"{side}.parquet").select(as_text("source"), "row", *_values(spec, side))
        asked = asked.join(records, left_on=[f"{side}_{p}" for p in PLACE], right_on=PLACE, how="left")
    differing = asked.filter(pl.col("left_compared").ne_missing(pl.col("right_compared")))
    return differing.select(*_ROWS, pl.col("left_shown").alias("left"), pl.col("right_shown").alias("right")).select(
        *_ROWS, *shown(spec)
    )


def _values(spec: FieldSpec, side: SideName) -> Iterator[pl.Expr]:
    """A field's value as it is compared, and as it is shown: text as it was read."""
    value = plain_value(pl.col(spec.name), spec, side)
    if spec.type in ("date", "datetime"):
        value = value.to_physical().cast(pl.Int64)
    yield value.alias(f"{side}_compared")
    yield (pl.col(spec.name) if spec.type == "text" else value).alias(f"{side}_shown")
