"""Tables as spreadsheets, written row by row into a temporary file: one alone, or a whole result with its summary.

Numbers and dates are cells of their kind; text is text, made harmless as in CSV.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, BinaryIO, cast

import polars as pl
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ERROR_CODES
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from services import formats, wording
from services.formats import moment, number
from services.result_exports import harmless
from services.result_headline import headline
from services.result_summary import Facts

# Control characters that a spreadsheet's XML cannot hold.
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# What a cell keeps: digits of a number, and characters of a text.
_MOST_DIGITS, _LONGEST_TEXT = 15, 32_767
_CUT = " ... (cut here: a cell holds no more; the CSV file has all)"
_LOOKED_AT, _NARROWEST, _WIDEST = 200, 8, 60  # rows whose texts say how wide a column is; characters
_SUMMARY_WIDTHS = (24, 24, 16, 16, 16, 16, 16)
_PARTS = ("read", "matched", "suggested", "breaks", "rejected")
_LEFT_OUT = (
    "This table has {rows} rows and is not in this workbook, which holds at most {most} rows in all. "
    "Save it by itself as CSV{or_so}."
)
_NO_DECISIONS = "What people decided on suggested matches is saved under Matches: here they are as the run found them."
_NO_EVIDENCE = "This workbook is a copy to read and to work with; the evidence is the zip file of the same run."


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: how many rows it has, and these in pieces, at least one; none is made before it is asked for."""

    name: str
    rows: int
    frames: Iterable[pl.DataFrame]


def xlsx_file(name: str, frames: Iterable[pl.DataFrame]) -> BinaryIO:
    """The frames, one below the other, as one sheet of a workbook in a temporary file, at its beginning."""
    with _book() as book:
        _table(book.create_sheet(name), frames)
        return _saved(book)


def whole_workbook(facts: Facts, sheets: Sequence[Sheet], most: int) -> BinaryIO:
    """The summary and the tables, a sheet each, as a workbook in a temporary file, at its beginning.

    It has at most so many rows, the smallest tables first; one that finds no room is told of on its sheet and in the
    summary.
    """
    fitting = _fitting(sheets, most)
    left_out = {
        sheet.name: _LEFT_OUT.format(
            rows=number(sheet.rows), most=number(most), or_so=" or as a spreadsheet" if sheet.rows <= most else ""
        )
        for sheet in sheets
        if sheet.name not in fitting
    }
    with _book() as book:
        _summary(book, facts, sheets, left_out)
        for sheet in sheets:
            drawn = book.create_sheet(sheet.name)
            if sheet.name in left_out:
                drawn.append([left_out[sheet.name]])
            else:
                _table(drawn, sheet.frames)
        return _saved(book)


@contextmanager
def _book() -> Iterator[Workbook]:
    """A workbook; where it is not finished, what was written of its sheets beside it goes."""
    book = Workbook(write_only=True)
    try:
        yield book
    except BaseException:
        for sheet in book.worksheets:
            with suppress(AttributeError, OSError, ValueError):  # one that is not begun, or is saved already
                sheet._writer.cleanup()  # noqa: SLF001 - openpyxl would keep it until the process ends
        raise


def _summary(book: Workbook, facts: Facts, sheets: Sequence[Sheet], left_out: Mapping[str, str]) -> None:
    first = book.create_sheet("summary")
    for place, width in enumerate(_SUMMARY_WIDTHS, start=1):
        first.column_dimensions[get_column_letter(place)].width = width
    with formats.used(formats.NEUTRAL):
        for is_heading, row in [*_told(facts), (True, ["Sheet", "Rows"])]:
            first.append([_bold(first, _text(value)) if is_heading else _text(value) for value in row])
    for sheet in sheets:
        first.append([sheet.name, sheet.rows, left_out.get(sheet.name)])
    first.append([])
    first.append([_NO_DECISIONS])
    first.append([_NO_EVIDENCE])


def _fitting(sheets: Sequence[Sheet], most: int) -> set[str]:
    """The tables that find room, the smallest first."""
    fitting = set()
    for sheet in sorted(sheets, key=lambda one: one.rows):
        if sheet.rows <= most:
            fitting.add(sheet.name)
            most -= sheet.rows
    return fitting


def _told(facts: Facts) -> Iterator[tuple[bool, list[Any]]]:
    """The rows of the summary, each with whether it is a heading. A text runs over the empty cells beside it."""
    names, summary = facts.labels, facts.summary
    yield True, [facts.title]
    yield False, [f"{' against '.join(names.values())}, run by {facts.ran_by}, {moment(facts.ran_at)}"]
    yield False, [f"Run {facts.job_id}, manifest {facts.manifest_hash}"]
    yield False, []
    for label, figure, parts in headline(summary, facts.figures, names):
        yield False, [f"{label}: {figure}{f' ({parts})' if parts else ''}"]
    yield False, []
    if summary["conserved"]:
        yield True, ["Every row is accounted for, in counts and in exact sums."]
    else:
        yield True, ["THE RESULT DOES NOT ADD UP AND MUST NOT BE RELIED ON."]
    yield False, ["Read = matched + suggested + breaks + rejected, on each line."]
    yield True, ["Side", "What", *(part.capitalize() for part in _PARTS)]
    for side, rows in summary["rows"].items():
        yield False, [names[side], "rows", *(int(rows[part]) for part in _PARTS)]
        for currency, fields in summary["totals"][side].items():
            for field, sums in fields.items():
                told = [Decimal(str(sums[part])) for part in _PARTS]
                yield False, [names[side], wording.named(field, currency), *told]
    yield False, []


def _table(sheet: Any, frames: Iterable[pl.DataFrame]) -> None:
    """The header stays in view, and each column is as wide as its first values ask for."""
    for place, frame in enumerate(frames):
        plain = harmless(frame)
        if place == 0:
            sheet.freeze_panes = "A2"
            for column, width in enumerate(_widths(plain), start=1):
                sheet.column_dimensions[get_column_letter(column)].width = width
            sheet.append([_bold(sheet, name) for name in plain.columns])
        for row in plain.iter_rows():
            sheet.append([_cell(value) for value in row])


def _widths(frame: pl.DataFrame) -> list[int]:
    longest = (max(len(name), *(len(str(v)) for v in frame[name].head(_LOOKED_AT)), 0) for name in frame.columns)
    return [min(max(length, _NARROWEST) + 2, _WIDEST) for length in longest]


def _bold(sheet: Any, value: Any) -> Any:
    cell = WriteOnlyCell(sheet, value)
    cell.font = Font(bold=True)
    return cell


def _text(value: Any) -> Any:
    """The value; a text that begins like a formula is made harmless."""
    return _cell(harmless(pl.DataFrame({"text": [value]})).item() if isinstance(value, str) else value)


def _cell(value: Any) -> Any:
    """What the spreadsheet holds for a value. Characters that no spreadsheet may hold are shown as missing; numbers of
    more digits than it keeps are text, as is `#N/A`, and a text that is too long ends with a sign that it is cut.
    """
    if isinstance(value, int | Decimal) and len(str(value).strip("-0").replace(".", "")) > _MOST_DIGITS:
        return str(value)
    if not isinstance(value, str):
        return value
    text = f"'{value}" if value in ERROR_CODES else _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - len(_CUT)]}{_CUT}"


def _saved(book: Workbook) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller sends it and closes it
    book.save(file)
    file.seek(0)
    return cast("BinaryIO", file)
