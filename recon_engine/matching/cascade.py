"""The cascade: rules in order, each on what the earlier ones left open. Pure functions on two frames that share a
partition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from recon_engine.matching.assignment import is_choice
from recon_engine.matching.candidates import LARGEST_GROUP, join_key, joined, most_pairs, with_values
from recon_engine.matching.comparables import ID
from recon_engine.matching.conditions import Rarities, equalities, holds, needed_columns, weight, windows
from recon_engine.matching.decisions import decide, decide_groups, settle_pairs
from recon_engine.matching.settled import (
    CERTIFICATES_SCHEMA,
    LINKS_SCHEMA,
    NEAR_SCHEMA,
    SETS_SCHEMA,
    Bools,
    Ids,
    Settled,
)
from recon_engine.plan import Condition, Plan, Rule

MATCHES_SCHEMA: dict[str, Any] = {
    "l": pl.UInt32,
    "r": pl.UInt32,
    "rule": pl.UInt16,
    "weight": pl.Int64,
    "rivals": pl.UInt32,
    "margin": pl.Float64,
}
RULE: dict[str, Any] = {"rule": pl.UInt16}
TIES_SCHEMA: dict[str, Any] = {
    "rule": pl.UInt16,
    "component": pl.Int64,
    "side": pl.UInt8,
    "i": pl.UInt32,
    "capped": pl.Boolean,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """Consecutive rules (by number in the plan) that all compare the fields `shared` for equality: one partitioning
    serves them.
    """

    rules: tuple[int, ...]
    shared: tuple[str, ...]


@dataclass(slots=True)
class Decided:
    """What a stage decided on one partition, in the records' global positions (`__i`).

    `matches`: one row per pair (MATCHES_SCHEMA). `ties`: one row per tied record and rule (TIES_SCHEMA). `sets`: one
    row per record of a match that is not one to one; `certificates` of searches for sums; `links`: the evidence of
    linked pairs by field; `near`: the best-scored pairs of what a linkage left open; each with its rule. `candidates`:
    candidate pairs, `facts`: what a linkage learnt, per rule number.
    """

    matches: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MATCHES_SCHEMA))
    ties: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TIES_SCHEMA))
    sets: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RULE | SETS_SCHEMA))
    certificates: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RULE | CERTIFICATES_SCHEMA))
    links: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RULE | LINKS_SCHEMA))
    near: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RULE | NEAR_SCHEMA))
    candidates: dict[int, int] = field(default_factory=dict)
    facts: dict[int, dict[str, Any]] = field(default_factory=dict)


def stages(plan: Plan, distinct: dict[str, int], rows: int) -> list[Stage]:
    """Splits the plan's rules into stages.

    A rule joins the stage before it when a field they share for equality tells records apart (at least a tenth as many
    distinct values, `distinct` by field, as `rows`): then one join of that field serves them all. Rules that are not
    plain pairs of equalities and windows have a stage of their own.
    """
    found: list[Stage] = []
    for number, rule in enumerate(plan.rules):
        names = tuple(c.field for c in equalities(rule) if not c.nulls)
        if found and rule.is_plain and all(plan.rules[n].is_plain for n in found[-1].rules):
            common = tuple(n for n in found[-1].shared if n in names)
            if common and max(distinct.get(n, 0) for n in common) * 10 >= rows:
                found[-1] = Stage((*found[-1].rules, number), common)
                continue
        found.append(Stage((number,), names))
    return found


def leading_fields(plan: Plan) -> tuple[str, ...]:
    """The fields that the first rules, as many as have any in common, compare for equality: known before the data."""
    names: tuple[str, ...] = ()
    for number, rule in enumerate(plan.rules):
        mine = tuple(c.field for c in equalities(rule) if not c.nulls)
        common = tuple(n for n in names if n in mine) if number else mine
        if not common or (number and not rule.is_plain):
            break
        names = common
        if not rule.is_plain:
            break
    return names


def run_stage(
    plan: Plan,
    stage: Stage,
    left: pl.DataFrame,
    right: pl.DataFrame,
    known: Rarities,
    on_rule: Callable[[int, int], None],
) -> Decided:
    """Runs a stage's rules on the open records of one partition.

    `left` and `right`: `__i` (UInt32 global position, ascending), `__id` and the comparable columns. `known`: the
    rarity of parts of texts over both whole files. `on_rule` hears of each finished rule and its matches. The result
    does not depend on the order of rows beyond the pairing of interchangeable ones.
    """
    rules = [(number, plan.rules[number]) for number in stage.rules]
    tables = (left, right)
    is_open = (np.ones(left.height, dtype=np.bool_), np.ones(right.height, dtype=np.bool_))
    ids = (left[ID].to_numpy(), right[ID].to_numpy())
    shared = _shared_pairs(plan, stage, [rule for _, rule in rules], left, right)
    found: list[tuple[int, Settled]] = []
    candidates = {}
    for number, rule in rules:
        if shared is None:
            settled, candidates[number] = decide(
                plan, rule, _open(left, is_open[0]), _open(right, is_open[1]), ids, known
            )
        else:
            still = pl.Series(is_open[0]).gather(shared["l"]) & pl.Series(is_open[1]).gather(shared["r"])
            shared = shared.filter(still)
            settled, candidates[number] = _decide_listed(plan, rule, stage.shared, shared, left, right, ids)
        # Suggested groups hold their records until a person decides.
        held = settled.ties.filter(is_choice("component")) if rule.when_ambiguous == "suggest" else settled.ties.clear()
        for side, flags in enumerate(is_open):
            flags[settled.pairs["lr"[side]].to_numpy()] = False
            for taken in (settled.sets, held):
                flags[taken.filter(pl.col("side") == side)["i"].to_numpy()] = False
        found.append((number, settled))
        on_rule(number, settled.pairs.height + settled.sets["set"].n_unique())
    return _global(found, tables, candidates)


def _shared_pairs(
    plan: Plan, stage: Stage, rules: list[Rule], left: pl.DataFrame, right: pl.DataFrame
) -> pl.DataFrame | None:
    """The pairs that agree on the stage's shared fields, when they are few enough to list once for all its rules."""
    if not stage.shared or not all(rule.is_plain for rule in rules):
        return None
    key = join_key(plan, (), stage.shared)
    total, largest = most_pairs(*(t.select(k=key).to_series().drop_nulls() for t in (left, right)))
    if total > 4 * (left.height + right.height) + LARGEST_GROUP // 10 or largest > LARGEST_GROUP:
        return None
    equality = Rule(name="shared", on=tuple(Condition(field=n) for n in stage.shared))
    agreed, others = needed_columns(plan, [equality]), needed_columns(plan, rules)
    pairs = joined(left, right, key, agreed).lazy().filter(holds(plan, equality)).select("l", "r").collect()
    # The shared fields agree on every pair now; the rules look at the others only.
    return with_values(pairs, left, right, [c for c in others if c not in agreed])


