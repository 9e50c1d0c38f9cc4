"""Re-checks a result directory from its files alone, for anyone who has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.errors import EvidenceError, ReconError
from recon_engine.nway.any_plan import parse_plan
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import SIDES, Plan, SideName
from recon_engine.verification import sides
from recon_engine.verification.checks import Check
from recon_engine.verification.conservation import conservation
from recon_engine.verification.differences import differences_hold
from recon_engine.verification.duplicates import duplicate_groups
from recon_engine.verification.hashes import hashes, read_as_planned
from recon_engine.verification.matches import matches_hold
from recon_engine.verification.summary import certified, summary_holds

TABLES = ("matches", "differences", "breaks", "rejected", "left", "right")
NAMED_TABLES = ("matches", "links", "differences", "breaks", "rejected")  # of a plan with `sides`, whose records follow


def verify(folder: str | Path) -> list[Check]:
    """Re-checks a result directory from its files alone: hashes, conservation, and every match's predicates on the
    text itself.

    Raises EvidenceError when a file is missing or cannot be read.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        plan = parse_plan((folder / "plan.yaml").read_text(encoding="utf-8"), where=str(folder / "plan.yaml"))
        return (
            _of_sides(folder, plan, manifest, summary)
            if isinstance(plan, SidesPlan)
            else _of_two(folder, plan, manifest, summary)
        )
    except FileNotFoundError as error:
        raise EvidenceError(
            f"{folder}: {error.filename or error} is missing; this is not a whole result directory"
        ) from error
    except ReconError:
        raise
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise EvidenceError(f"{folder}: cannot be verified: {' '.join(str(error).split())}") from error


def _of_two(folder: Path, plan: Plan, manifest: dict[str, Any], summary: dict[str, Any]) -> list[Check]:
    records = {side: folder / f"{side}.parquet" for side in SIDES}
    return [
        *hashes(folder, manifest, SIDES, TABLES),
        read_as_planned(plan, manifest),
        summary_holds(folder, plan, summary),
        *conservation(folder, [(side, plan, side) for side in SIDES], summary),
        *matches_hold(folder, plan),
        *certified(folder, plan),
        differences_hold(folder, plan),
        *(check for side in SIDES for check in duplicate_groups(folder, plan, side, side, records)),
    ]


def _of_sides(folder: Path, plan: SidesPlan, manifest: dict[str, Any], summary: dict[str, Any]) -> list[Check]:
    names = [side.name for side in plan.sides]
    views: list[tuple[str, Plan, SideName]] = [(name, plan.side_plan(name), "left") for name in names]
    return [
        *hashes(folder, manifest, names, [*NAMED_TABLES, *names]),
        *conservation(folder, views, summary),
        *sides.joins(folder, plan),
        sides.summary_holds(folder, plan, summary),
        *(
            check
            for name, view, side in views
            for check in duplicate_groups(folder, view, side, name, {side: folder / f"{name}.parquet"})
        ),
    ]
