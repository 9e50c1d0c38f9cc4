"""References in texts where very many records agree in all else: found by the index, and the same ones."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from recon_engine import Plan, reconcile
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
