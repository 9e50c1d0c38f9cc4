"""Matches of more than two records: each of many with its one, or everything that hangs together."""

from __future__ import annotations

import polars as pl

from recon_engine.matching.assignment import competing
from recon_engine.matching.connected import components
from recon_engine.matching.settled import SETS_SCHEMA, Ids, Settled
from recon_engine.rules import Cardinality


def settle_sets(pairs: pl.DataFrame, cardinality: Cardinality, ids: tuple[Ids, Ids], *, leave: bool = False) -> Settled:
    """Candidate pairs (l, r, weight) become sets: with `one_to_many` each right record joins the left one that fits it
    strictly best, with `many_to_one` the other way round, with `many_to_many` everything connected is one set.

    A record whose best candidates are equally good is tied, unless those are interchangeable (equal `ids`): then the
    lowest in row order takes it. With `leave`, a record with a rival candidate is never matched.
    """
    if pairs.is_empty():
        return Settled()
    if cardinality == "many_to_many":
        return Settled(sets=_connected(pairs))
    one, many = ("l", "r") if cardinality == "one_to_many" else ("r", "l")
    sides = {"l": 0, "r": 1}
    known = pl.Series(ids[sides[one]]).gather(pairs[one])
    best = (
        pairs.with_columns(id=known)
        .sort(many, pl.col("weight").neg(), one)
        .group_by(many, maintain_order=True)
        .agg(
            one=pl.col(one).first(),
            weight=pl.col("weight").first(),
            rivals=(pl.len() - 1).cast(pl.UInt32),
            # the best of those that are not the same as the best
            second=pl.col("weight").filter(pl.col("id") != pl.col("id").first()).max(),
            top=pl.col(one).filter(pl.col("weight") == pl.col("weight").max()),
        )
        .with_columns(margin=(pl.col("weight") - pl.col("second").fill_null(0)).cast(pl.Float64))
    )
    is_clear = (pl.col("margin") > 0) & ((pl.col("rivals") == 0) if leave else pl.lit(True))
    clear = best.filter(is_clear)
    members = clear.select(
        "one", pl.lit(sides[many], dtype=pl.UInt8).alias("side"), pl.col(many).alias("i"), "weight", "rivals", "margin"
    )
    ones = clear.group_by("one").agg(
        pl.lit(sides[one], dtype=pl.UInt8).alias("side"),
        pl.col("one").first().alias("i"),
        pl.col("weight").min(),
        pl.lit(0, dtype=pl.UInt32).alias("rivals"),
        pl.col("margin").min(),
    )
    sets = pl.concat([members, ones.select(members.columns)]).rename({"one": "set"})
    settled = Settled(sets=sets.cast(SETS_SCHEMA))  # type: ignore[arg-type]
    tied = best.filter(~is_clear).select("top", many).explode("top")
    if tied.height:
        ties = competing(tied["top"].to_numpy().astype("int64"), tied[many].to_numpy().astype("int64"), sides[one])
        # A record that leads a set is matched, whatever it is a rival for.
        held = sets.filter(pl.col("side") == sides[one])["i"]
        settled.ties = ties.filter(~((pl.col("side") == sides[one]) & pl.col("i").is_in(held.implode())))
    return settled


def _connected(pairs: pl.DataFrame) -> pl.DataFrame:
    component = pl.Series(components(pairs["l"].to_numpy().astype("int64"), pairs["r"].to_numpy().astype("int64")))
    found = []
    for side, column in ((0, "l"), (1, "r")):
        one_side = pairs.select(pl.col(column).alias("i"), "weight", set=component)
        found.append(
            one_side.group_by("set", "i").agg(
                pl.lit(side, dtype=pl.UInt8).alias("side"),
                pl.col("weight").max(),
                pl.lit(0, dtype=pl.UInt32).alias("rivals"),
                pl.col("weight").max().cast(pl.Float64).alias("margin"),
            )
        )
    return pl.concat(found).select(*SETS_SCHEMA).cast(SETS_SCHEMA)  # type: ignore[arg-type]


def as_sets(settled: Settled, side: int) -> Settled:
    """Pairs inside one side, found as left and right, become sets of two records of that side."""
    pairs = settled.pairs
    number = pl.min_horizontal("l", "r").cast(pl.Int64).alias("set")
    rows = [
        pairs.select(
            number, pl.lit(side, dtype=pl.UInt8).alias("side"), pl.col(c).alias("i"), "weight", "rivals", "margin"
        )
        for c in ("l", "r")
    ]
    ties = settled.ties.with_columns(side=pl.lit(side, dtype=pl.UInt8)).unique()
    return Settled(ties=ties, sets=pl.concat(rows).cast(SETS_SCHEMA))  # type: ignore[arg-type]
