"""Debits and credits in two columns are one amount: which columns, which sign, and what of cells that say nothing."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from openpyxl import Workbook

from recon_engine import reconcile
from recon_engine.errors import InputError, PlanError
from recon_engine.nway.suggest import sides_of, suggest_sides
from recon_engine.plan import Plan, ReaderOptions
from recon_engine.reading import open_table
from recon_engine.reading.two_columns import AMOUNT
from recon_engine.suggest import suggest

ROWS = [("12.50", ""), ("", "7.00"), ("0.00", "3.25"), ("-", "4"), ("", ""), ("0.00", "0.00"), ("-2.00", "")]


def written(folder: Path, head: tuple[str, str], rows: list[tuple[str, str]] = ROWS, **more: str) -> Path:
    """A file of debits and credits, with further columns of one value."""
    path = folder / "statement.csv"
    names = ["day", *head, *more]
    cells = [["2026-01-02", *pair, *more.values()] for pair in rows]
    path.write_text("\n".join(",".join(line) for line in [names, *cells]) + "\n", encoding="utf-8")
    return path


def amounts(path: Path, options: ReaderOptions | None = None) -> list[str | None]:
    """The amounts as text."""
    return open_table(path, options).frame.select(AMOUNT).collect().to_series().to_list()


@pytest.mark.parametrize(
    "head",
    [
        ("Debit", "Credit"),
        ("Paid out (£)", "Paid in (£)"),
        ("Debit Amount", "Credit Amount"),
        ("SOLL", "HABEN"),
        ("Débit EUR", "Crédit EUR"),
        ("withdrawals", "deposits"),
        ("moneyOut", "moneyIn"),
    ],
)
def test_the_two_columns_are_known_by_their_names(tmp_path: Path, head: tuple[str, str]) -> None:
    """Credits less debits; a zero, a dash and nothing leave the other; a debit taken back comes in."""
    table = open_table(written(tmp_path, head))
    assert table.columns == ("day", *head, AMOUNT)
    assert table.facts.as_dict()[AMOUNT] == {"value": f"{head[1]} less {head[0]}", "decided_by": "detected"}
    assert amounts(table.path) == ["-12.50", "7.00", "3.25", "4", None, "0.00", "2.00"]


def test_debits_that_are_negative_keep_their_sign(tmp_path: Path) -> None:
    """Some banks write what goes out with a minus in a column of its own."""
    path = written(tmp_path, ("Debit", "Credit"), [("-12.50", ""), ("-1", "0"), ("", "7.00"), ("3.00", "")])
    assert amounts(path) == ["-12.50", "-1", "7.00", "3.00"]
    assert open_table(path).facts.value(AMOUNT) == "Credit and Debit"


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (("debit", "balance"), {}),
        (("debit", "credit"), {"Amount": "1"}),
        (("debit", "credit"), {"credits": "1"}),
        (("debit account", "credit account"), {}),
    ],
)
def test_other_files_stay_as_they_are(tmp_path: Path, head: tuple[str, str], more: dict[str, str]) -> None:
    """With one column only, with an amount of its own, with columns that are not sure."""
    assert open_table(written(tmp_path, head, **more)).columns == ("day", *head, *more)


def test_columns_of_other_names_are_given(tmp_path: Path) -> None:
    """Both together, and only such as there are."""
    path = written(tmp_path, ("Ausgang", "Eingang"))
    options = ReaderOptions(debit="Ausgang", credit="Eingang")
    assert amounts(path, options)[:2] == ["-12.50", "7.00"]
    assert open_table(path, options).facts.as_dict()[AMOUNT]["decided_by"] == "given"
    with pytest.raises(InputError, match="no column 'Eingng' for debit and credit; the columns are day, Ausgang"):
        open_table(path, ReaderOptions(debit="Ausgang", credit="Eingng"))
    for wrong in ({"debit": "Ausgang"}, {"credit": "Eingang"}, {"debit": "Eingang", "credit": "Eingang"}):
        with pytest.raises(ValueError, match="debit and credit"):
            ReaderOptions.model_validate(wrong)
    taken = written(tmp_path, ("Ausgang", "Eingang"), amount="1")
    with pytest.raises(InputError, match="has a column 'amount' already"):
        open_table(taken, options)


def test_formats_that_know_types_give_the_same(tmp_path: Path) -> None:
    """Parquet, Excel and JSON."""
    frame = pl.DataFrame({"ref": ["a", "b", "c"], "debit": [12.5, None, 0.0], "credit": [None, 7.25, 3.0]})
    frame.write_parquet(tmp_path / "t.parquet")
    book = Workbook()
    for row in (frame.columns, *frame.rows()):
        book.active.append(list(row))  # type: ignore[union-attr]
    book.save(tmp_path / "t.xlsx")
    (tmp_path / "t.json").write_text(json.dumps(frame.to_dicts()), encoding="utf-8")
    for name in ("t.parquet", "t.xlsx", "t.json"):
        assert [float(a or 0) for a in amounts(tmp_path / name)] == [-12.5, 7.25, 3.0], name


def test_a_ledger_meets_its_statement(tmp_path: Path) -> None:
    """The proposed plan names the two columns; a row with both is rejected with what it says; all is accounted for."""
    rows = [(f"{i}.10", "") if i % 2 else ("", f"{i}.20") for i in range(1, 61)]
    path = tmp_path / "statement.csv"
    lines = ["Ref,Paid out,Paid in", *(f"R{n:03},{a},{b}" for n, (a, b) in enumerate(rows)), "R900,5.00,7.00"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ledger = tmp_path / "ledger.csv"
    booked = [f"R{n:03},{'-' + a if a else b}" for n, (a, b) in enumerate(rows)]
    ledger.write_text("\n".join(["Ref,Amount", *booked]) + "\n", encoding="utf-8")
    plan = suggest(ledger, path).plan
    assert (plan.right.debit, plan.right.credit) == ("Paid out", "Paid in")
    assert plan.field("amount").right == AMOUNT
    assert "Paid out" not in {spec.right for spec in plan.fields}
    result = reconcile(plan)
    assert result.summary["rows"]["left"]["matched"] == 60
    assert result.rejected().collect()["raw"].to_list() == ["7.00 and 5.00"]
    assert result.summary["conserved"]


def test_several_sides_are_read_so_too(tmp_path: Path) -> None:
    """The side of the statement names its two columns; the others stay as they are."""
    for name, head in (("ledger", "ref,amount"), ("bank", "ref,debit,credit"), ("till", "ref,amount")):
        rows = [f"R{n:03},{n}.10," if head.endswith("credit") else f"R{n:03},-{n}.10" for n in range(1, 40)]
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    sides = sides_of([str(tmp_path / f"{name}.csv") for name in ("ledger", "bank", "till")])
    plan = suggest_sides(sides).plan
    assert [(side.debit, side.credit) for side in plan.sides] == [(None, None), ("debit", "credit"), (None, None)]
    assert list(plan.field("amount").columns.values()) == [AMOUNT] * 3
    assert not {"debit", "credit"} & {column for spec in plan.fields for column in spec.columns.values()}


def test_a_plan_without_the_columns_says_so(tmp_path: Path) -> None:
    """Another month's file may be written differently."""
    path = written(tmp_path, ("out", "in"))
    plan = Plan.build(
        {
            "name": "p",
            "left": {"label": "L", "files": [str(path)], "debit": "Debit", "credit": "Credit"},
            "right": {"label": "R", "files": [str(path)]},
            "fields": [{"name": "day", "left": "day", "right": "day"}],
            "rules": [{"name": "r", "on": ["day"]}],
        }
    )
    with pytest.raises((InputError, PlanError), match="no column 'Debit' for debit and credit"):
        reconcile(plan)
