"""What a column's text can be read as: numbers in their conventions, dates in their formats, and what stays text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import polars as pl

from recon_engine.reading.amounts import currency_written, signed
from recon_engine.reading.casting import (
    DATE_FORMATS,
    DATETIME_FORMATS,
    EPOCH,
    date_value,
    datetime_value,
    fitting_formats,
    usual,
)

# Below this share of readable cells a column is text that happens to hold a number or a date now and then.
MOSTLY = 0.95
# From so many cells on, one mistake is a mistake, and not what the column is like.
_FEW = 6
# Texts are far more frequent than amounts with a currency: so many cells tell whether it is worth looking at all.
_GLANCE, _LIKELY = 200, 0.8
_DATE_WORDS = re.compile(r"date|day|datum|posted|booked|paid|due|_on$|_at$|time|created|updated", re.IGNORECASE)
_COMPACT_FORMATS = ("%y%m%d", "%Y%m%d", "%Y%m%d%H%M%S")
# Every other format has two marks between three numbers, the name of a month, or a year of four digits beside a month:
# most columns have none of them.
_MARKS_OF_DATES = r"[0-9][^0-9]+[0-9]+[^0-9]+[0-9]|\p{L}.*[0-9]|[0-9].*\p{L}|^[0-9]{4}-[0-9]{2}$|^[0-9]{1,2}/[0-9]{4}$"
_BOOLEAN_WORDS = ["true", "false", "yes", "no", "t", "f", "y", "n"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a column: `kind` and, by kind, the date format, or the decimal and thousands marks, and the
    `currency` where amounts are written as in books ("" for brackets and trailing signs alone).
    """

    kind: str
    form: str | None = None
    mark: str | None = None
    thousands: str | None = None
    currency: str | None = None

    @property
    def told(self) -> str:
        """What is special to it, in words: the format of its dates or the marks of its numbers."""
        if self.form:
            return self.form
        between = f", '{self.thousands}' between thousands" if self.thousands else ""
        return f"decimal mark '{self.mark}'{between}"

    def fits(self, column: str) -> pl.Expr:
        """True where the cell can be read so; null where it is null."""
        text = pl.col(column).str.strip_chars()
        if self.kind == "date":
            return date_value(text, self.form or "").is_not_null() | text.is_null()
        if self.kind == "datetime":
            return datetime_value(text, self.form or "").is_not_null() | text.is_null()
        if self.kind == "boolean":
            return text.str.to_lowercase().is_in(_BOOLEAN_WORDS)
        if self.kind == "integer":
            return text.str.contains(r"^[+-]?[0-9]{1,18}$")
        fitting = self._number(column).str.contains(_number_pattern(self.mark or ".", self.thousands))
        return fitting if self.currency is None else pl.when(text.is_not_null()).then(fitting.fill_null(value=False))

    def value(self, column: str) -> pl.Expr:
        """The typed value, null where it cannot be read; numbers as Float64, for ranges and overlaps only."""
        text = pl.col(column).str.strip_chars()
        if self.kind == "date":
            return date_value(text, self.form or "")
        if self.kind == "datetime":
            return datetime_value(text, self.form or "")
        if self.kind == "decimal":
            return self.plain(column).cast(pl.Float64, strict=False)
        if self.kind == "integer":
            return text.cast(pl.Int64, strict=False)
        return text

    def plain(self, column: str) -> pl.Expr:
        """A number's text with a point as its decimal mark and nothing between thousands."""
        text = self._number(column)
        if self.thousands:
            text = text.str.replace_all(self.thousands, "", literal=True)
        return text.str.replace(",", ".", literal=True) if self.mark == "," else text

    def _number(self, column: str) -> pl.Expr:
        text = pl.col(column)
        return text.str.strip_chars() if self.currency is None else signed(text, self.currency)


