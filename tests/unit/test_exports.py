"""Exports: no cell of them is run by a spreadsheet, and nothing in them is changed beyond recovery."""

from __future__ import annotations

import csv
import io
import itertools
import re
import tempfile
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from openpyxl import load_workbook

from services.result_exports import csv_chunk
from services.result_workbook import xlsx_file

STARTS = ["=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠"]
BEFORE = ["", " ", "'", "''", "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH NO-BREAK SPACE}"]
BODIES = ["cmd|' /C calc'!A0", 'HYPERLINK("http://x","y")', "SUM(A1:A9)*cmd|x", "1+1"]
PAYLOADS = ["".join(parts) for parts in itertools.product(BEFORE, STARTS, BODIES)]
HARMLESS = ["A-1", "x=1", "O'Neil", "'t Hooft", "a@b.org", "12.50", "-12.50", "+4", "-1,234.50", "-3e5", "", None]
MARKED = re.compile(r"^'['\s\ufeff\u200b]*[=+\-@\t\r\n\x00＝＋－＠]")
RISKY = re.compile(r"^[\s\ufeff\u200b]*[=+\-@\x00＝＋－＠]")
NUMBER = re.compile(r"^[+-]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?$")


def original(text: str) -> str:
    """The text before it was made harmless, by the documented rule."""
    return text[1:] if MARKED.match(text) and not NUMBER.match(text) else text


def test_there_are_enough_payloads() -> None:
    """At least 200 attacks are tried in each form."""
    assert len(set(PAYLOADS)) >= 200


def test_csv_holds_no_formula_and_loses_nothing() -> None:
    """Each payload comes back as text that begins with an apostrophe, and without it as the original."""
    frame = pl.DataFrame({"text": PAYLOADS})
    read = [row[0] for row in csv.reader(io.StringIO(csv_chunk(frame, header=False).decode(), newline=""))]
    assert [text for text in read if RISKY.match(text)] == []
    assert [original(text) for text in read] == PAYLOADS


def test_a_workbook_holds_no_formula_and_loses_nothing() -> None:
    """No cell is of the kind formula; text comes back, but for characters that no spreadsheet may hold."""
    sheet = load_workbook(xlsx_file("breaks", [pl.DataFrame({"text": PAYLOADS})])).active
    cells = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.value for cell in cells if RISKY.match(cell.value)] == []
    # XML knows one kind of line end, and no NUL.
    told = [text.replace("\x00", "\N{REPLACEMENT CHARACTER}").replace("\r", "\n") for text in PAYLOADS]
    assert [cell.value[1:] for cell in cells] == told


def test_harmless_text_is_left_alone() -> None:
    """Names, codes, addresses and numbers written as text are as they were, in both forms."""
    frame = pl.DataFrame({"n": range(len(HARMLESS)), "text": HARMLESS})
    read = list(csv.reader(io.StringIO(csv_chunk(frame, header=False).decode(), newline="")))
    assert [row[1] for row in read] == [text or "" for text in HARMLESS]
    sheet = load_workbook(xlsx_file("t", [frame])).active
    assert [row[1].value or "" for row in sheet.iter_rows(min_row=2)] == [text or "" for text in HARMLESS]


def test_numbers_and_dates_stay_what_they_are() -> None:
    """Negative amounts are numbers and dates are dates, exactly, in both forms and over several pieces."""
    frame = pl.DataFrame(
        {
            "amount": [Decimal("-12.50"), Decimal("0.10"), Decimal("99999999.99")],
            "count": [-1, 0, 7],
            "day": [date(2026, 1, 2), None, date(1999, 12, 31)],
        },
        schema_overrides={"amount": pl.Decimal(12, 2)},
    )
    text = csv_chunk(frame, header=True).decode()
    assert text.splitlines() == ["amount,count,day", "-12.50,-1,2026-01-02", "0.10,0,", "99999999.99,7,1999-12-31"]
    sheet = load_workbook(xlsx_file("t", [frame[:1], frame[1:]])).active
    rows = list(sheet.iter_rows())
    assert [cell.value for cell in rows[0]] == ["amount", "count", "day"]
    assert [Decimal(str(row[0].value)) for row in rows[1:]] == frame["amount"].to_list()
    assert [row[0].data_type for row in rows[1:]] == ["n"] * 3
    assert [row[2].value and row[2].value.date() for row in rows[1:]] == frame["day"].to_list()


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["=1+1", "x"])])
def test_categories_are_text_too(kind: pl.DataType) -> None:
    """A rule's name is text that somebody chose, whatever its column's kind."""
    frame = pl.DataFrame({"rule": pl.Series(["=1+1", "x"], dtype=kind)})
    assert csv_chunk(frame, header=False) == b"'=1+1\nx\n"


def test_a_workbook_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage goes away between two pieces: what was written of the sheets goes, too."""

    def pieces() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({"a": ["x"] * 100})
        assert list(tmp_path.iterdir()), "the sheet is begun"
        raise OSError("gone")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match="gone"):
        xlsx_file("breaks", pieces())
    assert not list(tmp_path.iterdir())


def test_what_reads_like_an_error_is_text() -> None:
    """A reference called #N/A does not spoil sums over its column."""
    with xlsx_file("breaks", [pl.DataFrame({"a": ["#N/A", "x"]})]) as file:
        cells = [cell for (cell,) in load_workbook(file)["breaks"].iter_rows(min_row=2)]
    assert [(cell.value, cell.data_type) for cell in cells] == [("'#N/A", "s"), ("x", "s")]
