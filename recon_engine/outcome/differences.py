"""Compared fields that are not equal inside a match, with both values and how far apart they are."""

from __future__ import annotations

import polars as pl

from recon_engine.plan import FieldSpec, Plan


def differences_table(
    plan: Plan,
    pairs: pl.DataFrame,
    comparables: tuple[pl.LazyFrame, pl.LazyFrame],
    places: tuple[pl.DataFrame, pl.DataFrame],
    typed: tuple[pl.LazyFrame, pl.LazyFrame],
) -> pl.DataFrame:
    """The differences table of DESIGN.md: compared fields whose values differ; a null differs from a value.

    `pairs`: match_id, l, r (positions). Per side, by position: the comparable columns, `places` (`source`, `row`), and
    the typed records. Numbers and dates are shown as they were compared (after cleaning), so that the difference adds
    up; text is shown as it was read. `difference` is right minus left: an exact decimal, days (seconds for datetimes),
    or the similarity 0-1 of texts; null where a value is missing.
    """
    parts = []
    for name in plan.compare:
        spec = plan.field(name)
        left, right = (
            side.select(name).collect().to_series().gather(pairs[column])
            for side, column in zip(comparables, ("l", "r"), strict=True)
        )
        differ = left.ne_missing(right)
        if not differ.any():
            continue
        found = pairs.select("match_id", "l", "r", left=left, right=right).filter(differ)
        if spec.type == "text":
            texts = [side.select(name).collect(engine="streaming").to_series() for side in typed]
            found = found.with_columns(left=texts[0].gather(found["l"]), right=texts[1].gather(found["r"]))
        parts.append(
            found.select(
                "match_id",
                pl.lit(name).alias("field"),
                places[0]["row"].gather(found["l"]).cast(pl.Int64).alias("left_row"),
                places[1]["row"].gather(found["r"]).cast(pl.Int64).alias("right_row"),
                *_shown(spec),
            )
        )
    return pl.concat(parts).sort("match_id", "field") if parts else empty()


def empty() -> pl.DataFrame:
    """The differences table without rows."""
    text = ("left_value", "right_value", "difference")
    schema = {"match_id": pl.Int64, "field": pl.String, "left_row": pl.Int64, "right_row": pl.Int64}
    return pl.DataFrame(schema=schema | dict.fromkeys(text, pl.String))


def _shown(spec: FieldSpec) -> list[pl.Expr]:
    """Both values and their difference as text, from `left` and `right`: texts, or comparable values."""
    left, right = pl.col("left"), pl.col("right")
    difference = right.cast(pl.Int64) - left.cast(pl.Int64)
    if spec.type == "text":
        shown = [left, right, _similarity()]
    elif spec.type in ("decimal", "integer"):
        shown = [units_text(value, spec.digits) for value in (left, right, difference)]
    elif spec.type == "date":
        shown = [value.cast(pl.Date).dt.to_string("%Y-%m-%d") for value in (left, right)]
        shown.append(difference.cast(pl.String))
    elif spec.type == "datetime":
        shown = [value.cast(pl.Datetime("us")).dt.to_string("%Y-%m-%dT%H:%M:%S%.f") for value in (left, right)]
        shown.append((difference // 1_000_000).cast(pl.String))
    else:
        shown = [value.cast(pl.Boolean).cast(pl.String) for value in (left, right)]
        shown.append(pl.lit(None, dtype=pl.String))
    return [e.alias(n) for e, n in zip(shown, ("left_value", "right_value", "difference"), strict=True)]


def _similarity() -> pl.Expr:
    """The share of distinct words that two texts have in common (Jaccard), as text with two decimals."""
    words = [pl.col(c).str.to_lowercase().str.extract_all(r"[\p{L}\p{N}]+") for c in ("left", "right")]
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
