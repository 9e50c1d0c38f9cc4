"""Whole runs: what must hold of every result, whatever the rows, their order, the partitions and the threads."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_engine import Plan, Result, reconcile, verify

PLAN = Plan.build(
    {
        "name": "property",
        "left": {"label": "Ledger"},
        "right": {"label": "Bank"},
        "fields": [
            {"name": "ref", "left": "ref", "right": "ref", "clean": ["trim", "casefold"]},
            {"name": "amount", "left": "amount", "right": "amount", "type": "decimal"},
            {"name": "day", "left": "day", "right": "day", "type": "date"},
            {"name": "currency", "left": "currency", "right": "currency"},
        ],
        "rules": [
            {"name": "exact", "on": ["ref", "amount", "day"]},
            {"name": "near", "on": ["ref", {"field": "amount", "within": "0.05"}, {"field": "day", "days": 2}]},
            {"name": "amount and day", "on": ["amount", "day"], "when_ambiguous": "suggest"},
            {"name": "loose", "on": [{"field": "amount", "percent": 1}, {"field": "day", "days": [-1, 1]}]},
        ],
        "compare": ["amount", "day", "ref"],
        "currency": {"field": "currency"},
    }
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "ref": st.sampled_from(["A", "a ", "B", "C", None]),
            "amount": st.sampled_from(["1.00", "1.03", "1.05", "-2.50", "100", "x", None, "9.999"]),
            "day": st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-04", "2026-02-30", None]),
            "currency": st.sampled_from(["EUR", "USD", None]),
        }
    ),
    max_size=14,
)
COLUMNS = ("ref", "amount", "day", "currency")


def frame(records: list[dict[str, Any]]) -> pl.DataFrame:
    """Records as text columns."""
    return pl.DataFrame(records, schema=dict.fromkeys(COLUMNS, pl.String))


def told(result: Result, left: list[dict[str, Any]], right: list[dict[str, Any]]) -> Counter[Any]:
    """Matches and breaks by the content of their records, without row numbers."""

    def content(side: str, row: int) -> tuple[Any, ...]:
        return tuple((left if side == "left" else right)[row - 1].values())

    groups: dict[int, list[Any]] = {}
    for m in result.matches().collect().iter_rows(named=True):
        key = (m["side"], content(m["side"], m["row"]), m["rule"], m["outcome"], m["score"], m["rivals"], m["margin"])
        groups.setdefault(m["match_id"], []).append(key)
    found: Counter[Any] = Counter(tuple(sorted(g, key=str)) for g in groups.values())
    for b in result.breaks().collect().iter_rows(named=True):
        found[(b["side"], content(b["side"], b["row"]), b["category"], b["nearest_rule"], b["nearest_distance"])] += 1
    return found


@settings(max_examples=12, deadline=None)
@given(left=rows, right=rows, partitions=st.integers(2, 5), seed=st.integers(0, 999))
def test_every_run_conserves_verifies_and_ignores_order_and_partitions(
    left: list[dict[str, Any]], right: list[dict[str, Any]], partitions: int, seed: int
) -> None:
    """Counts and sums add up, the evidence verifies, and order and partitions change nothing."""
    result = reconcile(PLAN, left=frame(left), right=frame(right))
    assert result.summary["conserved"]
    assert [c for c in verify(result.path) if c.holds is False] == []
    split = reconcile(PLAN, left=frame(left), right=frame(right), partitions=partitions)
    for table in ("matches", "differences", "breaks", "rejected"):
        assert getattr(split, table)().collect().equals(getattr(result, table)().collect()), table
    order = random.Random(seed)
    mixed_left, mixed_right = order.sample(left, len(left)), order.sample(right, len(right))
    mixed = reconcile(PLAN, left=frame(mixed_left), right=frame(mixed_right))
    assert told(mixed, mixed_left, mixed_right) == told(result, left, right)


def test_the_number_of_threads_does_not_change_a_byte_of_the_tables(tmp_path: Path) -> None:
    """One thread and four write identical matches, breaks and differences."""
    order = random.Random(378)
    lines = ["ref,amount,day,currency"]
    lines += [f"R{k % 5000},{k % 97}.0{k % 7},2026-01-{1 + k % 28:02d},EUR" for k in range(20_000)]
    (tmp_path / "l.csv").write_text("\n".join(lines) + "\n")
    shuffled = lines[1:]
    order.shuffle(shuffled)
    (tmp_path / "r.csv").write_text("\n".join([lines[0], *shuffled]) + "\n")
    (tmp_path / "plan.yaml").write_text(PLAN.with_files(left=["l.csv"], right=["r.csv"]).to_yaml())
    results = []
    for threads in ("1", "4"):
        env = {**os.environ, "POLARS_MAX_THREADS": threads, "PYTHONPATH": str(Path(__file__).parents[2])}
        out = tmp_path / f"out{threads}"
        code = [sys.executable, "-m", "recon_engine", "run", "plan.yaml", "--out", str(out)]
        done = subprocess.run(code, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode in (0, 1), done.stderr
        results.append([pl.read_parquet(out / f"{t}.parquet") for t in ("matches", "breaks", "differences", "left")])
    assert all(a.equals(b) for a, b in zip(*results, strict=True))
