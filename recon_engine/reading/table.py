"""A file opened as text: what every reader hands over, whatever the format was."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.errors import InputError, Issue
from recon_engine.reading.limits import check_columns

ROW = "__row"
NATIVE = "="
"""Before a column's name: its own values, in formats that know types."""
REJECTED_SCHEMA = pl.Schema(
    {"row": pl.Int64, "line": pl.Int64, "column": pl.String, "raw": pl.String, "reason": pl.String}
)


class Scratch:
    """A temporary folder for unpacked or transcoded copies; it goes when the table that holds it goes."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def path(self, name: str) -> Path:
        """A path in the folder, which is made at the first call."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="recon-", ignore_cleanup_errors=True)
        return Path(self._folder.name) / name


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing used to read the file, and whether the options gave it or the file showed it."""

    value: Any
    decided_by: str


class Facts:
    """How the file was read: format, delimiter, quote, encoding, header row, sheet, compression."""

    def __init__(self) -> None:
        self._items: dict[str, Fact] = {}

    def given(self, name: str, value: Any) -> None:
        """Note something that the options gave."""
        self._items[name] = Fact(value, "given")

    def detected(self, name: str, value: Any) -> None:
        """Note something that the file showed."""
        self._items[name] = Fact(value, "detected")

    def value(self, name: str) -> Any:
        """The value of a fact, None when it does not apply to this format."""
        fact = self._items.get(name)
        return None if fact is None else fact.value

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Plain data for JSON."""
        return {name: {"value": f.value, "decided_by": f.decided_by} for name, f in self._items.items()}


def no_rejects() -> pl.DataFrame:
    """An empty table of rejected rows."""
    return pl.DataFrame(schema=REJECTED_SCHEMA)


def row_is_line(rows: pl.Series) -> pl.Series:
    """For formats without physical lines the row number is the place."""
    return rows.cast(pl.Int64)


@dataclass(frozen=True)
class TextTable:
    """A file as text.

    `frame` has ROW (UInt32, the 1-based data row) first, then every column as String, named as in the header; an
    empty cell is null. Rows that are no rows (`rejected`: wrong number of cells, undecodable text) are not in `frame`
    but keep their row number. `issues` is worth telling and stopped nothing. `native`: of a format that knows types,
    the frame with the values themselves too, as NATIVE and the name: what is a date already is not read from text.
    `parts`: the columns of debits and credits that an amount is made of; `combined`: what others are made of.
    """

    path: Path
    name: str
    frame: pl.LazyFrame
    columns: tuple[str, ...]
    facts: Facts
    rejected: pl.DataFrame = field(default_factory=no_rejects)
    issues: tuple[Issue, ...] = ()
    line_of: Callable[[pl.Series], pl.Series] = row_is_line
    is_ragged: Callable[[], bool] | None = None
    reopen: Callable[[], TextTable] | None = None
    scratch: Scratch | None = None
    native: pl.LazyFrame | None = None
    parts: tuple[str, str] | None = None
    combined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def made(self) -> dict[str, Any]:
        """The reader options that say of which columns others are made; empty where none is."""
        amount = dict(zip(("debit", "credit"), self.parts, strict=True)) if self.parts else {}
        return amount | ({"combined": dict(self.combined)} if self.combined else {})

    def lines(self, rows: pl.Series) -> pl.Series:
        """The physical 1-based line (spreadsheets: sheet row) of each of these data rows."""
        return self.line_of(rows)

    def suspect_ragged(self) -> bool:
        """True when the lazily opened file has rows of another width, blank lines or stray quotes: reopen it strictly.

        Waits for the check that began when the file was opened. Rows that are too long hide from a scan that reads
        some columns only, so a scan without error proves nothing. Raises InputError where the file holds NUL bytes.
        """
        return self.is_ragged() if self.is_ragged is not None else False

    def reopened_strictly(self) -> TextTable:
        """The same file read by the robust path: every record examined, the bad ones in `rejected`."""
        return self.reopen() if self.reopen is not None else self

    def settled(self) -> TextTable:
        """This table, reopened strictly if need be: its rows and rejected rows are final."""
        return self.reopened_strictly() if self.suspect_ragged() else self


def staged(table: TextTable) -> TextTable:
    """The settled table with its text kept in a scratch Parquet file, so that each question reads little."""
    table = table.settled()
    if table.facts.value("format") != "csv":
        return table
    scratch = table.scratch or Scratch()
    copy = scratch.path("staged.parquet")
    table.frame.sink_parquet(copy, compression="lz4", statistics=False)
    return replace(table, frame=pl.scan_parquet(copy, glob=False), scratch=scratch)


def header_names(name: str, cells: list[str]) -> tuple[str, ...]:
    """Column names from header cells: trimmed, empty ones called column_N. Raises InputError on repeated names."""
    names = [cell.strip() or f"column_{position}" for position, cell in enumerate(cells, start=1)]
    check_columns(name, len(names))
    places: dict[str, list[int]] = {}
    for position, column in enumerate(names, start=1):
        places.setdefault(column, []).append(position)
    repeated = [f"'{c}' (columns {', '.join(map(str, p))})" for c, p in places.items() if len(p) > 1]
    if repeated and sum(1 for c in cells if c.strip()[:1].isdigit()) > len(cells) / 2:
        raise InputError(f"{name}: the first row looks like data, not like column names; add a header row to the file")
    if repeated:
        raise InputError(f"{name}: the header repeats {'; '.join(repeated[:5])}; give each column its own name")
    patterns = [c for c in names if c == "*" or (c.startswith("^") and c.endswith("$"))]
    if patterns:
        raise InputError(f"{name}: a column is called '{patterns[0]}', which stands for other columns; rename it")
    if ROW in places:
        raise InputError(f"{name}: a column is called '{ROW}', which is reserved; rename it")
    return tuple(names)


def empty_as_null(columns: tuple[str, ...], nulls: tuple[str, ...]) -> list[pl.Expr]:
    """Expressions that make an empty cell, and the texts in `nulls`, null."""
    column = pl.col(columns)
    absent = column == ""
    if nulls:
        absent |= column.is_in(list(nulls))
    return [pl.when(~absent).then(column)]
