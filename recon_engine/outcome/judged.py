"""How good an explanation a pair is under a rule, and what it says in words."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from recon_engine.matching.conditions import Rarities, condition_holds
from recon_engine.outcome.matches import OPEN
from recon_engine.outcome.ranks import FAINT, LIKELY, TAKEN, VALUES, VALUES_TAKEN
from recon_engine.outcome.reasons import distance_of, excess_of, failure_of
from recon_engine.plan import Condition, Plan, Rule, SideName


@dataclass(frozen=True, slots=True)
class Sides:
    """What the search looks at: the plan, whose open records, how the other side is called, and the rarity of words."""

    plan: Plan
    side: SideName
    other_label: str
    known: Rarities


def _values(keys: tuple[str, ...], rule: Rule) -> list[Condition]:
    """The rule's conditions on values: all but the equality of its keys."""
    return [c for c in rule.on if c.field not in keys or not c.is_equality]


def _fails(plan: Plan, condition: Condition) -> pl.Expr:
    return ~condition_holds(plan.field(condition.field), condition).fill_null(False)


def judgement(sides: Sides, keys: tuple[str, ...], number: int, rule: Rule) -> list[pl.Expr]:
    """How good an explanation each pair is under a rule; rank is null for pairs that need none.

    `keys`: the fields that identify records and on which all pairs agree.
    """
    plan, values, own = sides.plan, _values(keys, rule), "l" if sides.side == "left" else "r"
    failing = pl.sum_horizontal(pl.lit(0, dtype=pl.UInt8), *(_fails(plan, c).cast(pl.UInt8) for c in values))
    is_open = pl.col("state") == OPEN
    near, far = (VALUES, VALUES_TAKEN) if keys else (LIKELY, FAINT)
    rank = (
        pl.when(failing == 0).then(pl.when(~is_open).then(TAKEN)).otherwise(pl.when(is_open).then(near).otherwise(far))
    )
    excess = [pl.when(_fails(plan, c)).then(excess_of(plan, c, own)).otherwise(0.0) for c in values]
    return [
        pl.col("i", "other", "other_id", "pair"),
        pl.lit(number, dtype=pl.UInt16).alias("rule"),
        rank.cast(pl.UInt8).alias("rank"),
        failing.cast(pl.UInt8).alias("failing"),
        pl.sum_horizontal(pl.lit(0.0), *excess).alias("excess"),
    ]


def explanation(sides: Sides, keys: tuple[str, ...], rule: Rule) -> list[pl.Expr]:
    """The reason in words, and the distance in the first failing value's own unit."""
    plan, values = sides.plan, _values(keys, rule)
    texts = [pl.when(_fails(plan, c)).then(failure_of(plan, c)) for c in values]
    because = pl.concat_str(texts, separator="; ", ignore_nulls=True) if texts else pl.lit("")
    reason = pl.when(because == "").then(fits(sides, rule)).otherwise(because)
    distances = [pl.when(_fails(plan, c)).then(distance_of(plan, c)) for c in values]
    return [pl.coalesce(*distances, pl.lit(0.0)).cast(pl.Float64).alias("distance"), reason.alias("reason")]


def fits(sides: Sides, rule: Rule) -> pl.Expr:
    """What is said of a counterpart that fits: only that it is matched already, which the table of breaks adds."""
    return pl.lit(f"the {sides.other_label} record that fits rule '{rule.name}'")
