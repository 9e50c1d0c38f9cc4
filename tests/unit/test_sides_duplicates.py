"""Duplicates of plans with several sides: searched once a side, left out of every pair, told as for two sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, PlanError, Result, SidesPlan, load_plan, reconcile, verify
from recon_engine.matching import candidates
from recon_engine.nway.any_plan import parse_plan

pytestmark = pytest.mark.slow

SIDES = ("orders", "ledger", "bank")
FIELDS = [
    {"name": "ref", "columns": dict.fromkeys(SIDES, "ref")},
    {"name": "amount", "columns": dict.fromkeys(SIDES, "amt"), "type": "decimal"},
    {"name": "note", "columns": {"orders": "note"}},
]
RULES = [
    {"name": "o-l", "between": ["orders", "ledger"], "on": ["ref", "amount"]},
    {"name": "l-b", "between": ["ledger", "bank"], "on": ["ref"]},
]
DATA: dict[str, Any] = {
    "name": "test",
    "sides": [{"name": "orders", "label": "Orders"}, {"name": "ledger", "label": "Ledger"}, {"name": "bank"}],
    "fields": FIELDS,
    "rules": RULES,
}


def table(text: str) -> pl.DataFrame:
    """'R1 10 x, R2 20 y' as a frame of references, amounts and notes."""
    rows = [(*part.split(), "")[:3] for part in text.split(",") if part.strip()]
    return pl.DataFrame(rows, schema=dict.fromkeys(("ref", "amt", "note"), pl.String), orient="row")


def run(duplicates: dict[str, Any], orders: str, ledger: str, bank: str, **options: Any) -> Result:
    """Reconciles three inline tables, and verifies the result."""
    frames = {"orders": table(orders), "ledger": table(ledger), "bank": table(bank)}
    result = reconcile(SidesPlan.build({**DATA, "duplicates": duplicates}), sides=frames, **options)
    assert [check for check in verify(result.path) if check.holds is False] == []
    assert result.summary["conserved"]
    return result


def twins(result: Result) -> list[tuple[Any, ...]]:
    """The table of duplicates as rows."""
    return result.records("duplicates").collect().rows()


@pytest.mark.parametrize("partitions", [1, 3])
def test_excluded_duplicates_stay_out_of_every_pair(partitions: int) -> None:
    """The first of each group matches over all sides; the others are breaks that name it, and lack every side."""
    search = {"ledger": {"on": ["ref", {"field": "amount", "within": 1}], "exclude": True}, "orders": {"on": ["ref"]}}
    given = "R1 10, R2 20, R3 5, R3 6", "R2 20, R1 10, R1 10.50, R1 10", "R1 1, R2 2, R1 3"
    result = run(search, *given, partitions=partitions)
    matches = result.matches().collect().select("side", "row").rows()
    assert matches == [("bank", 2), ("ledger", 1), ("orders", 2)]
    assert twins(result) == [
        *((1, "ledger", "Ledger", row, row == 2) for row in (2, 3, 4)),
        *((2, "orders", "Orders", row, True) for row in (3, 4)),
    ]
    counted = {"ledger": {"groups": 1, "records": 3}, "orders": {"groups": 1, "records": 2}}
    assert result.summary["duplicates"] == counted
    breaks = {(b["side"], b["row"]): b for b in result.breaks().collect().iter_rows(named=True)}
    for row in (3, 4):
        left_out = breaks["ledger", row]
        assert left_out["reason"] == "a duplicate of Ledger row 2, left out of matching as the plan says"
        assert (left_out["category"], left_out["missing"]) == ("duplicate", "bank, orders")
    assert breaks["ledger", 2]["category"] == "ambiguous"  # two payments fit the one that was kept


def test_without_a_search_there_is_an_empty_table() -> None:
    """Every result has the table, with the same columns."""
    result = run({}, "R1 10, R1 10", "R1 10", "R1 10")
    found = result.records("duplicates").collect()
    assert found.is_empty()
    assert found.columns == ["group", "side", "source", "row", "kept"]
    assert result.summary["duplicates"] == {}


def test_duplicates_are_those_of_the_plan_with_two_sides() -> None:
    """Two sides by name have the groups, the counts and the reasons of left and right."""
    search = {"on": ["ref", {"field": "amount", "within": "0.10"}], "exclude": True}
    near = {"name": "near", "on": ["ref", {"field": "amount", "within": "0.05"}]}
    frames = {"ledger": table("R1 10, R1 10.05, R2 7, R1 10.10"), "orders": table("R1 10.02, R1 10.01, R2 7")}
    sided = [{"name": "ledger", "label": "Ledger"}, {"name": "orders", "label": "Orders"}]
    fields = [{**f, "columns": {s: f["columns"][s] for s in ("ledger", "orders")}} for f in FIELDS[:2]]
    both = {"ledger": search, "orders": search}
    three = {"name": "t", "sides": sided, "fields": fields, "rules": [near], "duplicates": both}
    named = reconcile(SidesPlan.build(three), sides=frames)
    flat = [{"left": "ref", "right": "ref", "name": "ref"}, {"left": "amt", "right": "amt", "name": "amount"}]
    two = {"left": {"label": "Ledger"}, "right": {"label": "Orders"}, "rules": [near]}
    two |= {"fields": [flat[0], {**flat[1], "type": "decimal"}], "duplicates": {"left": search, "right": search}}
    plain = reconcile(Plan.build({"name": "t", **two}), left=frames["ledger"], right=frames["orders"])
    names = {"left": "ledger", "right": "orders"}
    for name in ("duplicates", "breaks"):
        columns = ["group", "source", "row", "kept"] if name == "duplicates" else ["row", "category", "nearest_row"]
        place = pl.col("side").cast(pl.String).replace(names)
        ours, theirs = (r.records(name).select(place, *columns).collect() for r in (named, plain))
        assert ours.equals(theirs)
    reasons = [r.breaks().filter(pl.col("category") == "duplicate").collect()["reason"] for r in (named, plain)]
    assert reasons[0].equals(reasons[1])
    assert reasons[0].len() == 3
    assert named.summary["duplicates"] == {names[s]: n for s, n in plain.summary["duplicates"].items()}
    assert named.records("duplicates").collect_schema().names() == plain.records("duplicates").collect_schema().names()


def test_words_are_likened_within_the_side() -> None:
    """A side is searched by its own texts, of a field that no rule looks at."""
    alike = {"field": "note", "similarity": "token_set", "at_least": 0.5}
    search = {"orders": {"on": ["amount", alike]}}
    result = run(search, "R1 10 taxi-north, R2 10 north-taxi, R3 10 hotel", "R1 10", "R1 10")
    assert [row for _, _, _, row, _ in twins(result)] == [1, 2]


def test_too_many_to_compare_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning is of the side, however many pairs it stands in."""
    monkeypatch.setattr(candidates, "LARGEST_GROUP", 20)
    same = ", ".join(["R1 5"] * 8)
    near = {"ledger": {"on": ["ref", {"field": "amount", "within": 1}]}}
    warnings = run(near, "R9 1", same, "R9 1").summary["warnings"]
    told = "duplicates in Ledger: 8 records are in groups too large to compare; search capped"
    assert warnings.count(told) == 1


