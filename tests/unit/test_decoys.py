"""The estimate of accidental matches, on data whose true share of accidents is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from recon_engine import Plan, Result, reconcile

pytestmark = pytest.mark.slow


def records(generator: np.random.Generator, count: int, amounts: int, days: int) -> pl.DataFrame:
    """Payments with random amounts and days in ten accounts."""
    start = np.datetime64("2025-01-01")
    return pl.DataFrame(
        {
            "account": [f"A{k}" for k in generator.integers(0, 10, count)],
            "amount": [f"{k}.00" for k in generator.integers(1, amounts, count)],
            "day": [str(start + int(k)) for k in generator.integers(0, days, count)],
        }
    )


def reconciled(
    rule: dict[str, Any], amounts: int, days: int, seed: int, lone: tuple[int, int] = (1200, 1200)
) -> tuple[Result, float]:
    """2,800 records have their counterpart on the other side, `lone` have none; with the true share of accidents."""
    generator = np.random.default_rng(seed)
    both = records(generator, 2800, amounts, days).with_columns(truth=pl.int_range(2800).cast(pl.String))
    sides = [
        pl.concat([both, records(generator, count, amounts, days).with_columns(truth=pl.lit(name))])
        for name, count in zip(("left", "right"), lone, strict=True)
    ]
    sides = [side[generator.permutation(side.height)] for side in sides]
    fields = [
        {"name": "account", "left": "account", "right": "account"},
        {"name": "amount", "left": "amount", "right": "amount", "type": "decimal"},
        {"name": "day", "left": "day", "right": "day", "type": "date"},
        {"name": "truth", "left": "truth", "right": "truth"},
    ]
    plan = {"name": "t", "left": {"label": "L"}, "right": {"label": "R"}, "fields": fields, "rules": [rule]}
    result = reconcile(Plan.build(plan), left=sides[0], right=sides[1])
    rows = [
        result.matches().filter(pl.col("side") == s).sort("match_id").collect()["row"] - 1 for s in ("left", "right")
    ]
    same = sides[0]["truth"].gather(rows[0]) == sides[1]["truth"].gather(rows[1])
    return result, 1 - int(same.sum()) / len(same)


@pytest.mark.parametrize(
    ("on", "amounts", "days"),
    [
        (["amount", "day"], 800, 60),
        (["amount", {"field": "day", "days": 2}], 3000, 60),
        (["account", "amount", "day"], 100, 90),
        (["account", "amount", {"field": "day", "days": 3}], 400, 90),
    ],
)
def test_the_true_share_of_accidents_lies_in_the_interval(on: list[Any], amounts: int, days: int) -> None:
    """No labels are used, and the stated interval holds the truth."""
    for seed in (1, 2):
        result, truth = reconciled({"name": "r", "on": on}, amounts, days, seed)
        chance = result.summary["rules"][0]["chance"]
        assert chance["method"] == "decoys"
        assert chance["low"] <= truth <= chance["high"], (seed, truth, chance)
        assert truth > 0


@pytest.mark.parametrize("lone", [(1200, 300), (300, 1200), (2400, 100), (100, 2400)])
@pytest.mark.parametrize(
    ("on", "amounts", "days"), [(["amount", "day"], 800, 60), (["amount", {"field": "day", "days": 2}], 3000, 60)]
)
def test_the_interval_holds_where_one_side_is_longer(
    on: list[Any], amounts: int, days: int, lone: tuple[int, int]
) -> None:
    """A long ledger against a short statement, and the other way round."""
    result, truth = reconciled({"name": "r", "on": on}, amounts, days, 5, lone)
    chance = result.summary["rules"][0]["chance"]
    assert chance["low"] <= truth <= chance["high"], (truth, chance)


def test_a_rule_with_too_many_accidents_only_suggests() -> None:
    """`max_false_rate` turns what the rule finds into suggestions, and says so; a loose gate does not."""
    rule = {"name": "r", "on": ["amount", {"field": "day", "days": 2}]}
    for limit, outcome in ((0.001, "suggested"), (0.9, "confirmed")):
        result, _ = reconciled({**rule, "max_false_rate": limit}, 3000, 60, 1)
        assert result.summary["rules"][0]["outcome"] == outcome
        assert result.matches().select(pl.col("outcome").unique()).collect().item() == outcome
        counted = result.summary["rows"]["left"]
        assert (counted["suggested"] > 0) == (outcome == "suggested")


def test_a_single_condition_has_no_estimate() -> None:
    """Exchanging the only value changes nothing: the run says that it cannot tell, and a gate stays shut."""
    result, _ = reconciled({"name": "r", "on": ["truth"], "max_false_rate": 0.5}, 100, 60, 1)
    assert result.summary["rules"][0]["chance"] is None
    assert result.summary["rules"][0]["outcome"] == "suggested"


@pytest.mark.parametrize("lone", [(300, 600), (600, 300)])
def test_one_match_of_many_records_is_one(lone: tuple[int, int]) -> None:
    """200 left records have ten right ones each; others have none, and share their values with some by accident."""
    generator = np.random.default_rng(17)
    day = generator.integers(0, 40, 200)
    one = [(f"{amount}.00", int(d), "K") for amount, d in zip(range(1000, 1200), day, strict=True)]
    many = [line for line in one for _ in range(10)]
    one += [(f"{generator.integers(1, 100)}.00", int(generator.integers(0, 40)), "left") for _ in range(lone[0])]
    many += [(f"{generator.integers(1, 100)}.00", int(generator.integers(0, 40)), "right") for _ in range(lone[1])]
    sides = [pl.DataFrame(rows, schema=["amount", "day", "truth"], orient="row") for rows in (one, many)]
    fields = [{"name": name, "left": name, "right": name} for name in ("amount", "day")]
    rule = {"name": "r", "on": ["amount", "day"], "cardinality": "one_to_many"}
    plan = {"name": "t", "left": {"label": "L"}, "right": {"label": "R"}, "fields": fields, "rules": [rule]}
    result = reconcile(Plan.build(plan), left=sides[0], right=sides[1])
    matched = result.matches().filter(pl.col("side") == "left").collect()["row"] - 1
    truth = float((sides[0]["truth"].gather(matched) != "K").mean() or 0)  # type: ignore[arg-type]
    chance = result.summary["rules"][0]["chance"]
    assert truth > 0.05
    assert chance["low"] <= truth <= chance["high"], (truth, chance)


@pytest.mark.parametrize("counts", [(900, 600), (600, 900), (700, 700)], ids=["more left", "more right", "as many"])
@pytest.mark.parametrize("cardinality", ["one_to_one", "one_to_many"])
def test_which_side_is_left_plays_no_part(counts: tuple[int, int], cardinality: str) -> None:
    """The estimate is the same when the sides change their places, and the rule's window and cardinality with them."""
    generator = np.random.default_rng(31)
    tables = [records(generator, count, 120, 30) for count in counts]

    def chance(one: pl.DataFrame, two: pl.DataFrame, days: list[int], cardinality: str) -> dict[str, Any]:
        rule = {"name": "r", "on": ["amount", {"field": "day", "days": days}], "cardinality": cardinality}
        fields = [
            {"name": "amount", "left": "amount", "right": "amount", "type": "decimal"},
            {"name": "day", "left": "day", "right": "day", "type": "date"},
        ]
        plan = {"name": "t", "left": {"label": "L"}, "right": {"label": "R"}, "fields": fields, "rules": [rule]}
        found = reconcile(Plan.build(plan), left=one, right=two).summary["rules"][0]["chance"]
        assert isinstance(found, dict)
        return found

    there = chance(tables[0], tables[1], [0, 3], cardinality)
    back = chance(tables[1], tables[0], [-3, 0], cardinality.replace("one_to_many", "many_to_one"))
    assert there == back
    assert there["false_rate"] > 0
