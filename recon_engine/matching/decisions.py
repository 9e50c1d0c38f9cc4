"""How one rule is decided on the open records of a partition, family by family."""

from __future__ import annotations

import numpy as np
import polars as pl

from recon_engine.errors import PlanError
from recon_engine.matching.assignment import settle, settle_groups
from recon_engine.matching.candidates import grouped, search
from recon_engine.matching.comparables import text_column
from recon_engine.matching.conditions import CLOSE, Rarities, windows
from recon_engine.matching.group_totals import settle_group_totals
from recon_engine.matching.linkage import KINDS, LinkField, link
from recon_engine.matching.linkage_relatives import accidents
from recon_engine.matching.sets import as_sets, settle_sets
from recon_engine.matching.settled import LINKS_SCHEMA, NEAR_SCHEMA, Ids, Settled
from recon_engine.matching.totals import settle_totals
from recon_engine.plan import Plan, Rule

BITS = 1_000_000
"""The weight of a linked pair is its evidence in bits, times this."""


def decide(
    plan: Plan, rule: Rule, left: pl.DataFrame, right: pl.DataFrame, ids: tuple[Ids, Ids], known: Rarities
) -> tuple[Settled, int]:
    """What the rule settles, and how many candidates it had.

    `left` and `right`: the open records, with i (position) and the comparable columns; `ids` by position.
    """
    if rule.link is not None:
        return _linked(plan, rule, left, right, ids)
    if rule.net is not None:
        return _netted(plan, rule, left if rule.net == "left" else right, ids, known)
    if rule.is_plain and not windows(rule):
        return decide_groups(plan, rule, left, right)
    if rule.total is not None:
        name = rule.total.field
        left, right = left.drop_nulls(name), right.drop_nulls(name)
    pairs, capped = _searched(plan, rule, left, right, known)
    if rule.total is None:
        settled = _by_cardinality(rule, pairs, ids)
    else:
        values = tuple(_by_position(t, name, len(i)) for t, i in zip((left, right), ids, strict=True))
        search_sums = settle_group_totals if rule.cardinality == "many_to_many" else settle_totals
        settled = search_sums(plan, rule, pairs, values, ids)  # type: ignore[arg-type]
    if capped.height:
        unsearched = capped.select(component=pl.lit(-1, dtype=pl.Int64), side="side", i="i", capped=pl.lit(True))
        settled.ties = pl.concat([settled.ties, unsearched])
    return settled, pairs.height


def decide_groups(plan: Plan, rule: Rule, left: pl.DataFrame, right: pl.DataFrame) -> tuple[Settled, int]:
    """A one-to-one rule of equalities only: decided as groups of equal values, without listing their pairs."""
    groups, records_left, records_right = grouped(plan, rule, left, right)
    if groups.is_empty():
        return Settled(), 0
    count = int(groups.select((pl.col("n_left") * pl.col("n_right")).sum()).item())
    total = CLOSE * len(rule.on)
    return settle_groups(groups, records_left, records_right, total, leave=rule.when_ambiguous == "leave"), count


def settle_pairs(rule: Rule, pairs: pl.DataFrame, ids: tuple[Ids, Ids]) -> Settled:
    """The best one-to-one assignment of candidate pairs (l, r, weight)."""
    if pairs.is_empty():
        return Settled()
    left, right, weights = (pairs[c].to_numpy().astype(np.int64) for c in ("l", "r", "weight"))
    return settle(left, right, weights, ids[0], ids[1], leave=rule.when_ambiguous == "leave")


def _searched(
    plan: Plan, rule: Rule, left: pl.DataFrame, right: pl.DataFrame, known: Rarities
) -> tuple[pl.DataFrame, pl.DataFrame]:
    if all(c.total for c in rule.on):
        raise PlanError(
            f"rule '{rule.name}': a total alone would try every set; add a field that must be equal or near"
        )
    pairs, capped = search(plan, rule, left, right, known)
    if capped.height:
        # A record of which not every candidate was looked at is not matched: it could be the wrong one.
        for side, column in ((0, "l"), (1, "r")):
            barred = capped.filter(pl.col("side") == side)["i"]
            pairs = pairs.filter(~pl.col(column).is_in(barred.implode()))
    return pairs, capped


def _by_cardinality(rule: Rule, pairs: pl.DataFrame, ids: tuple[Ids, Ids]) -> Settled:
    if rule.cardinality == "one_to_one":
        return settle_pairs(rule, pairs, ids)
    return settle_sets(pairs, rule.cardinality, ids, leave=rule.when_ambiguous == "leave")


