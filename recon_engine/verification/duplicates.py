"""Re-checks the groups of duplicates of a result on the values in the files alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from recon_engine.matching.conditions import with_likeness
from recon_engine.plan import Duplicates, Plan, SideName
from recon_engine.verification.checks import PLACE, Check, as_text, how_many
from recon_engine.verification.values import all_hold, rarities, values


def duplicate_groups(
    folder: Path, plan: Plan, side: SideName, name: str, files: Mapping[SideName, Path]
) -> list[Check]:
    """Whether the records of each group are the same thing twice as the plan says, the first alone was kept where the
    others are excluded, and none of these is in a match; nothing where the side is not searched.

    `name`: what the side is called in the tables; `files`: the records of the sides whose words tell how rare one is.
    """
    search = plan.duplicates_of(side)
    if search is None:
        return []
    records = pl.scan_parquet(files[side]).select(as_text("source"), "row").with_row_index("place")
    twins = pl.scan_parquet(folder / "duplicates.parquet").filter(as_text("side") == name)
    twins = twins.select("group", as_text("source"), "row", "kept")
    twins = twins.join(records, on=PLACE, how="left").collect(engine="streaming").lazy()
    wrong = {
        "records are not the same thing twice as the plan says": _unlike(plan, search, side, twins, files),
        "records stand there twice": int(twins.select(pl.len() - pl.struct(PLACE).n_unique()).collect().item()),
        "records were kept, or left out, against the plan": _kept_wrongly(search, twins),
        "records that were left out are in a match": _matched(folder, name, twins),
    }
    counted = how_many(twins)
    told = [f"{count} {what}" for what, count in wrong.items() if count]
    return [Check(f"{name} duplicates", not told, "; ".join(told) or f"{counted} records, as the plan says")]


def _unlike(plan: Plan, search: Duplicates, side: SideName, twins: pl.LazyFrame, files: Mapping[SideName, Path]) -> int:
    """Records that satisfy the search's conditions with no other of their group."""
    rule = search.rule
    own, other = (
        twins.join(values(files[side], plan, rule, side, end), on=PLACE, how="left").rename({"place": f"{end}.place"})
        for end in "lr"
    )
    if all(c.is_equality for c in rule.on):  # what equals the first equals all
        other = other.sort("r.place").unique("group", keep="first")
    pairs = own.drop("kept").join(other.drop("kept", *PLACE), on="group").collect(engine="streaming")
    if any(c.is_text for c in rule.on):
        pairs = with_likeness(pairs, rule, rarities(files, plan, rule))
    itself = pl.col("l.place") == pl.col("r.place")
    alike = pairs.filter(all_hold(plan, rule.on) & ~itself)
    ends = pl.concat([alike["l.place"].alias("place"), alike["r.place"].alias("place")])
    return how_many(twins.filter(~pl.col("place").is_in(ends.implode()).fill_null(False)))


def _kept_wrongly(search: Duplicates, twins: pl.LazyFrame) -> int:
    """Records that were kept though they are not the first of their group, or left out though they are."""
    is_first = pl.col("place") == pl.col("place").min().over("group")
    asked = is_first if search.exclude else pl.lit(True)
    return how_many(twins.filter(pl.col("kept") != asked))


def _matched(folder: Path, name: str, twins: pl.LazyFrame) -> int:
    matches = pl.scan_parquet(folder / "matches.parquet").filter(as_text("side") == name)
    held = matches.select(as_text("source"), "row")
    both = twins.filter(~pl.col("kept")).join(held, on=PLACE, how="semi")
    return how_many(both)
