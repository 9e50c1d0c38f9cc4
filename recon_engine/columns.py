"""The columns of a file as seen for mapping: how their values can be read, and what both files are compared by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl

from recon_engine.plan import CleanStep, ReaderOptions
from recon_engine.reading.table import ROW, TextTable
from recon_engine.value_types import Reading, candidates

# About so many distinct values of each column are compared; in larger files the same values of both sides are picked.
VALUES_COMPARED = 40_000
NUMBERS = ("decimal", "integer")
Steps = tuple[CleanStep, ...]
_TYPING_ROWS = 20_000
_FEW_VALUES = 50
_SEED = 20_260
_SEVERAL_WORDS = 0.3


@dataclass
class Column:
    """A column as seen for mapping. `keys`: its distinct comparable values of the picked part, as text; `spelling`: the
    clean steps that bring its codes into the other side's spelling; `sound`: no cell of a sample is unlike the others.
    """

    name: str
    readings: list[Reading]
    filled: float
    distinct: int
    repeats: float
    keys: pl.Series
    raw: pl.Series = field(repr=False)
    spelling: Steps = ()
    sound: bool = True

    @property
    def kind(self) -> str:
        """The type the values show: text, integer, decimal, date, datetime, boolean."""
        return self.readings[0].kind if self.readings else "text"

    @cached_property
    def wordy(self) -> bool:
        """True for texts that have several words now and then."""
        several = self.raw.str.contains(r"\p{L}\W+\p{L}").mean()
        return self.kind == "text" and float(several or 0) >= _SEVERAL_WORDS  # type: ignore[arg-type]

    @property
    def undecided(self) -> bool:
        """True when values can be read in two ways that differ."""
        if len(self.readings) < 2:
            return False
        values = self.raw.alias("v").to_frame().select(r.value("v").alias(str(i)) for i, r in enumerate(self.readings))
        return any(not values["0"].equals(values[str(i)].alias("0")) for i in range(1, len(self.readings)))


def columns_of(table: TextTable, options: ReaderOptions, rows: int, part: int) -> list[Column]:
    """The columns of one file; `part` says that one distinct value in so many is picked."""
    step = max(1, rows // _TYPING_ROWS)
    sampled = table.frame if step == 1 else table.frame.filter(pl.col(ROW) % step == 0)
    sample = sampled.collect(engine="streaming")
    readings = {c: _kept(candidates(c, sample[c]), options) for c in table.columns}
    for c in table.combined:  # two numbers beside each other are no number with a mark for thousands
        readings[c] = [r for r in readings[c] if r.kind not in NUMBERS]
    found = []
    for c in table.columns:
        key = comparable(c, readings[c], thorough=part == 1)
        raw = table.frame.filter(_is_picked(key, part)).select(c).collect(engine="streaming")[c]
        spread = part
        if part > 1 and raw.n_unique() < _FEW_VALUES:
            # A column of few values may have none among those picked: the sample has them all.
            raw, spread = sample[c].drop_nulls(), 1
        keys = raw.alias(c).to_frame().select(key).to_series().drop_nulls()
        distinct = keys.unique()
        filled = 1 - sample[c].null_count() / max(1, sample.height)
        repeats = 1 - len(distinct) / len(keys) if len(keys) else 0.0
        sound = not readings[c] or bool(sample.select(readings[c][0].fits(c).all()).item())
        seen = (filled, len(distinct) * spread, repeats, distinct, raw.unique())
        found.append(Column(c, readings[c], *seen, sound=sound))
    return found


def _kept(found: list[Reading], options: ReaderOptions) -> list[Reading]:
    same = [r for r in found if r.kind == found[0].kind] if found else []
    given = [r for r in same if r.kind == "decimal" and r.mark == options.decimal] if options.decimal else []
    return given or same


def comparable(column: str, readings: list[Reading], *, thorough: bool) -> pl.Expr:
    """A cell as text that is equal on both sides when the values are: numbers and dates in one form, codes in one.

    `thorough` also drops punctuation and inner spaces, which costs too much in large files.
    """
    reading = readings[0] if readings else None
    if reading is None or reading.kind == "boolean":
        text = pl.col(column).str.strip_chars().str.to_lowercase()
        text = text.str.replace_all(r"[^\p{L}\p{N}]+", "") if thorough else text
        return pl.when(text != "").then(text)
    if reading.kind in NUMBERS:
        return number_key(reading.value(column))
    return reading.value(column).cast(pl.Date).cast(pl.String)


def number_key(value: pl.Expr) -> pl.Expr:
    """A number as text: 6 and 6.0 are the same, and the same as the code "6" of a column that has letters elsewhere."""
    return value.cast(pl.String).str.strip_suffix(".0")


def _is_picked(key: pl.Expr, part: int) -> pl.Expr:
    return key.is_not_null() if part == 1 else key.is_not_null() & (key.hash(_SEED) % part == 0)


def as_text(column: Column) -> Column:
    """The column read as text, whatever its values are."""
    keys = column.raw.alias("v").to_frame().select(comparable("v", [], thorough=True)).to_series()
    return replace(column, readings=[], keys=keys.drop_nulls().unique())


def as_read(column: Column, reading: Reading) -> Column:
    """The column with one of its readings decided."""
    keys = column.raw.alias("v").to_frame().select(comparable("v", [reading], thorough=True)).to_series()
    return replace(column, readings=[reading], keys=keys.drop_nulls().unique())


def contained(a: pl.Series, b: pl.Series) -> float:
    """The share of the values of the shorter one that the other has too."""
    small, large = (a, b) if len(a) <= len(b) else (b, a)
    return float(small.is_in(large.implode()).mean() or 0.0)  # type: ignore[arg-type]
