"""Rows at the end of a file that are no records are left out, and told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from openpyxl import Workbook

from recon_engine.execution.local import run
from recon_engine.execution.preview import preview, write_sample
from recon_engine.plan import Plan, ReaderOptions
from recon_engine.profiling import profile
from recon_engine.reading import open_table
from recon_engine.suggest import suggest

ROWS = [("R1", "10.10"), ("R2", "-3.25"), ("R3", "7.00"), ("R4", "0.15"), ("R5", "86.00"), ("Total", "100.00")]
REASON = "left out by footer_rows: the last row is no record"


def csv_file(path: Path, *more: str) -> Path:
    """The rows as text, and more lines below them."""
    path.write_text("\n".join(["ref,amount", *(",".join(row) for row in ROWS), *more]) + "\n", encoding="utf-8")
    return path


def xlsx_file(path: Path) -> Path:
    """The rows as a sheet, with two lines above the header."""
    book = Workbook()
    for row in [("Report",), (), ("ref", "amount"), *ROWS]:
        book.active.append(row)
    book.save(path)
    return path


def parquet_file(path: Path) -> Path:
    """The rows with amounts that are numbers."""
    pl.DataFrame(ROWS, schema=["ref", "amount"], orient="row").cast({"amount": pl.Decimal(18, 2)}).write_parquet(path)
    return path


def plan(left: Path, right: Path, **options: object) -> Plan:
    """Both files by reference and amount."""
    return Plan.model_validate(
        {
            "version": 1,
            "name": "footers",
            "left": {"label": "Bank", "files": [str(left)], **options},
            "right": {"label": "Ledger", "files": [str(right)]},
            "fields": [
                {"name": "ref", "left": "ref", "right": "ref"},
                {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 2},
            ],
            "rules": [{"name": "exact", "on": ["ref", "amount"]}],
        }
    )


@pytest.mark.parametrize(("make", "line"), [(csv_file, 7), (xlsx_file, 9), (parquet_file, 6)])
def test_the_last_row_is_set_apart_with_its_text(make: object, line: int, tmp_path: Path) -> None:
    """Whatever the format; it is no longer taken for a total, and the profile tells what became of it."""
    path = make(tmp_path / "file")  # type: ignore[operator]
    options = ReaderOptions(footer_rows=1)
    table = open_table(path, options)
    assert table.frame.select("ref").collect()["ref"].to_list() == ["R1", "R2", "R3", "R4", "R5"]
    assert table.rejected.rows(named=True) == [
        {"row": 6, "line": line, "column": None, "raw": "Total, 100.00", "reason": REASON}
    ]
    told = profile(table, options)
    assert (told.rows, told.rejected, [i.code for i in told.issues]) == (6, 1, [])
    assert told.facts["footer_rows"] == {"value": 1, "decided_by": "given"}


def test_rows_that_cannot_be_read_count_as_rows_at_the_end(tmp_path: Path) -> None:
    """A note below the total has other cells than the header: it stays rejected for that."""
    table = open_table(csv_file(tmp_path / "left.csv", "printed on Monday"), ReaderOptions(footer_rows=2))
    assert table.rejected.select("row", "raw").rows() == [(6, "Total, 100.00"), (7, "printed on Monday")]
    assert table.rejected["reason"][0] == "left out by footer_rows: the last 2 rows are no records"
    assert table.rejected["reason"][1].startswith("the row has 1 cells")


def test_a_file_may_be_shorter_than_its_footer(tmp_path: Path) -> None:
    """All of its rows are told; none is left."""
    table = open_table(csv_file(tmp_path / "left.csv"), ReaderOptions(footer_rows=50))
    assert (table.frame.collect().height, table.rejected.height) == (0, 6)


def test_a_result_accounts_for_what_is_left_out(tmp_path: Path) -> None:
    """As a rejected row, whose amount is in no sum: the sums are those of the records."""
    left, right = csv_file(tmp_path / "left.csv"), csv_file(tmp_path / "right.csv")
    summary = run(plan(left, right, footer_rows=1), tmp_path / "out")
    assert summary["conserved"]
    assert summary["rows"]["left"] == {"read": 6, "matched": 5, "suggested": 0, "breaks": 0, "rejected": 1}
    assert summary["totals"]["left"]["all"]["amount"]["read"] == str(sum(Decimal(a) for _, a in ROWS[:-1]))
    rejected = pl.read_parquet(tmp_path / "out" / "rejected.parquet")
    assert rejected.select("row", "line", "raw", "reason").rows() == [(6, 7, "Total, 100.00", REASON)]


def test_a_proposal_does_not_ask_about_what_is_left_out(tmp_path: Path) -> None:
    """It keeps the choice, and asks about rows that cannot be read only where there are any."""
    left, right = csv_file(tmp_path / "left.csv"), csv_file(tmp_path / "right.csv", "printed on Monday")
    found = suggest(left, right, ReaderOptions(footer_rows=1), ReaderOptions(footer_rows=2))
    assert (found.plan.left.footer_rows, found.plan.right.footer_rows) == (1, 2)
    assert [one for one in found.questions if "cannot be read" in one] == [
        "right.csv: 1 row cannot be read as the header says; see its profile"
    ]


def test_a_sample_has_no_footer_of_its_own(tmp_path: Path) -> None:
    """What rules would match is counted with every row of the sample."""
    both = plan(csv_file(tmp_path / "left.csv"), csv_file(tmp_path / "right.csv"), footer_rows=1)
    (tmp_path / "sample").mkdir()
    write_sample(both, tmp_path / "sample")
    assert preview(both, tmp_path / "sample")["rules"][0]["matched"] == 5
