"""The cascade: rules in order, each on what the earlier ones left open. Pure functions on two frames that share a
partition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from recon_engine.matching.assignment import Bools, Ids, Settled, settle, settle_groups
from recon_engine.matching.candidates import LARGEST_GROUP, grouped, join_key, joined, most_pairs, search, with_values
from recon_engine.matching.comparables import ID
from recon_engine.matching.conditions import CLOSE, equalities, holds, needed_columns, weight, windows
from recon_engine.plan import Condition, Plan, Rule

MATCHES_SCHEMA = {
    "l": pl.UInt32,
    "r": pl.UInt32,
    "rule": pl.UInt16,
    "weight": pl.Int64,
    "rivals": pl.UInt32,
    "margin": pl.Float64,
}
TIES_SCHEMA = {"rule": pl.UInt16, "component": pl.Int64, "side": pl.UInt8, "i": pl.UInt32, "capped": pl.Boolean}


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

    `matches`: one row per pair (MATCHES_SCHEMA). `ties`: one row per tied record and rule (TIES_SCHEMA).
    `candidates`: candidate pairs per rule number.
    """

    matches: pl.DataFrame
    ties: pl.DataFrame
    candidates: dict[int, int]


def stages(plan: Plan, distinct: dict[str, int], rows: int) -> list[Stage]:
    """Splits the plan's rules into stages.

    A rule joins the stage before it when a field they share for equality tells records apart (at least a tenth as many
    distinct values, `distinct` by field, as `rows`): then one join of that field serves them all.
    """
    found: list[Stage] = []
    for number, rule in enumerate(plan.rules):
        names = tuple(c.field for c in equalities(rule) if not c.nulls)
        if found:
            common = tuple(n for n in found[-1].shared if n in names)
            if common and max(distinct.get(n, 0) for n in common) * 10 >= rows:
                found[-1] = Stage((*found[-1].rules, number), common)
                continue
        found.append(Stage((number,), names))
    return found


def run_stage(
    plan: Plan,
    stage: Stage,
    left: pl.DataFrame,
    right: pl.DataFrame,
    on_rule: Callable[[int, int], None],
) -> Decided:
    """Runs a stage's rules on the open records of one partition.

    `left` and `right`: `__i` (UInt32 global position, ascending), `__id` and the comparable columns. `on_rule` hears
    of each
    finished rule and its matches. The result does not depend on the order of rows beyond the pairing of
    interchangeable ones.
    """
    rules = [(number, plan.rules[number]) for number in stage.rules]
    open_left, open_right = np.ones(left.height, dtype=np.bool_), np.ones(right.height, dtype=np.bool_)
    ids = (left[ID].to_numpy(), right[ID].to_numpy())
    shared = _shared_pairs(plan, stage, [rule for _, rule in rules], left, right)
    matches, ties, candidates = [], [], {}
    for number, rule in rules:
        if shared is None:
            settled, count = _decide(plan, rule, left, right, open_left, open_right, ids)
        else:
            shared = shared.filter(pl.Series(open_left).gather(shared["l"]) & pl.Series(open_right).gather(shared["r"]))
            settled, count = _decide_listed(plan, rule, stage.shared, shared, left, right, ids)
        pairs = settled.pairs
        open_left[pairs["l"].to_numpy()] = False
        open_right[pairs["r"].to_numpy()] = False
        candidates[number] = count
        label = pl.lit(number, dtype=pl.UInt16)
        matches.append(pairs.with_columns(rule=label).select(*MATCHES_SCHEMA))
        ties.append(settled.ties.with_columns(rule=label).select(*TIES_SCHEMA))
        if rule.when_ambiguous == "suggest":
            # Suggested groups hold their records until a person decides.
            for side, flags in ((0, open_left), (1, open_right)):
                flags[settled.ties.filter(pl.col("side") == side)["i"].to_numpy()] = False
        on_rule(number, pairs.height)
    return Decided(
        _global(pl.concat(matches), left, right),
        _global_ties(pl.concat(ties), left, right),
        candidates,
    )


