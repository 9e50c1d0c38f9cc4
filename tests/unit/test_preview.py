"""A sample tells what the whole would: counterparts stay together, and rules are counted as the cascade runs them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recon_engine.execution.preview import preview, write_sample
from recon_engine.plan import Plan

ROWS = 40_000
FIELDS = [
    {"name": "ref", "left": "ref", "right": "ref"},
    {"name": "account", "left": "account", "right": "account"},
    {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 2},
]


def files(folder: Path) -> None:
    """Of every ten rows seven agree in all, two by account and amount only, one has no counterpart."""
    number = pl.int_range(ROWS, eager=True)
    left = pl.DataFrame({"ref": "R" + number.cast(pl.String), "account": "A" + (number % 5_000).cast(pl.String)})
    left = left.with_columns(amount=(number * 7).cast(pl.String) + ".00")
    kind = number % 10
    right = left.filter(kind < 9).with_columns(ref=pl.when(kind.filter(kind < 9) < 7).then("ref").otherwise("account"))
    left.write_csv(folder / "left.csv")
    right.sample(fraction=1, shuffle=True, seed=1).write_csv(folder / "right.csv")


def plan(folder: Path, *second: object) -> Plan:
    """Two rules over the files."""
    rules = [{"name": "exact", "on": ["ref", "amount"]}, {"name": "second", "on": list(second)}]
    sides = {side: {"label": side, "files": [str(folder / f"{side}.csv")]} for side in ("left", "right")}
    return Plan.build({"name": "p", **sides, "fields": FIELDS, "rules": rules})


def test_rows_that_are_there_twice_are_counted(tmp_path: Path) -> None:
    """By side, each that equals an earlier one in every field; one that differs in a field is another record."""
    rows = ["ref,account,amount", "a,1,2.00", "a,1,2.00", "a,1,2.00", "a,1,2.01", "b,,"]
    (tmp_path / "left.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "right.csv").write_text("\n".join([*rows[:2], *rows[4:]]) + "\n", encoding="utf-8")
    assert preview(plan(tmp_path, "ref", "account"))["twice"] == {"left": 2, "right": 0}


@pytest.mark.slow
@pytest.mark.parametrize("second", [("account", "amount"), ("account", {"field": "amount", "within": 1})])
def test_a_sample_counts_as_the_whole(tmp_path: Path, second: tuple[object, ...]) -> None:
    """With a field that all rules share and without one: the shares are those of the whole, about."""
    files(tmp_path)
    told = plan(tmp_path, *second)
    (tmp_path / "sample").mkdir()
    rows = write_sample(told, tmp_path / "sample")
    assert max(rows.values()) < ROWS
    found = preview(told, tmp_path / "sample")
    shares = [rule["matched"] / found["rows"] for rule in found["rules"]]
    assert found["rows"] >= 5_000
    assert shares == pytest.approx([0.7, 0.2], abs=0.03)
    assert found["left_over"] == found["rows"] - sum(rule["matched"] for rule in found["rules"])
