"""Parquet files: scanned lazily, every column turned to text without loss."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recon_engine.errors import InputError, Issue
from recon_engine.plan import ReaderOptions
from recon_engine.reading.table import NATIVE, ROW, Facts, Scratch, TextTable, empty_as_null, header_names


def open_parquet(path: Path, name: str, options: ReaderOptions, facts: Facts, scratch: Scratch) -> TextTable:
    """Open a Parquet file as text. Raises InputError for damaged files and for nested or binary columns."""
    scan = pl.scan_parquet(path, glob=False)
    try:
        schema = scan.collect_schema()
        rows = int(scan.select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{name}: is a damaged Parquet file ({str(error).splitlines()[0]}); write it again") from error
    columns = header_names(name, schema.names())
    for column, kind in schema.items():
        if kind.is_nested() or kind in (pl.Binary, pl.Object):
            raise InputError(
                f"{name}: column '{column}' is of type {kind}, not a single value; leave it out or flatten it"
            )
    text = [_as_text(column, kind).alias(new) for (column, kind), new in zip(schema.items(), columns, strict=True)]
    own = [pl.col(column).alias(f"{NATIVE}{new}") for column, new in zip(schema.names(), columns, strict=True)]
    native = scan.select(*text, *own).with_columns(empty_as_null(columns, options.nulls)).with_row_index(ROW, 1)
    issues = (Issue(name, None, None, "no_rows", "the file has columns and no rows"),) if rows == 0 else ()
    return TextTable(
        path=path,
        name=name,
        frame=native.select(ROW, *columns),
        columns=columns,
        facts=facts,
        issues=issues,
        scratch=scratch,
        native=native,
    )


def _as_text(column: str, kind: pl.DataType) -> pl.Expr:
    value = pl.col(column)
    if isinstance(kind, pl.Datetime):
        # Times with a zone are told in UTC; fractions of a second only where there are any.
        if kind.time_zone is not None:
            return value.dt.convert_time_zone("UTC").dt.to_string("iso:strict")
        return value.dt.to_string("%Y-%m-%dT%H:%M:%S%.f")
    if kind in (pl.Date, pl.Time) or isinstance(kind, pl.Duration):
        return value.dt.to_string("iso")
    if kind.is_float():
        return value.fill_nan(None).cast(pl.String)  # writers without nulls put NaN where a value is missing
    return value.cast(pl.String)
