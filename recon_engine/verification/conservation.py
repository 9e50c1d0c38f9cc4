"""Re-checks that every record is in one place, and that the counts and exact sums are those of the summary."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.outcome.conservation import CURRENCY, PARTS, currency_of
from recon_engine.plan import Plan, SideName
from recon_engine.verification.checks import Check, as_text


def conservation(folder: Path, views: Sequence[tuple[str, Plan, SideName]], summary: dict[str, Any]) -> list[Check]:
    """Every record is in exactly one of matched, suggested, breaks; counts and sums are those of the summary.

    `views`: each side's name, with the two-sided plan, and the side of that, by which its records are read.
    """
    matches = pl.scan_parquet(folder / "matches.parquet")
    matched = matches.select(
        as_text("side"), as_text("source"), "row", __part=as_text("outcome").replace("confirmed", "matched")
    )
    broken = pl.scan_parquet(folder / "breaks.parquet").select(
        as_text("side"), as_text("source"), "row", __part=pl.lit("breaks")
    )
    placed = pl.concat([matched, broken])
    rejected = pl.scan_parquet(folder / "rejected.parquet").select(as_text("side")).collect()["side"].to_list()
    checks = []
    for side, plan, end in views:
        records = pl.scan_parquet(folder / f"{side}.parquet").with_columns(as_text("source"))
        mine = placed.filter(pl.col("side") == side)
        joined = records.join(mine, on=["source", "row"], how="left").with_columns(currency_of(plan, end))
        per_part = dict(joined.group_by("__part").len().collect(engine="streaming").iter_rows())
        total, placed_rows = records.select(pl.len()).collect().item(), mine.select(pl.len()).collect().item()
        expected = summary["rows"][side]
        counts_agree = None not in per_part and total == placed_rows == sum(per_part.values())
        counts_agree &= all(per_part.get(p, 0) == expected[p] for p in ("matched", "suggested", "breaks"))
        lost = rejected.count(side)
        counts_agree &= expected["rejected"] == lost and expected["read"] == total + lost
        counted = f"{expected['read']} rows read, each in exactly one place" if counts_agree else "counts do not add up"
        checks.append(Check(f"{side} counts", counts_agree, counted))
        checks.append(_sums_agree(plan, side, joined, summary["totals"][side]))
    return checks


def _sums_agree(plan: Plan, side: str, joined: pl.LazyFrame, totals: dict[str, Any]) -> Check:
    names = [f.name for f in plan.fields if f.type == "decimal"]
    sums = joined.group_by(CURRENCY, "__part").agg(pl.col(names).sum()).collect(engine="streaming")
    found = {(r[CURRENCY], r["__part"], n): r[n] for r in sums.iter_rows(named=True) for n in names}
    agree = True
    for currency, fields in totals.items():
        for name, parts in fields.items():
            agree &= Decimal(parts["read"]) == sum(Decimal(parts[p]) for p in PARTS[1:])
            for part in ("matched", "suggested", "breaks"):
                agree &= Decimal(parts[part]) == (found.pop((currency, part, name), None) or Decimal(0))
    agree &= not any(found.values())
    return Check(f"{side} control totals", bool(agree), "exact sums agree" if agree else "sums differ from the summary")