def _decide_listed(
    plan: Plan,
    rule: Rule,
    agreed: tuple[str, ...],
    pairs: pl.DataFrame,
    left: pl.DataFrame,
    right: pl.DataFrame,
    ids: tuple[Ids, Ids],
) -> tuple[Settled, int]:
    """Decides a rule on the listed pairs of open records, which all agree on the fields `agreed`."""
    fits = holds(plan, rule, skip=agreed)
    fit = pairs.lazy().filter(fits).select("l", "r", weight=weight(plan, rule)).collect()
    if not windows(rule):
        return _settle_equal(plan, rule, fit, left, right)
    return settle_pairs(rule, fit, ids), fit.height


def _settle_equal(
    plan: Plan, rule: Rule, fit: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame
) -> tuple[Settled, int]:
    """Lone pairs of an equality rule match at once; records with rivals are decided as groups."""
    left_count = np.bincount(fit["l"].to_numpy(), minlength=left.height)
    right_count = np.bincount(fit["r"].to_numpy(), minlength=right.height)
    if left_count.max(initial=0) <= 1 and right_count.max(initial=0) <= 1:
        return _all_lone(fit), fit.height
    contested = pl.Series(left_count > 1).gather(fit["l"]) | pl.Series(right_count > 1).gather(fit["r"])
    rivals = fit.filter(contested)
    open_left, open_right = np.zeros(left.height, dtype=np.bool_), np.zeros(right.height, dtype=np.bool_)
    open_left[rivals["l"].to_numpy()], open_right[rivals["r"].to_numpy()] = True, True
    groups, _ = decide_groups(plan, rule, _open(left, open_left), _open(right, open_right))
    lone = _all_lone(fit.filter(~contested))
    return Settled(pl.concat([lone.pairs, groups.pairs]), groups.ties), fit.height


