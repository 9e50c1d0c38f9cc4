"""Re-checks what is told about a result: the summary against the plan and the tables, the certificates against the
matches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.plan import Plan, Rule
from recon_engine.verification.checks import Check, as_text, is_tie


def summary_holds(folder: Path, plan: Plan, summary: dict[str, Any]) -> Check:
    """What the summary tells of rules, breaks, differences and duplicates is what the plan says and the tables hold."""
    tables = {
        name: pl.scan_parquet(folder / f"{name}.parquet") for name in ("matches", "breaks", "differences", "duplicates")
    }
    matches, breaks, differences, twins = pl.collect_all(
        [
            tables["matches"].group_by(as_text("rule")).agg(pl.col("match_id").n_unique()),
            tables["breaks"].group_by(as_text("category")).len(),
            tables["differences"].select(pl.len()),
            tables["duplicates"].group_by(as_text("side")).agg(groups=pl.col("group").n_unique(), records=pl.len()),
        ],
        engine="streaming",
    )
    per_rule = dict.fromkeys((rule.name for rule in plan.rules), 0) | dict(matches.iter_rows())
    searched = {side: {"groups": 0, "records": 0} for side in summary["duplicates"]}
    found = {side: {"groups": groups, "records": records} for side, groups, records in twins.iter_rows()}
    wrong = [
        name
        for name, told, held in (
            ("name", summary["name"], plan.name),
            ("rules", {rule["name"]: rule["matches"] for rule in summary["rules"]}, per_rule),
            ("outcomes", all(map(_may_be, plan.rules, summary["rules"])), True),
            ("matches", summary["matches"], sum(per_rule.values())),
            ("breaks", summary["breaks"], dict(breaks.iter_rows())),
            ("differences", summary["differences"], differences.item()),
            ("duplicates", summary["duplicates"], searched | found),
            ("conserved", summary["conserved"], True),
        )
        if told != held
    ]
    said = f"tells otherwise: {', '.join(wrong)}" if wrong else "tells what the tables hold"
    return Check("summary", not wrong, said)


def _may_be(rule: Rule, told: dict[str, Any]) -> bool:
    """Whether the rule can have the outcome that is told: the plan's, or suggestions where too many are accidents."""
    return told["outcome"] == rule.outcome or (rule.max_false_rate is not None and told["outcome"] == "suggested")


def certified(folder: Path, plan: Plan) -> list[Check]:
    """Each match by a total has its one certificate, and no other match has any; nothing where no rule totals."""
    rules = [rule for rule in plan.rules if rule.total is not None and rule.net is None]
    if not rules:
        return []
    matches = pl.scan_parquet(folder / "matches.parquet").with_columns(as_text("rule"))
    by_total = pl.concat([matches.filter(pl.col("rule") == rule.name, ~is_tie(rule)) for rule in rules])
    certificates = pl.scan_parquet(folder / "certificates.parquet").select("match_id", as_text("rule"))
    counted = pl.concat(
        [
            by_total.select("match_id", "rule").unique().with_columns(n=pl.lit(1)),
            certificates.with_columns(n=pl.lit(-1)),
        ]
    )
    unlike = counted.group_by("match_id", "rule").agg(pl.col("n").sum()).select(pl.col("n").abs().sum())
    wrong = int(unlike.collect(engine="streaming").item() or 0)
    told = f"{wrong} matches by a total have none, or another" if wrong else "one for each match by a total"
    return [Check("certificates", not wrong, told)]
