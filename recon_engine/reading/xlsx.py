"""Excel workbooks (.xlsx): scanned first, then read as text, dates in ISO form, numbers as Excel shows them."""

from __future__ import annotations

import logging
from pathlib import Path

import fastexcel
import numpy as np
import polars as pl

from recon_engine.errors import InputError, Issue
from recon_engine.plan import ReaderOptions
from recon_engine.reading.limits import check_columns
from recon_engine.reading.sniffing import header_index
from recon_engine.reading.table import ROW, Facts, TextTable, empty_as_null, header_names
from recon_engine.reading.workbook_scan import scan_workbook

_HEAD_ROWS = 80
# A sheet with a smaller share of the fullest sheet's cells tells of the data, and holds none.
_COVER = 0.05
_MIDNIGHT = " 00:00:00"
_DATE_TIME = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_DAY_ZERO = r"^1899-12-3[01] "

# The library warns about chart sheets and cells it takes as empty; what matters is told as an Issue.
logging.getLogger("fastexcel").setLevel(logging.ERROR)


def open_xlsx(path: Path, name: str, options: ReaderOptions, facts: Facts) -> TextTable:
    """Open one sheet: the one asked for, or the first that is no mere cover. Raises InputError or LimitError."""
    scan = scan_workbook(path, name)
    try:
        workbook = fastexcel.read_excel(path)
        sheet, grid, others = _sheet(workbook, name, options)
    except fastexcel.FastExcelError as error:
        raise InputError(
            f"{name}: cannot be read as .xlsx ({_first_line(error)}); open and save it again in Excel"
        ) from error
    (facts.given if options.sheet else facts.detected)("sheet", sheet)
    check_columns(name, grid.width)
    issues = _issues(name, sheet, others, scan.error_cells)
    filled = grid.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    sheet_rows = np.flatnonzero(filled.to_numpy()) + 1
    rows = grid.filter(filled)
    header = _header(rows, sheet_rows, options, name, facts)
    cells = [cell or "" for cell in rows.row(header)]
    data = rows.slice(header + 1)
    used = [i for i in range(data.width) if cells[i].strip() or data.to_series(i).null_count() < data.height]
    columns = header_names(name, [cells[i] for i in used])
    data = data.select(data.to_series(i).alias(c) for i, c in zip(used, columns, strict=True))
    data = data.with_columns(_plain_dates(data, c) for c in columns)
    lines = sheet_rows[header + 1 :]
    if data.is_empty():
        issues.append(Issue(name, None, None, "no_rows", f"sheet '{sheet}' has a header and no rows"))
    frame = data.lazy().with_columns(empty_as_null(columns, options.nulls)).with_row_index(ROW, 1)
    return TextTable(
        path=path,
        name=name,
        frame=frame,
        columns=columns,
        facts=facts,
        issues=tuple(issues),
        line_of=lambda numbers: pl.Series("line", lines[numbers.cast(pl.Int64).to_numpy() - 1], dtype=pl.Int64),
    )


def _sheet(workbook: fastexcel.ExcelReader, name: str, options: ReaderOptions) -> tuple[str, pl.DataFrame, list[str]]:
    """The sheet's name, its cells as text, and the names of other sheets that are not empty."""
    names = workbook.sheet_names
    if options.sheet is not None and options.sheet not in names:
        raise InputError(f"{name}: there is no sheet '{options.sheet}'; the sheets are {', '.join(names)}")
    cells: dict[str, int] = {}
    latest: tuple[str, pl.DataFrame] | None = None
    for sheet in [options.sheet] if options.sheet else names:
        grid = _grid(workbook, sheet)
        if grid is not None:
            latest = (sheet, grid)
            cells[sheet] = sum(grid.height - nulls for nulls in grid.null_count().row(0))
    if latest is None:
        raise InputError(f"{name}: has no sheet with cells; give a workbook with a header and rows")
    # A cover sheet before the data has a few cells; sheets of data, one a month, have about as many each.
    chosen = next(sheet for sheet, count in cells.items() if count >= _COVER * max(cells.values()))
    found = latest[1] if latest[0] == chosen else _grid(workbook, chosen)
    assert found is not None  # it was counted above
    return chosen, found, [sheet for sheet in cells if sheet != chosen]


def _grid(workbook: fastexcel.ExcelReader, sheet: str) -> pl.DataFrame | None:
    # skip_rows=0 keeps empty rows at the top, so that places in the grid are places in the sheet.
    loaded = workbook.load_sheet(sheet, header_row=None, skip_rows=0, dtypes="string")
    if loaded.width == 0 or loaded.height == 0:
        return None
    grid: pl.DataFrame = loaded.to_polars()
    return grid if grid.null_count().sum_horizontal().item() < grid.width * grid.height else None


def _header(rows: pl.DataFrame, sheet_rows: np.ndarray, options: ReaderOptions, name: str, facts: Facts) -> int:
    if options.header_row is not None:
        index = int(np.searchsorted(sheet_rows, options.header_row))
        if index >= len(sheet_rows):
            raise InputError(f"{name}: header_row is {options.header_row}, but the sheet ends before; lower it")
        facts.given("header_row", options.header_row)
        return index
    head = [[cell or "" for cell in row] for row in rows.head(_HEAD_ROWS).rows()]
    index = header_index(head)
    facts.detected("header_row", int(sheet_rows[index]))
    return index


def _plain_dates(data: pl.DataFrame, column: str) -> pl.Expr:
    """Dates without their midnight, times without the day zero of Excel's calendar."""
    value = pl.col(column)
    stamps = data[column].drop_nulls()
    stamps = stamps.filter(stamps.str.contains(_DATE_TIME))
    if stamps.is_empty():
        return value
    if bool(stamps.str.ends_with(_MIDNIGHT).all()):
        return pl.when(value.str.contains(_DATE_TIME)).then(value.str.strip_suffix(_MIDNIGHT)).otherwise(value)
    if bool(stamps.str.contains(_DAY_ZERO).all()):
        return value.str.replace(_DAY_ZERO, "")
    return value


def _issues(name: str, sheet: str, others: list[str], error_cells: int) -> list[Issue]:
    issues: list[Issue] = []
    if others:
        told = ", ".join(f"'{o}'" for o in others[:10])
        message = f"sheet '{sheet}' was read; sheets {told} hold data too: set sheet: to read another"
        issues.append(Issue(name, None, None, "other_sheets", message))
    if error_cells:
        message = f"{error_cells} cells of the workbook hold an error such as #N/A and were read as empty"
        issues.append(Issue(name, None, None, "error_cells", message))
    return issues


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0]