def _all_lone(pairs: pl.DataFrame) -> Settled:
    """Pairs without rivals are settled; without them their whole weight would be lost."""
    none = pl.lit(0, dtype=pl.UInt32)
    return Settled(pairs.select("l", "r", "weight", rivals=none, margin=pl.col("weight").cast(pl.Float64)))


def _open(table: pl.DataFrame, is_open: Bools) -> pl.DataFrame:
    return table.with_row_index("i").filter(pl.Series(is_open))


def _global(
    found: list[tuple[int, Settled]], tables: tuple[pl.DataFrame, pl.DataFrame], candidates: dict[int, int]
) -> Decided:
    """What the rules settled, with their numbers, in the records' global positions."""
    positions = (tables[0]["__i"], tables[1]["__i"])

    def every(part: str, schema: dict[str, Any]) -> pl.DataFrame:
        frames: list[pl.DataFrame] = [
            getattr(settled, part).with_columns(rule=pl.lit(number, dtype=pl.UInt16)).select(*schema)
            for number, settled in found
        ]
        return pl.concat([pl.DataFrame(schema=schema), *frames])

    matches, links = every("pairs", MATCHES_SCHEMA), every("links", RULE | LINKS_SCHEMA)
    sets, named = _global_sets(every("sets", RULE | SETS_SCHEMA), positions)
    certificates = every("certificates", RULE | CERTIFICATES_SCHEMA).join(named, on=["rule", "set"])
    return Decided(
        matches=_placed_pairs(matches, positions),
        ties=_global_ties(every("ties", TIES_SCHEMA), positions),
        sets=sets,
        certificates=certificates.drop("set").rename({"name": "set"}).select(*RULE, *CERTIFICATES_SCHEMA),
        links=_placed_pairs(links, positions),
        near=_placed_pairs(every("near", RULE | NEAR_SCHEMA), positions),
        candidates=candidates,
        facts={number: settled.facts for number, settled in found if settled.facts},
    )


def _placed_pairs(pairs: pl.DataFrame, positions: tuple[pl.Series, pl.Series]) -> pl.DataFrame:
    return pairs.with_columns(l=positions[0].gather(pairs["l"]), r=positions[1].gather(pairs["r"]))


def _placed(records: pl.DataFrame, positions: tuple[pl.Series, pl.Series]) -> pl.DataFrame:
    """Records (side, i) in global positions."""
    parts = [records.filter(pl.col("side") == side) for side in (0, 1)]
    return pl.concat([p.with_columns(i=positions[k].gather(p["i"])) for k, p in enumerate(parts)])


def _global_sets(sets: pl.DataFrame, positions: tuple[pl.Series, pl.Series]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sets in global positions, renamed to the lowest one on their first side; and the new `name` of each set."""
    placed = _placed(sets, positions)
    lowest = pl.col("i").filter(pl.col("side") == pl.col("side").min()).min().over("rule", "set").cast(pl.Int64)
    renamed = placed.with_columns(name=lowest)
    names = renamed.select("rule", "set", "name").unique()
    return renamed.drop("set").rename({"name": "set"}).select(*RULE, *SETS_SCHEMA), names


def _global_ties(ties: pl.DataFrame, positions: tuple[pl.Series, pl.Series]) -> pl.DataFrame:
    """Ties in global positions; components are renamed to their lowest position on the left, else on the right."""
    lowest = pl.col("i").filter(pl.col("side") == pl.col("side").min()).min().over("rule", "component")
    named = _placed(ties, positions)
    return named.with_columns(component=pl.when(pl.col("component") < 0).then(-1).otherwise(lowest).cast(pl.Int64))
