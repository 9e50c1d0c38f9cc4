"""Which pairs satisfy a rule: found by joins on what must be equal, and on buckets of what may differ a little."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce

import numpy as np
import polars as pl

from recon_engine.errors import PlanError
from recon_engine.matching.comparables import MICROSECONDS_PER_DAY, columns_of
from recon_engine.matching.conditions import (
    Rarities,
    equalities,
    expected_value,
    holds,
    likenesses,
    needed_columns,
    weight,
    window_units,
    windows,
    with_likeness,
)
from recon_engine.matching.text_candidates import MOST_COMPARISONS, alike
from recon_engine.plan import Condition, Plan, Rule

# A group of records that agree on the key makes at most this many pairs; a larger one is reported as capped, unless
# references in texts tell which of them to try. A property of the group alone, so that partitions do not change it.
LARGEST_GROUP = 10_000_000
# From so many pairs on, looking for references by an index is less work.
_MANY_PAIRS = 20_000_000
_MOST_BITS = 22
Bucketed = tuple[pl.DataFrame, pl.DataFrame]
Bucketing = Callable[[pl.DataFrame, pl.DataFrame], Bucketed]


def join_key(plan: Plan, rule_fields: tuple[Condition, ...], names: tuple[str, ...]) -> pl.Expr:
    """One UInt64 that is equal for records that agree on the fields `names`; null where one of them is null.

    A field compared with `nulls: equal` counts null as a value. Only a pre-selection: pairs are checked on the values.
    """
    nulls_equal = {c.field for c in rule_fields if c.nulls}
    key: pl.Expr = pl.lit(0, dtype=pl.UInt64)
    for position, name in enumerate(names):
        column = columns_of(plan.field(name))[0]
        part = pl.col(column).hash(position + 11)
        key = key + (part if name in nulls_equal else pl.when(pl.col(column).is_not_null()).then(part))
    return key


def most_pairs(left_key: pl.Series, right_key: pl.Series) -> tuple[int, int]:
    """Upper bounds of the pairs with equal keys, in all and in one group, in one pass: products of counts per hash
    bin.
    """
    if left_key.is_empty() or right_key.is_empty():
        return 0, 0
    bits = min(_MOST_BITS, max(10, math.ceil(math.log2(max(len(left_key), len(right_key))))))
    # By the high bits: records that came into one part share the low ones.
    places = [(k.to_numpy() >> np.uint64(64 - bits)).view(np.int64) for k in (left_key, right_key)]
    counts = [np.bincount(place, minlength=1 << bits) for place in places]
    pairs = counts[0] * counts[1]
    return int(pairs.sum()), int(pairs.max())


def joined(left: pl.DataFrame, right: pl.DataFrame, key: pl.Expr, columns: list[str]) -> pl.DataFrame:
    """Pairs with equal `key`: l, r (row positions) and the comparable `columns` of both, as `l.*` and `r.*`.

    Null keys join nothing. Positions first, values after: the join carries 12 bytes a record.
    """
    keyed = [t.lazy().select(k=key).with_row_index(i).drop_nulls("k") for t, i in ((left, "l"), (right, "r"))]
    pairs = keyed[0].join(keyed[1], on="k").select("l", "r").collect(engine="streaming")
    return with_values(pairs, left, right, columns)


def with_values(pairs: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Pairs (l, r: row positions) with the comparable `columns` of both records, as `l.*` and `r.*`."""
    return pairs.with_columns(
        table[column].gather(pairs[side]).alias(f"{side}.{column}")
        for side, table in (("l", left), ("r", right))
        for column in columns
    )


