"""Differences that are written piece by piece are those that one piece holds."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recon_engine.execution import local
from recon_engine.outcome import differences
from recon_engine.plan import Plan

ROWS = 40


def _plan(folder: Path) -> Plan:
    """Matched by number; of amount, day and payee some differ, some are missing on one side."""
    for side, shift in (("left", 0), ("right", 1)):
        rows = [
            f"{n},{n * 100 + (shift if n % 3 == 0 else 0)}.00,2026-01-{1 + n % 20 + (shift if n % 4 == 0 else 0):02},"
            f"{'' if n % 11 == 5 * shift else f'Payee {n + (shift if n % 2 else 0)}'}"
            for n in (range(ROWS) if shift else range(ROWS - 1, -1, -1))
        ]
        text = "\n".join(["number,amount,day,payee", *rows])
        (folder / f"{side}.csv").write_text(text + "\n", encoding="utf-8")
    kinds = {"number": "integer", "payee": "text", "day": "date", "amount": "decimal"}
    return Plan.build(
        {
            "version": 1,
            "name": "pieces",
            **{side: {"label": side.title(), "files": [str(folder / f"{side}.csv")]} for side in ("left", "right")},
            "fields": [
                {"name": n, "left": n, "right": n, "type": kind} | ({"scale": 2} if kind == "decimal" else {})
                for n, kind in kinds.items()
            ],
            "rules": [{"name": "number", "on": ["number"]}],
            "compare": ["payee", "day", "amount"],
        }
    )


def test_pieces_make_the_table_that_one_piece_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a piece, order and values are the same, texts with their own rows among them."""
    plan, told = _plan(tmp_path), []
    for size in (1_000_000, 7, 1):
        monkeypatch.setattr(differences, "_PIECE", size)
        summary = local.run(plan, tmp_path / f"by-{size}")
        told.append(pl.read_parquet(tmp_path / f"by-{size}" / "differences.parquet"))
        assert summary["differences"] == told[-1].height > ROWS
    assert told[0].equals(told[1])
    assert told[0].equals(told[2])
    assert told[0].equals(told[0].sort("match_id", "field", maintain_order=True))
    payees = told[0].filter(pl.col("field") == "payee", pl.col("left_value").is_not_null())
    # A left row stands where its number says, counted from the end.
    assert (payees["left_value"] == "Payee " + (ROWS - payees["left_row"]).cast(pl.String)).all()
    assert set(told[0]["field"]) == {"payee", "day", "amount"}
