"""The plan's rules, run on two staged sides: stage by stage, and in each stage part by part, several at once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import numpy as np
import polars as pl

from recon_engine.execution.partitions import AT_ONCE, Parted
from recon_engine.execution.staging import StagedSide
from recon_engine.matching.cascade import Decided, Stage, run_stage, stages
from recon_engine.matching.comparables import at, columns_of, text_column
from recon_engine.matching.conditions import Rarities
from recon_engine.matching.duplicates import duplicates
from recon_engine.matching.pairs import Pairs, PerRule
from recon_engine.matching.text_parts import rarity
from recon_engine.outcome import matches
from recon_engine.outcome.differences import DIFFERING_SCHEMA, differing
from recon_engine.plan import Duplicates, Plan

Sides = tuple[StagedSide, StagedSide]
Flags = np.typing.NDArray[np.bool_]
States = tuple[PerRule, PerRule]
OnRule = Callable[[int, bool], None]
"""Hears that a rule, by number, begins (False) or is done (True)."""


@dataclass(slots=True)
class Found:
    """What the rules decided: one-to-one `pairs`, and everything else in `decided`, whose matches are empty.

    `before`: per side and position the state that a record had before the first rule; `differing`: the compared fields
    that are not equal inside pairs; `known`: the rarity of words; `duplicates` per side (group, i, kept); `seconds` by
    rule; `warnings` for people.
    """

    pairs: Pairs
    before: States
    decided: Decided = field(default_factory=Decided)
    differing: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DIFFERING_SCHEMA))
    known: Rarities = field(default_factory=dict)
    duplicates: dict[str, pl.DataFrame] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def decide_all(
    plan: Plan,
    sides: Sides,
    work: Path,
    partitions: int,
    on_rule: OnRule,
    duplicates_known: Mapping[str, pl.DataFrame] | None = None,
    before: States | None = None,
) -> Found:
    """Runs all stages, each on the records that the earlier ones left open. `work`: a folder for parts on disk.

    `duplicates_known`: by side, those that were found before (group, i, kept); others are searched as the plan says.
    `before`: per side and position, the state that each record has already; only the open ones take part.
    """
    if before is None:
        before = np.zeros(sides[0].rows, dtype=np.uint8), np.zeros(sides[1].rows, dtype=np.uint8)
    found = Found(Pairs(plan, (sides[0].rows, sides[1].rows)), before, known=_rarities(plan, sides))
    found.duplicates |= duplicates_known or {}
    found.seconds = dict.fromkeys(range(len(plan.rules)), 0.0)
    is_open = [np.asarray(state == matches.OPEN) for state in before]
    _find_duplicates(plan, sides, found, is_open)
    parts: list[Decided] = []
    apart: list[pl.DataFrame] = [found.differing]
    for stage in stages(plan, distinct := _distinct(plan, sides), max(side.rows for side in sides)):
        on_rule(stage.rules[0], False)
        work_of_stage = _Stage(plan, stage, sides, is_open, found.known, on_rule if partitions == 1 else None)
        for part, differ, seconds in work_of_stage.parts(work, partitions, distinct):
            found.pairs.add(part.matches)
            part.matches = part.matches.clear()  # kept narrowly now
            parts.append(part)
            apart.append(differ)
            for number, spent in seconds.items():
                found.seconds[number] += spent
        if partitions > 1:
            for number in stage.rules:
                on_rule(number, True)
    found.decided, found.differing = _combined(parts), pl.concat(apart)
    return found


@dataclass(frozen=True, slots=True)
class _Stage:
    """A stage on two sides of which `is_open` tells, by position, what may still match."""

    plan: Plan
    stage: Stage
    sides: Sides
    is_open: list[Flags]
    known: Rarities
    on_rule: OnRule | None

    def parts(
        self, work: Path, partitions: int, distinct: dict[str, int]
    ) -> Iterator[tuple[Decided, pl.DataFrame, dict[int, float]]]:
        """What is decided, part by part; the records of a part are no longer open when the next one comes.

        A stage without a shared field has one part.
        """
        if partitions == 1 or not self.stage.shared:
            yield self._held(*self._decided(*(self._still_open(side, None, k) for k, side in enumerate(self.sides))))
            return
        rows = max(side.rows for side in self.sides)
        parted = [
            side.parted
            if side.parted is not None and side.parted.serves(self.stage.shared, distinct, rows)
            else self._apart(side, work / f"{side.side}-{self.stage.rules[0]}", partitions)
            for side in self.sides
        ]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for one in pool.map(self._part, range(partitions), repeat(parted)):
                yield self._held(*one)
        for side, made in zip(self.sides, parted, strict=True):
            if made is not side.parted:
                shutil.rmtree(made.folder, ignore_errors=True)

    def _apart(self, side: StagedSide, folder: Path, count: int) -> Parted:
        """The side's records, in parts by what this stage compares for equality."""
        made = Parted(folder, self.stage.shared, count)
        made.sink(side.comparables, self.plan).collect(engine="streaming")
        return made

    def _part(self, number: int, parted: list[Parted]) -> tuple[Decided, pl.DataFrame, dict[int, float]]:
        tables = [one.read(number) for one in parted]
        alone = any(self.plan.rules[rule].net for rule in self.stage.rules)
        if sum(table is None for table in tables) > alone:  # nothing to meet
            return Decided(), pl.DataFrame(schema=DIFFERING_SCHEMA), {}
        none = [side.comparables.clear().collect() for side in self.sides]
        return self._decided(
            *(self._still_open(s, none[k] if (t := tables[k]) is None else t, k) for k, s in enumerate(self.sides))
        )

    def _still_open(self, side: StagedSide, table: pl.DataFrame | None, end: int) -> pl.DataFrame:
        """The open records of a part, or of all where no part is given."""
        flags = self.is_open[end]
        if table is None and side.parted is not None:
            return side.comparables.filter(at(pl.Series(flags))).collect(engine="streaming").sort("__i")
        table = side.comparables.collect() if table is None else table
        chosen = flags[table["__i"].to_numpy()]
        return table if chosen.all() else table.filter(pl.Series(chosen))

    def _decided(self, left: pl.DataFrame, right: pl.DataFrame) -> tuple[Decided, pl.DataFrame, dict[int, float]]:
        seconds, last = {}, time.perf_counter()

        def on_rule(number: int, _: int) -> None:
            nonlocal last
            seconds[number] = time.perf_counter() - last
            last += seconds[number]
            if self.on_rule is not None:
                self.on_rule(number, True)

        part = run_stage(self.plan, self.stage, left, right, self.known, on_rule)
        return part, differing(self.plan, part.matches, left, right), seconds

    def _held(
        self, part: Decided, differ: pl.DataFrame, seconds: dict[int, float]
    ) -> tuple[Decided, pl.DataFrame, dict[int, float]]:
        """Closes the records that were decided: matched, in sets, or suggested."""
        suggested = part.ties.filter(matches.is_suggested(self.plan))
        for side, flags in enumerate(self.is_open):
            flags[part.matches["lr"[side]].to_numpy()] = False
            for records in (part.sets, suggested):
                flags[records.filter(pl.col("side") == side)["i"].to_numpy()] = False
        return part, differ, seconds


