"""Re-checks that the files are those that the manifest lists, and finds the inputs where they are at hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon_engine.evidence import RERUN
from recon_engine.hashing import hash_file
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import Plan
from recon_engine.verification.checks import Check

_RERUN = re.escape(RERUN) + r"( --partitions \d+)?"


@dataclass(frozen=True, slots=True)
class Input:
    """An input file as it is found now: `same` as the one that was read, None where there is none."""

    path: Path
    same: bool | None


def inputs_of(folder: Path, manifest: dict[str, Any], side: str) -> list[Input]:
    """The input files of a side: where they were at the run; when the result went to somebody else, in its directory,
    or in a folder of the side there.
    """
    found = []
    for item in manifest["inputs"][side]:
        path = folder / item["file"]  # a portable result names it from its own directory
        beside = [folder / side / path.name, *([] if path.name in manifest["outputs"] else [folder / path.name])]
        there = [path] if path.is_file() else [one for one in beside if one.is_file()]
        same = [one for one in there if one.stat().st_size == item["bytes"] and hash_file(one) == item["sha256"]]
        found.append(Input((same or there or [path])[0], bool(same) if there else None))
    return found


def inputs_hold(inputs: Mapping[str, Sequence[Input]]) -> list[Check]:
    """Every input that is found here is the one that was read."""
    told = {
        True: "unchanged since the run",
        False: "differs from the file that was read",
        None: "not here; its hash could not be compared: put the file into the result's directory",
    }
    return [Check(f"input {one.path.name}", one.same, told[one.same]) for found in inputs.values() for one in found]


def outputs_hold(folder: Path, manifest: dict[str, Any], tables: Sequence[str]) -> Check:
    """Every output is as the run wrote it, and each of these tables is listed."""
    wrong = [
        n for n, digest in manifest["outputs"].items() if not (folder / n).is_file() or hash_file(folder / n) != digest
    ]
    expected = {f"{t}.parquet" for t in tables} | {"plan.yaml", "summary.json"}
    wrong += sorted(expected - manifest["outputs"].keys())
    return Check("output hashes", not wrong, f"changed or missing: {', '.join(wrong)}" if wrong else "all as written")


def manifest_holds(
    folder: Path, plan: Plan | SidesPlan, files: Mapping[str, tuple[str, ...]], manifest: dict[str, Any]
) -> list[Check]:
    """The manifest tells of the plan that is here, of the `files` that it names by side, and of the command that runs
    it.
    """
    given = {"name": plan.name, "file": "plan.yaml", "sha256": hash_file(folder / "plan.yaml")}
    facts = {"plan": manifest["plan"] == given, "rerun": bool(re.fullmatch(_RERUN, manifest["rerun"]))}
    wrong = [name for name, holds in facts.items() if not holds]
    listed = {side: tuple(item["file"] for item in manifest["inputs"][side]) for side in files}
    other = [side for side in files if listed[side] != files[side]]
    return [
        Check("manifest", not wrong, f"tells otherwise: {', '.join(wrong)}" if wrong else "of this plan"),
        Check(
            "input files",
            not other,
            f"the manifest lists other files than the plan: {', '.join(other)}" if other else "those of the plan",
        ),
    ]
