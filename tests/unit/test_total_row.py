"""A file that ends with a total is told, before a run and in its result."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from recon_engine.execution.local import run
from recon_engine.plan import Plan
from recon_engine.profiling import profile
from recon_engine.reading import open_table
from recon_engine.total_row import total_row

AMOUNTS = ["10.10", "-3.25", "7.00", "0.15", "86.00", "1.99"]
TOTAL = str(sum(map(Decimal, AMOUNTS)))


def write(path: Path, amounts: list[str], last: str | None = None) -> Path:
    """A file of amounts by reference, and the row of a total without one."""
    rows = [f"R{number},{amount}" for number, amount in enumerate(amounts)]
    path.write_text("\n".join(["ref,amount", *rows, *([f",{last}"] if last else [])]) + "\n", encoding="utf-8")
    return path


def warnings(tmp_path: Path, *left: Path) -> list[str]:
    """What a run tells whose left side has these files."""
    plan = Plan.model_validate(
        {
            "version": 1,
            "name": "totals",
            "left": {"label": "Bank", "files": [str(path) for path in left]},
            "right": {"label": "Ledger", "files": [str(write(tmp_path / "right.csv", AMOUNTS))]},
            "fields": [
                {"name": "ref", "left": "ref", "right": "ref", "type": "text"},
                {"name": "money", "left": "amount", "right": "amount", "type": "decimal"},
            ],
            "rules": [{"name": "exact", "on": ["ref", "money"]}],
        }
    )
    told: list[str] = run(plan, tmp_path / "out")["warnings"]
    return told


def test_a_total_is_told_with_its_row_and_column(tmp_path: Path) -> None:
    """On Upload, and among the result's warnings."""
    file = write(tmp_path / "left.csv", AMOUNTS, TOTAL)
    told = profile(open_table(file)).issues
    assert [(issue.code, issue.row, issue.column) for issue in told] == [("total_row", 7, "amount")]
    assert [w for w in warnings(tmp_path, file) if "looks like a total" in w] == [f"left.csv: {told[0].message}"]


def test_each_file_of_a_side_is_looked_at_by_itself(tmp_path: Path) -> None:
    """The total of one file is not the sum of both, and stands in the middle of the side."""
    files = [write(tmp_path / "may.csv", AMOUNTS, TOTAL), write(tmp_path / "june.csv", AMOUNTS)]
    assert [w.split(":")[0] for w in warnings(tmp_path, *files) if "looks like a total" in w] == ["may.csv"]


def test_a_total_below_rows_that_cannot_be_read(tmp_path: Path) -> None:
    """Rejected rows do not shift the row that is looked at."""
    file = write(tmp_path / "left.csv", ["n/a", *AMOUNTS], TOTAL)
    assert any("row 8, the last" in w for w in warnings(tmp_path, file))


@pytest.mark.parametrize("last", [None, "0.00", "101.98", "-101.99"])
def test_other_last_rows_are_records(tmp_path: Path, last: str | None) -> None:
    """One cent more, another sign, nothing at all: no total."""
    file = write(tmp_path / "left.csv", AMOUNTS, last)
    assert Decimal(TOTAL) == Decimal("101.99")
    assert not profile(open_table(file)).issues
    assert not [w for w in warnings(tmp_path, file) if "total" in w]


def test_few_rows_are_no_evidence() -> None:
    """That the last of three amounts is the sum of two others happens by itself."""
    assert not total_row("few.csv", 3, {"amount": (Decimal(6), Decimal(3))})
