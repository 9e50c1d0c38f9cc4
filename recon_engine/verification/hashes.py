"""Re-checks that the files are those that the manifest lists, and the inputs where they are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recon_engine.hashing import hash_file
from recon_engine.plan import SIDES, Plan
from recon_engine.verification.checks import Check


def hashes(folder: Path, manifest: dict[str, Any], sides: Sequence[str], tables: Sequence[str]) -> list[Check]:
    """Every output is as the run wrote it, and every input that is found here."""
    wrong = [
        n for n, digest in manifest["outputs"].items() if not (folder / n).is_file() or hash_file(folder / n) != digest
    ]
    unlisted = {f"{t}.parquet" for t in tables} | {"plan.yaml", "summary.json"}
    wrong += sorted(unlisted - manifest["outputs"].keys())
    checks = [
        Check("output hashes", not wrong, f"changed or missing: {', '.join(wrong)}" if wrong else "all as written")
    ]
    for side in sides:
        for item in manifest["inputs"][side]:
            path = folder / item["file"]  # a portable result names it from its own directory
            name = f"input {path.name}"
            # Where it was at the run; when the result went to somebody else, in its directory, or a folder of the side.
            beside = [folder / side / path.name, *([] if path.name in manifest["outputs"] else [folder / path.name])]
            there = [path] if path.is_file() else [one for one in beside if one.is_file()]
            if not there:
                told = "not here; its hash could not be compared: put the file into the result's directory"
                checks.append(Check(name, None, told))
            else:
                same = any(hash_file(one) == item["sha256"] for one in there)
                checks.append(
                    Check(name, same, "unchanged since the run" if same else "differs from the file that was read")
                )
    return checks


def read_as_planned(plan: Plan, manifest: dict[str, Any]) -> Check:
    """The manifest vouches for the files that the plan names, and for each."""
    listed = {side: tuple(item["file"] for item in manifest["inputs"][side]) for side in SIDES}
    other = [side for side in SIDES if listed[side] != plan.side(side).files]
    told = f"the manifest lists other files than the plan: {', '.join(other)}" if other else "those of the plan"
    return Check("input files", not other, told)
