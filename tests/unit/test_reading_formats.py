"""Spreadsheets, Parquet and JSON: the same contract as delimited files."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from recon_engine.errors import InputError, LimitError
from recon_engine.plan import ReaderOptions
from recon_engine.reading import open_table, workbook_scan


def test_a_sheet_is_read_as_text_with_its_own_row_numbers(tmp_path: Path) -> None:
    """Numbers as Excel shows them, dates in ISO form, codes untouched; blank rows are skipped but count as places."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["A1"] = "Statement of May"
    for cell, value in {"A3": "ref", "B3": "amount", "C3": "day", "D3": "at"}.items():
        sheet[cell] = value
    sheet.append(["00123", 0.1 + 0.2, dt.date(2024, 1, 31), dt.datetime(2024, 1, 31, 13, 5)])  # noqa: DTZ001
    sheet["A6"], sheet["B6"] = "x", 1234567
    other = book.create_sheet("More")
    other["A1"] = "y"
    book.save(tmp_path / "b.xlsx")
    table = open_table(tmp_path / "b.xlsx")
    assert table.columns == ("ref", "amount", "day", "at")
    assert table.frame.collect().rows() == [
        (1, "00123", "0.3", "2024-01-31", "2024-01-31 13:05:00"),
        (2, "x", "1234567", None, None),
    ]
    assert table.lines(pl.Series([1, 2])).to_list() == [4, 6]
    assert table.facts.value("sheet") == "Sheet"
    assert [issue.code for issue in table.issues] == ["other_sheets"]
    assert open_table(tmp_path / "b.xlsx", ReaderOptions(sheet="More")).columns == ("y",)
    with pytest.raises(InputError, match="the sheets are Sheet, More"):
        open_table(tmp_path / "b.xlsx", ReaderOptions(sheet="Nope"))


def test_a_cover_before_the_data_is_passed_over(tmp_path: Path) -> None:
    """A title and who made it are no table; months beside each other are, and the first of them is read."""
    book = openpyxl.Workbook()
    cover = book.active
    assert cover is not None
    cover.append(["Confirmation of balances"])
    cover.append(["Prepared by", "Treasury"])
    for month in ("May", "June"):
        sheet = book.create_sheet(month)
        for row in [["ref", "amount"], *([f"{month}{i}", i] for i in range(60 if month == "June" else 40))]:
            sheet.append(row)
    book.save(tmp_path / "b.xlsx")
    table = open_table(tmp_path / "b.xlsx")
    assert (table.facts.value("sheet"), table.columns) == ("May", ("ref", "amount"))
    assert "'June'" in table.issues[0].message


def test_a_sheet_with_too_many_cells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are counted before the workbook is opened."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for _ in range(30):
        sheet.append([1, 2, 3])
    book.save(tmp_path / "b.xlsx")
    monkeypatch.setattr(workbook_scan, "MAX_SHEET_CELLS", 89)
    with pytest.raises(LimitError, match="more than 89 cells"):
        open_table(tmp_path / "b.xlsx")


def test_parquet_keeps_every_digit(tmp_path: Path) -> None:
    """Decimals, dates and floats become text without loss; NaN is a missing value."""
    frame = pl.DataFrame(
        {
            "amount": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(18, 2)),
            "rate": [0.1, float("nan")],
            "day": [dt.date(2024, 1, 31), None],
            "at": pl.Series(["2024-01-31T10:00:00", None]).str.to_datetime().dt.replace_time_zone("Europe/Paris"),
            "ok": [True, None],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    assert table.frame.collect().rows() == [
        (1, "1.50", "0.1", "2024-01-31", "2024-01-31T09:00:00.000000+00:00", "true"),
        (2, None, None, None, None, None),
    ]
    pl.DataFrame({"a": [[1]]}).write_parquet(tmp_path / "nested.parquet")
    with pytest.raises(InputError, match="not a single value"):
        open_table(tmp_path / "nested.parquet")


@pytest.mark.parametrize("wrap", [False, True])
def test_json_numbers_stay_as_written(tmp_path: Path, wrap: bool) -> None:
    """1.10 stays 1.10, true is a text, a missing key is null; an object with one array is that array."""
    text = '[{"a": 1.10, "b": true}, {"a": 12345678901234567890, "c": "x"}]'
    (tmp_path / "t.json").write_text(f'{{"count": 2, "data": {text}}}' if wrap else text)
    table = open_table(tmp_path / "t.json")
    assert table.columns == ("a", "b", "c")
    assert table.frame.collect().rows() == [(1, "1.10", "true", None), (2, "12345678901234567890", None, "x")]


def test_a_bad_line_of_json_lines_is_a_rejected_row(tmp_path: Path) -> None:
    """Other lines are read; the bad one tells its line and why."""
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n\n{"a": }\n{"a": [1]}\n{"a": 2}\n')
    table = open_table(tmp_path / "t.jsonl")
    assert table.frame.collect().rows() == [(1, "1"), (4, "2")]
    assert table.rejected.select("row", "line").rows() == [(2, 3), (3, 4)]
    assert table.lines(pl.Series([4])).to_list() == [5]


def test_objects_inside_a_row_are_columns(tmp_path: Path) -> None:
    """As programs hand charges out: the customer is an object, and so are the notes; a row may lack them."""
    (tmp_path / "t.jsonl").write_text(
        '{"id": 1, "customer": {"id": 7, "name": {"first": "A"}}, "notes": {}}\n{"id": 2}\n'
    )
    table = open_table(tmp_path / "t.jsonl")
    assert table.columns == ("id", "customer.id", "customer.name.first")
    assert table.frame.collect().rows() == [(1, "1", "7", "A"), (2, "2", None, None)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "not an object"),
        ('[{"a": {"b": [1]}}]', "row 1: 'b' holds a list"),
        ('[{"a": {"b": 1}, "a.b": 2}]', "'a.b' stands twice"),
        ('[{"a": 1, "a": 2}]', "stands twice"),
        ('[{"a": 1},', "line 1 is not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps({"x": [], "y": []}), "2 arrays"),
    ],
)
def test_json_that_is_no_table_is_refused(tmp_path: Path, content: str, words: str) -> None:
    """Lists inside rows, repeated keys and broken JSON get one sentence."""
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(InputError, match=words):
        open_table(tmp_path / "t.json")
