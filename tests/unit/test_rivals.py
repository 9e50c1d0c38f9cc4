"""A break whose counterpart is matched already names the records that it is matched to."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, reconcile

FIELDS = [
    {"name": "ref", "left": "ref", "right": "ref", "type": "text"},
    {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 2},
]
EXACT = {"name": "exact", "on": ["ref", "amount"]}
SUM = {"name": "sum", "cardinality": "one_to_many", "on": ["ref", {"field": "amount", "total": True}]}
STORNO = {"name": "storno", "net": "right", "on": ["ref", {"field": "amount", "total": True}]}
NEAR = {"name": "near", "on": ["ref", {"field": "amount", "within": "0.50"}]}


def reasons(left: str, right: str, *rules: dict[str, Any]) -> dict[tuple[str, int], str]:
    """Of tables like 'R1 10, R2 7', by side and row why a record stays open."""
    tables = [
        pl.DataFrame([word.split() for word in text.split(", ")], schema=["ref", "amount"], orient="row")
        for text in (left, right)
    ]
    labels = {"left": {"label": "Ledger"}, "right": {"label": "Bank"}}
    plan = Plan.build({"name": "t", **labels, "fields": FIELDS, "rules": rules})
    result = reconcile(plan, left=tables[0], right=tables[1])
    rows = result.breaks().select("side", "row", "reason").collect().rows()
    return {(side, row): reason for side, row, reason in rows}


@pytest.mark.parametrize(
    ("own", "label", "other"), [pytest.param("left", "Ledger", "Bank"), pytest.param("right", "Bank", "Ledger")]
)
def test_a_counterpart_that_differs_is_named_with_the_record_that_took_it(own: str, label: str, other: str) -> None:
    """From either side: row 2 has the reference of row 1, which is matched."""
    two, one = "R1 10, R1 12", "R1 10"
    told = reasons(*((two, one) if own == "left" else (one, two)), EXACT)
    asked = "amount differs by 2.00, the rule allows none"
    assert told == {(own, 2): f"{asked} (that {other} record is already matched to {label} row 1)"}


def test_a_counterpart_that_fits_is_named_with_the_record_that_took_it() -> None:
    """The exact rule took what the second rule would have matched."""
    told = reasons("R1 10.20, R1 10", "R1 10", EXACT, NEAR)
    assert told == {("left", 1): "its counterpart is matched to Ledger row 2: the Bank record that fits rule 'near'"}


def test_all_records_of_a_total_are_named() -> None:
    """A counterpart that stands for several is matched to all of them; of many, the first five are listed."""
    took = "(that Bank record is already matched to Ledger rows"
    parts = {**SUM, "cardinality": "many_to_one"}
    few = reasons("R1 4, R1 6, R1 99", "R1 10", parts, EXACT)
    assert few["left", 3].endswith(f"{took} 1, 2)")
    many = reasons(", ".join([*["R1 1"] * 8, "R1 99"]), "R1 8", parts, EXACT)
    assert many["left", 9].endswith(f"{took} 1, 2, 3, 4, 5 and 3 more)")


def test_what_cancelled_out_inside_its_side_is_named() -> None:
    """A netted counterpart is matched to a record of its own side."""
    told = reasons("R1 10", "R1 10, R1 -10", STORNO, EXACT)
    assert told == {("left", 1): "its counterpart is matched to Bank row 2: the Bank record that fits rule 'exact'"}


def test_a_rule_on_keys_alone_has_nothing_that_differs() -> None:
    """No record is near under it, or one is and was taken."""
    same = {"name": "same ref", "on": ["ref"]}
    none = {
        side: f"no {other} record comes near under any rule" for side, other in (("left", "Bank"), ("right", "Ledger"))
    }
    assert reasons("R1 10, R2 7", "R1 10, R3 8", EXACT, same) == {
        ("left", 2): none["left"],
        ("right", 2): none["right"],
    }
    told = reasons("R1 10, R1 7", "R1 10", EXACT, same)
    taken = "its counterpart is matched to Ledger row 1: the Bank record that fits rule 'same ref'"
    assert told == {("left", 2): taken}