def search(
    plan: Plan,
    rule: Rule,
    left: pl.DataFrame,
    right: pl.DataFrame,
    known: Rarities,
    most_compared: int | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All pairs that satisfy every condition of a rule but its total: (pairs: l, r, weight; capped: side, i).

    `left` and `right` have i (position) and the comparable columns. Records of groups that would make more than
    LARGEST_GROUP pairs are not searched but returned as capped, unless references in texts alone tell which pairs to
    try. Raises PlanError when likeness alone would compare more than `most_compared` texts (None: MOST_COMPARISONS).
    """
    equal = equalities(rule)
    key = join_key(plan, equal, tuple(c.field for c in equal))
    for condition in windows(rule):
        name = condition.field
        left, right = left.filter(pl.col(name).is_not_null()), right.filter(pl.col(name).is_not_null())
    left = left.with_columns(k=key).filter(pl.col("k").is_not_null())
    right = right.with_columns(k=key).filter(pl.col("k").is_not_null())
    columns = needed_columns(plan, [rule])
    found: list[pl.DataFrame] = []
    capped: list[pl.DataFrame] = []
    if likenesses(rule) and not equal:
        return _distinct(_by_texts(plan, rule, left, right, known, most_compared)), _capped(capped)
    buckets = list(_buckets(plan, rule))
    if buckets and most_pairs(left["k"], right["k"])[0] > LARGEST_GROUP:
        left, right = buckets.pop(0)(left, right)
    total = most_pairs(left["k"], right["k"])[0]
    if total > _MANY_PAIRS:
        by_references = _by_references(plan, rule, left, right, known, min(total // 4, MOST_COMPARISONS))
        if by_references is not None:
            return _distinct(by_references), _capped(capped)
    for a, b, is_capped in _batches(left, right, buckets):
        if not is_capped:
            found.append(_fitting(plan, rule, _probed(a, b, columns), known))
            continue
        for group, other in _each_group(a, b):
            by_references = _by_references(plan, rule, group, other, known, MOST_COMPARISONS)
            found += by_references or []
            if by_references is None:
                ends = ((0, group), (1, other))
                capped += [t.select(side=pl.lit(side, dtype=pl.UInt8), i="i") for side, t in ends]
    return _distinct(found), _capped(capped)


def _by_texts(
    plan: Plan, rule: Rule, left: pl.DataFrame, right: pl.DataFrame, known: Rarities, most: int | None
) -> list[pl.DataFrame]:
    """Pairs that satisfy the rule, from those whose texts may be alike. Raises PlanError when these are too many."""
    columns = needed_columns(plan, [rule])
    return [
        _fitting(plan, rule, _valued(pairs, left, right, columns), known)
        for pairs in alike(rule, left, right, known, most)
    ]


def _each_group(left: pl.DataFrame, right: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The records of both sides group by group, by their key."""
    theirs = right.partition_by("k", as_dict=True)
    for key, ours in left.partition_by("k", as_dict=True).items():
        yield ours, theirs[key]


def _by_references(
    plan: Plan, rule: Rule, left: pl.DataFrame, right: pl.DataFrame, known: Rarities, most: int
) -> list[pl.DataFrame] | None:
    """The same where all of the rule's texts are references, of which the index misses none; None for other rules, and
    where more than `most` texts would be compared. A group alone never takes more comparisons than among others, so
    that what is found does not depend on what else is searched at once.
    """
    if not likenesses(rule) or not all(c.found_in for c in likenesses(rule)):
        return None
    try:
        return _by_texts(plan, rule, left, right, known, most)
    except PlanError:
        return None


def _fitting(plan: Plan, rule: Rule, pairs: pl.DataFrame, known: Rarities) -> pl.DataFrame:
    # Likeness is dear: it is worked out for the pairs that satisfy everything else.
    if likenesses(rule):
        others = rule.model_copy(update={"on": tuple(c for c in rule.on if not c.is_text)})
        pairs = with_likeness(pairs.filter(holds(plan, others)), rule, known)
    return pairs.filter(holds(plan, rule)).select("l", "r", weight=weight(plan, rule))


def _valued(pairs: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Pairs of row numbers (l, r) of the two tables become pairs of positions, with their values."""
    valued = with_values(pairs, left, right, columns)
    return valued.with_columns(l=left["i"].gather(pairs["l"]), r=right["i"].gather(pairs["r"]))


def _distinct(found: list[pl.DataFrame]) -> pl.DataFrame:
    empty = {"l": pl.UInt32, "r": pl.UInt32, "weight": pl.Int64}
    return pl.concat([pl.DataFrame(schema=empty), *found]).unique(["l", "r"])


def _capped(capped: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema={"side": pl.UInt8, "i": pl.UInt32}), *capped]).unique()


def _buckets(plan: Plan, rule: Rule) -> Iterator[Bucketing]:
    """How the windows of a rule, each by itself, divide records that agree in the key: the bucket of a window is added
    to the key, and a left record probes the buckets that its window can touch.
    """
    for condition in windows(rule):
        spec = plan.field(condition.field)
        if condition.cap is not None:
            cap = int(condition.cap.scaleb(spec.digits))
            yield partial(_bucketed, plan, condition, (-cap, cap))
        if condition.percent is None:
            yield partial(_bucketed, plan, condition, window_units(spec, condition))
        elif condition.net_of is None:
            yield partial(_bucketed_by_size, condition)


def _bucketed(
    plan: Plan, condition: Condition, window: tuple[int, int], left: pl.DataFrame, right: pl.DataFrame
) -> Bucketed:
    """Buckets as wide as the window (units, right minus left)."""
    spec, (low, high) = plan.field(condition.field), window
    value = pl.col(condition.field).cast(pl.Int64)
    if condition.days is not None and spec.type == "datetime":
        value = value // MICROSECONDS_PER_DAY
    width = max(high - low, 1)
    expected = value if condition.days is not None else expected_value(value, spec, condition)
    first = (expected + low) // width
    probes = [left.with_columns(k=_mix(pl.col("k"), first + step)) for step in (0, 1)]
    return pl.concat(probes), right.with_columns(k=_mix(pl.col("k"), value // width))


def _bucketed_by_size(condition: Condition, left: pl.DataFrame, right: pl.DataFrame) -> Bucketed:
    """Buckets of equal ratio, for a window in percent: what lies within it differs by at most one bucket either way.

    Only a pre-selection, so that rounding does no harm: buckets are wider than the window.
    """
    assert condition.percent is not None
    value = pl.col(condition.field).cast(pl.Int64)
    low, high = (float(p) / 100 for p in condition.percent)
    if low <= -0.9 or high >= 9:
        return left, right  # a window that wide selects nothing
    # From the far end of the window to no difference at all, with a margin for rounding.
    width = max(-math.log1p(min(low, 0.0)), math.log1p(max(high, 0.0)), 1e-9) * 1.01 + 1e-9
    size = (value.abs().cast(pl.Float64).log() / width).floor()
    bucket = pl.when(value == 0).then(-(1 << 40)).otherwise(size.cast(pl.Int64) * 2 + (value > 0).cast(pl.Int64))
    sides = -1 if condition.sign else 1
    own = (sides * value).sign()
    # What is within the window of nothing is nothing, and a value keeps its sign.
    probe = pl.when(value == 0).then(-(1 << 40))
    probes = [
        left.with_columns(
            k=_mix(pl.col("k"), probe.otherwise((size.cast(pl.Int64) + step) * 2 + (own > 0).cast(pl.Int64)))
        )
        for step in (-1, 0, 1)
    ]
    return pl.concat(probes), right.with_columns(k=_mix(pl.col("k"), bucket))


def _mix(key: pl.Expr, bucket: pl.Expr) -> pl.Expr:
    return key + bucket.cast(pl.Int64).hash(101)


def _batches(
    left: pl.DataFrame, right: pl.DataFrame, buckets: Sequence[Bucketing]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, bool]]:
    """Splits both sides by key so that each batch makes at most LARGEST_GROUP pairs. Groups beyond it are divided by
    the `buckets`, one after the other; what is beyond it in all of them, in whatever order, comes as capped.
    """
    groups = (
        left.group_by("k")
        .agg(a=pl.len())
        .join(right.group_by("k").agg(b=pl.len()), on="k")
        .select("k", pairs=pl.col("a").cast(pl.Int64) * pl.col("b"))
        .sort("k")
    )
    is_capped = pl.col("pairs") > LARGEST_GROUP
    beyond, within = groups.filter(is_capped), groups.filter(~is_capped)
    if beyond.height:
        large = left.join(beyond, on="k", how="semi"), right.join(beyond, on="k", how="semi")
        if buckets:
            yield from _batches(*buckets[0](*large), buckets[1:])
        else:
            yield *large, True
    within = within.with_columns(batch=pl.col("pairs").cum_sum() // LARGEST_GROUP)
    for batch in within.partition_by("batch"):
        yield left.join(batch, on="k", how="semi"), right.join(batch, on="k", how="semi"), False


def _probed(left: pl.DataFrame, right: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Pairs with equal k; a left record may stand in `left` more than once, with different keys."""
    a = left.select("k", pl.col("i").alias("l"), *(pl.col(c).alias(f"l.{c}") for c in columns))
    b = right.select("k", pl.col("i").alias("r"), *(pl.col(c).alias(f"r.{c}") for c in columns))
    return a.join(b, on="k").drop("k")


def grouped(
    plan: Plan, rule: Rule, left: pl.DataFrame, right: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """For a rule of equalities only: the groups of equal values on both sides, and their records.

    Returns groups (g, n_left, n_right), left (g, i, id), right (g, i, id).
    """
    equal = equalities(rule)
    names = [column for c in equal for column in columns_of(plan.field(c.field))]
    known = [pl.col(n).is_not_null() for c in equal if not c.nulls for n in columns_of(plan.field(c.field))[:1]]
    present = reduce(lambda a, b: a & b, known, pl.lit(True))
    sides = [table.filter(present).select("i", "__id", *names) for table in (left, right)]
    counts = [
        table.group_by(names).agg(pl.len().cast(pl.Int64).alias(name))
        for table, name in zip(sides, ("n_left", "n_right"), strict=True)
    ]
    groups = counts[0].join(counts[1], on=names, nulls_equal=True).with_row_index("g")
    records = [
        table.join(groups.select("g", *names), on=names, nulls_equal=True).select("g", "i", id="__id")
        for table in sides
    ]
    return groups.select("g", "n_left", "n_right"), records[0], records[1]
