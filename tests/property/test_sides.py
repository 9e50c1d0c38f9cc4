"""Runs of three sides: against a plain oracle, and what must hold whatever the order of rows and sides."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_engine import Result, SidesPlan, reconcile, verify

SIDES = ("a", "b", "c")
COLUMNS = ("ref", "amount", "note")
Record = tuple[str | None, ...]
Table = list[Record]
Kind = tuple[str, Record]
NOTED = ("b", "c")  # the sides that have notes

records = st.lists(
    st.tuples(
        st.sampled_from(["R1", "R2", "R3", None]),
        st.sampled_from(["1.00", "2.00", None]),
        st.sampled_from(["x", "y"]),
    ),
    max_size=7,
)


PAIRED = [{"name": "exact", "on": ["ref", "amount"]}, {"name": "amount", "on": ["amount"]}]
CHAINED = [
    {"name": "exact", "between": ["a", "b"], "on": ["ref", "amount"]},
    {
        "name": "split",
        "between": ["a", "b"],
        "cardinality": "one_to_many",
        "on": ["ref", {"field": "amount", "total": True}],
    },
    {"name": "near", "between": ["c", "b"], "on": ["ref", {"field": "amount", "within": [0, 1]}]},
    {"name": "maybe", "outcome": "suggested", "when_ambiguous": "suggest", "on": ["amount"]},
]

# All fields of a side, so that whichever record comes first, what stays in matching is the same.
SEARCHED = {
    "a": {"on": [{"field": "ref", "nulls": "equal"}, {"field": "amount", "nulls": "equal"}], "exclude": True},
    "b": {"on": ["ref", "amount", "note"], "exclude": True},
    "c": {"on": ["ref", {"field": "amount", "within": 1}]},
}


def plan(order: tuple[str, ...] = SIDES, **more: Any) -> SidesPlan:
    """Two rules for every two sides; notes are compared by none, but tell records of b and of c apart."""
    return SidesPlan.build(
        {
            "name": "property",
            "sides": [{"name": name} for name in order],
            "fields": [
                {"name": "ref", "columns": dict.fromkeys(order, "ref")},
                {"name": "amount", "columns": dict.fromkeys(order, "amount"), "type": "decimal"},
                {"name": "note", "columns": {name: "note" for name in order if name in NOTED}},
            ],
            "rules": PAIRED,
            "compare": ["amount", "ref"],
            **more,
        }
    )


def run(tables: dict[str, Table], order: tuple[str, ...] = SIDES, **options: Any) -> Result:
    """Reconciles the tables."""
    more = options.pop("more", {})
    frames = {n: pl.DataFrame(t, schema=dict.fromkeys(COLUMNS, pl.String), orient="row") for n, t in tables.items()}
    return reconcile(plan(order, **more), sides=frames, **options)


def content(tables: dict[str, Table], side: str, row: int) -> Kind:
    """A record by what the plan sees of it."""
    return side, tables[side][row - 1][: 3 if side in NOTED else 2]


def told(result: Result, tables: dict[str, Table]) -> tuple[Counter[Any], Counter[Any]]:
    """Matches and breaks by the content of their records."""
    groups: dict[int, list[Kind]] = {}
    for m in result.matches().collect().iter_rows(named=True):
        groups.setdefault(m["match_id"], []).append(content(tables, m["side"], m["row"]))
    breaks = Counter(
        (content(tables, b["side"], b["row"]), b["missing"], "hang together" in b["reason"])
        for b in result.breaks().collect().iter_rows(named=True)
    )
    return Counter(tuple(sorted(g, key=str)) for g in groups.values()), breaks


def linked(left: Counter[Kind], right: Counter[Kind]) -> Counter[tuple[Kind, Kind]]:
    """How many records of two kinds the rules link: as many as every assignment must, by the pigeonhole principle."""
    found: Counter[tuple[Kind, Kind]] = Counter()
    for key in (lambda k: k[1][:2], lambda k: k[1][1:2]):
        values = {key(k) for k in left} & {key(k) for k in right}
        for value in values:
            ours, theirs = ([k for k in side if key(k) == value and side[k]] for side in (left, right))
            if None in value or not ours or not theirs:
                continue
            most = max(sum(left[k] for k in ours), sum(right[k] for k in theirs))
            sure = {(a, b): left[a] + right[b] - most for a in ours for b in theirs}
            for (a, b), n in sure.items():
                found[a, b] += max(0, n)
                left[a] -= max(0, n)
                right[b] -= max(0, n)
    return found


def oracle(tables: dict[str, Table]) -> tuple[Counter[Any], Counter[Any]]:
    """Matches and breaks, by plain loops over kinds of records."""
    counts = {n: Counter(content(tables, n, row + 1) for row in range(len(t))) for n, t in tables.items()}
    links: Counter[tuple[Kind, Kind]] = Counter()
    for a, b in combinations(SIDES, 2):
        links.update(linked(Counter(counts[a]), Counter(counts[b])))
    links = +links
    matches: Counter[Any] = Counter()
    breaks: Counter[Any] = Counter()
    loose = {kind: n for c in counts.values() for kind, n in c.items()}
    for component in components(list(links)):
        inside = {ends: n for ends, n in links.items() if ends[0] in component}
        _decide(component, inside, loose, matches, breaks)
    for kind, n in loose.items():
        breaks[kind, ", ".join(s for s in SIDES if s != kind[0]), False] += n
    return matches, +breaks


def _decide(
    component: set[Kind],
    inside: dict[tuple[Kind, Kind], int],
    loose: dict[Kind, int],
    matches: Counter[Any],
    breaks: Counter[Any],
) -> None:
    """What kinds of records that hang together are."""
    per_pair = Counter((k, ends[0][0] + ends[1][0]) for ends in inside for k in ends for _ in range(inside[ends]))
    taken = {k: max(n for (kind, _), n in per_pair.items() if kind == k) for k in component}
    present = {k[0] for k in component}
    absent = ", ".join(s for s in SIDES if s not in present)
    crowded = len(component) > len(present)
    if crowded and len(present) > 2:
        for kind in component:
            breaks[kind, absent, True] += taken[kind]
            loose[kind] -= taken[kind]
    elif crowded:
        for (a, b), n in inside.items():
            for kind in (a, b):
                breaks[kind, absent, False] += n
                loose[kind] -= n
    else:
        for rank in range(max(inside.values())):
            for group in components([ends for ends, n in inside.items() if n > rank]):
                for kind in group:
                    loose[kind] -= 1
                if len(group) == len(SIDES):
                    matches[tuple(sorted(group, key=str))] += 1
                else:
                    lacks = ", ".join(s for s in SIDES if s not in {k[0] for k in group})
                    breaks.update((kind, lacks, False) for kind in group)


def components(edges: list[tuple[Kind, Kind]]) -> list[set[Kind]]:
    """What hangs together."""
    found: list[set[Kind]] = []
    for a, b in edges:
        touched = [c for c in found if a in c or b in c]
        found = [c for c in found if c not in touched] + [{a, b}.union(*touched)]
    return found


@pytest.mark.slow
@settings(max_examples=16, deadline=None)
@given(a=records, b=records, c=records)
def test_three_sides_agree_with_the_oracle(a: Table, b: Table, c: Table) -> None:
    """Matches, and the sides that breaks lack, are those that plain loops find."""
    tables = {"a": a, "b": b, "c": c}
    result = run(tables)
    assert told(result, tables) == oracle(tables)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(
    a=records,
    b=records,
    c=records,
    order=st.permutations(SIDES),
    partitions=st.integers(2, 5),
    seed=st.integers(0, 999),
    incomplete=st.sampled_from(["break", "suggest", "match"]),
    rules=st.sampled_from([PAIRED, CHAINED]),
    duplicates=st.sampled_from([{}, SEARCHED]),
)
def test_order_and_partitions_change_nothing(
    a: Table,
    b: Table,
    c: Table,
    order: list[str],
    partitions: int,
    seed: int,
    incomplete: str,
    rules: list[Any],
    duplicates: dict[str, Any],
) -> None:
    """Counts and sums add up, the evidence verifies; order of rows and sides, and partitions, do not matter."""
    tables = {"a": a, "b": b, "c": c}
    more = {"incomplete": incomplete, "rules": rules, "duplicates": duplicates}
    result = run(tables, more=more)
    assert result.summary["conserved"]
    assert [check for check in verify(result.path) if check.holds is False] == []
    for other in (run(tables, tuple(order), more=more), run(tables, more=more, partitions=partitions)):
        for table in ("matches", "links", "differences", "breaks", "rejected", "duplicates"):
            assert other.records(table).collect().equals(result.records(table).collect()), table
        assert other.summary["rows"] == result.summary["rows"]
        assert other.summary["totals"] == result.summary["totals"]
        assert other.summary["duplicates"] == result.summary["duplicates"]
    shuffle = random.Random(seed)
    mixed = {name: shuffle.sample(table, len(table)) for name, table in tables.items()}
    again = run(mixed, more=more)
    assert told(again, mixed) == told(result, tables)
    assert twins(again, mixed) == twins(result, tables)


def twins(result: Result, tables: dict[str, Table]) -> Counter[Any]:
    """Groups of duplicates by the content of their records."""
    groups: dict[int, list[Any]] = {}
    for d in result.records("duplicates").collect().iter_rows(named=True):
        kept = d["kept"] if SEARCHED[d["side"]].get("exclude") else None
        groups.setdefault(d["group"], []).append((content(tables, d["side"], d["row"]), kept))
    return Counter(tuple(sorted(g, key=str)) for g in groups.values())


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(a=records, b=records, c=records, rules=st.sampled_from([PAIRED, CHAINED]))
def test_excluded_duplicates_are_as_if_they_were_not_there(a: Table, b: Table, c: Table, rules: list[Any]) -> None:
    """What matches is what matches without them; each is a break that lacks all other sides."""
    tables = {"a": a, "b": b, "c": c}
    fields = {side: COLUMNS if side in NOTED else COLUMNS[:2] for side in SIDES}
    same = {s: {"on": [{"field": f, "nulls": "equal"} for f in fields[s]], "exclude": True} for s in SIDES}
    result = run(tables, more={"rules": rules, "duplicates": same})
    assert result.summary["conserved"]
    assert [check for check in verify(result.path) if check.holds is False] == []
    once = {s: list({r[: len(fields[s])]: r for r in reversed(table)}.values()) for s, table in tables.items()}
    matches, breaks = told(run(once, more={"rules": rules}), once)
    for side, table in tables.items():
        others = ", ".join(s for s in SIDES if s != side)
        spare = Counter(content(tables, side, n + 1) for n in range(len(table)))
        breaks.update({(kind, others, False): n - 1 for kind, n in spare.items() if n > 1})
    assert told(result, tables) == (matches, breaks)
