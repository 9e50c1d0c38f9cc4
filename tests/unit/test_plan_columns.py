"""Columns that later files call otherwise: what is proposed for them, and the plan that reads them."""

from __future__ import annotations

from typing import Any

import pytest

from recon_engine.nway.any_plan import AnyPlan, build_plan
from services.database.models import StoredFile
from services.plan_columns import clashing, columns_of, lacking, proposed, with_columns, with_made

PLAN: dict[str, Any] = {
    "name": "later",
    "left": {"label": "Ledger"},
    "right": {"label": "Bank", "combined": {"who": ["first", "last"]}},
    "fields": [
        {"name": "ref", "left": "ref", "right": "reference"},
        {"name": "amount", "left": "amount", "right": "value", "type": "decimal", "scale": 2},
        {"name": "name", "left": "name", "right": "who"},
    ],
    "rules": [{"name": "exact", "on": ["ref", "amount"]}],
    "compare": ["amount", "name"],
}
PAIR = {
    **PLAN,
    "right": {"label": "Bank", "debit": "Debit", "credit": "Credit"},
    "fields": [PLAN["fields"][0], {"name": "amount", "left": "amount", "right": "amount", "type": "decimal"}],
    "compare": ["amount"],
}
THREE = {
    "name": "three",
    "sides": [{"name": one, "label": one} for one in ("a", "b", "c")],
    "fields": [{"name": "ref", "columns": {"a": "ref", "b": "ref", "c": "ref"}}],
    "rules": [{"name": "exact", "on": ["ref"]}],
}


def test_what_is_gone_is_told_by_side() -> None:
    """Also of what a column is made of; what is there is not."""
    columns = {"left": ["ref", "amount", "name"], "right": ["reference", "last"]}
    assert lacking(build_plan(PLAN), columns) == {"right": ["value", "first"]}


@pytest.mark.parametrize(
    ("now", "found"),
    [
        ({"sum": "decimal", "day": "date", "place": "text"}, {"value": "sum", "first": "place"}),
        (
            {"value eur": "integer", "value usd": "decimal", "first name": "text", "town": "text"},
            {"value": "value usd", "first": "first name"},
        ),
        ({"one": "decimal", "two": "decimal"}, {}),
        ({"last": "text", "reference": "text"}, {}),
    ],
)
def test_the_likely_column_is_proposed(now: dict[str, str], found: dict[str, str]) -> None:
    """The only one of its type, or one that is called nearly so; never one that the plan reads already."""
    profiles = {name: {"type": kind} for name, kind in now.items()}
    told = proposed(build_plan(PLAN), "right", ["value", "first"], profiles)
    assert told == found


def test_the_plan_reads_what_takes_the_place() -> None:
    """Fields and what is made of columns follow; a field without a column is gone, from the compared ones too."""
    plan = build_plan(with_columns(build_plan(PLAN), {"right": {"value": "sum", "first": "given"}}))
    assert plan.fields[1].columns == {"left": "amount", "right": "sum"}
    assert plan.side("right").combined == {"who": ("given", "last")}
    plan = build_plan(with_columns(build_plan(PLAN), {"right": {"first": None}}))
    assert not plan.side("right").combined
    assert [spec.name for spec in plan.fields] == ["ref", "amount"]
    plan = build_plan(with_columns(build_plan(PLAN), {"left": {"name": None}}))
    assert [spec.name for spec in plan.fields] == ["ref", "amount"]
    assert list(plan.compare) == ["amount"]


def test_also_of_several_sides() -> None:
    """Only the side that changed reads another column."""
    plan: AnyPlan = build_plan(with_columns(build_plan(THREE), {"b": {"ref": "reference"}}))
    assert plan.fields[0].columns == {"a": "ref", "b": "reference", "c": "ref"}


def test_a_column_of_the_file_is_no_longer_made() -> None:
    """The field goes on by the same name."""
    plan = build_plan(with_made(build_plan(PLAN), {"right": {"who": None}}))
    assert not plan.side("right").combined
    assert plan.fields[2].columns["right"] == "who"


def test_a_column_is_made() -> None:
    """Beside those that are made already, of two sides and of several."""
    plan = build_plan(with_made(build_plan(PLAN), {"right": {"all": ["a + b", "c"]}}))
    assert plan.side("right").combined == {"who": ("first", "last"), "all": ("a + b", "c")}
    plan = build_plan(with_made(build_plan(THREE), {"c": {"all": ["a", "b"]}}))
    assert plan.side("c").combined == {"all": ("a", "b")}  # type: ignore[arg-type]


def test_debits_and_credits_are_asked_for_as_the_amount_is_made_of_them() -> None:
    """Not the amount, which no file has; two that are called so take their places, whatever else is a number."""
    plan = build_plan(PAIR)
    assert columns_of(plan, "right") == ["reference", "Debit", "Credit"]
    both = {"left": ["ref", "amount"], "right": ["reference", "Debit", "Credit"]}
    assert lacking(plan, both) == {}
    assert lacking(plan, {**both, "right": ["reference", "amount", "Out"]}) == {"right": ["Debit", "Credit"]}
    gone = ["Debit", "Credit"]
    now = {"reference": "text", "Paid in": "decimal", "Paid out": "decimal", "amount": "decimal", "fee": "integer"}
    profiles = {name: {"type": kind} for name, kind in now.items()}
    assert proposed(plan, "right", gone, profiles) == {"Debit": "Paid out", "Credit": "Paid in"}
    unclear = {"reference": {"type": "text"}, "Out": {"type": "decimal"}, "In": {"type": "decimal"}}
    assert proposed(plan, "right", gone, unclear) == {}
    assert proposed(plan, "right", ["Credit"], {**unclear, "Credits": {"type": "decimal"}}) == {"Credit": "Credits"}


def test_the_amount_is_made_of_others_or_is_one_column() -> None:
    """The pair under other names; one column with signs in its place; without both the field goes."""
    plan = build_plan(PAIR)
    made = build_plan(with_columns(plan, {"right": {"Debit": "Out", "Credit": "In"}})).side("right")  # type: ignore[arg-type]
    assert (made.debit, made.credit) == ("Out", "In")
    one = build_plan(with_columns(plan, {"right": {"Debit": None, "Credit": "value"}}))
    assert (one.side("right").debit, one.side("right").credit) == (None, None)  # type: ignore[arg-type]
    assert one.fields[1].columns["right"] == "value"
    none = with_columns(plan, {"right": {"Debit": None, "Credit": None}})
    assert [field["name"] for field in none["fields"]] == ["ref"]
    own = build_plan(with_made(plan, {"right": {"amount": None}}))
    assert (own.side("right").debit, own.fields[1].columns["right"]) == (None, "amount")  # type: ignore[arg-type]


def test_an_amount_of_the_file_itself_is_told_of() -> None:
    """One that was read from debits and credits is no other column."""
    columns: list[dict[str, Any]] = [{"name": name} for name in ("reference", "Debit", "Credit", "amount")]
    told = {"facts": {}, "columns": columns, "rows": 1}
    files = [StoredFile(name="bank.csv", options_json={}, profile_json=told)]
    assert clashing(build_plan(PAIR), {"right": files}) == {"right": ["amount"]}
    files[0].profile_json = {**told, "facts": {"amount": "Credit less Debit"}}
    assert clashing(build_plan(PAIR), {"right": files}) == {}
