"""What cancels out inside one side, found once a side before any two sides are linked: matches of that side alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.execution.certainty import gated
from recon_engine.execution.deciding import Found, decide_all
from recon_engine.execution.staging import StagedSide
from recon_engine.matching.pairs import PerRule
from recon_engine.nway.plan import SidesPlan
from recon_engine.outcome.matches import is_suggested, numbered_groups, scored_groups, states
from recon_engine.outcome.rivals import tie_reasons
from recon_engine.plan import Plan

OnRule = Callable[[str, bool], None]
"""Hears that a rule, by name, begins (False) or is done (True)."""
_MATCHES: dict[str, Any] = {
    "node": pl.UInt32,
    "side": pl.UInt8,
    "group": pl.UInt32,
    "rule": pl.String,
    "suggested": pl.Boolean,
    "score": pl.Float64,
    "rivals": pl.UInt32,
    "margin": pl.Float64,
}
_TIES = {"node": pl.UInt32, "tied": pl.String}


@dataclass(slots=True)
class Netted:
    """What was netted, over all sides.

    `matches`: a row per netted record: node, side, group (the lowest node of its match), rule, suggested, score,
    rivals, margin. `ties`: why records stayed open that could have been (node, tied). `states`: by netted side, the
    state of every record. `rules`: what the summary tells; `warnings` for people.
    """

    matches: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_MATCHES))
    ties: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_TIES))
    states: dict[str, PerRule] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def netted(
    plan: SidesPlan,
    sides: Sequence[tuple[str, StagedSide, int]],
    duplicates: dict[str, pl.DataFrame],
    work: Path,
    partitions: int,
    on_rule: OnRule,
) -> Netted:
    """Runs the rules that net a side, each side's in their order, on what is not left out as a duplicate.

    `sides`: in order of their numbers, the name, the records and the node of the first one; `work`: a folder for parts
    on disk.
    """
    told = Netted()
    for number, (name, side, first) in enumerate(sides):
        alone = plan.net_plan(name)
        if alone is None:
            continue
        names = [rule.name for rule in alone.rules]
        known = {"left": duplicates[name]} if name in duplicates else {}
        ends = side, _nobody(side)
        found = decide_all(
            alone,
            ends,
            work / f"{name}.netting",
            partitions,
            lambda rule, done, names=names: on_rule(names[rule], done),  # type: ignore[misc]
            known,
        )
        # How many accidents there are is not estimated: a rule that may have none only suggests, as with two sides.
        alone = gated(alone, [None] * len(names))
        groups = numbered_groups(alone, found.decided.sets, found.decided.ties, 1)
        told.states[name] = states(alone, found.pairs, groups)[0].to_numpy()
        told.matches.extend(_matches(alone, groups, number, first))
        told.ties.extend(_ties(alone, found, side, first))
        told.rules += [{"net": name, **_figures(alone, found, groups, n)} for n in range(len(names))]
        capped = found.decided.ties.filter("capped")["rule"].unique().sort()
        told.warnings += [f"rule '{names[n]}': too many candidates in some groups; search capped" for n in capped]
    order = [rule.name for rule in plan.rules]
    told.rules.sort(key=lambda rule: order.index(rule["name"]))
    return told


def _nobody(side: StagedSide) -> StagedSide:
    """The other side of a plan that looks at one: there is nobody there."""
    return replace(side, side="right", comparables=side.comparables.clear(), parted=None, rows=0)


def _matches(alone: Plan, groups: pl.DataFrame, number: int, first: int) -> pl.DataFrame:
    node = pl.col("i") + first
    return (
        scored_groups(alone, groups)
        .select(
            node,
            side=pl.lit(number),
            group=node.min().over("match_id"),
            rule="rule",
            suggested=pl.col("outcome") == "suggested",
            score="score",
            rivals="rivals",
            margin="margin",
        )
        .rename({"i": "node"})
        .cast(_MATCHES)  # type: ignore[arg-type]
        .sort("node")
    )


def _ties(alone: Plan, found: Found, side: StagedSide, first: int) -> pl.DataFrame:
    ties = found.decided.ties.filter(~is_suggested(alone))
    label = alone.left.label
    rows = side.comparables.select("__i", row="__row", source=pl.lit(label))  # only rows are told of
    told = tie_reasons(alone, ties, 0, (rows, rows.clear()), (label, label))
    return told.select((pl.col("i") + first).alias("node"), tied="tie_reason").cast(_TIES)  # type: ignore[arg-type]


def _figures(alone: Plan, found: Found, groups: pl.DataFrame, number: int) -> dict[str, Any]:
    """What the summary tells of a rule."""
    rule, mine = alone.rules[number], pl.col("rule") == number
    return {
        "name": rule.name,
        "outcome": rule.outcome,
        "matches": groups.filter(mine)["match_id"].n_unique(),
        "candidates": found.decided.candidates.get(number, 0),
        "ambiguous": found.decided.ties.filter(mine)["i"].n_unique(),
        "seconds": round(found.seconds[number], 3),
        "chance": None,
    }
