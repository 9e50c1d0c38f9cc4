"""What became of the breaks between two runs of the same plan: new, gone, still open.

A record is known again by its content, not by its row number: files grow and rows move. Records that are equal in
every field that both plans have are counted, not told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

KEY = ["side", "__content"]
SHOWN = 50


def compared(
    earlier: Sequence[tuple[pl.LazyFrame, pl.LazyFrame]],
    now: Sequence[tuple[pl.LazyFrame, pl.LazyFrame]],
    fields: Sequence[str],
) -> dict[str, Any]:
    """`new`, `gone` and `still` as counts, and of the new and the gone ones the first rows with their values.

    `earlier` and `now` hold per side the run's breaks and records. Only what is shown leaves the scan.
    """
    before, after = _open(earlier, fields), _open(now, fields)
    counted = [frame.group_by(KEY).len() for frame in (before, after)]
    both = (
        counted[0]
        .join(counted[1], on=KEY, how="full", coalesce=True, suffix="_now")
        .with_columns(pl.col("len", "len_now").fill_null(0).cast(pl.Int64))
    )
    kept = pl.min_horizontal("len", "len_now")
    totals = both.select(
        new=(pl.col("len_now") - kept).sum(), gone=(pl.col("len") - kept).sum(), still=kept.sum()
    ).collect(engine="streaming")
    return {
        **totals.row(0, named=True),
        "new_rows": _surplus(after, counted[0]),
        "gone_rows": _surplus(before, counted[1]),
    }


def _open(sides: Sequence[tuple[pl.LazyFrame, pl.LazyFrame]], fields: Sequence[str]) -> pl.LazyFrame:
    """The open records of both sides with their values as text, and which of its equals each one is."""
    parts = []
    for breaks, records in sides:
        kinds = records.select(fields).collect_schema()
        content = [_comparable(name, kind).fill_null("\x00") for name, kind in kinds.items()]
        own = records.select(
            pl.col("source").cast(pl.String),
            "row",
            *(pl.col(name).cast(pl.String) for name in fields),
            pl.concat_str(content, separator="\x1f").alias("__content"),
        )
        told = breaks.select(pl.col("side", "source", "category").cast(pl.String), "row", "reason")
        parts.append(told.join(own, on=["source", "row"], how="inner"))
    return pl.concat(parts).sort("side", "source", "row").with_columns(pl.int_range(pl.len()).over(KEY).alias("__copy"))


def _surplus(frame: pl.LazyFrame, others: pl.LazyFrame) -> list[dict[str, Any]]:
    """The first rows that have no equal among the others."""
    joined = frame.join(others, on=KEY, how="left").filter(pl.col("__copy") >= pl.col("len").fill_null(0))
    shown = joined.sort("side", "source", "row").head(SHOWN).drop("__content", "__copy", "len")
    return shown.collect(engine="streaming").to_dicts()


def _comparable(name: str, kind: pl.DataType) -> pl.Expr:
    """A value as text that does not depend on how many digits the run kept."""
    text = pl.col(name).cast(pl.String)
    if isinstance(kind, pl.Decimal):
        trimmed = text.str.strip_chars_end("0").str.strip_chars_end(".")
        return pl.when(text.str.contains(".", literal=True)).then(trimmed).otherwise(text)
    return text
