"""Open records, each with a category, a reason in words and its nearest counterpart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from recon_engine.matching.comparables import ID
from recon_engine.matching.conditions import Rarities
from recon_engine.outcome.judged import Sides
from recon_engine.outcome.matches import MATCHED, OPEN, SIDE, SUGGESTED
from recon_engine.outcome.nearest import nearest
from recon_engine.outcome.places import Places
from recon_engine.outcome.ranks import FAINT, LIKELY, TAKEN, TOTAL, VALUES_TAKEN
from recon_engine.outcome.relevant import relevant
from recon_engine.outcome.rivals import Takers, tie_reasons
from recon_engine.plan import SIDES, Plan

CATEGORY = pl.Enum(["missing_counterpart", "value_mismatch", "ambiguous", "duplicate", "one_sided_total"])
_DIGITS = 9  # of a distance; beyond them are the floats that it was added up from


def breaks_table(
    plan: Plan,
    sides: tuple[pl.LazyFrame, pl.LazyFrame],
    still_open: tuple[pl.DataFrame, pl.DataFrame],
    ties: pl.DataFrame,
    near: pl.DataFrame,
    known: Rarities,
    duplicates: Mapping[str, pl.DataFrame],
    takers: Takers,
) -> pl.DataFrame:
    """The breaks table of DESIGN.md, one row per open record, in the order of side and position.

    `sides`: per side `__i`, `__id`, `__state`, `source`, `row` and the comparable columns, for every record, in any
    order. `still_open`: the same of those whose state is OPEN, in order of position.
    `near`: the best-scored pairs of records that a linkage left open, in global positions (NEAR_SCHEMA and `rule`).
    `duplicates`: per side group, i, kept; those not kept were left out of matching. `takers`: what is matched to what.
    """
    named = [_named(end, ties, near, duplicates) for end in range(len(SIDES))]
    reach = relevant(plan, sides, still_open, (named[0], named[1]))
    parts = []
    for own, side in enumerate(SIDES):
        mine = still_open[own]
        if mine.is_empty():
            continue
        label, other_label = plan.side(side).label, plan.side(SIDES[1 - own]).label
        names = Sides(plan, side, other_label, known)
        explained = mine.select("__i", ID, "source", "row").join(
            nearest(names, mine.lazy(), reach[1 - own], still_open[1 - own].lazy(), near),
            left_on="__i",
            right_on="i",
            how="left",
        )
        explained = explained.join(
            tie_reasons(plan, ties, own, reach, (label, other_label)), left_on="__i", right_on="i", how="left"
        )
        twins = reach[own].filter(pl.col("__state").is_in([MATCHED, SUGGESTED])).select(ID, "row")
        twins = twins.join(mine.lazy().select(ID), on=ID, how="semi").group_by(ID).agg(twin=pl.col("row").min())
        explained = explained.join(twins.collect(engine="streaming"), on=ID, how="left")
        others = (
            reach[1 - own]
            .select(other="__i", nearest="row", nearest_source="source", other_state="__state")
            .join(explained.lazy().select("other").unique(), on="other", how="semi")
        )
        explained = explained.join(others.collect(engine="streaming"), on="other", how="left", maintain_order="left")
        gone = explained.filter(pl.col("other_state") != OPEN)["other"].unique()
        rivals = takers.of(own, gone, (label, other_label))
        explained = explained.join(rivals, on="other", how="left", maintain_order="left")
        excluded = _excluded(duplicates.get(side), reach[own])
        explained = explained.join(excluded, left_on="__i", right_on="i", how="left", maintain_order="left")
        parts.append(explained.select(_columns(plan, side, label, other_label)))
    if not parts:
        return empty()
    return pl.concat(parts)


def _named(end: int, ties: pl.DataFrame, near: pl.DataFrame, duplicates: Mapping[str, pl.DataFrame]) -> pl.Series:
    """The positions of a side's records that ties, scored pairs and groups of duplicates speak of."""
    groups = duplicates.get(SIDES[end])
    found = [ties.filter(pl.col("side") == end)["i"], near["lr"[end]], *([] if groups is None else [groups["group"]])]
    return pl.concat([positions.cast(pl.UInt32).rename("i") for positions in found]).unique()


def _excluded(duplicates: pl.DataFrame | None, own: pl.LazyFrame) -> pl.DataFrame:
    """The records that were left out as duplicates (i), and the row of the one that was kept (excluded_for)."""
    if duplicates is None:
        return pl.DataFrame(schema={"i": pl.UInt32, "excluded_for": pl.UInt32})
    firsts = own.select(group="__i", excluded_for="row")
    left_out = duplicates.lazy().filter(~pl.col("kept")).join(firsts, on="group")
    return left_out.select("i", "excluded_for").collect(engine="streaming")


