"""What became of the breaks between two runs of the same plan: new, gone, still open.

A record is known again by its content, not by its row number: files grow and rows move. Records that are equal in
every field that both plans have are counted, not told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

Sides = Mapping[str, tuple[pl.LazyFrame, pl.LazyFrame]]
"""By the name of a side, the breaks of a run there and its records."""
KEY = ["side", "__content"]
SHOWN = 50


def compared(earlier: Sides, now: Sides, fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """`new`, `gone` and `still` as counts, and of the new and the gone ones the first rows with their values.

    `earlier` and `now` have the same sides, `fields` those that both runs read on each. Values are looked up for the
    shown rows only.
    """
    before, after = (_open(sides, fields).collect(engine="streaming") for sides in (earlier, now))
    counts = [frame.group_by(KEY).len() for frame in (before, after)]
    both = counts[0].join(counts[1], on=KEY, how="full", coalesce=True, suffix="_now")
    both = both.with_columns(pl.col("len", "len_now").fill_null(0).cast(pl.Int64))
    kept = pl.min_horizontal("len", "len_now")
    totals = both.select(new=(pl.col("len_now") - kept).sum(), gone=(pl.col("len") - kept).sum(), still=kept.sum())
    return {
        **totals.row(0, named=True),
        "new_rows": _told(_surplus(after, counts[0]), now, fields),
        "gone_rows": _told(_surplus(before, counts[1]), earlier, fields),
    }


def _open(sides: Sides, fields: Mapping[str, Sequence[str]]) -> pl.LazyFrame:
    """The open records of all sides: which they are, and a fingerprint of their content."""
    parts = []
    for side, (breaks, records) in sides.items():
        kinds = records.select(fields[side]).collect_schema()
        content = pl.concat_str([_comparable(*kind).fill_null("\x00") for kind in kinds.items()], separator="\x1f")
        own = records.select(pl.col("source").cast(pl.String), "row", content.hash().alias("__content"))
        open_ones = breaks.select(pl.col("side", "source").cast(pl.String), "row")
        parts.append(open_ones.join(own, on=["source", "row"], how="inner"))
    return pl.concat(parts)


def _surplus(frame: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The first records that have no equal among the others."""
    counted = frame.join(others, on=KEY, how="left").with_columns(pl.col("len").fill_null(0))
    own = pl.len().over(KEY)
    more = counted.filter(pl.col("len") < own).sort("side", "source", "row")
    return more.filter(pl.int_range(pl.len()).over(KEY) >= pl.col("len")).head(SHOWN)


def _told(shown: pl.DataFrame, sides: Sides, fields: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """The records with category, reason and values, amounts and dates as text."""
    place = ["source", "row"]
    parts = []
    for side, (breaks, records) in sides.items():
        mine = shown.filter(pl.col("side") == side).select("side", *place)
        wanted = pl.col("row").is_in(mine["row"].implode())
        why = breaks.filter(wanted).select(pl.col("source", "category").cast(pl.String), "row", "reason")
        values = records.filter(wanted).select(pl.col("source", *fields[side]).cast(pl.String), "row")
        joined = mine.lazy().join(why, on=place, how="left").join(values, on=place, how="left")
        parts.append(joined.sort(place).collect())
    return pl.concat(parts, how="diagonal").to_dicts()


def _comparable(name: str, kind: pl.DataType) -> pl.Expr:
    """A value as text that does not depend on how many digits the run kept."""
    text = pl.col(name).cast(pl.String)
    if isinstance(kind, pl.Decimal):
        trimmed = text.str.strip_chars_end("0").str.strip_chars_end(".")
        return pl.when(text.str.contains(".", literal=True)).then(trimmed).otherwise(text)
    return text
