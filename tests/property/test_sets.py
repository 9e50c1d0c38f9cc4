"""Sums and sets: an exhaustive search agrees, and neither row order, sides nor partitions change what is found."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_engine import Plan, Result, reconcile, verify

FIELDS = [
    {"name": "key", "left": "key", "right": "key"},
    {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 0},
    {"name": "mark", "left": "mark", "right": "mark"},
]
Row = tuple[str, int, str]
# The mark tells records apart, so that none are interchangeable and every set is one of a kind.
amounts = st.integers(min_value=-4, max_value=12)
ones = st.lists(st.tuples(st.sampled_from("AB"), amounts), min_size=1, max_size=3)
manys = st.lists(st.tuples(st.sampled_from("AB"), amounts), min_size=1, max_size=8)
SPLIT = {"name": "split", "cardinality": "one_to_many", "on": ["key", {"field": "amount", "total": True, "within": 1}]}
MIRROR = {**SPLIT, "cardinality": "many_to_one"}
FAMILY = [
    {"name": "reversed", "net": "right", "on": ["key", {"field": "amount", "total": True}]},
    {"name": "exact", "on": ["key", "amount"]},
    SPLIT,
    {"name": "group", "cardinality": "many_to_many", "on": ["key", {"field": "amount", "total": True}]},
]


def marked(rows: list[tuple[str, int]], side: str) -> list[Row]:
    """Each record with a mark of its own."""
    return [(key, amount, f"{side}{k}") for k, (key, amount) in enumerate(rows)]


def run(left: list[Row], right: list[Row], rules: list[dict[str, Any]], partitions: int = 1) -> Result:
    """Reconciles two lists of records; the evidence must hold."""
    frames = [
        pl.DataFrame([(k, str(a), m) for k, a, m in rows], schema=["key", "amount", "mark"], orient="row")
        for rows in (left, right)
    ]
    data = {"name": "t", "left": {"label": "L"}, "right": {"label": "R"}, "fields": FIELDS, "rules": rules}
    result = reconcile(Plan.build(data), left=frames[0], right=frames[1], partitions=partitions)
    assert result.summary["conserved"]
    assert not [check for check in verify(result.path) if check.holds is False]
    return result


def found(result: Result, left: list[Row], right: list[Row]) -> set[tuple[str, frozenset[str]]]:
    """Matches as (rule, marks of their records)."""
    members: dict[int, tuple[str, set[str]]] = {}
    for row in result.matches().collect().iter_rows(named=True):
        rows = left if row["side"] == "left" else right
        members.setdefault(row["match_id"], (row["rule"], set()))[1].add(rows[row["row"] - 1][2])
    return {(rule, frozenset(marks)) for rule, marks in members.values()}


def fitting(one: Row, many: list[Row]) -> list[frozenset[str]]:
    """Every set of records of the same key whose sum differs from the one's amount by at most 1."""
    own = [m for m in many if m[0] == one[0]]
    sets = [chosen for size in range(1, len(own) + 1) for chosen in combinations(own, size)]
    return [frozenset(m[2] for m in s) for s in sets if abs(sum(m[1] for m in s) - one[1]) <= 1]


@settings(max_examples=30)
@given(amount=amounts, rows=manys)
def test_the_search_agrees_with_an_exhaustive_one(amount: int, rows: list[tuple[str, int]]) -> None:
    """A lone record matches the whole group when it fits, else the only fitting set, else nothing."""
    left, right = marked([("A", amount)], "l"), marked(rows, "r")
    sets = fitting(left[0], right)
    whole = frozenset(m[2] for m in right if m[0] == "A")
    expected = [whole] if whole and whole in sets else sets if len(sets) == 1 else []
    result = run(left, right, [SPLIT])
    assert found(result, left, right) == {("split", s | {"l0"}) for s in expected}
    category = result.breaks().filter(pl.col("side") == "left").collect()["category"].to_list()
    assert (category == ["ambiguous"]) == (len(sets) > 1 and not expected)


@settings(max_examples=12)
@given(lefts=ones, rights=manys, seed=st.randoms(use_true_random=False))
def test_row_order_sides_and_partitions_change_nothing(
    lefts: list[tuple[str, int]], rights: list[tuple[str, int]], seed: Any
) -> None:
    """The same matches whatever comes first, on whichever side, in however many parts."""
    left, right = marked(lefts, "l"), marked(rights, "r")
    expected = found(run(left, right, FAMILY), left, right)
    shuffled = [seed.sample(rows, len(rows)) for rows in (left, right)]
    assert found(run(*shuffled, FAMILY), *shuffled) == expected
    assert found(run(left, right, FAMILY, partitions=3), left, right) == expected
    there = found(run(left, right, [SPLIT]), left, right)
    assert found(run(right, left, [MIRROR]), right, left) == there
