"""The nearest counterpart of a break where no key says it: the most probable one, or the one with the likest texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from recon_engine import Plan, Result, reconcile
from recon_engine.matching.conditions import holds
from recon_engine.matching.linkage import LinkField, link
from recon_engine.outcome import nearest_scored

NAMES = ["given", "surname", "street", "town"]
LINK = {"name": "same person", "link": {"fields": NAMES, "probability": 0.9}}


def run(left: pl.DataFrame, right: pl.DataFrame, *rules: dict[str, Any], labels: Sequence[str] = ("A", "B")) -> Result:
    """Reconciles two tables of text by these rules; an amount is money, the rest is text."""
    kinds = {"amount": {"type": "decimal", "scale": 2}}
    fields = [{"name": c, "left": c, "right": c, **kinds.get(c, {})} for c in left.columns]
    sides = {side: {"label": label} for side, label in zip(("left", "right"), labels, strict=True)}
    return reconcile(Plan.build({"name": "t", **sides, "fields": fields, "rules": rules}), left=left, right=right)


def breaks(result: Result, side: str = "left") -> pl.DataFrame:
    """The breaks of one side."""
    return result.breaks().filter(pl.col("side").cast(pl.String) == side).collect()


@pytest.fixture(scope="module")
def people() -> tuple[pl.DataFrame, pl.DataFrame]:
    """120 people; half of them stand in the other table too, where a third of the fields have other values."""
    random = np.random.default_rng(378)
    words = {"given": 30, "surname": 60, "street": 80, "town": 6}
    letters = np.array(list("bdfgklmnprst"))
    known = {n: ["a".join(letters[random.integers(0, 12, 5)]) for _ in range(size)] for n, size in words.items()}

    def table(rows: int) -> pl.DataFrame:
        return pl.DataFrame({n: [known[n][k] for k in random.integers(0, words[n], rows)] for n in NAMES})

    left = table(120)
    right = pl.concat([left.head(60), table(60)])
    other = table(120)
    changed = [
        pl.when(pl.Series(random.random(120) < 0.33)).then(other[name]).otherwise(pl.col(name)).alias(name)
        for name in NAMES
    ]
    return left, right.with_columns(changed)


def test_a_linkage_names_its_best_rival_below_the_threshold(people: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """The nearest record is the one that linkage itself scores best; the reason has its probability, and the field
    that cost most.
    """
    left, right = people
    result = run(left, right, LINK)
    matched = {
        (side, row) for side, row in result.matches().select(pl.col("side").cast(pl.String), "row").collect().rows()
    }
    scored = link(left, right, [LinkField(n, "text") for n in NAMES], probability=0.9).pairs.sort("weight")
    told, costs = 0, set()
    for record in breaks(result).iter_rows(named=True):
        mine = scored.filter(pl.col("l") == record["row"] - 1)
        likely = [r for r in mine.rows(named=True) if r["probability"] >= 0.5 and ("right", r["r"] + 1) not in matched]
        if mine.is_empty():
            assert record["reason"] == "no B record comes near under any rule"
        elif record["category"] == "missing_counterpart":
            best = max(likely or mine.rows(named=True), key=lambda r: r["weight"])
            bits, field = min((best[f"w.{n}"], n) for n in NAMES)
            shown = np.floor(best["probability"] * 100 + 1e-9) / 100
            told_first = f"nearest is B row {best['r'] + 1}: {shown} probable, the rule asks 0.9; {field} differs most"
            assert record["reason"].startswith(f"{told_first} ({round(bits, 1)} bits)")
            assert (record["nearest_row"], record["nearest_rule"]) == (best["r"] + 1, "same person")
            assert record["nearest_distance"] == pytest.approx(0.9 - best["probability"], abs=1e-5)
            told, costs = told + 1, costs | {field}
    assert told > 20, "the tables are made so that many records have a rival"
    assert len(costs) > 1


def test_the_order_of_rows_names_the_same_rivals(people: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Shuffled tables give every record the same nearest record, by content."""

    def told(left: pl.DataFrame, right: pl.DataFrame) -> list[tuple[Any, ...]]:
        found = breaks(run(left, right, LINK)).select("row", "nearest_row", "nearest_distance", "category")
        rows = [
            (*left.row(row - 1), *(right.row(near - 1) if near else ()), distance, category)
            for row, near, distance, category in found.rows()
        ]
        return sorted(rows, key=str)

    left, right = people
    assert told(left, right) == told(left.sample(fraction=1, shuffle=True, seed=1), right.reverse())


