"""Compared fields that are not equal inside a match, with both values and how far apart they are."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from polars.io.plugins import register_io_source

from recon_engine.outcome.places import Places
from recon_engine.plan import FieldSpec, Plan

# So many differences are put into words at once.
_PIECE = 1_000_000
DIFFERING_SCHEMA = {"l": pl.UInt32, "r": pl.UInt32, "field": pl.UInt16, "left": pl.Int64, "right": pl.Int64}


def differing(plan: Plan, pairs: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Compared fields that are not equal inside matched pairs (DIFFERING_SCHEMA); a null differs from a value. A field
    whose total a rule compares is not asked: each single value is another one.

    `pairs`: l, r (positions), rule. `left` and `right`: `__i` (ascending) and the comparable columns of at least the
    matched records. `field` numbers those of `compare`; `left` and `right` are comparable values, but null for text.
    """
    parts = [pl.DataFrame(schema=DIFFERING_SCHEMA)]
    for number, name in enumerate(plan.compare):
        agreed = rules_that_agree(plan, name)
        asked = pairs.filter(~pl.col("rule").is_in(agreed)) if agreed else pairs
        if asked.is_empty():
            continue
        values = [table[name].gather(_rows(table["__i"], asked[end])) for table, end in ((left, "l"), (right, "r"))]
        told = [pl.lit(None) if plan.field(name).type == "text" else pl.col(end) for end in ("left", "right")]
        found = asked.select("l", "r", left=values[0], right=values[1]).filter(values[0].ne_missing(values[1]))
        found = found.with_columns(field=pl.lit(number), left=told[0], right=told[1])
        parts.append(found.select(*DIFFERING_SCHEMA).cast(DIFFERING_SCHEMA))  # type: ignore[arg-type]
    return pl.concat(parts)


def rules_that_agree(plan: Plan, name: str) -> list[int]:
    """The numbers of the rules whose matches are not asked for this field: they compare it, or its total."""
    return [n for n, r in enumerate(plan.rules) if any(c.field == name and (c.is_equality or c.total) for c in r.on)]


def _rows(ascending: pl.Series, positions: pl.Series) -> pl.Series:
    """In which rows of a table, whose positions are `ascending`, these positions are."""
    first, last = int(ascending[0]), int(ascending[-1])
    if last - first + 1 == len(ascending):  # without a gap
        return positions - first
    return ascending.search_sorted(positions)


def differences_table(
    plan: Plan, found: pl.DataFrame, places: tuple[Places, Places], typed: tuple[pl.LazyFrame, pl.LazyFrame]
) -> pl.LazyFrame:
    """The differences table of DESIGN.md, of what was found differing (match_id and DIFFERING_SCHEMA).

    `typed`: per side the typed records by position. Numbers and dates are shown as they were compared (after cleaning),
    so that the difference adds up; text is shown as it was read. `difference` is right minus left: an exact decimal,
    days (seconds for datetimes), or the similarity 0-1 of texts; null where a value is missing.

    It is made piece by piece as it is written, so that it need not fit into memory.
    """
    found = found.sort("match_id", pl.col("field").replace_strict(_alphabetical(plan.compare)), "l", "r")
    texts = {
        number: [_texts(side, name, mine[end]) for side, end in zip(typed, "lr", strict=True)]
        for number, name in enumerate(plan.compare)
        if plan.field(name).type == "text" and (mine := found.filter(pl.col("field") == number)).height
    }

    def pieces(
        columns: list[str] | None, _predicate: pl.Expr | None, _rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        told = dict.fromkeys(texts, 0)
        for piece in found.iter_slices(_PIECE):
            parts = [empty()]
            for number, name in enumerate(plan.compare):
                mine = piece.filter(pl.col("field") == number)
                if mine.is_empty():
                    continue
                if number in texts:
                    left, right = (text.slice(told[number], mine.height) for text in texts[number])
                    mine, told[number] = mine.with_columns(left=left, right=right), told[number] + mine.height
                parts.append(_of_field(plan.field(name), mine, places))
            ordered = pl.concat(parts).sort("match_id", "field", maintain_order=True)
            yield ordered.select(columns or pl.all())

    return register_io_source(pieces, schema=empty().schema)


def _alphabetical(names: tuple[str, ...]) -> dict[int, int]:
    """The place of each name in the alphabet, by its number."""
    return {names.index(name): place for place, name in enumerate(sorted(names))}


def _of_field(spec: FieldSpec, found: pl.DataFrame, places: tuple[Places, Places]) -> pl.DataFrame:
    """What differs in one field, as it is told; the order is kept."""
    return found.select(
        "match_id",
        pl.lit(spec.name).alias("field"),
        places[0].row_of(found["l"]).alias("left_row"),
        places[1].row_of(found["r"]).alias("right_row"),
        *shown(spec),
    )


def _texts(typed: pl.LazyFrame, name: str, positions: pl.Series) -> pl.Series:
    """The texts of a field at these positions."""
    wanted = positions.unique().sort()
    kept = typed.select(name).with_row_index("__i").filter(pl.col("__i").is_in(wanted.implode()))
    texts = kept.collect(engine="streaming").sort("__i")[name]
    return texts.gather(wanted.search_sorted(positions))


def empty() -> pl.DataFrame:
    """The differences table without rows."""
    text = ("left_value", "right_value", "difference")
    schema = {"match_id": pl.Int64, "field": pl.String, "left_row": pl.Int64, "right_row": pl.Int64}
    return pl.DataFrame(schema=schema | dict.fromkeys(text, pl.String))


def shown(spec: FieldSpec) -> list[pl.Expr]:
    """Both values and their difference as text, from `left` and `right`: texts, or comparable values."""
    left, right = pl.col("left"), pl.col("right")
    difference = right.cast(pl.Int64) - left.cast(pl.Int64)
    if spec.type == "text":
        shown = [left, right, _similarity()]
    elif spec.type in ("decimal", "integer"):
        shown = [units_text(value, spec.digits) for value in (left, right, difference)]
    elif spec.type == "date":
        shown = [value.cast(pl.Int32).cast(pl.Date).dt.to_string("%Y-%m-%d") for value in (left, right)]
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