def _shared_pairs(
    plan: Plan, stage: Stage, rules: list[Rule], left: pl.DataFrame, right: pl.DataFrame
) -> pl.DataFrame | None:
    """The pairs that agree on the stage's shared fields, when they are few enough to list once for all its rules."""
    if not stage.shared:
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
    return _settle(rule, fit, ids), fit.height


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
    groups, _ = _decide_groups(plan, rule, left, right, open_left, open_right)
    lone = _all_lone(fit.filter(~contested))
    return Settled(pl.concat([lone.pairs, groups.pairs]), groups.ties), fit.height


def _all_lone(pairs: pl.DataFrame) -> Settled:
    """Pairs without rivals are settled; without them their whole weight would be lost."""
    none = pl.lit(0, dtype=pl.UInt32)
    return Settled(pairs.select("l", "r", "weight", rivals=none, margin=pl.col("weight").cast(pl.Float64)))


def _decide(
    plan: Plan,
    rule: Rule,
    left: pl.DataFrame,
    right: pl.DataFrame,
    open_left: Bools,
    open_right: Bools,
    ids: tuple[Ids, Ids],
) -> tuple[Settled, int]:
    """Decides a rule on all open records of the partition."""
    if not windows(rule):
        return _decide_groups(plan, rule, left, right, open_left, open_right)
    tables = _open(left, open_left), _open(right, open_right)
    pairs, capped = search(plan, rule, *tables)
    if capped.height:
        # A record of which not every candidate was looked at is not matched: it could be the wrong one.
        for side, column in ((0, "l"), (1, "r")):
            barred = capped.filter(pl.col("side") == side)["i"]
            pairs = pairs.filter(~pl.col(column).is_in(barred.implode()))
    settled = _settle(rule, pairs, ids)
    if capped.height:
        unsearched = capped.select(component=pl.lit(-1, dtype=pl.Int64), side="side", i="i", capped=pl.lit(True))
        settled.ties = pl.concat([settled.ties, unsearched])
    return settled, pairs.height


def _decide_groups(
    plan: Plan,
    rule: Rule,
    left: pl.DataFrame,
    right: pl.DataFrame,
    open_left: Bools,
    open_right: Bools,
) -> tuple[Settled, int]:
    groups, records_left, records_right = grouped(plan, rule, _open(left, open_left), _open(right, open_right))
    if groups.is_empty():
        return Settled(), 0
    count = int(groups.select((pl.col("n_left") * pl.col("n_right")).sum()).item())
    total = CLOSE * len(rule.on)
    return settle_groups(groups, records_left, records_right, total, leave=rule.when_ambiguous == "leave"), count


def _settle(rule: Rule, pairs: pl.DataFrame, ids: tuple[Ids, Ids]) -> Settled:
    if pairs.is_empty():
        return Settled()
    left, right, weights = (pairs[c].to_numpy().astype(np.int64) for c in ("l", "r", "weight"))
    return settle(left, right, weights, ids[0], ids[1], leave=rule.when_ambiguous == "leave")


def _open(table: pl.DataFrame, is_open: Bools) -> pl.DataFrame:
    return table.with_row_index("i").filter(pl.Series(is_open))


def _global(matches: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    return matches.with_columns(l=left["__i"].gather(matches["l"]), r=right["__i"].gather(matches["r"]))


def _global_ties(ties: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Positions of tied records become global; components are renamed to their lowest global left position."""
    parts = []
    for side, table in ((0, left), (1, right)):
        part = ties.filter(pl.col("side") == side)
        parts.append(part.with_columns(i=table["__i"].gather(part["i"])))
    both = pl.concat(parts)
    lowest = pl.col("i").filter(pl.col("side") == 0).min().over("rule", "component")
    return both.with_columns(component=pl.when(pl.col("component") < 0).then(-1).otherwise(lowest).cast(pl.Int64))
