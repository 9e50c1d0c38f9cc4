"""Where the records of a side stand in its files."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Places:
    """Source and row of each record of a side, by position.

    `names`: the sources of all sides. `source`: in these categories, or the one source that all records are of. `row`:
    1-based data rows (UInt32); None where the records are the rows of one source, all of them, in order.
    """

    names: pl.Enum
    source: pl.Series | str
    row: pl.Series | None

    def source_of(self, positions: pl.Series) -> pl.Series:
        """The sources (in the categories `names`) of the records at these positions."""
        if isinstance(self.source, pl.Series):
            return self.source.gather(positions).alias("source")
        return pl.Series("source", [self.source], dtype=self.names).new_from_index(0, len(positions))

    def row_of(self, positions: pl.Series) -> pl.Series:
        """The rows (Int64) of the records at these positions."""
        if self.row is not None:
            return self.row.gather(positions).cast(pl.Int64).alias("row")
        return (positions.cast(pl.Int64) + 1).alias("row")