def _by_position(table: pl.DataFrame, name: str, count: int) -> np.typing.NDArray[np.int64]:
    values = np.zeros(count, dtype=np.int64)
    values[table["i"].to_numpy()] = table[name].to_numpy()
    return values


def _netted(plan: Plan, rule: Rule, table: pl.DataFrame, ids: tuple[Ids, Ids], known: Rarities) -> tuple[Settled, int]:
    """Plus and minus of one side that cancel each other: pairs of the same machine, with the sign turned."""
    assert rule.total is not None
    assert rule.net is not None
    side = 0 if rule.net == "left" else 1
    name = rule.total.field
    turned = rule.total.model_copy(update={"total": False, "sign": "opposite"})
    others = tuple(turned if c.total else c for c in rule.on)
    pairing = rule.model_copy(update={"on": others, "net": None})
    plus, minus = table.filter(pl.col(name) > 0), table.filter(pl.col(name) < 0)
    settled, count = decide(plan, pairing, plus, minus, (ids[side], ids[side]), known)
    return as_sets(settled, side), count


def _linked(
    plan: Plan, rule: Rule, left: pl.DataFrame, right: pl.DataFrame, ids: tuple[Ids, Ids]
) -> tuple[Settled, int]:
    """Probabilistic linkage; pairs of at least the rule's probability are assigned by their evidence in bits."""
    assert rule.link is not None
    wanted = rule.link
    fields, columns = [], []
    for name in dict.fromkeys((*wanted.fields, *(n for key in wanted.block_on for n in key))):
        spec = plan.field(name)
        fields.append(LinkField(name, KINDS[spec.type], wanted.compare_as.get(name), speaks=name in wanted.fields))
        columns.append(pl.col(text_column(name) if spec.type == "text" else name).alias(name))
    tables = left.select(columns), right.select(columns)
    found = link(*tables, fields, probability=wanted.probability, block_on=wanted.block_on or None)
    scored = found.pairs.with_columns(
        l=left["i"].gather(found.pairs["l"]),
        r=right["i"].gather(found.pairs["r"]),
        weight=(pl.col("weight") * BITS).round().cast(pl.Int64),
    )
    placed = scored.filter(pl.col("probability") >= wanted.probability)
    settled = _by_cardinality(rule, placed.select("l", "r", pl.col("weight").clip(1)), ids)
    weights = placed.select("l", "r", pl.lit(found.parameters["prior_weight"]).alias("w.prior"), pl.col(r"^w\..*$"))
    bits = weights.unpivot(index=["l", "r"], variable_name="field", value_name="bits")
    settled.links = bits.with_columns(pl.col("field").str.strip_prefix("w.")).select(*LINKS_SCHEMA)
    settled.near = _near(scored, settled, ids)
    settled.facts = found.parameters
    ends = accidents(*found.relatives, rule.cardinality) if found.relatives else None
    if ends is not None:
        settled.facts["accidents"] = dict(zip(("estimate", "low", "high"), ends, strict=True))
    return settled, int(found.parameters["candidates"])


def _near(scored: pl.DataFrame, settled: Settled, ids: tuple[Ids, Ids]) -> pl.DataFrame:
    """Of each record that a linkage left open, the best-scored pair with an open and with a matched record.

    `scored`: l, r (positions), probability, weight and `w.<field>`. Equal scores are decided by the records' content.
    """
    columns = [c for c in scored.columns if c.startswith("w.")]
    least = pl.min_horizontal(columns)
    costly = pl.coalesce(pl.when(pl.col(c) == least).then(pl.lit(c.removeprefix("w."))) for c in columns)
    told = scored.with_columns(field=pl.when(least < 0).then(costly), bits=least)
    for side, (end, own) in enumerate(zip("lr", ids, strict=True)):
        taken = np.zeros(len(own), dtype=np.bool_)
        taken[settled.pairs[end].to_numpy()] = True
        taken[settled.sets.filter(pl.col("side") == side)["i"].to_numpy()] = True
        place = scored[end].to_numpy()
        told = told.with_columns(pl.Series(f"{end}.taken", taken[place]), pl.Series(f"{end}.id", own[place]))
    best = [
        told.filter(~pl.col(f"{own}.taken"))
        .sort("weight", f"{other}.id", descending=[True, False])
        .unique([own, f"{other}.taken"], keep="first", maintain_order=True)
        for own, other in ("lr", "rl")
    ]
    return pl.concat(best).select(*NEAR_SCHEMA).unique()
