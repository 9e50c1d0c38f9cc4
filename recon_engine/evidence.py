"""Evidence: the manifest that fixes what went in and came out, and the verification by anyone who has the files."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.difference_checks import differences_hold
from recon_engine.duplicate_checks import duplicate_groups
from recon_engine.errors import EvidenceError, ReconError
from recon_engine.nway.any_plan import parse_plan
from recon_engine.nway.plan import SidesPlan
from recon_engine.outcome.conservation import CURRENCY, PARTS, currency_of
from recon_engine.plan import SIDES, Plan, SideName
from recon_engine.predicates import Check, predicates
from recon_engine.summary_checks import certified, summary_holds

TABLES = ("matches", "differences", "breaks", "rejected", "left", "right")
NAMED_TABLES = ("matches", "links", "differences", "breaks", "rejected")  # of a plan with `sides`, whose records follow
_DEPENDENCIES = ("polars", "numpy", "scipy", "pydantic")


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def engine_version() -> str:
    """The version of this engine's code: a digest of its source files, the same wherever the same code runs."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(folder.rglob("*.py")):
        digest.update(source.relative_to(folder).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


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
        "engine": {
            "version": engine_version(),
            "python": platform.python_version(),
            **{d: version(d) for d in _DEPENDENCIES},
        },
        "rerun": "python -m recon_engine run plan.yaml --out rerun"
        + (f" --partitions {partitions}" if partitions > 1 else ""),
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
        if isinstance(plan, SidesPlan):
            from recon_engine.nway import verification

            names = [side.name for side in plan.sides]
            views: list[tuple[str, Plan, SideName]] = [(name, plan.side_plan(name), "left") for name in names]
            tables = [*NAMED_TABLES, *names]
            return [
                *_hashes(folder, manifest, names, tables),
                *_conservation(folder, views, summary),
                *verification.joins(folder, plan),
                verification.summary_holds(folder, plan, summary),
                *(
                    c
                    for n, view, side in views
                    for c in duplicate_groups(folder, view, side, n, {side: folder / f"{n}.parquet"})
                ),
            ]
        views = [(side, plan, side) for side in SIDES]
        checks = _hashes(folder, manifest, SIDES, TABLES)
        told = [_read_as_planned(plan, manifest), summary_holds(folder, plan, summary)]
        records = {side: folder / f"{side}.parquet" for side in SIDES}
        twins = [check for side in SIDES for check in duplicate_groups(folder, plan, side, side, records)]
        matched = [*predicates(folder, plan), *certified(folder, plan), differences_hold(folder, plan)]
        return [*checks, *told, *_conservation(folder, views, summary), *matched, *twins]
    except FileNotFoundError as error:
        raise EvidenceError(
            f"{folder}: {error.filename or error} is missing; this is not a whole result directory"
        ) from error
    except ReconError:
        raise
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise EvidenceError(f"{folder}: cannot be verified: {' '.join(str(error).split())}") from error


def _hashes(folder: Path, manifest: dict[str, Any], sides: Sequence[str], tables: Sequence[str]) -> list[Check]:
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


def _read_as_planned(plan: Plan, manifest: dict[str, Any]) -> Check:
    """The manifest vouches for the files that the plan names, and for each."""
    listed = {side: tuple(item["file"] for item in manifest["inputs"][side]) for side in SIDES}
    other = [side for side in SIDES if listed[side] != plan.side(side).files]
    told = f"the manifest lists other files than the plan: {', '.join(other)}" if other else "those of the plan"
    return Check("input files", not other, told)


def _conservation(folder: Path, views: list[tuple[str, Plan, SideName]], summary: dict[str, Any]) -> list[Check]:
    """Every record is in exactly one of matched, suggested, breaks; counts and sums are those of the summary.

    `views`: each side's name, with the two-sided plan, and the side of that, by which its records are read.
    """
    matches = pl.scan_parquet(folder / "matches.parquet")
    matched = matches.select(
        _text("side"), _text("source"), "row", __part=_text("outcome").replace("confirmed", "matched")
    )
    broken = pl.scan_parquet(folder / "breaks.parquet").select(
        _text("side"), _text("source"), "row", __part=pl.lit("breaks")
    )
    placed = pl.concat([matched, broken])
    rejected = pl.scan_parquet(folder / "rejected.parquet").select(_text("side")).collect()["side"].to_list()
    checks = []
    for side, plan, end in views:
        records = pl.scan_parquet(folder / f"{side}.parquet").with_columns(_text("source"))
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


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String)
