"""How sure each rule is: the estimated share of accidents among its matches, and the gate that it can close."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.execution.deciding import Found, Sides
from recon_engine.execution.partitions import SPILLED
from recon_engine.matching.comparables import ID
from recon_engine.matching.conditions import needed_columns
from recon_engine.matching.decisions import BITS
from recon_engine.matching.decoys import Flags, Keep, chance_of, in_memory, link_chance
from recon_engine.matching.settled import Bools
from recon_engine.outcome.matches import OPEN
from recon_engine.plan import SIDES, Plan

# Of more accidents than this a person is told, if the rule confirms them.
_DOUBTFUL = 0.2


def estimates(plan: Plan, sides: Sides, told: Found, work: Path | None = None) -> list[dict[str, Any] | None]:
    """Per rule {method, false_rate, low, high}: the estimate and its interval; None where nothing can be said.

    Methods: `decoys`; for linkage `probabilities` of its matches, or `relatives` where near relatives inside the tables
    tell of more accidents; for totals `sums`, from the sets that would fit by chance. `work`: a folder for what need
    not stay in memory.
    """
    found: list[dict[str, Any] | None] = []
    pairs, decided = told.pairs, told.decided
    is_open = [pl.Series(state == OPEN) for state in told.before]
    # What decoys are tried on: the records that a rule left are kept for the next one.
    tried = [rule for rule in plan.rules if rule.link is None and rule.total is None]
    columns = ["__i", ID, *needed_columns(plan, tried)]
    frames = sides[0].comparables.select(columns), sides[1].comparables.select(columns)
    for number, rule in enumerate(plan.rules):
        sets = decided.sets.filter(pl.col("rule") == number)
        matched = _matched(pairs.of(number), sets)
        rate = None
        if rule.link is not None:
            lone = pairs.frame(number).filter(pl.col("rule") == number)["weight"]
            bits = pl.concat([lone, sets.filter(pl.col("side") == 1)["weight"]]).cast(pl.Float64) / BITS
            rate, method = _linked(bits, decided.facts.get(number, {}).get("accidents"))
        elif rule.net is not None:
            rate, method = None, "none"  # what cancels out inside one side meets no decoy of the other
        elif rule.total is not None:
            expected = decided.certificates.filter(pl.col("rule") == number)["by_chance"].clip(0, 1)
            rate, method = link_chance(1 - expected), "sums"
        else:
            ties = decided.ties.filter(pl.col("rule") == number)
            left, right = (ties.filter(pl.col("side") == side)["i"].n_unique() for side in (0, 1))
            open_now, keep = (is_open[0], is_open[1]), _kept(work, number)
            chance, frames = chance_of(plan, rule, frames, open_now, matched, (left, right), told.known, keep)
            rate, method = (chance.false_rate if chance else None), "decoys"
        found.append(dict(zip(("method", "false_rate", "low", "high"), (method, *rate), strict=True)) if rate else None)
        is_open = [now & ~gone for now, gone in zip(is_open, matched, strict=True)]
    return found


def _matched(in_pairs: tuple[Bools, Bools], sets: pl.DataFrame) -> Flags:
    """Per side and position, whether a rule matched the record: in a pair, or in one of its sets."""
    for side, flags in enumerate(in_pairs):
        flags[sets.filter(pl.col("side") == side)["i"].to_numpy()] = True
    left, right = map(pl.Series, in_pairs)
    return left, right


def _kept(work: Path | None, number: int) -> Keep:
    """Keeps the records that the rule left in a folder of its own of `work`; in memory where there is none."""
    if work is None:
        return in_memory

    def on_disk(side: int, records: pl.LazyFrame) -> tuple[pl.LazyFrame, Callable[[pl.DataFrame], pl.LazyFrame]]:
        path = work / f"left-by-{number}" / f"{SIDES[side]}.parquet"
        return records.sink_parquet(path, lazy=True, **SPILLED), lambda _: pl.scan_parquet(path)

    return on_disk


def _linked(bits: pl.Series, accidents: dict[str, float] | None) -> tuple[tuple[float, float, float], str]:
    """Of matches with so many bits of evidence: what their probabilities leave open, and what relatives tell.

    The greater of both; where they disagree, the interval holds both.
    """
    rate = link_chance(1 / (1 + (-bits * 0.6931471805599453).exp()))
    if accidents is None or bits.is_empty():
        return rate, "probabilities"
    told, low, high = (round(min(1.0, accidents[end] / len(bits)), 6) for end in ("estimate", "low", "high"))
    if told <= rate[0]:
        return rate, "probabilities"
    return (told, min(low, rate[1]), max(high, rate[2])), "relatives"


def doubts(plan: Plan, chances: list[dict[str, Any] | None], counts: list[int]) -> list[str]:
    """What a person should know of rules that confirm although many of their matches (`counts`) are accidents."""
    return [
        f"rule '{rule.name}': about {chance['false_rate']:.0%} of its {count:,} matches are accidents by the run's own "
        "estimate; with max_false_rate they would only be suggested"
        for rule, chance, count in zip(plan.rules, chances, counts, strict=True)
        if count and chance and chance["false_rate"] > _DOUBTFUL and rule.outcome == "confirmed"
    ]


def gated(plan: Plan, chances: list[dict[str, Any] | None]) -> Plan:
    """The plan with the outcomes that hold: a rule with more accidents than it may have only suggests."""
    rules = []
    for rule, chance in zip(plan.rules, chances, strict=True):
        limit = rule.max_false_rate
        too_many = limit is not None and (chance is None or chance["false_rate"] > limit)
        rules.append(rule.model_copy(update={"outcome": "suggested"}) if too_many else rule)
    return plan.model_copy(update={"rules": tuple(rules)})
