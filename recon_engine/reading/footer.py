"""Rows at the end of a file that are no records, such as its total: set apart as rejected rows, never lost."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from recon_engine.plan import ReaderOptions
from recon_engine.reading.table import REJECTED_SCHEMA, ROW, TextTable

_SHOWN = 500  # characters of a row
_LEFT_OUT = "left out by footer_rows"


def misread(table: TextTable) -> int:
    """How many rows are rejected for what they are: those that were left out by choice do not count."""
    return table.rejected.filter(~pl.col("reason").str.starts_with(_LEFT_OUT)).height


def without_footer(table: TextTable, options: ReaderOptions) -> TextTable:
    """The table without its last `footer_rows` data rows: these are `rejected`, with their text and why; those that
    are rejected already stay so. As it is where the options leave out none.
    """
    many = options.footer_rows
    if many is None:
        return table
    table = table.settled()
    table.facts.given("footer_rows", many)
    numbers = pl.concat([table.frame.select(row=pl.col(ROW).cast(pl.Int64)), table.rejected.lazy().select("row")])
    last = int(numbers.max().collect(engine="streaming").item() or 0)
    is_footer = pl.col(ROW) > last - many
    text = pl.concat_str(list(table.columns), separator=", ", ignore_nulls=True).str.head(_SHOWN)
    found = table.frame.filter(is_footer).select(row=pl.col(ROW).cast(pl.Int64), raw=text).collect(engine="streaming")
    what = "the last row is no record" if many == 1 else f"the last {many} rows are no records"
    apart = found.with_columns(
        line=table.lines(found["row"]).cast(pl.Int64),
        column=pl.lit(None, pl.String),
        reason=pl.lit(f"{_LEFT_OUT}: {what}"),
    )
    return replace(
        table,
        frame=table.frame.filter(~is_footer),
        native=None if table.native is None else table.native.filter(~is_footer),
        rejected=pl.concat([table.rejected, apart.select(REJECTED_SCHEMA.names())]).sort("row"),
    )