def duplicates_table(found: Mapping[str, pl.DataFrame], places: Mapping[str, Places]) -> pl.DataFrame:
    """Groups of duplicates, one row per record: group (from 1, over all sides), side, source, row, kept.

    `found`: per side group, i, kept; `places`: where the records of every side stand.
    """
    sides = pl.Enum(list(places))
    schema: dict[str, Any] = {
        "group": pl.UInt32,
        "side": sides,
        "source": pl.String,
        "row": pl.Int64,
        "kept": pl.Boolean,
    }
    parts, first = [pl.DataFrame(schema=schema)], 0
    for side, groups in found.items():
        place = places[side]
        parts.append(
            groups.select(
                pl.col("group").rank("dense").cast(pl.UInt32) + first,
                pl.lit(side, dtype=sides).alias("side"),
                place.source_of(groups["i"]).cast(pl.String),
                place.row_of(groups["i"]),
                "kept",
            )
        )
        first += groups["group"].n_unique()
    return pl.concat(parts)


def duplicates_counted(found: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, int]]:
    """Per searched side how many `groups` of duplicates there are, and `records` in them."""
    return {s: {"groups": d["group"].n_unique(), "records": d.height} for s, d in found.items()}


def empty() -> pl.DataFrame:
    """The breaks table without rows."""
    schema: dict[str, Any] = {
        "side": SIDE,
        "source": pl.String,
        "row": pl.Int64,
        "category": CATEGORY,
        "reason": pl.String,
    }
    nearest_schema = {"nearest_row": pl.Int64, "nearest_rule": pl.String, "nearest_distance": pl.Float64}
    return pl.DataFrame(schema=schema | nearest_schema | {"nearest_source": pl.String})


def _columns(plan: Plan, side: str, label: str, other_label: str) -> list[pl.Expr]:
    rules = [rule.name for rule in plan.rules]
    # Under a rule that only suggests, two records are alike in what it asks, and not one too many.
    unsure = [number for number, rule in enumerate(plan.rules) if rule.outcome == "suggested"]
    is_tied, is_twin = pl.col("tie_reason").is_not_null(), pl.col("twin").is_not_null()
    is_near = pl.col("rank").is_not_null()
    mine, theirs = pl.lit(label), pl.lit(other_label)
    is_excluded = pl.col("excluded_for").is_not_null()
    category = (
        pl.when(is_excluded)
        .then(pl.lit("duplicate"))
        .when(is_tied)
        .then(pl.lit("ambiguous"))
        .when(is_twin)
        .then(pl.lit("duplicate"))
        .when((pl.col("rank") == TAKEN) & ~pl.col("rule").is_in(unsure))
        .then(pl.lit("duplicate"))
        .when(pl.col("rank") == TAKEN)
        .then(pl.lit("missing_counterpart"))
        .when(pl.col("rank") == TOTAL)
        .then(pl.lit("one_sided_total"))
        .when(is_near & (pl.col("rank") <= VALUES_TAKEN))
        .then(pl.lit("value_mismatch"))
        .otherwise(pl.lit("missing_counterpart"))
    )
    told = _with_rival(other_label)
    reason = (
        pl.when(is_excluded)
        .then(pl.format("a duplicate of {} row {}, left out of matching as the plan says", mine, "excluded_for"))
        .when(is_tied)
        .then(pl.col("tie_reason"))
        .when(is_twin)
        .then(pl.format("equal in every field to {} row {}, which is matched", mine, "twin"))
        .when(pl.col("rank").is_in([LIKELY, FAINT]))
        .then(pl.format("nearest is {} row {}: {}", theirs, "nearest", told))
        .when(is_near)
        .then(told)
        .otherwise(pl.lit(f"no {other_label} record comes near under any rule"))
    )
    by_tie = is_tied & ~is_near
    return [
        pl.lit(side, dtype=SIDE).alias("side"),
        pl.col("source").cast(pl.String),
        pl.col("row").cast(pl.Int64),
        category.cast(CATEGORY).alias("category"),
        reason.alias("reason"),
        pl.when(is_tied).then("tie_row").otherwise("nearest").cast(pl.Int64).alias("nearest_row"),
        pl.when(is_tied)
        .then(pl.col("tie_rule"))
        .otherwise(pl.col("rule").replace_strict(dict(enumerate(rules)), return_dtype=pl.String))
        .alias("nearest_rule"),
        pl.when(by_tie | is_tied).then(0.0).otherwise(pl.col("distance").round(_DIGITS)).alias("nearest_distance"),
        pl.when(is_tied).then("tie_source").otherwise(pl.col("nearest_source").cast(pl.String)).alias("nearest_source"),
    ]


def _with_rival(other_label: str) -> pl.Expr:
    """The reason; where the counterpart is matched, also to which record."""
    to = pl.lit("is already matched") + (pl.lit(" to ") + pl.col("taken_by")).fill_null("")
    # The row comes first: in a table the end of a sentence is cut.
    by_name = pl.format("its counterpart is matched to {}: {}", "taken_by", "reason")
    return (
        pl.when(pl.col("rank") == TAKEN)
        .then(pl.coalesce(by_name, pl.format("{} {}", "reason", to)))
        .when(pl.col("other_state") != OPEN)
        .then(pl.format("{} (that {} record {})", "reason", pl.lit(other_label), to))
        .otherwise("reason")
    )
