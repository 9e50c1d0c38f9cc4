"""Decided pairs become the matches table: one row per record in a match."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from recon_engine.matching.assignment import is_choice
from recon_engine.matching.conditions import CLOSE
from recon_engine.matching.decisions import BITS
from recon_engine.matching.pairs import Pairs, PerRule
from recon_engine.outcome.places import Places
from recon_engine.plan import Plan

SIDE = pl.Enum(["left", "right"])
OUTCOME = pl.Enum(["confirmed", "suggested"])
# States of a record: open, in a confirmed match, in a suggested one.
OPEN, MATCHED, SUGGESTED = 0, 1, 2


def is_suggested(plan: Plan) -> pl.Expr:
    """True for the tied records that a rule suggests, rather than leaves open."""
    suggesting = [n for n, rule in enumerate(plan.rules) if rule.when_ambiguous == "suggest"]
    return pl.col("rule").is_in(suggesting) & is_choice("rule", "component")


def numbered_groups(plan: Plan, sets: pl.DataFrame, ties: pl.DataFrame, first_id: int) -> pl.DataFrame:
    """Matches that are not one to one, one row per record: match_id, rule, set, side, i, weight, rivals, margin,
    suggested.

    Settled sets come first, then tied components of rules that suggest; in the order of rule and lowest record.
    """
    half = pl.lit(None, dtype=pl.Int64)
    held = ties.filter(is_suggested(plan)).select(
        "rule",
        pl.col("component").alias("set"),
        "side",
        "i",
        weight=half,
        rivals=(pl.len().over("rule", "component") - 2).cast(pl.UInt32),
        margin=pl.lit(0.0),
        suggested=pl.lit(True),
    )
    every = pl.concat([sets.with_columns(suggested=pl.lit(False)).select(held.columns), held])
    order = pl.struct("suggested", "rule", "set").rank("dense")
    numbered = every.with_columns(match_id=(order + first_id - 1).cast(pl.Int64))
    return numbered.sort("match_id", "side", "i")


def singles(groups: pl.DataFrame) -> pl.DataFrame:
    """Match_id, rule, l, r of every group in which one record of a side stands for several of the other."""
    settled = groups.filter(~pl.col("suggested"))
    counted = settled.group_by("match_id").agg(left=(pl.col("side") == 0).sum(), right=(pl.col("side") == 1).sum())
    single = counted.filter(pl.min_horizontal("left", "right") == 1).select("match_id")
    left, right = (
        settled.filter(pl.col("side") == side)
        .join(single, on="match_id")
        .select("match_id", "rule", pl.col("i").alias(n))
        for side, n in enumerate("lr")
    )
    return left.join(right.drop("rule"), on="match_id").sort("match_id", "l", "r")


def certificates_table(plan: Plan, groups: pl.DataFrame, certificates: pl.DataFrame) -> pl.DataFrame:
    """Per match by a total: match_id, rule, search (whole group or exhaustive), candidates, expected_by_chance."""
    named = groups.filter(~pl.col("suggested")).select("match_id", "rule", "set").unique()
    names = dict(enumerate(rule.name for rule in plan.rules))
    return (
        certificates.join(named, on=["rule", "set"])
        .select(
            "match_id",
            pl.col("rule").replace_strict(names, return_dtype=pl.String),
            "search",
            "candidates",
            expected_by_chance="by_chance",
        )
        .sort("match_id")
    )


def weights_table(
    pairs: Pairs, groups: pl.DataFrame, links: pl.DataFrame, sides: tuple[Places, Places]
) -> pl.DataFrame:
    """Per pair of records in a linked match and field: match_id, left_row, right_row, field, bits. The bits of a pair
    add up to its evidence; those of `prior` are what is known before looking at it.
    """
    linked = links if links.height else links.clear().with_columns(match_id=pl.lit(None, dtype=pl.Int64))
    lone = pairs.frame() if links.height else pl.DataFrame()
    for side, end in enumerate("lr" if links.height else ""):
        grouped = groups.filter(pl.col("side") == side).select("match_id", pl.col("i").alias(end))
        members = pl.concat([lone.select("match_id", end), grouped])
        linked = linked.join(members, on=[end, "match_id"] if side else end)
    return linked.select(
        "match_id",
        sides[0].row_of(linked["l"]).alias("left_row"),
        sides[1].row_of(linked["r"]).alias("right_row"),
        "field",
        "bits",
    ).sort("match_id", "left_row", "right_row", "field")


def matches_table(plan: Plan, pairs: Pairs, groups: pl.DataFrame, sides: tuple[Places, Places]) -> pl.LazyFrame:
    """The matches table of DESIGN.md, from pairs and numbered groups. Score and margin are shares of a perfect pair.

    It is made piece by piece as it is written, so that it need not fit into memory.
    """

    def pieces(
        columns: list[str] | None, _predicate: pl.Expr | None, _rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        for part in pairs.slices():
            yield _of_pairs(plan, part, sides).select(columns or pl.all())
        if groups.height:
            yield _of_groups(plan, groups, sides).select(columns or pl.all())

    schema = _of_pairs(plan, next(pairs.slices()).clear(), sides).schema
    return register_io_source(pieces, schema=schema)


def _of_pairs(plan: Plan, pairs: pl.DataFrame, sides: tuple[Places, Places]) -> pl.DataFrame:
    n, rule = pairs.height, pairs["rule"].to_numpy()
    names, outcomes = _names_and_outcomes(plan)
    return pl.DataFrame(
        {
            "match_id": np.repeat(pairs["match_id"].to_numpy(), 2),
            "side": pl.Series(np.tile(np.array([0, 1], dtype=np.uint8), n)).cat.to(SIDE),
            "source": _interleaved(sides[0].source_of(pairs["l"]), sides[1].source_of(pairs["r"])),
            "row": _interleaved(sides[0].row_of(pairs["l"]), sides[1].row_of(pairs["r"])),
            "rule": pl.Series(np.repeat(rule, 2)).cat.to(names),
            "outcome": pl.Series(np.repeat(outcomes[rule], 2)).cat.to(OUTCOME),
            "score": np.repeat(share(plan, rule, pairs["weight"].to_numpy().astype(np.float64)), 2),
            "rivals": np.repeat(pairs["rivals"].to_numpy(), 2),
            "margin": np.repeat(share(plan, rule, pairs["margin"].to_numpy()), 2),
        }
    )


def scored_groups(plan: Plan, groups: pl.DataFrame) -> pl.DataFrame:
    """Numbered groups with score, margin and outcome as the matches table has them, and the rule by name."""
    numbers = groups["rule"].to_numpy()
    names, outcomes = _names_and_outcomes(plan)
    scored = groups.with_columns(
        score=pl.Series(share(plan, numbers, groups["weight"].fill_null(0).cast(pl.Float64).to_numpy())),
        margin=pl.Series(share(plan, numbers, groups["margin"].to_numpy())),
        outcome=pl.when("suggested").then(1).otherwise(pl.Series(outcomes[numbers])).cast(pl.UInt8),
    )
    return scored.with_columns(
        rule=pl.col("rule").cat.to(names),
        score=pl.when("suggested").then(0.5).otherwise("score"),
        margin=pl.when("suggested").then(0.0).otherwise("margin"),
        outcome=pl.col("outcome").cat.to(OUTCOME),
    )


def _of_groups(plan: Plan, groups: pl.DataFrame, sides: tuple[Places, Places]) -> pl.DataFrame:
    scored = scored_groups(plan, groups)
    parts = []
    for side in (0, 1):
        part = scored.filter(pl.col("side") == side)
        parts.append(
            part.select(
                "match_id",
                side=pl.lit(side, dtype=pl.UInt8).cat.to(SIDE),
                source=sides[side].source_of(part["i"]),
                row=sides[side].row_of(part["i"]),
                rule="rule",
                outcome="outcome",
                score="score",
                rivals="rivals",
                margin="margin",
            )
        )
    return pl.concat(parts).sort("match_id", "side", "source", "row")


def _names_and_outcomes(plan: Plan) -> tuple[pl.Enum, np.typing.NDArray[np.uint8]]:
    """The rules' names, and by rule the number of its outcome."""
    return pl.Enum([rule.name for rule in plan.rules]), np.array(
        [0 if rule.outcome == "confirmed" else 1 for rule in plan.rules], dtype=np.uint8
    )


