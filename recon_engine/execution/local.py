"""Runs a plan on this machine, in memory or out of core, and writes the result directory."""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.errors import PlanError
from recon_engine.evidence import write_manifest
from recon_engine.execution.certainty import doubts, estimates, gated
from recon_engine.execution.deciding import Found, Sides, States, decide_all
from recon_engine.execution.estimate import estimate
from recon_engine.execution.partitions import Parted
from recon_engine.execution.staging import LOOKED_UP, opened, stage, with_scales
from recon_engine.hashing import hash_file
from recon_engine.matching.cascade import leading_fields
from recon_engine.matching.comparables import at
from recon_engine.outcome import breaks, conservation, differences, matches
from recon_engine.outcome.blast import Ran
from recon_engine.outcome.causes import Causes, causes
from recon_engine.outcome.places import Places
from recon_engine.outcome.rivals import Takers
from recon_engine.plan import SIDES, Plan


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done: `done` of `total` steps of `stage`; `rule` while matching; `seconds` since the start."""

    stage: str
    done: int
    total: int
    rule: str | None
    seconds: float


OnProgress = Callable[[Progress], None]
_MOST_PARTITIONS = 4096  # each is a file or more on disk; beyond, they would be too small to be worth one


def tell_nobody(_: Progress) -> None:
    """For callers that need no progress."""


def run(plan: Plan, out: Path, partitions: int | None = None, on_progress: OnProgress = tell_nobody) -> dict[str, Any]:
    """Runs `plan` and writes the result directory `out`, which exists only when it is whole. Returns the summary.

    `partitions`: more than 1 runs out of core, in that many partitions on disk; None takes as many as memory asks.
    Raises ReconError for a wrong plan or input; then nothing is left behind.
    """
    return whole(out, partitions, lambda work: Run(plan, work, partitions, on_progress).result())


def whole(out: Path, partitions: int | None, produce: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Puts what `produce` writes into `result` of its work folder at `out`, when it is whole; else leaves nothing."""
    if partitions is not None and not 1 <= partitions <= _MOST_PARTITIONS:
        raise PlanError(f"partitions must be from 1 to {_MOST_PARTITIONS}, not {partitions}")
    _check_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f"{out.name}.partial-", dir=out.parent))
    except OSError as error:
        raise PlanError(f"{out}: nothing can be written there ({error.strerror}); choose another directory") from error
    try:
        (work / "result").mkdir()
        summary = produce(work)
        _put(work / "result", out, work / "earlier")
        return summary
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put(result: Path, out: Path, aside: Path) -> None:
    """Puts the result at `out`; an earlier one goes aside, and comes back where that fails."""
    if not out.exists():
        result.rename(out)
        return
    out.rename(aside)
    try:
        result.rename(out)
    except OSError:
        aside.rename(out)
        raise


