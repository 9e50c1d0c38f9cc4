"""The best-scored counterpart of each open record: by the probability of a linkage, or by how alike texts are."""

from __future__ import annotations

import polars as pl

from recon_engine.errors import PlanError
from recon_engine.matching.candidates import join_key, most_pairs, search, with_values
from recon_engine.matching.comparables import ID
from recon_engine.matching.conditions import equalities, needed_columns, with_likeness
from recon_engine.outcome.judged import Sides, explanation, fits, judgement
from recon_engine.outcome.matches import OPEN
from recon_engine.outcome.ranks import FAINT, LIKELY, NEAREST_SCHEMA, ORDER, TAKEN, failing_once
from recon_engine.outcome.reasons import short_of
from recon_engine.plan import Condition, Rule

# Texts are near when they are this part as alike as the rule asks: among all records, else among the open ones.
_NEAR = (2 / 3, 5 / 6)
# To explain the breaks of a side under one rule, so many pairs are looked at.
MOST_LOOKED_AT = 2_000_000


def linked(sides: Sides, number: int, near: pl.DataFrame, own: pl.LazyFrame, other: pl.LazyFrame) -> pl.DataFrame:
    """Open records (NEAREST_SCHEMA) with the counterpart that one linkage scores best, and the field that cost most.

    `near`: l, r (positions), probability, field, bits of the pairs that the linkage left (NEAR_SCHEMA).
    """
    rule = sides.plan.rules[number]
    assert rule.link is not None
    asked, (a, b) = rule.link.probability, ("l", "r") if sides.side == "left" else ("r", "l")
    pairs = (
        near.lazy()
        .select("probability", "field", "bits", i=a, other=b)
        .join(own.select("__i"), left_on="i", right_on="__i", how="semi")
        .join(other.select(other="__i", other_id=ID, state="__state"), on="other")
    )
    part, is_open = pl.col("probability"), pl.col("state") == OPEN
    cost = pl.format("{} differs most ({} bits)", "field", pl.col("bits").round(1))
    silent = pl.lit("no field differs, but they say too little together")
    because = short_of(part, asked) + pl.format(
        " probable, the rule asks {}; {}", pl.lit(f"{asked:g}"), pl.coalesce(cost, silent)
    )
    rank = pl.when(part >= asked).then(TAKEN).when(is_open & (part >= 0.5)).then(LIKELY).otherwise(FAINT)
    distance = (asked - part).clip(0).round(6)
    reason = pl.when(part >= asked).then(fits(sides, rule)).otherwise(because)
    told = failing_once(number, rank, 1 - part, distance, reason)
    return pairs.filter((part < asked) | ~is_open).select(told).collect(engine="streaming")


def alike(
    sides: Sides,
    keys: tuple[str, ...],
    number: int,
    rule: Rule,
    own: pl.LazyFrame,
    others: tuple[pl.LazyFrame, pl.LazyFrame],
) -> pl.DataFrame:
    """Open records (NEAREST_SCHEMA) with the counterpart that comes nearest to a rule on texts.

    Of the records that agree where they must be equal, and whose texts are nearly as alike as asked, the one that fails
    least. `keys`: the equalities that identify records; `others`: all records of the other side, and its open ones,
    which are searched where all are too many. Where even these are, nothing is explained.
    """
    equal = equalities(rule)
    key = join_key(sides.plan, equal, tuple(c.field for c in equal)).alias("k")
    columns = needed_columns(sides.plan, [rule])
    mine, *pools = (frame.select("__i", ID, "__state", key, *columns).drop_nulls("k") for frame in (own, *others))
    own_table = mine.collect().with_row_index("i")
    for pool, near in zip(pools, _NEAR, strict=True):
        wanted = pool.join(own_table.lazy().select("k").unique(), on="k", how="semi")
        other_table = wanted.collect(engine="streaming").sort("__i").with_row_index("i")
        tables = (own_table, other_table) if sides.side == "left" else (other_table, own_table)
        pairs = _searched(sides, _wider(rule, near), *tables)
        if pairs is not None:
            return _best(sides, keys, number, rule, with_values(pairs, *tables, columns), own_table, other_table)
    return pl.DataFrame(schema=NEAREST_SCHEMA)


def _wider(rule: Rule, near: float) -> Rule:
    """What a counterpart must have to be looked at: the rule's equalities, and likeness that is not far below."""
    lower = [c.model_copy(update={"at_least": c.at_least * near}) for c in rule.on if c.at_least is not None]
    kept: list[Condition] = [*equalities(rule), *lower]
    return rule.model_copy(update={"on": tuple(kept or [c for c in rule.on if c.is_text])})


def _searched(sides: Sides, wider: Rule, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame | None:
    """The pairs (l, r: rows of the tables) to look at; None where that would be too many."""
    if equalities(wider) and most_pairs(left["k"], right["k"])[0] > MOST_LOOKED_AT:
        return None
    try:
        return search(sides.plan, wider, left, right, sides.known, MOST_LOOKED_AT)[0].select("l", "r")
    except PlanError:  # likeness alone would compare too many texts
        return None


def _best(
    sides: Sides,
    keys: tuple[str, ...],
    number: int,
    rule: Rule,
    pairs: pl.DataFrame,
    mine: pl.DataFrame,
    theirs: pl.DataFrame,
) -> pl.DataFrame:
    """The best explanation of each record among the pairs."""
    a, b = ("l", "r") if sides.side == "left" else ("r", "l")
    placed = with_likeness(pairs, rule, sides.known).with_columns(
        i=mine["__i"].gather(pairs[a]),
        other=theirs["__i"].gather(pairs[b]),
        other_id=theirs[ID].gather(pairs[b]),
        state=theirs["__state"].gather(pairs[b]),
    )
    judged = placed.with_row_index("pair").lazy().select(judgement(sides, keys, number, rule)).drop_nulls("rank")
    best = judged.collect().sort(ORDER).unique("i", keep="first", maintain_order=True)
    shown = placed[best["pair"]].with_columns(explanation(sides, keys, rule)).select("distance", "reason")
    return best.hstack(shown).select(*NEAREST_SCHEMA)
