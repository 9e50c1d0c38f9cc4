"""The cascade against an independent oracle that lists every assignment, and its invariances."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from itertools import product
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_engine.matching.cascade import run_stage, stages
from recon_engine.matching.comparables import comparable_columns
from recon_engine.plan import Plan

Record = dict[str, Any]

RULES = [
    {"name": "exact", "on": ["ref", "amount", "day"]},
    {"name": "near", "on": ["ref", {"field": "amount", "within": [-2, 3]}]},
    {"name": "late", "on": ["ref", "amount", {"field": "day", "days": [0, 2]}]},
    {"name": "share", "on": [{"field": "amount", "percent": 50, "cap": 4}, {"field": "day", "days": 1}]},
    {"name": "amount only", "on": [{"field": "amount", "within": 1}]},
    {"name": "empty refs", "on": [{"field": "ref", "nulls": "equal"}, "day"]},
]


def plan_with(rules: list[dict[str, Any]]) -> Plan:
    """A plan over three fields with these rules."""
    return Plan.build(
        {
            "name": "p",
            "left": {"label": "L"},
            "right": {"label": "R"},
            "fields": [
                {"name": "ref", "left": "ref", "right": "ref"},
                {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 0},
                {"name": "day", "left": "day", "right": "day", "type": "date"},
            ],
            "rules": rules,
        }
    )


def comparables(plan: Plan, records: list[Record], side: Any) -> pl.DataFrame:
    """The engine's own comparable values of these records."""
    frame = pl.DataFrame(records, schema={"ref": pl.String, "amount": pl.Int64, "day": pl.Int32})
    typed = frame.with_columns(pl.col("amount").cast(pl.Decimal(18, 0)), pl.col("day").cast(pl.Date))
    columns = comparable_columns({n: pl.col(n) for n in ("ref", "amount", "day")}, plan, side)
    return typed.select(columns).with_row_index("__i")


def run(plan: Plan, left: list[Record], right: list[Record], *, together: bool = True) -> list[tuple[str, int, int]]:
    """Matches as (rule, left, right), by the engine."""
    tables = [comparables(plan, left, "left"), comparables(plan, right, "right")]
    found: list[tuple[str, int, int]] = []
    for stage in stages(plan, {"ref": 1000 if together else 0, "amount": 0, "day": 0}, 10):
        decided = run_stage(plan, stage, tables[0], tables[1], {}, lambda *_: None)
        found += [(plan.rules[m["rule"]].name, m["l"], m["r"]) for m in decided.matches.iter_rows(named=True)]
        tables[0] = tables[0].filter(~pl.col("__i").is_in(decided.matches["l"].implode()))
        tables[1] = tables[1].filter(~pl.col("__i").is_in(decided.matches["r"].implode()))
    return sorted(found)


def fits(rule: dict[str, Any], a: Record, b: Record) -> bool:
    """The rule's conditions on two records, in exact arithmetic."""
    for c in rule["on"]:
        name = c if isinstance(c, str) else c["field"]
        x, y = a[name], b[name]
        if isinstance(c, dict) and c.get("nulls"):
            if x != y:
                return False
            continue
        if x is None or y is None:
            return False
        if isinstance(c, str):
            ok = x == y
        elif "percent" in c:
            ok = abs(y - x) * 100 <= c["percent"] * abs(x) and abs(y - x) <= c["cap"]
        else:
            window = c.get("within", c.get("days"))
            low, high = window if isinstance(window, list) else (-window, window)
            ok = low <= y - x <= high
        if not ok:
            return False
    return True


