"""References in texts where very many records agree in all else: found by the index, and the same ones."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from recon_engine import Plan, reconcile
from recon_engine.execution.local import run
from recon_engine.matching import candidates

SHORT = [f"A {n}" for n in range(10, 40)]


def plan_for(folder: Path) -> Plan:
    """A mandate in a text, one of two amounts, some days later; some mandates are short and of two words."""
    mandates = [SHORT[n] if n < len(SHORT) else f"MND{n:05d}" for n in range(300)]
    days = [date(2025, 1 + n % 3, 3) for n in range(300)]
    amounts = [("19.90", "29.90")[n % 2] for n in range(300)]
    pl.DataFrame({"mandate": mandates, "day": days, "amount": amounts}).write_csv(folder / "left.csv")
    texts = [m.replace(" ", "-") if n < len(SHORT) else f"RETURN {m} X" for n, m in enumerate(mandates)]
    later = [d + timedelta(n % 5) for n, d in enumerate(days)]
    pl.DataFrame({"text": texts, "day": later, "amount": amounts}).write_csv(folder / "right.csv")
    return Plan.model_validate(
        {
            "name": "t",
            "left": {"label": "L", "files": [str(folder / "left.csv")]},
            "right": {"label": "R", "files": [str(folder / "right.csv")]},
            "fields": [
                {"name": "mandate", "left": "mandate", "right": "text"},
                {"name": "day", "left": "day", "right": "day", "type": "date"},
                {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 2},
            ],
            "rules": [
                {
                    "name": "in the text",
                    "on": ["amount", {"field": "day", "days": [0, 6]}, {"field": "mandate", "found_in": "mandate"}],
                }
            ],
        }
    )


@pytest.mark.parametrize("largest", [candidates.LARGEST_GROUP, 100])
def test_the_index_finds_what_trying_all_pairs_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    """The same matches, also where each group alone would be too large to try."""
    plan = plan_for(tmp_path)
    tried = reconcile(plan)
    monkeypatch.setattr(candidates, "_MANY_PAIRS", 1_000)
    monkeypatch.setattr(candidates, "LARGEST_GROUP", largest)
    found = reconcile(plan)
    assert found.summary["rules"][0]["matches"] == 300
    assert found.matches().collect().equals(tried.matches().collect())
    assert not [w for w in found.summary["warnings"] if "capped" in w]


@pytest.mark.parametrize("most", [0, 60, 150, 100_000])
def test_what_is_found_does_not_depend_on_the_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Large groups are searched by references, or capped, each by itself: alone, among others, and in parts on disk."""
    plan = plan_for(tmp_path)
    monkeypatch.setattr(candidates, "LARGEST_GROUP", 100)
    monkeypatch.setattr(candidates, "MOST_COMPARISONS", most)
    found = []
    for partitions, many in ((1, 1_000), (1, 10_000_000), (4, 1_000), (16, 10_000_000)):
        monkeypatch.setattr(candidates, "_MANY_PAIRS", many)
        run(plan, tmp_path / "out", partitions)
        found.append([pl.read_parquet(tmp_path / "out" / f"{table}.parquet") for table in ("matches", "breaks")])
    for each in found[1:]:
        for table, first in zip(each, found[0], strict=True):
            assert table.equals(first)
    assert (found[0][0].height > 0) == (most > 0)