@pytest.mark.parametrize(
    ("search", "place", "says"),
    [
        ({"shop": {"on": ["ref"]}}, "duplicates.shop", "there is no side 'shop'; the sides are orders, ledger, bank"),
        ({"bank": {"on": ["ref", "nope"]}}, "duplicates.bank.on[1].field", "there is no field 'nope'"),
        ({"bank": {"on": ["note"]}}, "duplicates.bank.on[0].field", "field 'note' has no column for side 'bank'"),
        ({"bank": {"on": [{"field": "ref", "within": 1}]}}, "duplicates.bank.on[0].within", "are for numbers"),
        ({"bank": {"on": []}}, "duplicates.bank.on", "must have at least 1"),
        (
            {"bank": {"on": [{"field": "amount", "total": True}]}},
            "duplicates.bank.on[0].total",
            "say nothing about duplicates",
        ),
        ({"bank": {"on": ["ref"], "drop": True}}, "duplicates.bank.drop", "unknown key"),
    ],
)
def test_a_fault_has_its_place(search: dict[str, Any], place: str, says: str) -> None:
    """What is wrong with a search is told where it stands."""
    with pytest.raises(PlanError) as refused:
        SidesPlan.build({**DATA, "duplicates": search})
    (fault,) = refused.value.faults
    assert fault.place == place
    assert says in fault.says


def test_a_side_is_not_called_like_the_table() -> None:
    """Its records would stand in the place of the duplicates."""
    with pytest.raises(PlanError, match="is the name of a table"):
        SidesPlan.build({**DATA, "sides": [{"name": "duplicates"}, {"name": "bank"}]})


def test_a_search_survives_its_file(tmp_path: Path) -> None:
    """Written and read again it is the same, in the short form; YAML's `on` is read as the key that it is."""
    search = {"orders": {"on": ["ref", {"field": "amount", "within": "1"}], "exclude": True}}
    plan = SidesPlan.build({**DATA, "duplicates": search})
    assert plan.to_data()["duplicates"] == search
    (tmp_path / "plan.yaml").write_text(plan.to_yaml())
    assert load_plan(tmp_path / "plan.yaml").to_data() == plan.to_data()
    text = SidesPlan.build(DATA).to_yaml() + "duplicates: {bank: {on: [ref]}}\n"
    assert parse_plan(text).duplicates_of("bank") is not None