def _find_duplicates(plan: Plan, sides: Sides, found: Found, is_open: list[Flags]) -> None:
    """Groups of duplicates; where the plan excludes them, all but the first record of each stay out of matching."""
    for k, side in enumerate(sides):
        if (search := plan.duplicates_of(side.side)) is not None:
            found.duplicates[side.side], warnings = searched(plan, search, side, found.known)
            found.warnings += warnings
        if (groups := found.duplicates.get(side.side)) is not None:
            is_open[k][groups.filter(~pl.col("kept"))["i"].to_numpy()] = False


def searched(
    plan: Plan, search: Duplicates, side: StagedSide, known: Rarities | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """The groups of duplicates of a side (group, i, kept), and warnings for people.

    `known`: the rarity of words, that of the side alone where it is not given.
    """
    known = _rarities(plan, [side]) if known is None else known
    groups, uncompared = duplicates(plan, search.rule, side.table(), known)
    kept = pl.col("i") == pl.col("group") if search.exclude else pl.lit(value=True)
    told = (
        f"duplicates in {plan.side(side.side).label}: {uncompared:,} records are in groups too large "
        "to compare; search capped"
    )
    return groups.with_columns(kept=kept), [told] if uncompared else []


def _rarities(plan: Plan, sides: Sequence[StagedSide]) -> Rarities:
    """The rarity of words or trigrams over the sides' files, for the fields whose texts are likened."""
    wanted = {(c.field, c.similarity) for rule in plan.all_rules for c in rule.on if c.similarity}
    columns = {
        name: [s.comparables.select(text_column(name)).collect().to_series() for s in sides] for name, _ in wanted
    }
    return {(name, method): rarity(columns[name], method) for name, method in sorted(wanted)}


def _distinct(plan: Plan, sides: Sides) -> dict[str, int]:
    """Distinct values per field that rules compare for equality: the fewer of both sides, estimated."""
    names = {c.field for rule in plan.rules for c in rule.on if c.is_equality}
    columns = {n: columns_of(plan.field(n))[0] for n in sorted(names)}
    if not columns:
        return {}
    queries = [
        side.comparables.select(pl.col(c).approx_n_unique().alias(n) for n, c in columns.items()) for side in sides
    ]
    left, right = pl.collect_all(queries, engine="streaming")
    return {n: min(int(left[n].item()), int(right[n].item())) for n in columns}


def _combined(found: list[Decided]) -> Decided:
    """What all stages and parts decided, in one."""
    every = Decided()
    for table in ("ties", "sets", "certificates", "links", "near"):
        setattr(every, table, pl.concat([getattr(every, table), *(getattr(p, table) for p in found)]))
    for part in found:
        for rule, count in part.candidates.items():
            every.candidates[rule] = every.candidates.get(rule, 0) + count
        every.facts |= part.facts
    return every
