"""Rules by a second key: proposed where it joins what the first leaves open, and only there."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recon_engine import reconcile
from recon_engine.suggest import Suggestion, suggest

pytestmark = pytest.mark.slow

ROWS = 200
Table = dict[str, list[str]]


def suggested(folder: Path, left: Table, right: Table) -> Suggestion:
    """The suggestion for two tables, the right one in another order."""
    pl.DataFrame(left).write_csv(folder / "left.csv")
    pl.DataFrame(right).reverse().write_csv(folder / "right.csv")
    return suggest(folder / "left.csv", folder / "right.csv")


def orders(rows: int = ROWS) -> Table:
    """Records that two columns name."""
    return {
        "order": [f"ORD-{i:05}" for i in range(rows)],
        "code": [f"A{i * 7919 % 100_003:05}" for i in range(rows)],
        "amount": [f"{(i * 733) % 9_973 + 1}.{i % 100:02}" for i in range(rows)],
    }


def changed(table: Table, column: str, values: dict[int, str]) -> Table:
    """The table with other values in some rows."""
    return table | {column: [values.get(i, value) for i, value in enumerate(table[column])]}


def names(found: Suggestion) -> list[str]:
    """The proposed rules."""
    return [rule.name for rule in found.plan.rules]


def matched(found: Suggestion) -> int:
    """How many left records the plan matches, confirmed or suggested."""
    told = reconcile(found.plan).summary["rows"]["left"]
    return int(told["matched"] + told["suggested"])


def test_a_second_name_of_the_same_pairs_is_told_and_gets_no_rules(tmp_path: Path) -> None:
    """Even where some amounts differ, some records are on one side alone, and some are there twice."""
    right = changed(orders(), "amount", {i: f"77{i}.00" for i in range(5)})
    right = {name: [*values[:180], values[100]] for name, values in right.items()}
    found = suggested(tmp_path, {name: values[10:] for name, values in orders().items()}, right)
    assert names(found) == ["exact", "same order"]
    assert found.rules[-1].reason.endswith("; code joins no others")
    assert "code" in found.plan.compare, "where it differs is listed all the same"


@pytest.mark.parametrize("value", ["", "LOST-1"], ids=["blank", "another"])
def test_one_record_that_the_first_key_leaves_open_is_enough(tmp_path: Path, value: str) -> None:
    """A record without its order, or with another one, is found by its code; two others have no code."""
    right = changed(changed(orders(), "order", {7: value}), "code", {8: "", 9: ""})
    found = suggested(tmp_path, orders(), right)
    assert names(found) == ["exact", "exact by code", "same order", "same code"]
    assert matched(found) == ROWS


def test_a_second_key_tells_apart_what_repeats_the_first(tmp_path: Path) -> None:
    """Two orders of one number and amount; more codes than that are missing."""
    twice = changed(changed(orders(), "order", {0: "ORD-TWICE", 1: "ORD-TWICE"}), "amount", {0: "5.00", 1: "5.00"})
    found = suggested(tmp_path, twice, changed(twice, "code", dict.fromkeys(range(10, 20), "")))
    assert names(found) == ["exact", "exact by code", "same order", "same code"]
    assert matched(found) == ROWS


def test_a_second_key_that_contradicts_the_first_stays(tmp_path: Path) -> None:
    """Which of the two is right is for the stricter rule to say."""
    codes = orders()["code"]
    crossed = changed(orders(), "code", {0: codes[1], 1: codes[0], 2: ""})
    assert "exact by code" in names(suggested(tmp_path, orders(), crossed))


def test_values_are_compared_as_the_plan_compares_them(tmp_path: Path) -> None:
    """One number in six hundred is written without its hyphen, for which no clean step is proposed."""
    right = changed(changed(orders(600), "order", {0: "ORD00000"}), "code", {8: "", 9: ""})
    found = suggested(tmp_path, orders(600), right)
    assert "exact by code" in names(found)
    assert matched(found) == 600


def test_the_next_key_has_its_turn_where_the_second_adds_nothing(tmp_path: Path) -> None:
    """Three keys, the second as the first: the third joins what they leave open."""
    left = orders() | {"token": [f"T{i * 31 + 100}X" for i in range(ROWS)]}
    right = left
    for column, blank in (("order", range(40)), ("code", range(41)), ("token", range(100, 142))):
        right = changed(right, column, dict.fromkeys(blank, ""))
    found = suggested(tmp_path, left, right)
    assert names(found) == ["exact", "exact by token", "same order", "same token"]
    assert matched(found) == ROWS


@pytest.mark.parametrize(("agreeing", "compared"), [(0, False), (20, False), (120, True)])
def test_what_each_side_says_for_itself_is_not_compared(tmp_path: Path, agreeing: int, compared: bool) -> None:
    """A text that differs in nearly all records of a key would make a difference of every match."""
    stages = ["open", "paid", "sent", "held"]
    left = orders() | {"stage": [stages[i % 4] for i in range(ROWS)]}
    right = orders() | {"stage": [stages[(i + (i >= agreeing)) % 4] for i in range(ROWS)]}
    found = suggested(tmp_path, left, right)
    assert "stage" in [field.name for field in found.plan.fields]
    assert ("stage" in found.plan.compare) == compared
