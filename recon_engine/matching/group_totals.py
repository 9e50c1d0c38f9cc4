"""Totals of many against many: groups that hang together, whole or in parts.

A group is all records connected by candidate pairs. When both sides of it add up to each other, it is one match. In a
small group that does not, every pair of subsets is looked at: those that fit and hold no smaller ones that fit are
matches when no two of them share a record; else they are ambiguous.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from recon_engine.matching.conditions import CLOSE
from recon_engine.matching.connected import components
from recon_engine.matching.meeting import every_subset
from recon_engine.matching.settled import CERTIFICATES_SCHEMA, SETS_SCHEMA, TIES_SCHEMA, Ids, Ints, Settled
from recon_engine.matching.total_window import TotalWindow
from recon_engine.plan import Plan, Rule

_LARGEST = 8  # records a side of a group whose subsets are looked at
_MOST_FITS = 500


def settle_group_totals(
    plan: Plan, rule: Rule, pairs: pl.DataFrame, values: tuple[Ints, Ints], ids: tuple[Ids, Ids]
) -> Settled:
    """Candidate pairs (l, r, weight) become groups whose totals fit; `values` in minor units and `ids` by position."""
    if pairs.is_empty():
        return Settled()
    assert rule.total is not None
    window = TotalWindow.of(plan.field(rule.total.field), rule.total)
    component = components(pairs["l"].to_numpy().astype(np.int64), pairs["r"].to_numpy().astype(np.int64))
    grouped = (
        pairs.with_columns(component=pl.Series(component))
        .group_by("component")
        .agg(pl.col("l").unique().sort(), pl.col("r").unique().sort(), pl.col("weight").min())
        .sort("component")
    )
    sets: list[pl.DataFrame] = []
    ties: list[pl.DataFrame] = []
    certificates: list[tuple[int, str, int, float]] = []
    for number, left, right, weight in grouped.iter_rows():
        sides = np.array(left, dtype=np.int64), np.array(right, dtype=np.int64)
        totals = int(values[0][sides[0]].sum()), int(values[1][sides[1]].sum())
        size = len(left) + len(right)
        if window.fits(*totals):
            sets.append(_set(sides, weight))
            certificates.append((int(sides[0][0]), "whole group", size, 0.0))
        elif len(left) <= _LARGEST and len(right) <= _LARGEST:
            found, is_clear, chance = _parts(window, sides, values, ids)
            if is_clear:
                sets += [_set(part, weight) for part in found]
                certificates += [(int(part[0][0]), "exhaustive", size, chance) for part in found]
            else:
                ties.append(_tie(number, found))
        else:
            ties.append(_tie(number, [sides]).with_columns(capped=pl.lit(True)))
    rows = pl.DataFrame(certificates, schema=list(CERTIFICATES_SCHEMA), orient="row")
    return Settled(
        ties=pl.concat([pl.DataFrame(schema=TIES_SCHEMA), *ties]).unique(["side", "i"]),
        sets=pl.concat([pl.DataFrame(schema=SETS_SCHEMA), *sets]),
        certificates=rows.cast(CERTIFICATES_SCHEMA),  # type: ignore[arg-type]
    )


def _parts(
    window: TotalWindow, sides: tuple[Ints, Ints], values: tuple[Ints, Ints], ids: tuple[Ids, Ids]
) -> tuple[list[tuple[Ints, Ints]], bool, float]:
    """The smallest pairs of subsets that fit, whether they are disjoint, and how many would fit by chance."""
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
    if len(left) == 0 or len(left) > _MOST_FITS:
        return ([], True, chance) if len(left) == 0 else ([sides], False, chance)
    held = np.concatenate([masks[0][:, left], masks[1][:, right]]).astype(np.bool_)  # record x fit
    holds_other = ((held.T[:, None, :] | ~held.T[None, :, :]).all(axis=2)) & ~np.eye(len(left), dtype=np.bool_)
    smallest = held[:, ~holds_other.any(axis=1)]
    keys = (np.concatenate([ids[0][sides[0]], ids[1][sides[1]]])[:, None] * smallest).sum(axis=0)
    # Of sets that differ in interchangeable records only, the first in row order.
    _, first = np.unique(keys, return_index=True)
    chosen = smallest[:, np.sort(first)]
    n = len(sides[0])
    parts = [(sides[0][fit[:n]], sides[1][fit[n:]]) for fit in chosen.T]
    return parts, bool((chosen.sum(axis=1) <= 1).all()), chance


def _set(sides: tuple[Ints, Ints], weight: int) -> pl.DataFrame:
    rows = [pl.DataFrame({"set": int(sides[0][0]), "side": side, "i": members}) for side, members in enumerate(sides)]
    whole = weight + CLOSE
    shown = pl.concat(rows).with_columns(weight=pl.lit(whole), rivals=pl.lit(0), margin=pl.lit(float(whole)))
    return shown.select(*SETS_SCHEMA).cast(SETS_SCHEMA)  # type: ignore[arg-type]


def _tie(component: int, parts: list[tuple[Ints, Ints]]) -> pl.DataFrame:
    rows = [
        pl.DataFrame({"component": component, "side": side, "i": members, "capped": False})
        for part in parts
        for side, members in enumerate(part)
    ]
    return pl.concat(rows).cast(TIES_SCHEMA)  # type: ignore[arg-type]
