"""Open records of a group whose total does not fit its counterpart."""

from __future__ import annotations

import numpy as np
import polars as pl

from recon_engine.matching.candidates import join_key
from recon_engine.matching.comparables import ID
from recon_engine.matching.conditions import equalities
from recon_engine.matching.total_window import TotalWindow
from recon_engine.outcome.differences import units_text
from recon_engine.outcome.ranks import NEAREST_SCHEMA, TOTAL, failing_once
from recon_engine.outcome.reasons import allowed_by
from recon_engine.plan import Plan, Rule, SideName


def unfitting_totals(
    plan: Plan, number: int, rule: Rule, side: SideName, other_label: str, own: pl.LazyFrame, other: pl.LazyFrame
) -> pl.DataFrame:
    """Open records (NEAREST_SCHEMA) that agree with open counterparts on the rule's keys, but whose totals do not fit.

    The total is taken over the open records of a side that share the keys, apart from the side that stands for one: its
    records are compared one by one.
    """
    assert rule.total is not None
    keys = tuple(c.field for c in equalities(rule))
    if not keys:
        return pl.DataFrame(schema=NEAREST_SCHEMA)
    name, spec = rule.total.field, plan.field(rule.total.field)
    key = join_key(plan, equalities(rule), keys)
    sides = [
        frame.select(
            key.alias("k"), pl.col("__i").alias("i"), pl.col(ID).alias("id"), pl.col(name).alias("v")
        ).drop_nulls()
        for frame in (own, other)
    ]
    is_one = rule.cardinality == ("one_to_many" if side == "left" else "many_to_one")
    other_is_one = rule.cardinality == ("many_to_one" if side == "left" else "one_to_many")
    mine = sides[0] if is_one else sides[0].with_columns(pl.col("v").sum().over("k"), n=pl.len().over("k"))
    theirs = (
        sides[1]
        .sort("k", "id", "i")
        .group_by("k", maintain_order=True)
        .agg(other=pl.col("i").first(), other_id=pl.col("id").first(), w=pl.col("v").sum(), m=pl.len())
    )
    if other_is_one:
        theirs = theirs.filter(pl.col("m") == 1)  # of several, nobody could say which one is meant
    pairs = mine.join(theirs, on="k").collect()
    if pairs.is_empty():
        return pl.DataFrame(schema=NEAREST_SCHEMA)
    window = TotalWindow.of(spec, rule.total)
    left, right = ("v", "w") if side == "left" else ("w", "v")
    allowed = np.array([window.allowed(int(v)) for v in pairs[left]], dtype=np.int64)
    expected = np.array([window.expected(int(v)) for v in pairs[left]], dtype=np.int64)
    over = pl.Series("over", pairs[right].to_numpy() - expected)
    excess = np.maximum(np.maximum(pairs[right].to_numpy() - allowed[:, 1], allowed[:, 0] - pairs[right].to_numpy()), 0)
    agreed = ", ".join(keys)
    sums = pl.when(pl.col("m") == 1).then(pl.lit("come to")).otherwise(pl.lit("add up to"))
    group = pl.format("{} {} {} of the same {} {} ", "m", pl.lit(other_label), _records("m"), pl.lit(agreed), sums)
    own_total = (
        pl.lit("")
        if is_one
        else pl.format("; {} {} here add up to {}", "n", _records("n"), units_text(pl.col("v"), spec.digits))
    )
    reason = (
        group
        + units_text(pl.col("w"), spec.digits)
        + own_total
        + pl.lit(f": {name} differs by ")
        + units_text(pl.col("over").abs(), spec.digits)
        + pl.lit(allowed_by(plan, rule.total.model_copy(update={"total": False})))
    )
    scale = 10**spec.digits
    natural = np.maximum(np.abs(pairs[left].to_numpy()) / 10, 1.0)
    judged = pairs.with_columns(over, excess=pl.Series(excess / natural)).filter(pl.col("excess") > 0)
    return judged.select(failing_once(number, pl.lit(TOTAL), pl.col("excess"), pl.col("over").abs() / scale, reason))


def _records(number: str) -> pl.Expr:
    return pl.when(pl.col(number) == 1).then(pl.lit("record")).otherwise(pl.lit("records"))