def closeness(rule: dict[str, Any], a: Record, b: Record) -> int:
    """The documented weight: CLOSE at the ideal, falling to half at the farther end, rounded down as stated."""
    close, total = 10**9, 0
    for c in rule["on"]:
        if isinstance(c, str) or c.get("nulls"):
            total += close
            continue
        distance = abs(b[c["field"]] - a[c["field"]])
        if "percent" in c:
            size = abs(a[c["field"]]) * c["percent"]
            lost = distance * (close // 2) * 100 // size if size else 0
            total += close - max(lost, distance * (close // 2) // c["cap"])
            continue
        window = c.get("within", c.get("days"))
        low, high = window if isinstance(window, list) else (-window, window)
        reach = max(high, -low)
        total += close - (distance * (close // 2) // reach if reach else 0)
    return total


def oracle(rules: list[dict[str, Any]], left: list[Record], right: list[Record]) -> list[tuple[str, int, int]]:
    """Lists every assignment of each component and keeps what all the best ones agree on, identities
    interchangeable.
    """
    open_l, open_r = set(range(len(left))), set(range(len(right)))
    found = []
    for rule in rules:
        edges = {
            (i, j): closeness(rule, left[i], right[j]) for i in open_l for j in open_r if fits(rule, left[i], right[j])
        }
        for lefts, rights in components(edges):
            found_here = settle_by_listing(edges, lefts, rights, left, right)
            found += [(rule["name"], i, j) for i, j in found_here]
            open_l -= {i for i, _ in found_here}
            open_r -= {j for _, j in found_here}
    return sorted(found)


def components(edges: dict[tuple[int, int], int]) -> list[tuple[list[int], list[int]]]:
    """Connected components of the candidate graph."""
    left: dict[int, set[int]] = defaultdict(set)
    right: dict[int, set[int]] = defaultdict(set)
    for i, j in edges:
        left[i].add(j)
        right[j].add(i)
    seen: set[int] = set()
    found = []
    for start in sorted(left):
        if start in seen:
            continue
        ls, rs, todo = {start}, set(), [start]
        while todo:
            for j in left[todo.pop()] - rs:
                rs.add(j)
                new = right[j] - ls
                ls |= new
                todo += new
        seen |= ls
        found.append((sorted(ls), sorted(rs)))
    return found


def settle_by_listing(
    edges: dict[tuple[int, int], int], lefts: list[int], rights: list[int], left: list[Record], right: list[Record]
) -> list[tuple[int, int]]:
    """The pairs of identities that every best assignment contains, handed out in row order."""

    def who(record: Record) -> tuple[Any, ...]:
        return (record["ref"], record["amount"], record["day"])

    best, agreed = -1, Counter()  # type: ignore[var-annotated]
    for choice in product([None, *rights], repeat=len(lefts)):
        chosen = [(i, j) for i, j in zip(lefts, choice, strict=True) if j is not None]
        if len({j for _, j in chosen}) < len(chosen) or any(pair not in edges for pair in chosen):
            continue
        total = sum(edges[pair] for pair in chosen)
        flow = Counter((who(left[i]), who(right[j])) for i, j in chosen)
        if total > best:
            best, agreed = total, flow
        elif total == best:
            agreed = agreed & flow
    pairs = []
    free_l, free_r = list(lefts), list(rights)
    for (x, y), count in sorted(agreed.items(), key=str):
        for _ in range(count):
            i = next(i for i in free_l if who(left[i]) == x)
            j = next(j for j in free_r if who(right[j]) == y)
            free_l.remove(i)
            free_r.remove(j)
            pairs.append((i, j))
    return pairs


def identities(matches: list[tuple[str, int, int]], left: list[Record], right: list[Record]) -> Counter[Any]:
    """Matches by what the records say, not where they stand."""
    return Counter((rule, *left[i].values(), *right[j].values()) for rule, i, j in matches)


records = st.lists(
    st.fixed_dictionaries(
        {
            "ref": st.sampled_from([None, "a", "b"]),
            "amount": st.one_of(st.none(), st.integers(-3, 8)),
            "day": st.integers(0, 3),
        }
    ),
    max_size=5,
)
rule_lists = st.lists(st.sampled_from(RULES), min_size=1, max_size=4, unique_by=lambda r: r["name"])


@settings(max_examples=250, deadline=None)
@given(rules=rule_lists, left=records, right=records, together=st.booleans())
def test_the_cascade_agrees_with_an_oracle_that_lists_every_assignment(
    rules: list[dict[str, Any]], left: list[Record], right: list[Record], together: bool
) -> None:
    """Same pairs of identities as brute force, whether rules share a join or not."""
    plan = plan_with(rules)
    found = identities(run(plan, left, right, together=together), left, right)
    assert found == identities(oracle(rules, left, right), left, right)


@settings(max_examples=100, deadline=None)
@given(rules=rule_lists, left=records, right=records, order=st.randoms(use_true_random=False))
def test_row_order_does_not_change_what_matches(
    rules: list[dict[str, Any]], left: list[Record], right: list[Record], order: Any
) -> None:
    """Shuffled rows give the same matches by content."""
    plan = plan_with(rules)
    shuffled_left, shuffled_right = order.sample(left, len(left)), order.sample(right, len(right))
    before = identities(run(plan, left, right), left, right)
    assert identities(run(plan, shuffled_left, shuffled_right), shuffled_left, shuffled_right) == before


@settings(max_examples=100, deadline=None)
@given(
    rules=st.lists(st.sampled_from([RULES[0], RULES[4], RULES[5]]), min_size=1, unique_by=lambda r: r["name"]),
    left=records,
    right=records,
)
def test_swapping_the_sides_swaps_the_matches(
    rules: list[dict[str, Any]], left: list[Record], right: list[Record]
) -> None:
    """With symmetric rules, left and right play the same part."""
    plan = plan_with(rules)
    there = identities(run(plan, left, right), left, right)
    back = identities([(rule, j, i) for rule, i, j in run(plan, right, left)], left, right)
    assert there == back


def test_a_tolerance_is_what_was_written() -> None:
    """0.05 in a plan file is exactly five hundredths."""
    plan = Plan.parse(
        "{name: x, left: {label: L}, right: {label: R}, fields: [{name: a, left: a, right: a, type: decimal}],"
        " rules: [{name: r, on: [{field: a, within: 0.05}]}]}"
    )
    assert plan.rules[0].on[0].within == (Decimal("-0.05"), Decimal("0.05"))
