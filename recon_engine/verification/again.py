"""Makes a result again and compares: from the input files where they are at hand, else from the records that it holds.

What is left to compare are all columns of all tables, and what the summary tells. The other checks look at the values
themselves and need no run; this one finds what only a run can know: rivals, margins, reasons, causes, estimates.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.errors import ReconError
from recon_engine.evidence import engine_facts
from recon_engine.execution.estimate import estimate_of
from recon_engine.execution.local import Run, tell_nobody
from recon_engine.execution.partitions import Parted
from recon_engine.execution.staging import StagedSide, opened, restaged, stage
from recon_engine.matching.cascade import leading_fields
from recon_engine.nway.linking import Sides
from recon_engine.nway.plan import SidesPlan
from recon_engine.nway.run import answer
from recon_engine.plan import Plan, SideName
from recon_engine.verification.checks import Check, how_many
from recon_engine.verification.hashes import Input
from recon_engine.verification.tables import unlike

View = tuple[str, Plan, SideName]
"""A side's name, and the two-sided plan, and the side of that, by which it is read."""
_NEVER_THE_SAME = ("seconds", "peak_memory_bytes")
_CLOSE = 1e-6
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Told:
    """A result to make again: its folder, plan, sides, the inputs as they are found, manifest and summary."""

    folder: Path
    plan: Plan | SidesPlan
    views: Sequence[View]
    inputs: Mapping[str, Sequence[Input]]
    manifest: dict[str, Any]
    summary: dict[str, Any]

    @property
    def files(self) -> dict[str, tuple[str, ...]]:
        """The files that the plan names, by side."""
        return {name: plan.side(side).files for name, plan, side in self.views}

    def is_at_hand(self, side: str) -> bool:
        """Whether all files of a side are here as they were read."""
        return all(one.same for one in self.inputs[side])


def made_again(told: Told) -> list[Check]:
    """Every table and the summary are what the same plan makes of the same records, and these what the files hold."""
    with tempfile.TemporaryDirectory(prefix="recon-verify-") as temporary:
        work = Path(temporary)
        (work / "result").mkdir()
        try:
            staged, summary = _made(told, work)
        except ReconError as error:
            return [_judged(told, "made again", f"cannot be made again: {error}")]
        checks = [_read_again(told, name, staged[name]) for name, _, _ in told.views]
        # Where its files are not here, the rejected rows are those of the result itself: nothing is compared.
        own = {"rejected"} if not any(map(told.is_at_hand, staged)) else set()
        tables = [made for made in sorted((work / "result").glob("*.parquet")) if made.stem not in own | staged.keys()]
        checks += [_judged(told, f"{made.stem} again", _other(told.folder / made.name, made)) for made in tables]
        listed = {Path(name).stem for name in told.manifest["outputs"] if name.endswith(".parquet")}
        more = listed - staged.keys() - {made.stem for made in (work / "result").glob("*.parquet")}
        checks += [_judged(told, f"{name} again", "no run makes such a table") for name in sorted(more)]
        return [*checks, _judged(told, "summary again", _other_summary(told, summary))]


def _other(told: Path, made: Path) -> str | None:
    return unlike(told, made) if told.is_file() else "there is no such table"


def _made(told: Told, work: Path) -> tuple[dict[str, StagedSide], dict[str, Any]]:
    rows = {name: how_many(pl.scan_parquet(told.folder / f"{name}.parquet")) for name, _, _ in told.views}
    total: dict[SideName, int] = {"left": sum(rows.values()), "right": 0}
    partitions = max(estimate_of(view, total).partitions for _, view, _ in told.views)
    staged = {view[0]: _staged(told, view, work, partitions) for view in told.views}
    if isinstance(told.plan, SidesPlan):
        sides = Sides(told.plan, work, partitions, tell_nobody, staged)
        return staged, answer(sides, work / "result", tell_nobody)
    run = Run(told.plan, work, partitions, tell_nobody)
    return staged, run.answer((staged["left"], staged["right"]))


def _staged(told: Told, view: View, work: Path, partitions: int) -> StagedSide:
    name, plan, side = view
    leading = leading_fields(plan) if isinstance(told.plan, Plan) else ()
    parted = Parted(work / f"{name}.comparables", leading, partitions) if partitions > 1 else None
    rejected = pl.read_parquet(told.folder / "rejected.parquet").filter(pl.col("side") == name)
    if not told.is_at_hand(name):
        return restaged(plan, side, told.folder / f"{name}.parquet", rejected, parted)
    files = [one.path for one in told.inputs[name]]
    placed = plan.with_files(left=files) if side == "left" else plan.with_files(right=files)
    read = stage(placed, side, opened(placed, side), work / "result" / f"{name}.parquet", parted)
    return replace(read, rejected=read.rejected.with_columns(pl.lit(name, dtype=rejected.schema["side"]).alias("side")))


def _read_again(told: Told, name: str, side: StagedSide) -> Check:
    """The records are those of the files, read in the same way."""
    if not told.is_at_hand(name):
        return Check(f"{name} again", None, "its files are not here; the records could not be read again")
    other = unlike(told.folder / f"{name}.parquet", side.typed)
    if other is None and side.facts != told.manifest["read_as"][name]:
        other = "the manifest says otherwise how the files were read"
    return _judged(told, f"{name} again", other)


def _judged(told: Told, name: str, other: str | None) -> Check:
    if other is None:
        return Check(name, True, "the same")
    made_by = told.manifest["engine"]
    here = engine_facts().items()
    versions = [f"{what} {made_by.get(what)}, here {now}" for what, now in here if made_by.get(what) != now]
    if not versions:
        return Check(name, False, other)
    return Check(name, None, f"{other}; it was made with {', '.join(versions)}")


def _other_summary(told: Told, made: dict[str, Any]) -> str | None:
    """What the summary tells otherwise: of the values of rejected rows and of reading only where the files are here."""
    summary = told.summary
    if not all(told.is_at_hand(name) for name, _, _ in told.views):
        unread = [one for one in summary["warnings"] if one not in made["warnings"]]
        made = made | {"totals": summary["totals"], "warnings": [*made["warnings"], *unread]}
        summary = summary | {"warnings": [*(w for w in summary["warnings"] if w not in unread), *unread]}
    wrong = list(_unlike(summary, made, ""))
    more = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    return f"tells otherwise: {', '.join(wrong[:_MOST_NAMED])}{more}" if wrong else None


def _unlike(one: Any, two: Any, place: str) -> Iterator[str]:
    """The places in a summary, as `rules.0.matches`, at which the two are not the same, seconds apart."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in dict.fromkeys([*one, *two]):
            if key not in _NEVER_THE_SAME:
                yield from _unlike(one.get(key), two.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(one, list | tuple) and isinstance(two, list | tuple) and len(one) == len(two):
        for number, both in enumerate(zip(one, two, strict=True)):
            yield from _unlike(*both, f"{place}.{number}")
    elif isinstance(one, float) and isinstance(two, float):
        if not math.isclose(one, two, rel_tol=_CLOSE, abs_tol=_CLOSE):
            yield place
    elif one != two:
        yield place