NUMBER_READINGS = tuple(
    Reading("decimal", mark=mark, thousands=thousands)
    for mark, thousands in ((".", None), (",", None), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"))
)


def _number_pattern(mark: str, thousands: str | None) -> str:
    m = re.escape(mark)
    plain = rf"[0-9]+({m}[0-9]*)?|{m}[0-9]+"
    if thousands:
        t = re.escape(thousands)
        plain = rf"{plain}|[1-9][0-9]{{0,2}}({t}[0-9]{{3}})+({m}[0-9]*)?"
    return rf"^[+-]?({plain})$"


def candidates(name: str, values: pl.Series) -> list[Reading]:
    """The readings that fit all values of a sample or, where none does, nearly all; in order of preference.

    An empty list means text. Codes with leading zeros are text: as numbers they would lose them.
    """
    text = values.drop_nulls().str.strip_chars()
    if text.is_empty():
        return []
    frame = text.alias("v").to_frame()
    # Reading.fits looks a column up by name: here all are called v.
    boolean = Reading("boolean")
    if _share(frame, boolean) == 1:
        return [boolean]
    dates = _date_readings(name, text)
    if dates:
        return dates
    digits = text.str.contains(r"^[+-]?[0-9]+$")
    if digits.all():
        if text.str.contains(r"^[+-]?0[0-9]").any() or text.str.len_chars().max() > 18:  # type: ignore[operator]
            return []
        return [Reading("integer")]
    shares = [(_share(frame, reading), reading) for reading in NUMBER_READINGS]
    if max(share for share, _ in shares) < 1 and _written_as_in_books(text):
        currency = currency_written("v", frame.lazy())
        written = [replace(reading, currency=currency) for reading in NUMBER_READINGS]
        better = [(_share(frame, reading), reading) for reading in written]
        shares = max(shares, better, key=lambda each: max(share for share, _ in each))
    whole = [reading for share, reading in shares if share == 1]
    if whole:
        plain = [r for r in whole if r.thousands is None]
        # Thousands marks that no value has say nothing: keep them only where a plain reading would differ.
        return [*plain, *(r for r in whole if r.thousands is not None and _has(text, r.thousands))] or whole[:1]
    best = max(share for share, _ in shares)
    if best < _enough(len(text)):
        return []
    whole_numbers = Reading("integer")
    mostly = [reading for share, reading in shares if share == best]
    return [whole_numbers] if _share(frame, whole_numbers) == best else mostly[:1]


def _date_readings(name: str, text: pl.Series) -> list[Reading]:
    unique = text.unique()
    few = unique.sample(min(len(unique), 2_000), seed=1, shuffle=False) if len(unique) > 2_000 else unique
    hinted = _DATE_WORDS.search(name) is not None
    if hinted and few.str.contains(r"^1[0-9]{9}$").all():
        return [Reading("datetime", form=EPOCH)]
    if few.str.contains(r"^[0-9]+$").all():
        # Six digits are far more often a number than a date: only a telling name makes them one.
        forms = [f for f in _COMPACT_FORMATS if f != "%y%m%d" or hinted]
        plausible = few.str.contains(r"^((19|20)[0-9]{6}([0-9]{6})?|[0-9]{6})$").all()
        fitting = [f for f in fitting_formats(few, "datetime") if f in forms] if plausible else []
    elif few.str.contains(r"[0-9]").mean() < MOSTLY:  # type: ignore[operator]
        return []
    else:
        fitting = _fitting_with_marks(few)
    return [Reading("datetime" if f in DATETIME_FORMATS else "date", form=f) for f in fitting]


def _fitting_with_marks(few: pl.Series) -> list[str]:
    """The formats with marks between day, month and year that read all values or, where none does, nearly all."""
    enough = _enough(len(few)) * len(few)
    if few.str.contains(_MARKS_OF_DATES).sum() < enough:
        return []
    forms = [f for f in (*DATETIME_FORMATS, *DATE_FORMATS) if f not in _COMPACT_FORMATS]
    frame = few.to_frame("v")
    counts = frame.select(datetime_value(pl.col("v"), f).is_not_null().sum().alias(f) for f in forms).row(0, named=True)
    if whole := [f for f in forms if counts[f] == len(few)]:
        return usual(whole)
    best = max(counts.values())
    fitting = [f for f in (*DATE_FORMATS, *DATETIME_FORMATS) if counts.get(f) == best]
    return usual(fitting) if best >= enough else []


def _enough(cells: int) -> float:
    """The share of cells that must be readable: nearly all, and in a short column all but one."""
    return min(MOSTLY, (cells - 1) / cells) if cells >= _FEW else 1.0


def _written_as_in_books(text: pl.Series) -> bool:
    """Whether a few of the cells are amounts with a currency, in brackets and the like, or plain numbers."""
    few = text.gather_every(max(1, len(text) // _GLANCE)).alias("v").to_frame()
    known = signed(pl.col("v"), currency_written("v", few.lazy()))
    return float(few.select(known.is_not_null().mean()).item() or 0.0) >= _LIKELY


def _share(frame: pl.DataFrame, reading: Reading) -> float:
    return float(frame.select(reading.fits("v").mean()).item() or 0.0)


def _has(text: pl.Series, mark: str) -> bool:
    return bool(text.str.contains(mark, literal=True).any())
