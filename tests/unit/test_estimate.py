"""What a run will need is known before it starts, and decides how it is run."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recon_engine import Plan, reconcile
from recon_engine.execution import local
from recon_engine.execution.estimate import estimate, free_memory
from recon_engine.execution.staging import opened

pytestmark = pytest.mark.slow


def plan(folder: Path, rows: int) -> Plan:
    """Two files of so many rows, matched on their reference."""
    frame = pl.DataFrame({"ref": [f"R{k}" for k in range(rows)], "amount": ["1.00"] * rows})
    for side in ("left", "right"):
        frame.write_csv(folder / f"{side}.csv")
    data = {
        "name": "t",
        "left": {"label": "L", "files": ["left.csv"]},
        "right": {"label": "R", "files": ["right.csv"]},
        "fields": [
            {"name": "ref", "left": "ref", "right": "ref"},
            {"name": "amount", "left": "amount", "right": "amount", "type": "decimal"},
        ],
        "rules": [{"name": "exact", "on": ["ref", "amount"]}],
    }
    return Plan.build(data, base=folder)


def test_rows_are_counted_and_partitions_follow_from_the_memory(tmp_path: Path) -> None:
    """What fits is run in one piece; the less memory, the more partitions."""
    given = plan(tmp_path, 1000)
    tables = {"left": opened(given, "left"), "right": opened(given, "right")}
    roomy = estimate(given, tables, 8 << 30)  # type: ignore[arg-type]
    assert (roomy.left_rows, roomy.right_rows, roomy.partitions) == (1000, 1000, 1)
    assert estimate(given, tables, 100 << 20).partitions > 1  # type: ignore[arg-type]
    assert free_memory() > 0


def test_a_run_takes_the_partitions_that_memory_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word from the caller, a run that does not fit goes out of core, with the same matches."""
    given = plan(tmp_path, 300)
    whole = reconcile(given, out=tmp_path / "whole").matches().collect()
    seen: list[int] = []
    write_manifest = local.write_manifest
    monkeypatch.setattr(local, "write_manifest", lambda *a: (seen.append(a[-1]), write_manifest(*a))[1])
    monkeypatch.setattr("recon_engine.execution.estimate.free_memory", lambda: 500 << 20)
    assert reconcile(given, out=tmp_path / "a").matches().collect().equals(whole)
    monkeypatch.setattr("recon_engine.execution.estimate.free_memory", lambda: 1 << 20)
    assert reconcile(given, out=tmp_path / "b").matches().collect().equals(whole)
    assert seen[0] == 1
    assert seen[1] > 1
