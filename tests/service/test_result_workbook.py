"""A whole result as one spreadsheet: a short summary, and every table on a sheet of its own."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from services import results
from services.container import Container, build_container
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.permissions import Actor
from tests.service.conftest import PASSWORD, make_settings
from tests.work import PLAN, upload_pair

TABLES = ["matches", "breaks", "differences", "rejected", "duplicates"]
LABEL = "=HYPERLINK(1)"


class Ran:
    """A run of two matches, one difference and a break a side, whose left side is called like a formula."""

    def __init__(self, container: Container, actor: Actor, folder: Path) -> None:
        self.container, self.actor = container, actor
        plan = {**PLAN, "left": {"label": LABEL}}
        self.job_id = container.jobs.launch(actor, None, plan, *upload_pair(container, actor)).id
        leases = Leases(container)
        claimed = leases.claim("w1")
        assert claimed is not None
        Run(container, leases, *claimed, folder / "work" / "job").execute()

    def workbook(self) -> Workbook:
        """The spreadsheet, read again."""
        with self.container.results.workbook(self.actor, self.job_id) as file:
            return load_workbook(io.BytesIO(file.read()))


@pytest.fixture(scope="module")
def ran(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """The run, carried out once."""
    folder = tmp_path_factory.mktemp("workbook")
    shutil.copy(sqlite_template, folder / "recon.db")
    container = build_container(make_settings(folder))
    container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
    token, _ = container.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")
    yield Ran(container, container.sessions.resolve(token), folder)
    container.close()


def rows_of(book: Workbook, sheet: str) -> list[tuple[Any, ...]]:
    """What is written on a sheet."""
    return list(book[sheet].iter_rows(values_only=True))


def test_every_table_has_a_sheet_with_the_columns_and_rows_of_its_csv(ran: Ran) -> None:
    """Behind the summary, in one order; the header stays in view, and no column is too narrow to be read."""
    book = ran.workbook()
    assert book.sheetnames == ["summary", *TABLES]
    for table in TABLES:
        text = b"".join(ran.container.results.export_csv(ran.actor, ran.job_id, table)).decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        told_header, *told = rows_of(book, table)
        assert list(told_header) == header
        assert len(told) == len(rows)
        assert book[table].freeze_panes == "A2"
        assert all(8 < book[table].column_dimensions[cell.column_letter].width <= 60 for cell in book[table][1])
    assert [len(rows_of(book, table)) - 1 for table in TABLES] == [4, 2, 1, 0, 0]


def test_no_cell_of_it_is_a_formula(ran: Ran) -> None:
    """Neither on the summary, which holds names that people chose, nor on the other sheets."""
    book = ran.workbook()
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert not [cell.value for cell in cells if cell.data_type == "f" or str(cell.value).startswith("=")]
    assert {f"'{LABEL}", "'=A3"} <= {cell.value for cell in cells}


def test_the_summary_tells_the_figures_the_balance_and_the_sheets(ran: Ran) -> None:
    """Counts and sums are numbers, which can be added up again; what the evidence is stands at the end."""
    rows = rows_of(ran.workbook(), "summary")
    told = [str(row[0]) for row in rows]
    assert told[0] == "small"
    assert f"{LABEL} against Bank, run by Ada Admin" in told[1]
    assert any(ran.job_id in text for text in told)
    assert any(text.startswith("Matched, by rows: 66.6% (") for text in told)
    assert "Every row is accounted for, in counts and in exact sums." in told
    counts = {(row[0], row[1]): row[2:] for row in rows if row[6] is not None}
    assert counts["Bank", "rows"] == (3, 2, 0, 1, 0)
    assert counts["Bank", "amount"] == (31.05, 30.05, 0, 1, 0)
    assert [row[:2] for row in rows if row[0] in TABLES] == list(zip(TABLES, [4, 2, 1, 0, 0], strict=True))
    assert told[-1].endswith("the evidence is the zip file of the same run.")


def test_a_table_that_finds_no_room_is_told_and_never_cut(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest tables come first; of the others their own sheet and the summary tell the rows and the way."""
    monkeypatch.setattr(results, "MAX_SHEET_ROWS", 3)
    book = ran.workbook()
    [(said,)] = rows_of(book, "matches")
    assert said.startswith("This table has 4 rows and is not in this workbook, which holds at most 3 rows in all.")
    [line] = [row for row in rows_of(book, "summary") if row[0] == "matches"]
    assert line[:3] == ("matches", 4, said)
    assert [len(rows_of(book, table)) - 1 for table in ("breaks", "differences")] == [2, 1]


def test_pieces_leave_nothing_out(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the pieces in which a table is read, all of its rows are there."""
    whole = [rows_of(ran.workbook(), table) for table in TABLES]
    monkeypatch.setattr(results, "_EXPORT_ROWS", 1)
    assert [rows_of(ran.workbook(), table) for table in TABLES] == whole


def test_taking_it_is_noted(ran: Ran) -> None:
    """One entry of the trail, as for every other file."""
    before = len(ran.container.audit.entries(ran.actor, action="result.download"))
    ran.workbook()
    newest, *others = ran.container.audit.entries(ran.actor, action="result.download")
    assert (newest.target_id, newest.detail_json) == (ran.job_id, {"format": "xlsx"})
    assert len(others) == before
