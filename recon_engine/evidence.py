"""Evidence: the manifest that fixes what went in and came out, for anyone who verifies the result later."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recon_engine.hashing import hash_file
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import Plan

RERUN = "python -m recon_engine run plan.yaml --out rerun"
_DEPENDENCIES = ("polars", "numpy", "scipy", "pydantic")


def engine_version() -> str:
    """The version of this engine's code: a digest of its source files, the same wherever the same code runs."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(folder.rglob("*.py")):
        digest.update(source.relative_to(folder).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def engine_facts() -> dict[str, str]:
    """The versions of all that computes: the engine, Python and the libraries."""
    libraries = {name: version(name) for name in _DEPENDENCIES}
    return {"version": engine_version(), "python": platform.python_version(), **libraries}


def write_manifest(
    out: Path, plan: Plan | SidesPlan, inputs: dict[str, str], facts: Mapping[Any, dict[str, Any]], partitions: int
) -> None:
    """Writes manifest.json: hashes of inputs, plan and outputs, versions, how each file was read, and the command to
    re-run.
    """
    outputs = sorted(p for p in out.iterdir() if p.name != "manifest.json")
    manifest = {
        "plan": {"name": plan.name, "file": "plan.yaml", "sha256": hash_file(out / "plan.yaml")},
        "inputs": {
            side: [{"file": f, "bytes": Path(f).stat().st_size, "sha256": inputs[f]} for f in plan.side(side).files]
            for side in facts
        },
        "outputs": {p.name: hash_file(p) for p in outputs},
        "read_as": facts,
        "engine": engine_facts(),
        "rerun": RERUN + (f" --partitions {partitions}" if partitions > 1 else ""),
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