def share(
    plan: Plan, rule: np.typing.NDArray[Any], weight: np.typing.NDArray[np.float64]
) -> np.typing.NDArray[np.float64]:
    """Weights by rule number as shares of a perfect one; for a linkage, the probability that its evidence means."""
    full = np.array([CLOSE * len(r.on) if r.on else np.inf for r in plan.rules], dtype=np.float64)
    is_link = np.array([r.link is not None for r in plan.rules], dtype=np.bool_)
    shares: np.typing.NDArray[np.float64] = weight / full[rule]
    if not is_link.any():
        return shares
    return np.asarray(np.where(is_link[rule], 1 / (1 + np.exp2(-weight / BITS)), shares), dtype=np.float64)


def _interleaved(left: pl.Series, right: pl.Series) -> pl.Series:
    """left[0], right[0], left[1], right[1], …; both of one dtype: numbers or categories."""
    ends = [end.to_physical().to_numpy() for end in (left, right)]
    both = np.empty(2 * len(left), dtype=ends[0].dtype)
    both[0::2], both[1::2] = ends
    return pl.Series(both) if left.dtype.is_integer() else pl.Series(both).cat.to(left.dtype)


def states(
    plan: Plan, pairs: Pairs, groups: pl.DataFrame, before: tuple[PerRule, PerRule] | None = None
) -> tuple[pl.Series, pl.Series]:
    """Per side, the state of every record by position (UInt8): OPEN, MATCHED or SUGGESTED. `before`: what it was when
    the rules began; they change that of open ones only.
    """
    outcomes = np.array([MATCHED if r.outcome == "confirmed" else SUGGESTED for r in plan.rules], dtype=np.uint8)
    found = pairs.per_record(outcomes)
    for side, state in enumerate(found):
        mine = groups.filter(pl.col("side") == side)
        state[mine["i"].to_numpy()] = np.where(
            mine["suggested"].to_numpy(), SUGGESTED, outcomes[mine["rule"].to_numpy()]
        )
        if before is not None:
            np.maximum(state, before[side], out=state)
    return pl.Series(found[0]), pl.Series(found[1])
