"""Who competes for a record, by the rows: those that fit equally well, and those that took it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from recon_engine.matching.pairs import Pairs
from recon_engine.outcome.places import Places
from recon_engine.plan import Plan

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Takers:
    """What is matched to what: one-to-one `pairs` and numbered `groups`; `places`: where each side's records stand."""

    pairs: Pairs
    groups: pl.DataFrame
    places: tuple[Places, Places]

    def of(self, own: int, others: pl.Series, labels: tuple[str, str]) -> pl.DataFrame:
        """Per matched record of the other side (`other`, those of `others`) in words what it is matched to (taken_by):
        records of the `own` side; where its match has none, others of its own. `labels`: of both, `own` first.
        """
        lone = self.pairs.beside(1 - own, others).select("other", side=pl.lit(own, dtype=pl.UInt8), i="i")
        members = self.groups.select("match_id", "side", "i")
        sought = members.filter((pl.col("side") != own) & pl.col("i").is_in(others.implode()))
        met = sought.select("match_id", other="i").join(members, on="match_id")
        is_own = pl.col("side") == own
        met = met.filter(is_own | (pl.col("i") != pl.col("other"))).filter(is_own | ~is_own.any().over("other"))
        takers = pl.concat([lone, met.select(lone.columns)])
        parts = []
        for side, label in zip((own, 1 - own), labels, strict=True):
            mine = takers.filter(pl.col("side") == side)
            placed = mine.select("other", row=self.places[side].row_of(mine["i"]))
            rows = pl.col("row").sort().head(_LISTED)
            listed = placed.group_by("other").agg(rows.alias("rows"), pl.len().alias("rows count"))
            noun = pl.when(pl.col("rows count") == 1).then(pl.lit("row")).otherwise(pl.lit("rows"))
            parts.append(listed.select("other", taken_by=pl.format("{} {} {}", pl.lit(label), noun, _listed("rows"))))
        return pl.concat(parts)


def tie_reasons(
    plan: Plan, ties: pl.DataFrame, own: int, reach: Sequence[pl.LazyFrame], labels: tuple[str, str]
) -> pl.DataFrame:
    """Per tied record (i) its reason: the first rule that tied it, with the records it is tied over; where that is one,
    with those that are tied over it; under a rule that nets a side, with all that could cancel each other out.

    `reach`: per side `__i`, `source` and `row`; `labels`: of its own and of the other side.
    """
    mine = ties.filter(pl.col("side") == own).sort("rule").unique("i", keep="first", maintain_order=True)
    if mine.is_empty():
        return pl.DataFrame(
            schema={
                "i": pl.UInt32,
                "tie_reason": pl.String,
                "tie_rule": pl.String,
                "tie_row": pl.UInt32,
                "tie_source": pl.String,
            }
        )
    rivals = _rows_in(ties, 1 - own, reach[1 - own], "rivals")
    beside = _rows_in(ties, own, reach[own], "beside")
    joined = mine.lazy().join(rivals, on=["rule", "component"], how="left")
    joined = joined.join(beside, on=["rule", "component"], how="left")
    rule = pl.col("rule").replace_strict(dict(enumerate(r.name for r in plan.rules)), return_dtype=pl.String)
    own_label, label = map(pl.lit, labels)
    all_rivals, all_beside = _listed("rivals"), _listed("beside")
    # The rows come first: in a table the end of a sentence is cut.
    one = "{} rows {} fit equally well with {} row {} under rule '{}'"
    tie = (
        pl.when(pl.col("rivals count") == 1)
        .then(pl.format(one, own_label, all_beside, label, all_rivals, rule))
        .otherwise(
            pl.format(
                "{} {} records fit equally well under rule '{}': rows {}", "rivals count", label, rule, all_rivals
            )
        )
    )
    capped = pl.format("rule '{}' found too many candidates to search them all (search capped)", rule)
    led = pl.format("the {} records that fit equally well under rule '{}' lead matches of others", label, rule)
    inside = pl.col("rule").is_in([n for n, r in enumerate(plan.rules) if r.net is not None])
    netted = pl.format(
        "{} {} records can cancel each other out in more than one way under rule '{}': rows {}",
        "beside count",
        own_label,
        rule,
        all_beside,
    )
    alone = pl.when(inside).then(netted).otherwise(led)
    reason = pl.when("capped").then(capped).when(pl.col("rivals").is_null()).then(alone).otherwise(tie)
    first = {"tie_row": pl.col("rivals").list.first(), "tie_source": pl.col("rivals source")}
    return joined.select("i", tie_reason=reason, tie_rule=rule, **first).collect(engine="streaming")


def _rows_in(ties: pl.DataFrame, side: int, records: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """By rule and component: the first rows of one side's tied records, the first one's source, how many there are."""
    found = ties.filter((pl.col("side") == side) & ~pl.col("capped")).lazy()
    place = records.select(i="__i", row="row", source=pl.col("source").cast(pl.String))
    placed = found.join(place, on="i").group_by("rule", "component")
    rows, source = (pl.col(c).sort_by("i").head(_LISTED) for c in ("row", "source"))
    return placed.agg(rows.alias(name), source.first().alias(f"{name} source"), pl.len().alias(f"{name} count"))


def _listed(name: str) -> pl.Expr:
    """'3, 5', or '1, 2, 3, 4, 5 and 7 more'."""
    more = pl.col(f"{name} count") - _LISTED
    rows = pl.col(name).cast(pl.List(pl.String)).list.join(", ")
    return rows + pl.when(pl.col(f"{name} count") > _LISTED).then(pl.format(" and {} more", more)).otherwise(pl.lit(""))
