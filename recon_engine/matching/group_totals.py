"""Totals of many against many: groups that hang together, whole or in parts.

A group is all records connected by candidate pairs. When both sides of it add up to each other, it is one match. In a
small group that does not, every pair of subsets is looked at that hang together as well: those that fit and hold no
smaller ones that fit are matches when no two of them share a record; else they are ambiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recon_engine.matching.conditions import CLOSE
from recon_engine.matching.connected import components
from recon_engine.matching.meeting import every_subset
from recon_engine.matching.settled import CERTIFICATES_SCHEMA, SETS_SCHEMA, TIES_SCHEMA, Ids, Ints, Settled
from recon_engine.matching.total_window import TotalWindow
from recon_engine.plan import Plan, Rule

_LARGEST = 8  # records a side of a group whose subsets are looked at
_MOST_FITS = 500

Members = Sequence[pl.DataFrame]
"""Of the left and of the right side: component, i, both in order."""


def settle_group_totals(
    plan: Plan, rule: Rule, pairs: pl.DataFrame, values: tuple[Ints, Ints], ids: tuple[Ids, Ids]
) -> Settled:
    """Candidate pairs (l, r, weight) become groups whose totals fit; `values` in minor units and `ids` by position."""
    if pairs.is_empty():
        return Settled()
    assert rule.total is not None
    window = TotalWindow.of(plan.field(rule.total.field), rule.total)
    component = components(pairs["l"].to_numpy().astype(np.int64), pairs["r"].to_numpy().astype(np.int64))
    pairs = pairs.with_columns(component=pl.Series(component))
    members = [pairs.select("component", pl.col(c).alias("i")).unique().sort("component", "i") for c in ("l", "r")]
    groups = _groups(pairs, members, values)
    low, high = window.intervals(groups["total"].to_numpy(), 0)
    fits = pl.Series((low <= groups["total_r"].to_numpy()) & (groups["total_r"].to_numpy() <= high))
    whole, others = groups.filter(fits), groups.filter(~fits & (groups["n"] + groups["n_r"] > 2))
    is_small = (others["n"] <= _LARGEST) & (others["n_r"] <= _LARGEST)
    parted = _parted(window, _small(others.filter(is_small), members, pairs), values, ids)
    large = others.filter(~is_small)
    return Settled(
        ties=pl.concat([_tied(large, members), parted.ties]).unique(["side", "i"]),
        sets=pl.concat([_sets(whole, members), parted.sets]).sort("set", "side", "i"),
        certificates=pl.concat([_certificates(whole), parted.certificates]).sort("set"),
    )


def _groups(pairs: pl.DataFrame, members: Members, values: tuple[Ints, Ints]) -> pl.DataFrame:
    """Per component: its least weight; of either side, how many records it has (n, n_r) and their total (total_r)."""
    sides = [
        own.with_columns(value=pl.Series(value).gather(own["i"]))
        .group_by("component")
        .agg(n=pl.len().cast(pl.Int64), total=pl.col("value").sum())
        for own, value in zip(members, values, strict=True)
    ]
    weights = pairs.group_by("component").agg(pl.col("weight").min())
    return weights.join(sides[0], on="component").join(sides[1], on="component", suffix="_r").sort("component")


def _sets(groups: pl.DataFrame, members: Members) -> pl.DataFrame:
    """The groups as matches; a group is called by its lowest left position."""
    weight = pl.col("weight") + CLOSE
    sides = [
        own.join(groups.select("component", weight), on="component").select(
            pl.col("component").alias("set"),
            pl.lit(side).alias("side"),
            "i",
            "weight",
            pl.lit(0).alias("rivals"),
            pl.col("weight").cast(pl.Float64).alias("margin"),
        )
        for side, own in enumerate(members)
    ]
    return pl.concat(sides).cast(SETS_SCHEMA)  # type: ignore[arg-type]


def _certificates(groups: pl.DataFrame) -> pl.DataFrame:
    told = groups.select(
        pl.col("component").alias("set"),
        pl.lit("whole group").alias("search"),
        (pl.col("n") + pl.col("n_r")).alias("candidates"),
        pl.lit(0.0).alias("by_chance"),
    )
    return told.cast(CERTIFICATES_SCHEMA)  # type: ignore[arg-type]


def _tied(groups: pl.DataFrame, members: Members) -> pl.DataFrame:
    """The records of groups that are too large to look at their subsets."""
    sides = [
        own.join(groups, on="component", how="semi").select("component", pl.lit(side).alias("side"), "i", capped=True)
        for side, own in enumerate(members)
    ]
    return pl.concat(sides).cast(TIES_SCHEMA)  # type: ignore[arg-type]


def _small(groups: pl.DataFrame, members: Members, pairs: pl.DataFrame) -> pl.DataFrame:
    """The groups with the records of either side (i, i_r), and which of them are candidates of each other (l, r)."""
    named = groups.select("component", "weight")
    for suffix, own in zip(("", "_r"), members, strict=True):
        named = named.join(own.group_by("component", maintain_order=True).agg("i"), on="component", suffix=suffix)
    return named.join(pairs.group_by("component").agg("l", "r"), on="component").sort("component")


def _parted(window: TotalWindow, groups: pl.DataFrame, values: tuple[Ints, Ints], ids: tuple[Ids, Ids]) -> Settled:
    """The parts that fit in groups which do not as a whole, one group after another."""
    sets, ties, certificates = list[tuple[Any, ...]](), list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for component, weight, *found_in in groups.iter_rows():
        left, right, *ends = (np.array(each, dtype=np.int64) for each in found_in)
        may = np.zeros((len(left), len(right)), dtype=np.int64)
        may[np.searchsorted(left, ends[0]), np.searchsorted(right, ends[1])] = 1
        found, is_clear, chance = _parts(window, (left, right), may, values, ids)
        for part in found:
            placed = [(side, k) for side, own in enumerate(part) for k in own.tolist()]
            if is_clear:
                number, whole = int(part[0][0]), weight + CLOSE
                sets += [(number, side, k, whole, 0, float(whole)) for side, k in placed]
                certificates.append((number, "exhaustive", len(left) + len(right), chance))
            else:
                ties += [(component, side, k, False) for side, k in placed]
    return Settled(
        sets=pl.DataFrame(sets, schema=SETS_SCHEMA, orient="row"),
        ties=pl.DataFrame(ties, schema=TIES_SCHEMA, orient="row"),
        certificates=pl.DataFrame(certificates, schema=CERTIFICATES_SCHEMA, orient="row"),
    )


def _hanging_together(may: Ints, one: Ints, two: Ints) -> NDArray[np.bool_]:
    """Per fit (record x fit), whether all its records are reached from its first by candidates that it holds too."""
    reached = np.zeros_like(one)
    reached[one.argmax(axis=0), np.arange(one.shape[1])] = 1
    for _ in range(len(one)):
        across = (may.T @ reached > 0) & (two > 0)
        reached |= (may @ across.astype(np.int64) > 0) & (one > 0)
    across = (may.T @ reached > 0) & (two > 0)
    return np.asarray((reached == one).all(axis=0) & (across == two).all(axis=0))


def _parts(
    window: TotalWindow, sides: tuple[Ints, Ints], may: Ints, values: tuple[Ints, Ints], ids: tuple[Ids, Ids]
) -> tuple[list[tuple[Ints, Ints]], bool, float]:
    """The smallest pairs of subsets that fit, whether they are disjoint, and how many would fit by chance.

    `may`: 1 where a left and a right record are candidates.
    """
    masks = [every_subset(len(side)) for side in sides]
    sums = [values[k][sides[k]] @ masks[k] for k in range(2)]
    low, high = window.intervals(sums[0], 0)
    fits = (sums[1][None, :] >= low[:, None]) & (sums[1][None, :] <= high[:, None])
    fits[0, :], fits[:, 0] = False, False
    span = high - low + 1
    wide = np.maximum(np.abs(high) // 20, 20 * span)
    near = (sums[1][None, :] >= (low - wide)[:, None]) & (sums[1][None, :] <= (high + wide)[:, None])
    chance = float((near[1:, 1:].sum(axis=1) * (span / (span + 2 * wide))[1:]).sum())
    left, right = np.nonzero(fits)
    one, two = masks[0][:, left], masks[1][:, right]  # record x fit
    held = np.concatenate([one, two])[:, _hanging_together(may, one, two)].astype(np.bool_)
    fitting = held.shape[1]
    if fitting == 0 or fitting > _MOST_FITS:
        return ([], True, chance) if fitting == 0 else ([sides], False, chance)
    holds_other = ((held.T[:, None, :] | ~held.T[None, :, :]).all(axis=2)) & ~np.eye(fitting, dtype=np.bool_)
    smallest = held[:, ~holds_other.any(axis=1)]
    keys = (np.concatenate([ids[0][sides[0]], ids[1][sides[1]]])[:, None] * smallest).sum(axis=0)
    # Of sets that differ in interchangeable records only, the first in row order.
    _, first = np.unique(keys, return_index=True)
    chosen = smallest[:, np.sort(first)]
    n = len(sides[0])
    parts = [(sides[0][fit[:n]], sides[1][fit[n:]]) for fit in chosen.T]
    return parts, bool((chosen.sum(axis=1) <= 1).all()), chance
