"""Columns that are made of several: a name that one file writes in one column and the other in two."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from recon_engine.errors import InputError
from recon_engine.plan import ReaderOptions
from recon_engine.reading.table import TextTable, header_names


def with_combined(table: TextTable, options: ReaderOptions) -> TextTable:
    """The table with a column for each of the options' `combined`; as it is where there is none.

    Raises InputError where one of the columns it is made of does not exist, or its own name is taken or no column's.
    """
    if not options.combined:
        return table
    for name, parts in options.combined.items():
        missing = [repr(part) for part in parts if part not in table.columns]
        if missing:
            raise InputError(
                f"{table.name}: there is no column {' and no '.join(missing)} to make '{name}' of; "
                f"the columns are {', '.join(table.columns[:50])}"
            )
        if name in table.columns:
            raise InputError(f"{table.name}: has a column '{name}' already; call the combined one something else")
    if header_names(table.name, list(options.combined)) != tuple(options.combined):
        raise InputError(
            f"{table.name}: the name of a combined column is empty, or begins or ends with a space; mend it"
        )
    made = [combined(parts).alias(name) for name, parts in options.combined.items()]
    every = {**table.combined, **options.combined}
    table.facts.given("combined", "; ".join(f"{n} of {' and '.join(p)}" for n, p in every.items()))
    return replace(
        table,
        frame=table.frame.with_columns(made),
        native=None if table.native is None else table.native.with_columns(made),
        columns=(*table.columns, *options.combined),
        combined=every,
    )


def combined(columns: tuple[str, ...]) -> pl.Expr:
    """The texts of these columns, one after the other with a space between; an empty one is passed over, and where all
    are, there is nothing.
    """
    cells = [pl.col(c).str.strip_chars() for c in columns]
    text = pl.concat_str([pl.when(cell != "").then(cell) for cell in cells], separator=" ", ignore_nulls=True)
    return pl.when(text != "").then(text)
