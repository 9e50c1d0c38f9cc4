"""A change that was tried on two of several sides does there what was said, and nothing to the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import reconcile
from recon_engine.errors import PlanError
from recon_engine.nway.plan import SidesPlan
from recon_engine.nway.plan_changes import mended, with_cause
from recon_engine.nway.run import run_sides

pytestmark = pytest.mark.slow

NAMES = ("orders", "ledger", "bank")
ROWS = range(60)
PLAN = {
    "name": "three",
    "sides": [{"name": name} for name in NAMES],
    "fields": [
        {"name": "ref", "columns": dict.fromkeys(NAMES, "ref")},
        {"name": "amount", "columns": dict.fromkeys(NAMES, "amount"), "type": "decimal"},
        {"name": "day", "columns": dict.fromkeys(NAMES, "day"), "type": "date"},
    ],
    "rules": [{"name": "exact", "on": ["ref", "amount", {"field": "day", "days": 1}]}],
}


def tables() -> dict[str, pl.DataFrame]:
    """Sixty sales: a sixth has small letters in the ledger, a fifth cost a charge at the bank, a seventh came late."""
    day = [1 + n % 20 for n in ROWS]
    sales = pl.DataFrame({"ref": [f"R{n:03}" for n in ROWS], "amount": [f"{100 + n}.00" for n in ROWS]})
    orders = sales.with_columns(day=pl.Series([f"2026-01-{d:02}" for d in day]))
    small = pl.when(pl.int_range(pl.len()) % 6 == 0).then(pl.col("ref").str.to_lowercase()).otherwise("ref")
    bank = orders.with_columns(
        amount=pl.Series([f"{100 + n - (n % 5 == 0)}.00" for n in ROWS]),
        day=pl.Series([f"2026-01-{d + 3 * (n % 7 == 0):02}" for n, d in zip(ROWS, day, strict=True)]),
    )
    return {"orders": orders, "ledger": orders.with_columns(ref=small), "bank": bank}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run over the three tables: its folder and its summary."""
    folder = tmp_path_factory.mktemp("three")
    for name, table in tables().items():
        table.write_csv(folder / f"{name}.csv")
    plan = SidesPlan.build(PLAN).with_files({name: [str(folder / f"{name}.csv")] for name in NAMES})
    return folder / "out", run_sides(plan, folder / "out")


def links(summary: dict[str, Any]) -> dict[frozenset[str], int]:
    """The links of each two sides."""
    found: dict[frozenset[str], int] = {}
    for rule in summary["rules"]:
        ends = frozenset(rule["between"])
        found[ends] = found.get(ends, 0) + rule["matches"]
    return found


def test_each_cause_does_between_its_sides_what_it_said(result: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """A wider window, a charge, other cleaning: the links that were expected, and elsewhere none is lost or, but for
    cleaning that is for all sides, new.
    """
    folder, summary = result
    kinds = set()
    rows = [cause["rows"] for cause in summary["causes"]]
    assert rows == sorted(rows, reverse=True)
    for number, cause in enumerate(summary["causes"], start=1):
        plan, told = mended(folder, number)
        assert told.startswith(
            f"cause {number} of {len(summary['causes'])}: between {' and '.join(cause['between'])}, "
        )
        assert isinstance(plan, SidesPlan)
        before, after = links(summary), links(run_sides(plan, tmp_path / str(number)))
        ends, kind = frozenset(cause["between"]), cause["change"]["change"]
        assert after[ends] - before[ends] == cause["blast"]["new_matches"], cause
        others = {pair: after[pair] - before[pair] for pair in before if pair != ends}
        assert min(others.values()) >= 0
        assert kind == "clean" or not any(others.values())
        kinds.add(kind)
    assert kinds == {"rule", "clean", "condition"}


def test_a_rule_for_all_sides_is_split_where_two_of_them_change(result: tuple[Path, dict[str, Any]]) -> None:
    """The window is wider for those two only; the names say which rule is whose."""
    plan = SidesPlan.build(PLAN)
    causes = [c for c in result[1]["causes"] if c["change"]["change"] == "condition"]
    cause = next(c for c in causes if set(c["between"]) == {"bank", "ledger"})
    rules = with_cause(plan, cause).to_data()["rules"]
    assert {rule["name"]: rule["on"][-1]["days"] for rule in rules} == {
        "exact, bank and ledger": [-3, 1],
        "exact, bank and orders": 1,
        "exact, ledger and orders": 1,
    }
    with pytest.raises(PlanError, match="no rule 'exact' with the condition"):
        with_cause(with_cause(plan, cause), cause)
    with pytest.raises(PlanError, match="no rules between ledger and bank in this order"):
        with_cause(plan, {**cause, "between": ["ledger", "bank"]})


def test_cleaning_one_side_for_another_is_not_done_to_the_third() -> None:
    """Bank and orders write R-001, the ledger R001: for its sake the bank's is cleaned, in a field of those two."""
    sales = tables()["orders"]
    dashed = sales.with_columns(pl.col("ref").str.replace("R", "R-"))
    found = {"orders": dashed, "ledger": sales, "bank": dashed}
    plan = SidesPlan.build(PLAN)
    change = {"change": "clean", "field": "ref", "left": ["strip_punctuation"], "right": []}
    mended_plan = with_cause(plan, {"between": ["bank", "ledger"], "change": change})
    before, after = (links(reconcile(one, sides=found).summary) for one in (plan, mended_plan))
    assert {tuple(sorted(pair)): count for pair, count in before.items()} == {
        ("bank", "ledger"): 0,
        ("bank", "orders"): 60,
        ("ledger", "orders"): 0,
    }
    assert after == before | {frozenset({"bank", "ledger"}): 60}
    assert mended_plan.to_data()["fields"][-1] == {
        "name": "ref_bank_ledger",
        "columns": {"bank": "ref", "ledger": "ref"},
        "clean": {"bank": ["strip_punctuation"]},
    }


def test_an_added_field_gets_a_name_that_is_free() -> None:
    """A third side may have a field of the name that the two sides' change would give its own."""
    fields = [*PLAN["fields"], {"name": "ref_trim", "columns": {"orders": "note"}}]
    tidy = {"name": "tidy", "between": ["ledger", "orders"], "on": ["ref"]}
    data = {**PLAN, "fields": fields, "rules": [*PLAN["rules"], tidy]}
    field = {
        "name": "ref_trim",
        "type": "text",
        "left": "ref",
        "right": "ref",
        "clean": {"left": ["trim"], "right": []},
    }
    rule = {"name": "tidy", "on": ["ref_trim", "amount"]}
    change = {"change": "rule", "rule": {**rule, "between": ["bank", "ledger"]}, "field": field}
    cause = {"between": ["bank", "ledger"], "change": change}
    made = with_cause(SidesPlan.build(data), cause).to_data()
    assert made["rules"][-1] == {"name": "tidy (2)", "on": ["ref_trim_2", "amount"], "between": ["bank", "ledger"]}
    assert (made["fields"][-1]["name"], made["fields"][-1]["clean"]) == ("ref_trim_2", {"bank": ["trim"]})
    with pytest.raises(PlanError, match="has the rule 'tidy' between bank and ledger"):
        with_cause(SidesPlan.build(made), cause)
