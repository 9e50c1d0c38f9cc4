"""Who matches whom when records compete: settle what every best assignment agrees on, leave the rest tied.

SciPy is loaded when a component needs it, so that whoever imports the engine only to read plans starts fast.

All functions work on positions: left records 0..n-1, right records 0..m-1. Nothing here knows fields or rules.

A pair is settled when it is in *every* assignment of the greatest total weight, counting records that are equal in
every
mapped field as interchangeable (those are paired in row order). Its margin is how much the total would fall without it.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl

from recon_engine.matching.best_assignments import best_flow, dominant, in_some_best
from recon_engine.matching.connected import components
from recon_engine.matching.settled import PAIRS_SCHEMA, TIES_SCHEMA, Bools, Ids, Ints, Parts, Settled

# Components up to this many records a side are solved together, by listing their matchings.
_LISTED = 3
# Larger components are solved one by one; beyond this many records only those of one thing many times are decided.
LARGEST_COMPONENT = 400


def settle(left: Ints, right: Ints, weight: Ints, left_id: Ids, right_id: Ids, *, leave: bool = False) -> Settled:
    """Settle candidate pairs (left[k], right[k]) of `weight[k]` > 0, each pair listed once.

    `left_id` / `right_id` give every record's identity (by position): equal means interchangeable.
    With `leave`, records that have a rival candidate are never matched.
    """
    parts = Parts()
    left_degree = np.bincount(left, minlength=len(left_id))
    right_degree = np.bincount(right, minlength=len(right_id))
    rivals = left_degree[left] + right_degree[right] - 2
    lone = rivals == 0
    parts.settle(left[lone], right[lone], weight[lone], rivals[lone], weight[lone])
    if lone.all():
        return parts.result()
    left, right, weight, rivals = left[~lone], right[~lone], weight[~lone], rivals[~lone]
    component = components(left, right)
    if leave:
        parts.tie(component, 0, left)
        parts.tie(component, 1, right)
        return parts.result()
    is_large = _sizes(left, right, component, len(left_id), len(right_id)) > LARGEST_COMPONENT
    if is_large.any():
        split = _without_dominant(parts, left, right, weight, rivals, is_large)
        left, right, weight, rivals, component = (a[split] for a in (left, right, weight, rivals, component))
        component = components(left, right)
        is_large = _sizes(left, right, component, len(left_id), len(right_id)) > LARGEST_COMPONENT
        lefts, rights, w, n, c = (a[is_large] for a in (left, right, weight, rivals, component))
        _settle_large(parts, lefts, rights, w, n, c, left_id, right_id)
        left, right, weight, rivals, component = (a[~is_large] for a in (left, right, weight, rivals, component))
    if not len(left):
        return parts.result()
    order = np.lexsort((right, left, component))
    left, right, weight, rivals, component = (a[order] for a in (left, right, weight, rivals, component))
    starts = np.flatnonzero(np.r_[True, component[1:] != component[:-1]])
    small, large = _by_size(left, right, left_id, right_id, component, starts)
    for shape, members in small.items():
        _settle_listed(parts, shape, members, left, right, weight, rivals, component)
    for begin, end in large:
        part = slice(begin, end)
        _settle_alone(
            parts, left[part], right[part], weight[part], rivals[part], left_id, right_id, int(component[begin])
        )
    return parts.result()


def settle_groups(
    groups: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame, weight: int, *, leave: bool
) -> Settled:
    """Settle groups in which every left record fits every right record equally well, without listing their pairs.

    `groups`: g, n_left, n_right (both > 0), one row per group; `left` / `right`: g, i, id, one row per record of it.
    """
    is_lone = (pl.col("n_left") == 1) & (pl.col("n_right") == 1)
    lone, crowds = groups.filter(is_lone), groups.filter(~is_lone)
    pairs = (
        left.select("g", l="i")
        .join(lone.select("g"), on="g")
        .join(right.select("g", r="i"), on="g")
        .select("l", "r", weight=pl.lit(weight), rivals=pl.lit(0), margin=pl.lit(float(weight)))
        .cast(PAIRS_SCHEMA)  # type: ignore[arg-type]
    )
    if crowds.is_empty():
        return Settled(pairs)
    members = [side.join(crowds.select("g"), on="g", how="semi") for side in (left, right)]
    settled = _settle_crowds(crowds, members[0], members[1], weight, leave=leave)
    return Settled(pl.concat([pairs, settled.pairs]), settled.ties)


def _settle_crowds(
    groups: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame, weight: int, *, leave: bool
) -> Settled:
    """Groups of several records, by their classes of equal ones.

    A pair of identities (c, d) is in every best assignment max(0, n_c + n_d - max(n_left, n_right)) times (pigeonhole).
    """
    classes = []
    for frame, side in ((left, "c"), (right, "d")):
        counted = frame.group_by("g", "id").agg(pl.len().cast(pl.Int64).alias("n"), pl.col("i").sort())
        classes.append(counted.rename({"id": side, "n": f"n_{side}", "i": f"i_{side}"}))
    by_c, by_d = classes
    # Only a pair with the largest class of its side can be forced, so the pairs to look at are linear in the classes.
    top_c = by_c.sort("n_c", "c").group_by("g", maintain_order=True).last()
    top_d = by_d.sort("n_d", "d").group_by("g", maintain_order=True).last()
    forced = (
        pl.concat([top_c.join(by_d, on="g"), by_c.join(top_d, on="g").select(*top_c.columns, *by_d.columns[1:])])
        .unique(["g", "c", "d"])
        .join(groups, on="g")
        .with_columns(n=pl.col("n_c") + pl.col("n_d") - pl.max_horizontal("n_left", "n_right"))
        .filter(pl.col("n") > 0)
    )
    if leave:
        forced = forced.filter((pl.col("n_c") == pl.col("n_left")) & (pl.col("n_d") == pl.col("n_right")))
    # A class forced against several others hands out its records in row order.
    forced = forced.sort("g", "c", "d").with_columns(
        from_c=pl.col("n").cum_sum().over("g", "c") - pl.col("n"),
        from_d=pl.col("n").cum_sum().over("g", "d") - pl.col("n"),
    )
    pairs = forced.select(
        pl.col("i_c").list.slice("from_c", "n").alias("l"),
        pl.col("i_d").list.slice("from_d", "n").alias("r"),
        weight=pl.lit(weight),
        rivals=pl.col("n_left") + pl.col("n_right") - 2,
        margin=pl.lit(float(weight)),
    ).explode("l", "r")
    pairs = pairs.cast(PAIRS_SCHEMA)  # type: ignore[arg-type]
    rest_left = left.join(pairs.select(i="l"), on="i", how="anti")
    rest_right = right.join(pairs.select(i="r"), on="i", how="anti")
    tied = rest_left.select("g").unique().join(rest_right.select("g").unique(), on="g")
    ties = [
        rest.join(tied, on="g").select(
            component=pl.col("g").cast(pl.Int64), side=pl.lit(side, dtype=pl.UInt8), i="i", capped=pl.lit(False)
        )
        for side, rest in ((0, rest_left), (1, rest_right))
    ]
    return Settled(pairs, pl.concat(ties).cast(TIES_SCHEMA))  # type: ignore[arg-type]


def is_choice(*within: str) -> pl.Expr:
    """True for ties that a person can choose of: whose candidates were all looked at, and which have a rival."""
    seen = ~pl.col("capped")
    return seen & (seen.sum().over(within) > 1)


def _sizes(left: Ints, right: Ints, component: Ints, n_left: int, n_right: int) -> Ints:
    """How many records the component of each pair has, on both sides together."""
    size = np.zeros(n_left, dtype=np.int64)  # a component is called by its lowest left record
    for ends, count in ((left, n_left), (right, n_right)):
        of = np.full(count, -1, dtype=np.int64)
        of[ends] = component
        size += np.bincount(of[of >= 0], minlength=n_left)
    return size[component]


def _without_dominant(parts: Parts, left: Ints, right: Ints, weight: Ints, rivals: Ints, is_large: Bools) -> Bools:
    """Settles the dominant pairs of large components, which then fall apart. Returns which pairs are left to solve.

    The margin of such a pair is what is certain: the total falls at least by so much without it.
    """
    chosen, least, open_still = dominant(left[is_large], right[is_large], weight[is_large])
    pairs = np.flatnonzero(is_large)[chosen]
    parts.settle(left[pairs], right[pairs], weight[pairs], rivals[pairs], least[chosen])
    keep = ~is_large
    keep[is_large] = open_still
    return keep


def _settle_large(
    parts: Parts, left: Ints, right: Ints, weight: Ints, rivals: Ints, component: Ints, left_id: Ids, right_id: Ids
) -> None:
    """Components too large to solve: where each side is one thing many times, pairs in row order; else capped."""
    pairs = pl.DataFrame({"c": component, "l": left, "r": right, "w": weight, "n": rivals})
    ids = [pl.Series(ids[ends]) for ids, ends in ((left_id, left), (right_id, right))]
    is_one = [pairs.select(c="c", id=i).group_by("c").agg(pl.col("id").n_unique() == 1) for i in ids]
    alike = is_one[0].join(is_one[1], on="c").filter(pl.col("id") & pl.col("id_right")).select("c")
    for group in pairs.join(alike, on="c").partition_by("c"):
        ends = [np.unique(group[side].to_numpy()) for side in "lr"]
        count = min(map(len, ends))
        same = [np.full(count, group[name][0]) for name in "wn"]
        parts.settle(ends[0][:count], ends[1][:count], same[0], same[1], same[0])
    rest = pairs.join(alike, on="c", how="anti")
    for side, name in enumerate("lr"):
        open_ends = rest.select("c", name).unique()
        parts.tie(open_ends["c"].to_numpy(), side, open_ends[name].to_numpy(), capped=True)


def competing(ones: Ints, many: Ints, one_side: int) -> pl.DataFrame:
    """Ties (TIES_SCHEMA) of undecided pairs of a record of `one_side` and one of the other: all that hang together."""
    pairs = pl.DataFrame({"component": components(ones, many), "one": ones, "many": many})
    sides = [
        pairs.select("component", pl.lit(side).alias("side"), pl.col(name).alias("i"), capped=pl.lit(False))
        for side, name in ((one_side, "one"), (1 - one_side, "many"))
    ]
    return pl.concat(sides).unique(maintain_order=True).cast(TIES_SCHEMA)  # type: ignore[arg-type]


def _by_size(
    left: Ints, right: Ints, left_id: Ids, right_id: Ids, component: Ints, starts: Ints
) -> tuple[dict[tuple[int, int], Ints], list[tuple[int, int]]]:
    """Small components (without interchangeable records) grouped by shape as arrays of pair numbers; spans of the
    others.
    """
    frame = pl.DataFrame({"c": component, "l": left, "r": right, "cl": left_id[left], "dr": right_id[right]})
    sizes = frame.group_by("c").agg(pl.col("l", "r", "cl", "dr").n_unique()).sort("c")
    n_l, n_r = sizes["l"].to_numpy(), sizes["r"].to_numpy()
    distinct = (n_l == sizes["cl"].to_numpy()) & (n_r == sizes["dr"].to_numpy())
    listed = distinct & (n_l <= _LISTED) & (n_r <= _LISTED)
    ends = np.r_[starts[1:], len(component)]
    shape_of_pair = np.repeat(np.where(listed, n_l * (_LISTED + 1) + n_r, 0), ends - starts)
    small = {
        (int(code) // (_LISTED + 1), int(code) % (_LISTED + 1)): np.flatnonzero(shape_of_pair == code)
        for code in np.unique(shape_of_pair)
        if code
    }
    large = [(int(b), int(e)) for b, e, is_listed in zip(starts, ends, listed, strict=True) if not is_listed]
    return small, large


def _settle_listed(
    parts: Parts,
    shape: tuple[int, int],
    members: Ints,
    left: Ints,
    right: Ints,
    weight: Ints,
    rivals: Ints,
    component: Ints,
) -> None:
    """Solve all components of one small shape at once, by the totals of all their matchings."""
    n_l, n_r = shape
    left, right, weight, rivals, component = (a[members] for a in (left, right, weight, rivals, component))
    which = np.cumsum(np.r_[True, component[1:] != component[:-1]]) - 1
    count = int(which[-1]) + 1
    a, b = _rank_within(which, left), _rank_within(which, right)
    no_edge = np.int64(-(1 << 50))
    weights = np.full((count, n_l, n_r + 1), no_edge)
    weights[:, :, n_r] = 0  # the last column: left open
    weights[which, a, b] = weight
    matchings = [
        m for m in product(range(n_r + 1), repeat=n_l) if len({x for x in m if x < n_r}) == sum(x < n_r for x in m)
    ]
    totals = np.stack([weights[:, np.arange(n_l), list(m)].sum(axis=1) for m in matchings], axis=1)
    best = totals.max(axis=1)
    contains = np.array([[[m[i] == j for j in range(n_r)] for i in range(n_l)] for m in matchings])
    without = np.where(contains[None, :, :, :], no_edge, totals[:, :, None, None]).max(axis=1)
    margin = best[:, None, None] - without
    is_best = totals == best[:, None]
    is_in_best = (is_best[:, :, None, None] & contains[None]).any(axis=1)
    pair_margin = margin[which, a, b]
    settled = is_in_best[which, a, b] & (pair_margin > 0)
    tied = is_in_best[which, a, b] & ~settled
    parts.settle(left[settled], right[settled], weight[settled], rivals[settled], pair_margin[settled])
    parts.tie(component[tied], 0, left[tied])
    parts.tie(component[tied], 1, right[tied])


def _rank_within(which: Ints, value: Ints) -> Ints:
    """The dense rank of each value among the values of its component."""
    frame = pl.DataFrame({"w": which, "v": value})
    return frame.select((pl.col("v").rank("dense").over("w") - 1).cast(pl.Int64)).to_series().to_numpy()


def _settle_alone(
    parts: Parts,
    left: Ints,
    right: Ints,
    weight: Ints,
    rivals: Ints,
    left_id: Ids,
    right_id: Ids,
    component: int,
) -> None:
    """Solve one component exactly, with interchangeable records as classes."""
    lefts, a = np.unique(left, return_inverse=True)
    rights, b = np.unique(right, return_inverse=True)
    weights = np.zeros((len(lefts), len(rights)), dtype=np.int64)
    weights[a, b] = weight
    rival = np.zeros_like(weights)
    rival[a, b] = rivals
    c = np.unique(left_id[lefts], return_inverse=True)[1]
    d = np.unique(right_id[rights], return_inverse=True)[1]
    flow, best = best_flow(weights, weights, c, d)
    # Second look: of the best assignments, the one that shares least with the first; if it shares all, there is one
    # only.
    sharpened = weights * (min(weights.shape) + 1)
    used = (flow[np.ix_(c, d)] > 0) & (weights > 0)
    other, _ = best_flow(np.where(used, sharpened - 1, sharpened), weights, c, d)
    unique = bool((other == flow).all())
    taken_l, taken_r = np.zeros(len(lefts), dtype=np.bool_), np.zeros(len(rights), dtype=np.bool_)
    for x, y in zip(*np.nonzero(flow), strict=True):
        members = (c == x)[:, None] & (d == y)[None, :]
        forced = int(flow[x, y])
        if not unique:
            fewest, _ = best_flow(np.where(members & (weights > 0), sharpened - 1, sharpened), weights, c, d)
            forced = int(fewest[x, y])
        if forced == 0:
            continue
        _, without = best_flow(np.where(members, 0, weights), np.where(members, 0, weights), c, d)
        margin = (best - without) // int(flow[x, y])
        give = np.flatnonzero((c == x) & ~taken_l)[:forced]
        take = np.flatnonzero((d == y) & ~taken_r)[:forced]
        taken_l[give], taken_r[take] = True, True
        n = len(give)
        parts.settle(
            lefts[give], rights[take], weights[give, take], rival[give, take], np.full(n, margin, dtype=np.int64)
        )
    if not unique:
        in_play = in_some_best(weights) & ~taken_l[:, None] & ~taken_r[None, :]
        tied_l, tied_r = np.flatnonzero(in_play.any(axis=1)), np.flatnonzero(in_play.any(axis=0))
        parts.tie(np.full(len(tied_l), component), 0, lefts[tied_l])
        parts.tie(np.full(len(tied_r), component), 1, rights[tied_r])
