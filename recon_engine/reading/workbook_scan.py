"""A look into an .xlsx before any library unpacks it: bombs, entities and sheets too large are refused here.

A sheet with one cell at each corner is a kilobyte on disk and hundreds of gigabytes as a grid, and the library that
reads it ends the process instead of raising: the size of the grid must be known first.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recon_engine.errors import InputError, LimitError
from recon_engine.reading.limits import (
    MAX_ARCHIVE_MEMBERS,
    MAX_SHEET_BOX,
    MAX_SHEET_CELLS,
    MAX_UNPACK_RATIO,
    MAX_WORKBOOK_BYTES,
)

_BLOCK = 1 << 22
_OVERLAP = 512
# Sheets of repeated values pack very well, so the ratio is looked at only where it costs memory.
_RATIO_COUNTS_ABOVE_BYTES = 50 << 20
_CELL = re.compile(rb"<(?:\w+:)?c(?=[\s/>])")
_PLACE = re.compile(rb"<(?:\w+:)?c\s[^<>]*?\br\s*=\s*[\"']([A-Za-z]{1,3})([0-9]{1,9})[\"']")
_ROW = re.compile(rb"<(?:\w+:)?row\s[^<>]*?\br\s*=\s*[\"']([0-9]{1,9})[\"']")
_ERROR = re.compile(rb"<(?:\w+:)?c\s[^<>]*?\bt\s*=\s*[\"']e[\"']")
_FORBIDDEN = re.compile(rb"<!DOCTYPE|<!ENTITY", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WorkbookScan:
    """What the scan saw: cells with an error such as #N/A in all sheets."""

    error_cells: int


def scan_workbook(path: Path, name: str) -> WorkbookScan:
    """Examine the workbook. Raises InputError or LimitError with the reason for refusal."""
    errors = 0
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, path.stat().st_size, name)
            for member in members:
                lower = member.filename.lower()
                if lower.endswith((".xml", ".rels")):
                    errors += _scan_member(
                        archive, member, name, is_sheet="worksheets/" in lower and lower.endswith(".xml")
                    )
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise InputError(f"{name}: is a damaged .xlsx ({error}); save or send it again") from error
    except RuntimeError as error:
        raise InputError(f"{name}: is encrypted; remove the password and save again") from error
    return WorkbookScan(errors)


def _check_members(members: list[zipfile.ZipInfo], packed: int, name: str) -> None:
    if len(members) > MAX_ARCHIVE_MEMBERS:
        raise LimitError(
            f"{name}: holds {len(members):,} parts, the limit is {MAX_ARCHIVE_MEMBERS:,}; save the table alone"
        )
    names = [m.filename for m in members]
    if len(set(names)) != len(names):
        raise InputError(f"{name}: the workbook holds two parts of the same name; save it again in Excel")
    _check_size(sum(m.file_size for m in members), packed, name)


def _check_size(total: int, packed: int, name: str) -> None:
    if total > MAX_WORKBOOK_BYTES:
        raise LimitError(f"{name}: unpacks to more than {MAX_WORKBOOK_BYTES >> 20} MB; save the sheet as CSV")
    if total > _RATIO_COUNTS_ABOVE_BYTES and total > packed * MAX_UNPACK_RATIO:
        raise LimitError(
            f"{name}: unpacks to more than {MAX_UNPACK_RATIO} times its size, as a decompression bomb would; "
            "save the sheet as CSV"
        )


def _scan_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, *, is_sheet: bool) -> int:
    """Read one part by blocks; for sheets count cells and follow the bounding box. Returns its error cells."""
    box = _Box(name, member.filename.rsplit("/", 1)[-1])
    total = errors = 0
    tail = b""
    with archive.open(member) as part:
        while fresh := part.read(_BLOCK):
            total += len(fresh)
            _check_size(total, archive.start_dir, name)
            if total == len(fresh) and fresh[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise InputError(f"{name}: its XML is UTF-16, which Excel never writes; save it again in Excel")
            block = tail + fresh
            # A tag cut by the block's end waits for the next block.
            cut = block.rfind(b"<")
            cut = cut if len(block) - cut < _OVERLAP and cut > 0 else len(block)
            whole, tail = block[:cut], block[cut:]
            if _FORBIDDEN.search(whole):
                raise InputError(
                    f"{name}: its XML declares entities, as attacks do and Excel never does; save it again in Excel"
                )
            if is_sheet:
                box.add(whole)
                errors += len(_ERROR.findall(whole))
        if _FORBIDDEN.search(tail):
            raise InputError(
                f"{name}: its XML declares entities, as attacks do and Excel never does; save it again in Excel"
            )
        if is_sheet:
            box.add(tail)
            errors += len(_ERROR.findall(tail))
    return errors


class _Box:
    """The rectangle that a sheet's cells span."""

    def __init__(self, name: str, sheet: str) -> None:
        self._name, self._sheet = name, sheet
        self._cells = 0
        self._rows: tuple[int, int] | None = None
        self._columns: tuple[int, int] | None = None

    def add(self, xml: bytes) -> None:
        """Widen the rectangle by the cells in this piece. Raises LimitError as soon as it is too large."""
        self._cells += len(_CELL.findall(xml))
        places = _PLACE.findall(xml)
        rows = [number for _, number in places] + _ROW.findall(xml)
        if rows:
            numbers = np.array(rows, dtype="S9").astype(np.int64)
            self._rows = _widened(self._rows, int(numbers.min()), int(numbers.max()))
        for letters in {column.upper() for column, _ in places}:
            number = _column_number(letters)
            self._columns = _widened(self._columns, number, number)
        if self._cells > MAX_SHEET_CELLS:
            raise LimitError(
                f"{self._name}: {self._sheet} has more than {MAX_SHEET_CELLS:,} cells; save the sheet as CSV"
            )
        if self._rows and self._columns:
            area = (self._rows[1] - self._rows[0] + 1) * (self._columns[1] - self._columns[0] + 1)
            if area > MAX_SHEET_BOX:
                raise LimitError(
                    f"{self._name}: the cells of {self._sheet} are spread over {area:,} places, the limit is "
                    f"{MAX_SHEET_BOX:,}; delete stray cells far from the table, or save the sheet as CSV"
                )


def _widened(span: tuple[int, int] | None, low: int, high: int) -> tuple[int, int]:
    return (low, high) if span is None else (min(span[0], low), max(span[1], high))


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