def test_a_rival_that_fits_is_said_to_be_taken() -> None:
    """A second record of the same person has its counterpart named, and that it is matched."""
    random = np.random.default_rng(1)
    letters = np.array(list("bdfgklmnprstvz"))
    rows = {n: ["a".join(letters[random.integers(0, 14, 6)]) for _ in range(40)] for n in NAMES}
    right = pl.DataFrame(rows)
    twice = right.head(1).with_columns(street=pl.lit("elsewhere"))
    found = breaks(run(pl.concat([right, twice]), right, LINK))
    assert found.select("row", "category", "nearest_row").rows() == [(41, "duplicate", 1)]
    told = "its counterpart is matched to A row 1: the B record that fits rule 'same person'"
    assert found["reason"].to_list() == [told]


ALIKE = {"field": "note", "similarity": "jaro_winkler", "at_least": 0.95}
BOOKED = pl.DataFrame({"amount": ["1.00", "2.00", "3.00"], "note": ["anna miller", "john smith", "qq"]})
SEEN = pl.DataFrame({"amount": ["1.00", "2.50", "9.00"], "note": ["ana mlner", "jon smyth", "xx"]})


def test_a_rule_on_likeness_alone_names_the_most_alike() -> None:
    """Below what is asked the nearest is named, with how alike it is; what is not nearly alike is not."""
    found = breaks(run(BOOKED, SEEN, {"name": "alike", "on": [ALIKE]}))
    assert found["reason"].to_list() == [
        "nearest is B row 1: note is 0.89 alike (jaro_winkler), the rule asks 0.95",
        "nearest is B row 2: note is 0.91 alike (jaro_winkler), the rule asks 0.95",
        "no B record comes near under any rule",
    ]
    assert found["nearest_row"].to_list() == [1, 2, None]
    assert found["category"].cast(pl.String).unique().to_list() == ["missing_counterpart"]


def test_what_else_fails_is_said_too() -> None:
    """The record that fails in least is the nearest, and every failing condition is told."""
    rule = {"name": "alike", "on": [{"field": "amount", "within": "0.10"}, ALIKE | {"at_least": 0.88}]}
    found = breaks(run(BOOKED, SEEN, rule))
    assert found["reason"].to_list() == [
        "nearest is B row 2: amount differs by 0.50, the rule allows 0.10",
        "no B record comes near under any rule",
    ]


def test_of_a_crowd_the_most_alike_is_the_nearest() -> None:
    """Where many records share a key, the one whose text is most alike is named, not any of them."""
    crowd = pl.DataFrame({"town": ["x"] * 40, "note": [f"{k:02d} quite another text" for k in range(39)] + ["anna m"]})
    mine = pl.DataFrame({"town": ["x"], "note": ["anna miller"]})
    found = breaks(run(mine, crowd, {"name": "alike", "on": ["town", ALIKE]}))
    assert found.select("nearest_row", "category").rows() == [(40, "value_mismatch")]


def test_what_would_be_compared_too_much_is_left_unexplained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The price is known first: where it is too high the break says nothing, and the run ends all the same."""
    monkeypatch.setattr(nearest_scored, "MOST_LOOKED_AT", 0)
    for on in (["amount", ALIKE], [ALIKE]):
        found = breaks(run(BOOKED, SEEN, {"name": "alike", "on": on}))
        assert found["reason"].unique().to_list() == ["no B record comes near under any rule"]


def test_a_label_may_hold_braces() -> None:
    """What the sides are called is text, whatever it holds."""
    found = breaks(run(BOOKED, SEEN, {"name": "alike", "on": [ALIKE]}, labels=("A {}", "B {1}")))
    assert found["reason"][0].startswith("nearest is B {1} row 1: ")


def test_a_rule_on_likeness_alone_keeps_any_number_of_pairs() -> None:
    """Where nothing but likeness is asked, every other condition holds on every pair, however many there are."""
    plan = Plan.build(
        {
            "name": "t",
            "left": {"label": "A"},
            "right": {"label": "B"},
            "fields": [{"name": "note", "left": "note", "right": "note"}],
            "rules": [{"name": "alike", "on": [ALIKE]}],
        }
    )
    nothing_else = plan.rules[0].model_copy(update={"on": ()})
    many = pl.DataFrame({"l": np.arange(400_000)})
    assert many.filter(holds(plan, nothing_else)).height == many.height
