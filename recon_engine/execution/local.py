"""Runs a plan on this machine, in memory or out of core, and writes the result directory."""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recon_engine.errors import PlanError
from recon_engine.evidence import hash_file, write_manifest
from recon_engine.execution.certainty import estimates, gated
from recon_engine.execution.estimate import estimate
from recon_engine.execution.staging import LOOKED_UP, PARQUET, StagedSide, opened, stage, with_scales
from recon_engine.matching.candidates import join_key
from recon_engine.matching.cascade import Decided, Stage, run_stage, stages
from recon_engine.matching.comparables import columns_of, text_column
from recon_engine.matching.conditions import Rarities
from recon_engine.matching.duplicates import duplicates
from recon_engine.matching.text_parts import rarity
from recon_engine.outcome import breaks, conservation, differences, matches
from recon_engine.outcome.blast import Ran
from recon_engine.outcome.causes import Causes, causes
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
    if partitions is not None and partitions < 1:
        raise PlanError(f"partitions must be at least 1, not {partitions}")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "manifest.json").exists())):
        raise PlanError(f"{out} exists and is not an earlier result; choose another output directory")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{out.name}.partial-", dir=out.parent))
    try:
        (work / "result").mkdir()
        summary = produce(work)
        if out.exists():
            shutil.rmtree(out)
        (work / "result").rename(out)
        return summary
    finally:
        shutil.rmtree(work, ignore_errors=True)


