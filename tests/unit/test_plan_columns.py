"""Columns that later files call otherwise: what is proposed for them, and the plan that reads them."""

from __future__ import annotations

import pytest

from recon_engine.nway.any_plan import AnyPlan, build_plan
from services.plan_columns import lacking, proposed, with_columns, with_made

PLAN = {
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