def _check_replaceable(out: Path) -> None:
    """Refuses an output directory that holds anything but an earlier result: people's files there must not be lost."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / "manifest.json").is_file():
        raise PlanError(f"{out} exists and is not an earlier result; choose another output directory")
    try:
        written = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["outputs"]
        others = sorted(p.name for p in out.iterdir() if p.name not in {"manifest.json", *written})
    except (ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{out} holds a damaged manifest.json; choose another output directory") from error
    if others:
        raise PlanError(f"{out} holds {others[0]}, which no run has put there; move it, or choose another directory")


def matched(plan: Plan, work: Path) -> tuple[Sides, Found]:
    """Reads and matches in the empty folder `work`, and stops there: nothing is explained, counted or kept."""
    (work / "result").mkdir()
    return Run(plan, work, 1, tell_nobody).matched()


class Run:
    """One run: the steps share the plan, the directories and the clock."""

    def __init__(self, plan: Plan, work: Path, partitions: int | None, on_progress: OnProgress) -> None:
        self.plan, self.work, self.on_progress = plan, work, on_progress
        self.wanted, self.partitions = partitions, partitions or 1
        self.out = work / "result"
        self.started = time.perf_counter()
        self.causes = Causes()
        self.duplicates_known: Mapping[str, pl.DataFrame] = {}
        self.before: States | None = None

    def tell(self, stage_name: str, done: int, total: int, rule: str | None = None) -> None:
        """Tells whoever listens what is being done."""
        self.on_progress(Progress(stage_name, done, total, rule, round(time.perf_counter() - self.started, 3)))

    def result(self) -> dict[str, Any]:
        """Reads, matches and writes everything; returns the summary."""
        with ThreadPoolExecutor(2) as pool:
            hashes = {
                f: pool.submit(hash_file, Path(f)) for s in SIDES for f in self.plan.side(s).files if Path(f).is_file()
            }
            sides = self._stage()
            summary = self.answer(sides)
            inputs = {name: future.result() for name, future in hashes.items()}
        self.tell("evidence", 0, 1)
        (self.out / "plan.yaml").write_text(self.plan.to_yaml(), encoding="utf-8")
        summary["seconds"] = round(time.perf_counter() - self.started, 3)
        summary["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        (self.out / "summary.json").write_text(
            json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        facts = {side.side: side.facts for side in sides}
        write_manifest(self.out, self.plan, inputs, facts, self.partitions)
        self.tell("evidence", 1, 1)
        return summary

    def answer(self, sides: Sides) -> dict[str, Any]:
        """Matches the two sides and writes the tables of a result; returns the summary."""
        return self._write(sides, self._match(sides))

    def matched(self) -> tuple[Sides, Found]:
        """Reads and matches."""
        sides = self._stage()
        return sides, self._match(sides)

    def _stage(self) -> Sides:
        tables = {side: opened(self.plan, side) for side in SIDES}
        self.plan = with_scales(self.plan, tables)
        if self.wanted is None:
            self.partitions = estimate(self.plan, tables).partitions
        staged = []
        for k, side in enumerate(SIDES):
            self.tell("read", k, 2)
            folder = self.work / f"{side}.comparables"
            parted = Parted(folder, leading_fields(self.plan), self.partitions) if self.partitions > 1 else None
            staged.append(stage(self.plan, side, tables[side], self.out / f"{side}.parquet", parted))
        self.tell("read", 2, 2)
        return staged[0], staged[1]

    def _match(self, sides: Sides) -> Found:
        """All rules on both sides."""
        total = len(self.plan.rules)

        def on_rule(number: int, done: bool) -> None:
            self.tell("match", number + done, total, self.plan.rules[number].name)

        known = self.duplicates_known
        return decide_all(self.plan, sides, self.work, self.partitions, on_rule, known, self.before)

    def _write(self, sides: Sides, found: Found) -> dict[str, Any]:
        """Matches, differences, breaks and rejected rows; returns the summary."""
        self.tell("explain", 0, 3)
        chances = estimates(self.plan, sides, found, self.work if self.partitions > 1 else None)
        plan = gated(self.plan, chances)
        groups = matches.numbered_groups(plan, found.decided.sets, found.decided.ties, found.pairs.height + 1)
        state = matches.states(plan, found.pairs, groups, found.before)
        names = pl.Enum(list(dict.fromkeys(n for s in sides for n in s.sources.categories)))
        places = sides[0].places(names), sides[1].places(names)
        # Writing the longest table leaves processors free: the breaks are explained beside it.
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(self._write_matches, plan, found, groups, places)
            broken, different = self._explain(sides, found, groups, state, places)
            written.result()
        self.tell("explain", 3, 3)
        summary = self._summary(sides, found, groups, state, broken, different)
        for rule, effective, chance in zip(summary["rules"], plan.rules, chances, strict=True):
            rule |= {"outcome": effective.outcome, "chance": chance}
        summary["warnings"] += doubts(plan, chances, [rule["matches"] for rule in summary["rules"]])
        summary["causes"] = self.causes.ranked
        summary["warnings"] += [self.causes.note] if self.causes.note else []
        return summary

    def _write_matches(self, plan: Plan, found: Found, groups: pl.DataFrame, places: tuple[Places, Places]) -> None:
        table = matches.matches_table(plan, found.pairs, groups, places)
        table.sink_parquet(self.out / "matches.parquet", **LOOKED_UP)
        certified = matches.certificates_table(plan, groups, found.decided.certificates)
        certified.write_parquet(self.out / "certificates.parquet")
        weights = matches.weights_table(found.pairs, groups, found.decided.links, places)
        weights.write_parquet(self.out / "weights.parquet")

    def _explain(
        self,
        sides: Sides,
        found: Found,
        groups: pl.DataFrame,
        state: tuple[pl.Series, pl.Series],
        places: tuple[Places, Places],
    ) -> tuple[pl.DataFrame, int]:
        """Writes differences, breaks and rejected rows; returns the breaks and the number of differences."""
        plan = self.plan
        frames = sides[0].comparables, sides[1].comparables
        records = sides[0].records(), sides[1].records()
        differ = pl.concat([_numbered(found), _inside_groups(plan, groups, frames)])
        different = differ.height
        table = differences.differences_table(plan, differ, places, records)
        table.sink_parquet(self.out / "differences.parquet", **LOOKED_UP)
        found.differing = found.differing.clear()
        del differ, table  # the longest of what was found; what follows has no use for them
        self.tell("explain", 1, 3)
        left, right = (
            s.comparables.with_columns(source=pl.col("__file").cat.to(s.sources), row=pl.col("__row"), __state=at(k))
            for s, k in zip(sides, state, strict=True)
        )
        opened_left, opened_right = (
            f.filter(pl.col("__state") == matches.OPEN).collect(engine="streaming").sort("__i") for f in (left, right)
        )
        still_open = opened_left, opened_right
        ties = found.decided.ties.filter(~matches.is_suggested(plan))
        near = found.decided.near
        takers = Takers(found.pairs, groups, places)
        broken = breaks.breaks_table(plan, (left, right), still_open, ties, near, found.known, found.duplicates, takers)
        ran = Ran(plan, records, frames, found.known, found.before, found.pairs, groups, ties, state, still_open)
        self.causes = causes(ran)
        broken = broken.with_columns(self.causes.sentence)
        broken.write_parquet(self.out / "breaks.parquet")
        breaks.duplicates_table(found.duplicates, dict(zip(SIDES, places, strict=True))).write_parquet(
            self.out / "duplicates.parquet"
        )
        pl.concat([s.rejected for s in sides]).sort("side", "source", "row").write_parquet(
            self.out / "rejected.parquet"
        )
        self.tell("explain", 2, 3)
        return broken, different

    def _summary(
        self,
        sides: Sides,
        found: Found,
        groups: pl.DataFrame,
        state: tuple[pl.Series, pl.Series],
        broken: pl.DataFrame,
        different: int,
    ) -> dict[str, Any]:
        plan, decided = self.plan, found.decided
        rows = {s.side: conservation.counts(s.read, k, s.rejected.height) for s, k in zip(sides, state, strict=True)}
        sums = {
            s.side: conservation.totals(plan, s.side, s.records(), k, s.rejected_values)
            for s, k in zip(sides, state, strict=True)
        }
        grouped = dict(groups.group_by("rule").agg(pl.col("match_id").n_unique()).iter_rows())
        tied = dict(decided.ties.group_by("rule").agg(pl.struct("side", "i").n_unique()).iter_rows())
        counted = dict(broken.group_by("category").len().sort("category").iter_rows())
        capped = decided.ties.filter("capped")["rule"].unique().sort().to_list()
        warnings = found.warnings + [f"{i.source}: {i.message}" for s in sides for i in s.issues]
        warnings += [f"rule '{plan.rules[n].name}': too many candidates in some groups; search capped" for n in capped]
        return {
            "name": plan.name,
            "rows": rows,
            "totals": sums,
            "rules": [
                {
                    "name": rule.name,
                    "outcome": rule.outcome,
                    "matches": int(found.pairs.counts[n]) + grouped.get(n, 0),
                    "candidates": decided.candidates.get(n, 0),
                    "ambiguous": tied.get(n, 0),
                    "seconds": round(found.seconds[n], 3),
                    **({"link": decided.facts[n]} if n in decided.facts else {}),
                }
                for n, rule in enumerate(plan.rules)
            ],
            "matches": found.pairs.height + sum(grouped.values()),
            "differences": different,
            "breaks": counted,
            "duplicates": breaks.duplicates_counted(found.duplicates),
            "conserved": all(conservation.conserved(rows[s], sums[s]) for s in SIDES),
            "warnings": warnings,
        }


def _numbered(found: Found) -> pl.DataFrame:
    """What differs inside pairs, with the match_id."""
    return found.differing.select(found.pairs.ids_of(found.differing["l"]).alias("match_id"), pl.all())


def _inside_groups(plan: Plan, groups: pl.DataFrame, frames: tuple[pl.LazyFrame, pl.LazyFrame]) -> pl.DataFrame:
    """The same for the groups in which one record of a side stands for several of the other."""
    singles = matches.singles(groups)
    if singles.is_empty():
        return pl.DataFrame(schema={"match_id": pl.Int64, **differences.DIFFERING_SCHEMA})
    left, right = (
        frame.filter(pl.col("__i").is_in(singles[end].implode())).collect(engine="streaming").sort("__i")
        for frame, end in zip(frames, "lr", strict=True)
    )
    differ = differences.differing(plan, singles.cast({"rule": pl.UInt16}), left, right)
    numbered = differ.join(singles.select("match_id", "l", "r"), on=["l", "r"])
    return numbered.select("match_id", *differ.columns)