def matched(plan: Plan, work: Path) -> tuple[tuple[StagedSide, StagedSide], Decided]:
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
        self.known: Rarities = {}
        self.causes = Causes()
        self.duplicates: dict[str, pl.DataFrame] = {}
        self.warnings: list[str] = []

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
            decided, seconds = self._match(sides)
            summary = self._write(sides, decided, seconds)
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

    def matched(self) -> tuple[tuple[StagedSide, StagedSide], Decided]:
        """Reads and matches."""
        sides = self._stage()
        return sides, self._match(sides)[0]

    def _stage(self) -> tuple[StagedSide, StagedSide]:
        tables = {side: opened(self.plan, side) for side in SIDES}
        self.plan = with_scales(self.plan, tables)
        if self.wanted is None:
            self.partitions = estimate(self.plan, tables).partitions
        staged = []
        for k, side in enumerate(SIDES):
            self.tell("read", k, 2)
            spill = self.work / f"{side}.comparables" if self.partitions > 1 else None
            staged.append(stage(self.plan, side, tables[side], self.out / f"{side}.parquet", spill))
        self.tell("read", 2, 2)
        return staged[0], staged[1]

    def _match(self, sides: tuple[StagedSide, StagedSide]) -> tuple[Decided, dict[int, float]]:
        """All stages, each on the records that the earlier ones left open."""
        is_open = [np.ones(side.rows, dtype=np.bool_) for side in sides]
        self.known = self._rarities(sides)
        self._find_duplicates(sides, is_open)
        found: list[Decided] = []
        seconds: dict[int, float] = dict.fromkeys(range(len(self.plan.rules)), 0.0)
        total = len(self.plan.rules)
        for plan_stage in stages(self.plan, self._distinct(sides), max(side.rows for side in sides)):
            last = time.perf_counter()
            self.tell("match", plan_stage.rules[0], total, self.plan.rules[plan_stage.rules[0]].name)

            def on_rule(number: int, _: int) -> None:
                nonlocal last
                now = time.perf_counter()
                seconds[number] += now - last
                last = now
                self.tell("match", number + 1, total, self.plan.rules[number].name)

            for left, right in self._partitions(plan_stage, sides, is_open):
                part = run_stage(self.plan, plan_stage, left, right, self.known, on_rule)
                found.append(part)
                for side, flags in enumerate(is_open):
                    flags[part.matches["lr"[side]].to_numpy()] = False
                    flags[part.sets.filter(pl.col("side") == side)["i"].to_numpy()] = False
                self._hold_suggested(part, is_open)
        return _combined(found), seconds

    def _find_duplicates(
        self, sides: tuple[StagedSide, StagedSide], is_open: list[np.typing.NDArray[np.bool_]]
    ) -> None:
        """Groups of duplicates; where the plan excludes them, all but the first record of each stay out of matching."""
        for k, side in enumerate(sides):
            search = self.plan.duplicates_of(side.side)
            if search is None:
                continue
            found, uncompared = duplicates(self.plan, search.rule, side.comparables.collect(), self.known)
            if uncompared:
                self.warnings.append(
                    f"duplicates in {self.plan.side(side.side).label}: {uncompared:,} records are in groups too large "
                    "to compare; search capped"
                )
            found = found.with_columns(kept=(pl.col("i") == pl.col("group")) if search.exclude else pl.lit(True))
            self.duplicates[side.side] = found
            is_open[k][found.filter(~pl.col("kept"))["i"].to_numpy()] = False

    def _rarities(self, sides: tuple[StagedSide, StagedSide]) -> Rarities:
        """The rarity of words or trigrams over both files, for the fields whose texts are likened."""
        wanted = {(c.field, c.similarity) for rule in self.plan.all_rules for c in rule.on if c.similarity}
        columns = {
            name: [s.comparables.select(text_column(name)).collect().to_series() for s in sides] for name, _ in wanted
        }
        return {(name, method): rarity(columns[name], method) for name, method in sorted(wanted)}

    def _hold_suggested(self, part: Decided, is_open: list[np.typing.NDArray[np.bool_]]) -> None:
        held = part.ties.filter(matches.is_suggested(self.plan))
        for side, flags in enumerate(is_open):
            flags[held.filter(pl.col("side") == side)["i"].to_numpy()] = False

    def _partitions(
        self, plan_stage: Stage, sides: tuple[StagedSide, StagedSide], is_open: list[np.typing.NDArray[np.bool_]]
    ) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Both sides' open records, partition by partition. A stage without a shared field has one partition."""
        if self.partitions == 1 or not plan_stage.shared:
            yield tuple(
                _still_open(side.comparables.collect(), flags) for side, flags in zip(sides, is_open, strict=True)
            )  # type: ignore[misc]
            return
        folders = [self.work / f"{side.side}-{plan_stage.rules[0]}" for side in sides]
        number = join_key(self.plan, (), plan_stage.shared) % self.partitions
        for side, folder in zip(sides, folders, strict=True):
            keyed = side.comparables.with_columns(__part=number).drop_nulls("__part")
            keyed.sink_parquet(pl.PartitionBy(folder, key="__part", include_key=False), mkdir=True, **PARQUET)
        for part in range(self.partitions):
            tables = [_partition(folder, part, side) for folder, side in zip(folders, sides, strict=True)]
            yield _still_open(tables[0], is_open[0]), _still_open(tables[1], is_open[1])
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _distinct(self, sides: tuple[StagedSide, StagedSide]) -> dict[str, int]:
        """Distinct values per field that rules compare for equality: the fewer of both sides, estimated."""
        names = {c.field for rule in self.plan.rules for c in rule.on if c.is_equality}
        columns = {n: columns_of(self.plan.field(n))[0] for n in sorted(names)}
        if not columns:
            return {}
        queries = [
            side.comparables.select(pl.col(c).approx_n_unique().alias(n) for n, c in columns.items()) for side in sides
        ]
        left, right = pl.collect_all(queries)
        return {n: min(int(left[n].item()), int(right[n].item())) for n in columns}

    def _write(
        self, sides: tuple[StagedSide, StagedSide], decided: Decided, seconds: dict[int, float]
    ) -> dict[str, Any]:
        """Matches, differences, breaks and rejected rows; returns the summary."""
        self.tell("explain", 0, 3)
        chances = estimates(self.plan, sides, decided, self.known)
        plan = gated(self.plan, chances)
        pairs = matches.numbered(decided.matches)
        decided.matches = decided.matches.clear()  # numbered now, and large
        groups = matches.numbered_groups(plan, decided.sets, decided.ties, pairs.height + 1)
        state = matches.states((sides[0].rows, sides[1].rows), plan, pairs, groups)
        names = pl.Enum(list(dict.fromkeys(n for s in sides for n in s.sources.categories)))
        places = [s.places(names) for s in sides]
        # Writing the longest table leaves processors free: the breaks are explained beside it.
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(self._write_matches, plan, decided, pairs, groups, (places[0], places[1]))
            broken, different = self._explain(sides, decided, (pairs, groups), state, places)
            written.result()
        self.tell("explain", 3, 3)
        summary = self._summary(sides, decided, pairs, groups, state, broken, different, seconds)
        for rule, effective, chance in zip(summary["rules"], plan.rules, chances, strict=True):
            rule |= {"outcome": effective.outcome, "chance": chance}
        summary["causes"] = self.causes.ranked
        summary["warnings"] += [self.causes.note] if self.causes.note else []
        return summary

    def _write_matches(
        self,
        plan: Plan,
        decided: Decided,
        pairs: pl.DataFrame,
        groups: pl.DataFrame,
        places: tuple[pl.DataFrame, pl.DataFrame],
    ) -> None:
        table = matches.matches_table(plan, pairs, groups, places)
        table.lazy().sink_parquet(self.out / "matches.parquet", **LOOKED_UP)
        certified = matches.certificates_table(plan, groups, decided.certificates)
        certified.write_parquet(self.out / "certificates.parquet")
        weights = matches.weights_table(pairs, groups, decided.links, places)
        weights.write_parquet(self.out / "weights.parquet")

    def _explain(
        self,
        sides: tuple[StagedSide, StagedSide],
        decided: Decided,
        found: tuple[pl.DataFrame, pl.DataFrame],
        state: tuple[pl.Series, pl.Series],
        places: list[pl.DataFrame],
    ) -> tuple[pl.DataFrame, int]:
        """Writes differences, breaks and rejected rows; returns the breaks and the number of differences."""
        plan = self.plan
        comparables = [s.comparables.collect() if self.partitions == 1 else s.comparables for s in sides]
        frames = [c.lazy() for c in comparables]
        records = (sides[0].records(), sides[1].records())
        different = differences.differences_table(
            plan, matches.side_by_side(*found), (frames[0], frames[1]), (places[0], places[1]), records
        )
        different.write_parquet(self.out / "differences.parquet")
        self.tell("explain", 1, 3)
        placed = tuple(pl.concat([f, p.lazy()], how="horizontal") for f, p in zip(frames, places, strict=True))
        ties = decided.ties.filter(~matches.is_suggested(plan))
        broken = breaks.breaks_table(plan, placed, state, ties, decided.near, self.known, self.duplicates)  # type: ignore[arg-type]
        self.causes = causes(Ran(plan, records, (frames[0], frames[1]), self.known, *found, ties, state))
        broken = broken.with_columns(self.causes.sentence)
        broken.write_parquet(self.out / "breaks.parquet")
        breaks.duplicates_table(self.duplicates, dict(zip(SIDES, places, strict=True))).write_parquet(
            self.out / "duplicates.parquet"
        )
        pl.concat([s.rejected for s in sides]).sort("side", "source", "row").write_parquet(
            self.out / "rejected.parquet"
        )
        self.tell("explain", 2, 3)
        return broken, different.height

    def _summary(
        self,
        sides: tuple[StagedSide, StagedSide],
        decided: Decided,
        pairs: pl.DataFrame,
        groups: pl.DataFrame,
        state: tuple[pl.Series, pl.Series],
        broken: pl.DataFrame,
        different: int,
        seconds: dict[int, float],
    ) -> dict[str, Any]:
        plan = self.plan
        rows = {s.side: conservation.counts(s.read, k, s.rejected.height) for s, k in zip(sides, state, strict=True)}
        sums = {
            s.side: conservation.totals(plan, s.side, s.records(), k, s.rejected_values)
            for s, k in zip(sides, state, strict=True)
        }
        matched = dict(pairs.group_by("rule").len().iter_rows())
        grouped = dict(groups.group_by("rule").agg(pl.col("match_id").n_unique()).iter_rows())
        tied = dict(decided.ties.group_by("rule").agg(pl.struct("side", "i").n_unique()).iter_rows())
        counted = dict(broken.group_by("category").len().sort("category").iter_rows())
        capped = decided.ties.filter("capped")["rule"].unique().sort().to_list()
        warnings = self.warnings + [f"{i.source}: {i.message}" for s in sides for i in s.issues]
        warnings += [f"rule '{plan.rules[n].name}': too many candidates in some groups; search capped" for n in capped]
        return {
            "name": plan.name,
            "rows": rows,
            "totals": sums,
            "rules": [
                {
                    "name": rule.name,
                    "outcome": rule.outcome,
                    "matches": matched.get(n, 0) + grouped.get(n, 0),
                    "candidates": decided.candidates.get(n, 0),
                    "ambiguous": tied.get(n, 0),
                    "seconds": round(seconds[n], 3),
                    **({"link": decided.facts[n]} if n in decided.facts else {}),
                }
                for n, rule in enumerate(plan.rules)
            ],
            "matches": pairs.height + sum(grouped.values()),
            "differences": different,
            "breaks": counted,
            "duplicates": {
                s: {"groups": d["group"].n_unique(), "records": d.height} for s, d in self.duplicates.items()
            },
            "conserved": all(conservation.conserved(rows[s], sums[s]) for s in SIDES),
            "warnings": warnings,
        }


def _still_open(table: pl.DataFrame, is_open: np.typing.NDArray[np.bool_]) -> pl.DataFrame:
    flags = is_open[table["__i"].to_numpy()]
    return table if flags.all() else table.filter(pl.Series(flags))


def _partition(folder: Path, part: int, side: StagedSide) -> pl.DataFrame:
    """One partition's comparables in order of position; empty when no record fell into it."""
    files = sorted((folder / f"__part={part}").glob("**/*.parquet"))
    if not files:
        return side.comparables.clear().collect()
    return pl.read_parquet(files, hive_partitioning=False).select(side.comparables.collect_schema().names()).sort("__i")


def _combined(found: list[Decided]) -> Decided:
    """What all stages and partitions decided, in one."""
    every = Decided()
    for table in ("matches", "ties", "sets", "certificates", "links", "near"):
        setattr(every, table, pl.concat([getattr(every, table), *(getattr(p, table) for p in found)]))
    for part in found:
        for rule, count in part.candidates.items():
            every.candidates[rule] = every.candidates.get(rule, 0) + count
        every.facts |= part.facts
    return every
