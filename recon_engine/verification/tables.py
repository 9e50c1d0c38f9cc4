"""Whether two tables are the same, and where they first are not."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recon_engine.verification.checks import how_many

_SLICE = 1 << 19
# Of numbers that are not exact the last digits may be others on another processor.
_CLOSE, _NIL = 1e-6, 1e-9


def unlike(told: Path, made: Path) -> str | None:
    """In words where the two tables differ, row by row; None where they do not."""
    tables = pl.scan_parquet(told), pl.scan_parquet(made)
    kinds = tables[0].collect_schema(), tables[1].collect_schema()
    if kinds[0].names() != kinds[1].names():
        return f"its columns are {', '.join(kinds[0].names())}, not {', '.join(kinds[1].names())}"
    other = [name for name in kinds[0] if _plain(kinds[0][name]) != _plain(kinds[1][name])]
    if other:
        return f"{', '.join(other)} is of another type"
    rows, expected = map(how_many, tables)
    if rows != expected:
        return f"it has {rows:,} rows, not {expected:,}"
    apart: dict[str, tuple[int, int]] = {}
    for begin in range(0, rows, _SLICE):
        one, two = (table.slice(begin, _SLICE).collect() for table in tables)
        for name in one.columns:
            differ = _differing(one[name], two[name])
            if count := int(differ.sum()):
                before, first = apart.get(name, (0, begin + int(differ.arg_max() or 0) + 1))
                apart[name] = before + count, first
    told_of = [f"{name} in {count:,} rows, first in row {first:,}" for name, (count, first) in apart.items()]
    return f"differs: {'; '.join(told_of)}" if told_of else None


def _plain(kind: pl.DataType) -> pl.DataType:
    """The type of a column; names are told as text, in whatever categories."""
    return pl.String() if isinstance(kind, pl.Enum | pl.Categorical) else kind


def _differing(one: pl.Series, two: pl.Series) -> pl.Series:
    """True where the values are not the same; numbers that are not exact may differ in their last digits."""
    if one.dtype != two.dtype:
        one, two = one.cast(pl.String), two.cast(pl.String)
    apart = one.ne_missing(two)
    if one.dtype.is_float() and apart.any():
        near = (one - two).abs() <= _NIL + _CLOSE * two.abs()
        return apart & ~near.fill_null(False)
    return apart
