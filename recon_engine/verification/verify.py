"""Re-checks a result directory from its files alone, for anyone who has them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from recon_engine.errors import EvidenceError, ReconError
from recon_engine.nway.any_plan import parse_plan
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import SIDES, Plan
from recon_engine.verification import sides
from recon_engine.verification.again import Told, View, made_again
from recon_engine.verification.checks import Check
from recon_engine.verification.conservation import conservation
from recon_engine.verification.differences import differences_hold
from recon_engine.verification.duplicates import duplicate_groups
from recon_engine.verification.hashes import inputs_hold, inputs_of, manifest_holds, outputs_hold
from recon_engine.verification.matches import matches_hold
from recon_engine.verification.summary import certified, summary_holds

TABLES = ("matches", "differences", "breaks", "rejected", "left", "right")
NAMED_TABLES = ("matches", "links", "differences", "breaks", "rejected")  # of a plan with `sides`, whose records follow


def verify(folder: str | Path, *, quick: bool = False) -> list[Check]:
    """Re-checks a result directory from its files alone: hashes, conservation, every match's predicates on the text
    itself; then makes it again and compares, unless it must be `quick`.

    Raises EvidenceError when a file is missing or cannot be read.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or not isinstance(summary, dict):
            raise EvidenceError(f"{folder}: manifest.json or summary.json is not what a run writes; run the plan again")
        plan = parse_plan((folder / "plan.yaml").read_text(encoding="utf-8"), where=str(folder / "plan.yaml"))
        names = list(plan.labels)
        told = Told(folder, plan, _views(plan), {n: inputs_of(folder, manifest, n) for n in names}, manifest, summary)
        checks = _of_sides(told, plan) if isinstance(plan, SidesPlan) else _of_two(told, plan)
        again = [Check("made again", None, "left out: this is a quick check")] if quick else made_again(told)
        return [*checks, *again]
    except FileNotFoundError as error:
        raise EvidenceError(
            f"{folder}: {error.filename or error} is missing; this is not a whole result directory"
        ) from error
    except NotADirectoryError as error:
        raise EvidenceError(f"{folder}: is a file; name the result directory") from error
    except KeyError as error:
        raise EvidenceError(
            f"{folder}: cannot be verified: manifest.json, summary.json or a table lacks {error}; run the plan again"
        ) from error
    except ReconError:
        raise
    except (OSError, ValueError, ArithmeticError, TypeError, pl.exceptions.PolarsError) as error:
        raise EvidenceError(f"{folder}: cannot be verified: {' '.join(str(error).split())}") from error


def _views(plan: Plan | SidesPlan) -> list[View]:
    if isinstance(plan, SidesPlan):
        return [(side.name, plan.side_plan(side.name), "left") for side in plan.sides]
    return [(side, plan, side) for side in SIDES]


def _of_two(told: Told, plan: Plan) -> list[Check]:
    folder = told.folder
    records = {side: folder / f"{side}.parquet" for side in SIDES}
    return [
        outputs_hold(folder, told.manifest, TABLES),
        *inputs_hold(told.inputs),
        *manifest_holds(folder, plan, told.files, told.manifest),
        summary_holds(folder, plan, told.summary),
        *conservation(folder, told.views, told.summary),
        *matches_hold(folder, plan),
        *certified(folder, plan),
        differences_hold(folder, plan),
        *(check for side in SIDES for check in duplicate_groups(folder, plan, side, side, records)),
    ]


def _of_sides(told: Told, plan: SidesPlan) -> list[Check]:
    folder = told.folder
    return [
        outputs_hold(folder, told.manifest, [*NAMED_TABLES, *told.inputs]),
        *inputs_hold(told.inputs),
        *manifest_holds(folder, plan, told.files, told.manifest),
        *conservation(folder, told.views, told.summary),
        *sides.joins(folder, plan),
        sides.summary_holds(folder, plan, told.summary),
        *(
            check
            for name, view, side in told.views
            for check in duplicate_groups(folder, view, side, name, {side: folder / f"{name}.parquet"})
        ),
    ]
