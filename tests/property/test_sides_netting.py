"""Netting of three sides: against a plain oracle, and what must hold whatever the order of rows and sides."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_engine import Result, verify
from tests.property.test_sides import CHAINED, PAIRED, SIDES, Kind, Record, Table, content, run, told

TOTAL = {"field": "amount", "total": True}
NET_ALL: list[dict[str, Any]] = [{"name": f"net {side}", "net": side, "on": ["ref", TOTAL]} for side in SIDES]
# Twice the same side, by windows, a field of its own, with suggestions; another side only suggested.
NET_SOME: list[dict[str, Any]] = [
    {"name": "close", "net": "b", "on": ["note", {**TOTAL, "within": 1}]},
    {"name": "any", "net": "b", "when_ambiguous": "suggest", "on": ["ref", TOTAL]},
    {"name": "maybe not", "net": "a", "outcome": "suggested", "on": ["ref", TOTAL]},
]
# By its sum and its note's likeness alone: nothing is equal, so that it is not parted.
NET_ALIKE: list[dict[str, Any]] = [
    {"name": "alike", "net": "c", "on": [{"field": "note", "similarity": "levenshtein", "at_least": 0.5}, TOTAL]}
]
records = st.lists(
    st.tuples(
        st.sampled_from(["R1", "R2", None]),
        st.sampled_from(["1.00", "-1.00", "2.00", "-2.00", "0.00", None]),
        st.sampled_from(["x", "y"]),
    ),
    max_size=8,
)


def netted_of(result: Result, tables: dict[str, Table]) -> tuple[dict[str, set[int]], Counter[Any]]:
    """The rows that were netted, by side; and the matches of one side, by the content of their records."""
    rows: dict[str, set[int]] = {side: set() for side in SIDES}
    groups: dict[tuple[int, str], list[Kind]] = {}
    rules = [rule["name"] for rule in result.summary["rules"] if "net" in rule]
    for m in result.matches().filter(pl.col("rule").cast(pl.String).is_in(rules)).collect().iter_rows(named=True):
        rows[m["side"]].add(m["row"])
        groups.setdefault((m["match_id"], m["outcome"]), []).append(content(tables, m["side"], m["row"]))
    return rows, Counter((outcome, tuple(sorted(g, key=str))) for (_, outcome), g in groups.items())


def oracle(tables: dict[str, Table]) -> Counter[Any]:
    """What NET_ALL nets, by plain loops: so many pairs of two kinds as every best assignment must have."""
    found: Counter[Any] = Counter()
    for side, records_of_side in tables.items():
        ends: dict[tuple[str, float], tuple[Counter[Kind], Counter[Kind]]] = {}
        for number, (ref, amount, _) in enumerate(records_of_side, start=1):
            if ref is not None and amount is not None and float(amount):
                pair = ends.setdefault((ref, abs(float(amount))), (Counter(), Counter()))
                pair[float(amount) < 0][content(tables, side, number)] += 1
        for plus, minus in ends.values():
            most = max(plus.total(), minus.total())
            for one, n in plus.items():
                for other, m in minus.items():
                    found["confirmed", tuple(sorted((one, other), key=str))] += max(0, n + m - most)
    return +found


@pytest.mark.slow
@settings(max_examples=14, deadline=None)
@given(a=records, b=records, c=records, rules=st.sampled_from([PAIRED, CHAINED]))
def test_what_is_netted_agrees_with_the_oracle_and_is_as_if_it_were_not_there(
    a: Table, b: Table, c: Table, rules: list[Any]
) -> None:
    """Plain loops find the same reversals; all other matches and breaks are those of files without them."""
    tables = {"a": a, "b": b, "c": c}
    result = run(tables, more={"rules": [*NET_ALL, *rules]})
    rows, groups = netted_of(result, tables)
    assert groups == oracle(tables)
    rest = {s: [r for n, r in enumerate(t, start=1) if n not in rows[s]] for s, t in tables.items()}
    matches, breaks = told(result, tables)
    kept, kept_breaks = told(run(rest, more={"rules": rules}), rest)
    assert matches == kept + Counter({pair: n for (_, pair), n in groups.items()})
    assert breaks == kept_breaks


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    a=records,
    b=records,
    c=records,
    order=st.permutations(SIDES),
    partitions=st.integers(2, 5),
    seed=st.integers(0, 999),
    incomplete=st.sampled_from(["break", "suggest", "match"]),
    nets=st.sampled_from([NET_ALL, NET_SOME, [*NET_ALIKE, *NET_SOME]]),
    rules=st.sampled_from([PAIRED, CHAINED]),
    exclude=st.booleans(),
)
def test_order_and_partitions_change_nothing(
    a: Table,
    b: Table,
    c: Table,
    order: list[str],
    partitions: int,
    seed: int,
    incomplete: str,
    nets: list[Any],
    rules: list[Any],
    exclude: bool,
) -> None:
    """Counts and sums add up, the evidence verifies; order of rows and sides, and partitions, do not matter."""
    tables = {"a": a, "b": b, "c": c}
    search = {"b": {"on": ["ref", "amount", "note"], "exclude": exclude}}
    more = {"incomplete": incomplete, "rules": [*nets, *rules], "duplicates": search}
    result = run(tables, more=more)
    assert result.summary["conserved"]
    assert [check for check in verify(result.path) if check.holds is False] == []
    for other in (run(tables, tuple(order), more=more), run(tables, more=more, partitions=partitions)):
        for table in ("matches", "links", "differences", "breaks", "duplicates"):
            assert other.records(table).collect().equals(result.records(table).collect()), table
        assert figures(other) == figures(result)
    shuffle = random.Random(seed)
    mixed = {name: shuffle.sample(table, len(table)) for name, table in tables.items()}
    again = run(mixed, more=more)
    assert told(again, mixed) == told(result, tables)
    assert netted_of(again, mixed)[1] == netted_of(result, tables)[1]
    assert figures(again) == figures(result)


def figures(result: Result) -> dict[str, Any]:
    """What the summary counts, without how long it took."""
    summary = result.summary
    rules = sorted(({k: v for k, v in r.items() if k != "seconds"} for r in summary["rules"]), key=str)
    alone = [one for one in summary["together"] if one["kind"] == "netted"]
    return {"rules": rules, "netted": alone, **{key: summary[key] for key in ("rows", "totals", "matches", "missing")}}


@pytest.mark.slow
def test_many_records_in_partitions() -> None:
    """More records than a part holds, in one pass and in seven: the same tables."""
    shuffle = random.Random(7)

    def side(refs: int, reversed_: int) -> list[Record]:
        rows: list[Record] = [(f"R{n}", f"{n % 90 + 1}.00", f"n{n % 3}") for n in range(refs)]
        rows += [(f"R{n}", f"-{n % 90 + 1}.00", f"n{n % 3}") for n in range(0, refs, reversed_)]
        return shuffle.sample(rows, len(rows))

    tables = {"a": side(900, 7), "b": side(1_000, 5), "c": side(800, 900)}
    more = {"rules": [*NET_ALL, PAIRED[0]]}
    one, seven = (run(tables, more=more, partitions=n) for n in (1, 7))
    assert [r["matches"] for r in one.summary["rules"] if "net" in r] == [129, 200, 1]
    for table in ("matches", "links", "breaks"):
        assert one.records(table).collect().equals(seven.records(table).collect()), table
    assert [check for check in verify(seven.path) if check.holds is False] == []
