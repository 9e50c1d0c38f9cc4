"""The nearest counterpart of each open record: by joins on what a rule's keys say, then by the smallest excess."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import polars as pl

from recon_engine.matching.candidates import join_key
from recon_engine.matching.comparables import ID, columns_of, text_column
from recon_engine.matching.conditions import condition_holds, with_likeness
from recon_engine.outcome.judged import Sides, explanation, judgement
from recon_engine.outcome.matches import OPEN
from recon_engine.outcome.nearest_scored import alike, linked
from recon_engine.outcome.ranks import KEYS, NEAREST_SCHEMA, ORDER, failing_once
from recon_engine.outcome.relevant import KEY_TYPES, keys_of
from recon_engine.outcome.unfitting_totals import unfitting_totals
from recon_engine.plan import Condition, Plan, Rule

# Of a crowd with the same keys, a record is compared with this many and with the closest in each measured field.
_FEW = 8


def nearest(
    sides: Sides, own: pl.LazyFrame, other: pl.LazyFrame, open_other: pl.LazyFrame, near: pl.DataFrame
) -> pl.DataFrame:
    """One row per explainable open record (NEAREST_SCHEMA): its best explanation over all rules.

    `own`: open records of the side; `other`: all records of the other side, `open_other` its open ones. All have
    `__i`, `__id`, `__state` and the comparable columns. `near`: what linkages say of the records that they left open.
    Equal explanations are decided by the content of the counterpart, never by row order.
    """
    found = [pl.DataFrame(schema=NEAREST_SCHEMA)]
    paired = [(n, r) for n, r in enumerate(sides.plan.rules) if r.link is None and r.total is None]
    for keys in dict.fromkeys(keys_of(sides.plan, rule) for _, rule in paired):
        if keys:
            rules = [(n, r) for n, r in paired if keys_of(sides.plan, r) == keys]
            found.append(_by_values(sides, keys, rules, own, other))
    for number, rule in enumerate(sides.plan.rules):
        if rule.total is not None and rule.net is None:
            found.append(unfitting_totals(sides.plan, number, rule, sides.side, sides.other_label, own, open_other))
    for number, rule in paired:
        found += [_by_all_but(sides, number, rule, dropped, own, open_other) for dropped in keys_of(sides.plan, rule)]
        if rule.text_fields:
            found.append(alike(sides, keys_of(sides.plan, rule), number, rule, own, (other, open_other)))
    for number in near["rule"].unique().sort():
        found.append(linked(sides, number, near.filter(pl.col("rule") == number), own, other))
    ranked = pl.concat(found)
    if ranked.is_empty():
        return pl.DataFrame(schema=NEAREST_SCHEMA)
    return ranked.sort(ORDER).unique("i", keep="first", maintain_order=True).select(*NEAREST_SCHEMA)


def _pairs(
    sides: Sides,
    names: tuple[str, ...],
    fields: list[str],
    own: pl.LazyFrame,
    other: pl.LazyFrame,
    texts: Sequence[str] = (),
) -> pl.LazyFrame:
    """Pairs of an open record and a counterpart that agree on the fields `names`, left and right in their places.

    Of many counterparts, a few (open ones first) and the closest open and matched one in each measured field of
    `fields`.
    """
    columns = [*_columns(sides.plan, [*names, *fields]), *dict.fromkeys(text_column(t) for t in texts)]
    a, b = ("l", "r") if sides.side == "left" else ("r", "l")
    key = join_key(sides.plan, (), names)
    mine = own.select(
        key.alias("k"), pl.col("__i").alias("i"), *(pl.col(c).alias(f"{a}.{c}") for c in columns)
    ).drop_nulls("k")
    theirs = other.select(
        key.alias("k"), *(pl.col(c).alias(f"{b}.{c}") for c in columns), other="__i", other_id=ID, state="__state"
    ).drop_nulls("k")
    wanted = theirs.join(mine.select("k").unique(), on="k", how="semi").collect(engine="streaming").lazy()
    # The content of a record, not its place, says which ones of a crowd are looked at.
    few = wanted.sort("state", "other_id").group_by("k", maintain_order=True).head(_FEW)
    found = [mine.join(few, on="k")]
    crowded = wanted.group_by("k").len().filter(pl.col("len") > _FEW).select("k")
    for name in dict.fromkeys(f for f in fields if sides.plan.field(f).type not in KEY_TYPES):
        seeking = mine.join(crowded, on="k", how="semi").drop_nulls(f"{a}.{name}").sort(f"{a}.{name}")
        for part in (pl.col("state") == OPEN, pl.col("state") != OPEN):
            closest = seeking.join_asof(
                wanted.filter(part).drop_nulls(f"{b}.{name}").sort(f"{b}.{name}", "other_id"),
                left_on=f"{a}.{name}",
                right_on=f"{b}.{name}",
                by="k",
                strategy="nearest",
                coalesce=False,
                check_sortedness=False,
            )
            found.append(closest.drop_nulls("other"))
    order = [*mine.collect_schema().names(), *(c for c in wanted.collect_schema().names() if c != "k")]
    pairs = pl.concat([frame.select(order) for frame in found]).unique(["i", "other"])
    equal = reduce(lambda x, y: x & y, (condition_holds(sides.plan.field(n), Condition(field=n)) for n in names))
    return pairs.filter(equal)


def _columns(plan: Plan, fields: list[str]) -> list[str]:
    return [column for name in dict.fromkeys(fields) for column in columns_of(plan.field(name))]


def _by_values(
    sides: Sides, keys: tuple[str, ...], rules: list[tuple[int, Rule]], own: pl.LazyFrame, other: pl.LazyFrame
) -> pl.DataFrame:
    """Counterparts with the same keys: which values differ, and by how much. The best one of each record."""
    fields = [name for _, r in rules for name in r.fields]
    texts = [name for _, r in rules for name in r.text_fields]
    pairs = _pairs(sides, keys, fields, own, other, texts).collect().with_row_index("pair")
    for _, rule in rules:
        pairs = with_likeness(pairs, rule, sides.known)
    judged = pl.concat(
        [pairs.lazy().select(judgement(sides, keys, n, r)).drop_nulls("rank").collect() for n, r in rules]
    )
    best = judged.sort(ORDER).unique("i", keep="first", maintain_order=True)
    told = []
    for number, rule in rules:
        chosen = best.filter(pl.col("rule") == number)
        shown = pairs.select(pl.all().exclude("pair", "i", "other", "other_id"))[chosen["pair"]]
        explained = shown.with_columns(explanation(sides, keys, rule)).select("distance", "reason")
        told.append(chosen.hstack(explained).select(*NEAREST_SCHEMA))
    return pl.concat(told)


def _by_all_but(
    sides: Sides, number: int, rule: Rule, dropped: str, own: pl.LazyFrame, open_other: pl.LazyFrame
) -> pl.DataFrame:
    """Open counterparts that satisfy every condition of the rule but the equality of one key."""
    plan = sides.plan
    rest = [c for c in rule.on if not c.is_text and (c.field != dropped or not c.is_equality)]
    equal = tuple(c.field for c in rest if c.is_equality)
    if not equal:
        return pl.DataFrame(schema=NEAREST_SCHEMA)
    fields = [dropped, *(c.field for c in rest)]
    held = reduce(lambda a, b: a & b, (condition_holds(plan.field(c.field), c) for c in rest))
    a, b = ("l", "r") if sides.side == "left" else ("r", "l")
    mine, theirs = pl.col(f"{a}.{dropped}"), pl.col(f"{b}.{dropped}")
    agreed = ", ".join(dict.fromkeys(c.field for c in rest))
    verb = "agrees" if "," not in agreed else "agree"
    reason = (
        pl.when(mine.is_null())
        .then(pl.lit(f"{dropped} is empty here"))
        .when(theirs.is_null())
        .then(pl.lit(f"{dropped} is empty in the {sides.other_label} record"))
        .otherwise(pl.lit(f"{dropped} differs"))
    )
    pairs = _pairs(sides, equal, fields, own, open_other).filter(held.fill_null(False))
    told, unknown = reason + pl.lit(f", {agreed} {verb}"), pl.lit(None, dtype=pl.Float64)
    return pairs.select(failing_once(number, pl.lit(KEYS), pl.lit(0.0), unknown, told)).collect()
