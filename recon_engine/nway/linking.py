"""The sides read once each, and the two-sided runs that link them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recon_engine.errors import InputError, PlanError, UndecidedError
from recon_engine.execution.deciding import Found, searched
from recon_engine.execution.estimate import estimate_of
from recon_engine.execution.local import OnProgress, Progress, Run
from recon_engine.execution.partitions import Parted
from recon_engine.execution.staging import StagedSide, opened, stage, with_scales
from recon_engine.matching.pairs import PerRule
from recon_engine.nway.groups import MEMBERS_SCHEMA
from recon_engine.nway.netting import Netted, netted
from recon_engine.nway.plan import Pair, SidesPlan
from recon_engine.outcome.places import Places
from recon_engine.plan import Plan
from recon_engine.reading import TextTable


class LinkRun(Run):
    """The run of two sides that are read already: its matches are links, its breaks say why there is none."""

    def __init__(self, plan: Plan, work: Path, partitions: int, on_progress: OnProgress) -> None:
        super().__init__(plan, work, partitions, on_progress)
        self.members = pl.DataFrame(schema=MEMBERS_SCHEMA)

    def decided(self, sides: tuple[StagedSide, StagedSide]) -> Found:
        """Matches the two sides, and stops there."""
        return self._match(sides)

    def _write_matches(self, plan: Plan, found: Found, groups: pl.DataFrame, places: tuple[Places, Places]) -> None:
        super()._write_matches(plan, found, groups, places)
        suggesting = pl.Series([rule.outcome == "suggested" for rule in plan.rules])
        lone = found.pairs.frame()
        ends = [
            lone.select(link="match_id", side=pl.lit(end), node=column, suggested=suggesting.gather(lone["rule"]))
            for end, column in enumerate("lr")
        ]
        grouped = groups.select(
            link="match_id",
            side=pl.col("side").cast(pl.Int32),
            node="i",
            suggested=pl.col("suggested") | suggesting.gather(groups["rule"]),
        )
        every = pl.concat([*ends, grouped]).with_columns(pair=pl.lit(0))
        self.members = every.select(*MEMBERS_SCHEMA).cast(MEMBERS_SCHEMA)  # type: ignore[arg-type]


class Sides:
    """All sides, each read and cast once, with its comparable values for every pair that it stands in."""

    def __init__(
        self,
        plan: SidesPlan,
        work: Path,
        partitions: int | None,
        on_progress: OnProgress,
        staged: Mapping[str, StagedSide] | None = None,
    ) -> None:
        """`staged`: the sides by name where they are read already, in as many `partitions`."""
        self.work, self.on_progress = work, on_progress
        # In this order, whatever the plan's, so that the order of sides changes nothing.
        self.names = sorted(side.name for side in plan.sides)
        self.plan, self.partitions = plan, partitions or 1
        self.staged = [staged[name] for name in self.names] if staged else self._read(partitions)
        self.first = np.cumsum([0, *(side.rows for side in self.staged)]).tolist()
        """By side, the node of its first record."""
        self.duplicates: dict[str, pl.DataFrame] = {}
        """By searched side, its groups of duplicates: found once, before any pair is matched."""
        self.warnings: list[str] = []
        self._find_duplicates()
        self.rules = len(plan.netting_rules) + sum(len(rules) for rules in plan.pairs.values())
        """How many rules run, each once for every side or two sides that it looks at."""
        self.netted = self._net()
        self.warnings += self.netted.warnings

    def _read(self, partitions: int | None) -> list[StagedSide]:
        tables = {name: _opened(self.plan, name) for name in self.names}
        self.plan = with_scales(self.plan, tables)
        self.partitions = partitions or self._partitions(tables)
        staged = []
        for number, name in enumerate(self.names):
            self.on_progress(Progress("read", number, len(self.names), None, 0.0))
            staged.append(self._stage(name, tables[name]))
        self.on_progress(Progress("read", len(self.names), len(self.names), None, 0.0))
        return staged

    def _find_duplicates(self) -> None:
        for name, side in zip(self.names, self.staged, strict=True):
            if (search := self.plan.duplicates_of(name)) is not None:
                self.duplicates[name], warnings = searched(self.plan.side_plan(name), search, side)
                self.warnings += warnings

    def _net(self) -> Netted:
        """What cancels out inside a side, once, before any pair is matched."""
        done = 0

        def tell(rule: str, is_done: bool) -> None:
            nonlocal done
            done += is_done
            self.on_progress(Progress("match", done, self.rules, rule, 0.0))

        sides = list(zip(self.names, self.staged, self.first, strict=False))
        return netted(self.plan, sides, self.duplicates, self.work, self.partitions, tell)

    def excluded(self) -> pl.DataFrame:
        """The nodes that stay out of matching as duplicates (node), and those that were kept for them (kept)."""
        parts = [
            found.filter(~pl.col("kept")).select(
                node=pl.col("i") + self.first[self.number(name)], kept=pl.col("group") + self.first[self.number(name)]
            )
            for name, found in self.duplicates.items()
        ]
        return pl.concat([pl.DataFrame(schema={"node": pl.UInt32, "kept": pl.UInt32}), *parts], how="vertical_relaxed")

    def _partitions(self, tables: dict[str, list[TextTable]]) -> int:
        rows = sum(int(t.frame.select(pl.len()).collect(engine="streaming").item()) for n in tables for t in tables[n])
        plans = [self.plan.side_plan(name) for name in self.names]
        return max(estimate_of(plan, {"left": rows, "right": 0}).partitions for plan in plans)

    def _stage(self, name: str, tables: list[TextTable]) -> StagedSide:
        parted = Parted(self.work / f"{name}.comparables") if self.partitions > 1 else None
        try:
            staged = stage(self.plan.side_plan(name), "left", tables, self.work / "result" / f"{name}.parquet", parted)
        except (UndecidedError, InputError) as error:
            raise type(error)(_renamed(str(error), self.plan, name)) from error
        return replace(staged, rejected=staged.rejected.with_columns(side=pl.lit(name, dtype=pl.Enum(self.names))))

    def number(self, name: str) -> int:
        """The number of a side, in the order of names."""
        return self.names.index(name)

    def link(self, pair: Pair, number: int, rules_before: int) -> tuple[LinkRun, dict[str, Any]]:
        """Runs a pair of sides. The links' members are numbered as nodes."""

        def tell(progress: Progress) -> None:
            if progress.stage == "match":
                self.on_progress(replace(progress, done=rules_before + progress.done, total=self.rules))

        run, both = self.run_of(pair, self.work / f"pair-{number}", tell)
        ends = [self.number(name) for name in pair]
        run.out.mkdir(parents=True)
        summary = run.answer(both)
        is_left = pl.col("side") == 0
        run.members = run.members.with_columns(
            pair=pl.lit(number, dtype=pl.UInt16),
            side=pl.when(is_left).then(ends[0]).otherwise(ends[1]).cast(pl.UInt8),
            node=pl.col("node")
            + pl.when(is_left).then(self.first[ends[0]]).otherwise(self.first[ends[1]]).cast(pl.UInt32),
        )
        return run, summary

    def run_of(self, pair: Pair, work: Path, on_progress: OnProgress) -> tuple[LinkRun, tuple[StagedSide, StagedSide]]:
        """The run of a pair of sides, in the folder `work`, and the two as it knows them."""
        run = LinkRun(self.plan.pair_plan(*pair), work, self.partitions, on_progress)
        sides_found = zip(("left", "right"), (self.duplicates.get(name) for name in pair), strict=True)
        run.duplicates_known = {end: found for end, found in sides_found if found is not None}
        run.before = self._state_of(pair[0]), self._state_of(pair[1])
        left, right = (self.staged[self.number(name)] for name in pair)
        return run, (replace(left, side="left"), replace(right, side="right"))

    def _state_of(self, name: str) -> PerRule:
        """By position, what each record of a side is before any pair is matched: netted, or open."""
        rows = self.staged[self.number(name)].rows
        return self.netted.states[name] if name in self.netted.states else np.zeros(rows, dtype=np.uint8)

    def ids(self) -> np.typing.NDArray[np.uint64]:
        """By node, what is equal for interchangeable records."""
        return np.concatenate([side.table()["__id"].to_numpy() for side in self.staged])

    def of_sides(self) -> list[Places]:
        """Per side where its records stand; the sources are categories of all sides."""
        names = pl.Enum(list(dict.fromkeys(n for side in self.staged for n in side.sources.categories)))
        return [side.places(names) for side in self.staged]

    def places(self, of_sides: list[Places]) -> pl.DataFrame:
        """By node: source (of all sides) and row."""
        every = [(p, pl.int_range(s.rows, eager=True)) for p, s in zip(of_sides, self.staged, strict=True)]
        return pl.concat([pl.DataFrame([place.source_of(all_), place.row_of(all_)]) for place, all_ in every])


def _opened(plan: SidesPlan, name: str) -> list[TextTable]:
    if not plan.side(name).files:
        raise PlanError(
            f"side {name} has no files: add files to the plan, or give one file for each side, in the order of sides"
        )
    return opened(plan.side_plan(name), "left")


def _renamed(message: str, plan: SidesPlan, name: str) -> str:
    """What reading says of its left side, in the words of this plan."""
    place = f"sides.{[side.name for side in plan.sides].index(name)}"
    message = re.sub(r"\b(set|or) left\.", rf"\1 {place}.", message)
    return re.sub(r"^left:|(?<=\{)left:", f"{name}:", message)
