"""Compared fields that are not equal inside a match, with both values and how far apart they are."""

from __future__ import annotations

import polars as pl

from recon_engine.matching.comparables import plain_value
from recon_engine.plan import FieldSpec, Plan

FIELDS = ["match_id", "left_row", "right_row"]


def unequal(plan: Plan, pairs: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Per compared field, the numbered pairs (match_id, l, r) whose comparable values differ; a null differs from a
    value.
    """
    found = {}
    for name in plan.compare:
        a, b = left[name].gather(pairs["l"]), right[name].gather(pairs["r"])
        found[name] = pairs.select("match_id", "l", "r").filter(a.ne_missing(b))
    return found


def differences_table(
    plan: Plan, differing: dict[str, pl.DataFrame], typed: tuple[pl.LazyFrame, pl.LazyFrame]
) -> pl.DataFrame:
    """The differences table of DESIGN.md.

    `typed`: per side, the typed records by position (`source`, `row` and the fields). Numbers and dates are shown as
    they were
    compared (after cleaning), so that the difference adds up; text is shown as it was read. `difference` is right
    minus left:
    an exact decimal, days (or seconds for datetimes), or the similarity 0–1 of texts; null where a value is missing.
    """
    parts = []
    for name, pairs in differing.items():
        if pairs.is_empty():
            continue
        spec = plan.field(name)
        values = pairs.select("match_id", pl.lit(name).alias("field"))
        for column, records, side in (("l", typed[0], "left"), ("r", typed[1], "right")):
            placed = records.select("row", name).collect(engine="streaming")
            values = values.with_columns(
                placed["row"].gather(pairs[column]).alias(f"{side}_row"),
                placed[name].gather(pairs[column]).alias(f"{side}_raw"),
            )
        parts.append(values.select("match_id", "field", "left_row", "right_row", *_shown(spec)))
    return pl.concat(parts).sort("match_id", "field") if parts else empty()


def empty() -> pl.DataFrame:
    """The differences table without rows."""
    text = ("left_value", "right_value", "difference")
    schema = {"match_id": pl.Int64, "field": pl.String, "left_row": pl.Int64, "right_row": pl.Int64}
    return pl.DataFrame(schema=schema | dict.fromkeys(text, pl.String))


def _shown(spec: FieldSpec) -> list[pl.Expr]:
    raw = [pl.col("left_raw"), pl.col("right_raw")]
    if spec.type == "text":
        return [raw[0].alias("left_value"), raw[1].alias("right_value"), _similarity().alias("difference")]
    left = plain_value(raw[0], spec, "left")
    right = plain_value(raw[1], spec, "right")
    if spec.type == "decimal":
        values = [units_text(left, spec.digits), units_text(right, spec.digits)]
        difference = units_text(right - left, spec.digits)
    elif spec.type == "integer":
        values, difference = [left.cast(pl.String), right.cast(pl.String)], (right - left).cast(pl.String)
    elif spec.type == "date":
        values = [left.dt.to_string("%Y-%m-%d"), right.dt.to_string("%Y-%m-%d")]
        difference = (right - left).dt.total_days().cast(pl.String)
    elif spec.type == "datetime":
        values = [left.dt.to_string("%Y-%m-%dT%H:%M:%S%.f"), right.dt.to_string("%Y-%m-%dT%H:%M:%S%.f")]
        difference = (right - left).dt.total_seconds().cast(pl.String)
    else:
        values, difference = [left.cast(pl.String), right.cast(pl.String)], pl.lit(None, dtype=pl.String)
    return [values[0].alias("left_value"), values[1].alias("right_value"), difference.alias("difference")]


def _similarity() -> pl.Expr:
    """The share of distinct words that two texts have in common (Jaccard), as text with two decimals."""
    words = [pl.col(c).str.to_lowercase().str.extract_all(r"[\p{L}\p{N}]+") for c in ("left_raw", "right_raw")]
    common = words[0].list.set_intersection(words[1]).list.len()
    every = words[0].list.set_union(words[1]).list.len()
    return pl.when(every > 0).then((common / every).round(2).cast(pl.String))


def units_text(units: pl.Expr, digits: int) -> pl.Expr:
    """Integer minor units as exact decimal text: -1250 with two digits is '-12.50'."""
    if digits == 0:
        return units.cast(pl.String)
    size = 10**digits
    sign = pl.when(units < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    whole = (units.abs() // size).cast(pl.String)
    return pl.concat_str(sign, whole, pl.lit("."), (units.abs() % size).cast(pl.String).str.zfill(digits))
