"""The files of one side as one table of text, for looking at them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from recon_engine.errors import InputError
from recon_engine.reading.table import ROW, Scratch, TextTable


def joined(tables: Sequence[TextTable]) -> TextTable:
    """The rows of all tables under the columns that all of them have, numbered anew; one table stays as it is.

    Raises InputError where the tables have no column in common.
    """
    if len(tables) == 1:
        return tables[0]
    settled = [table.settled() for table in tables]
    shared = set.intersection(*(set(table.columns) for table in settled))
    columns = tuple(column for column in settled[0].columns if column in shared)
    if not columns:
        names = ", ".join(table.name for table in settled)
        raise InputError(f"{names} have no column in common; the files of one side need the same columns")
    scratch = Scratch()
    copy = scratch.path("joined.parquet")
    rows = pl.concat([table.frame.select(columns) for table in settled]).with_row_index(ROW, offset=1)
    rows.sink_parquet(copy, compression="lz4", statistics=False)
    return replace(
        settled[0],
        frame=pl.scan_parquet(copy, glob=False),
        columns=columns,
        rejected=pl.concat([table.rejected for table in settled]),
        issues=tuple(issue for table in settled for issue in table.issues),
        is_ragged=None,
        reopen=None,
        scratch=scratch,
    )
