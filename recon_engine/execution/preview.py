"""What each rule would match, counted on a sample that keeps counterparts together; and the sample itself.

A sample holds whole neighbourhoods: left rows picked by hash, every right row that agrees with one of them on what some
rule compares for equality, and the left rows that compete for those. Only the picked rows are counted. Where all rules
share a field that tells records apart, all rows with a picked value of it are the sample instead, and all are counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from recon_engine.execution.deciding import Found
from recon_engine.execution.local import matched
from recon_engine.execution.staging import StagedSide, opened, stage, with_scales
from recon_engine.matching.candidates import join_key
from recon_engine.matching.comparables import ID
from recon_engine.matching.conditions import equalities
from recon_engine.plan import SIDES, Plan, ReaderOptions
from recon_engine.reading import ROW, TextTable

PICKED = 5_000
_MOST = 60_000  # rows of one side in a sample: a key that brings more says too little to sample by
_SEED = 3_781
SEEDS = "seeds.parquet"
Reader = TypeVar("Reader", bound=ReaderOptions)


def preview(plan: Plan, sample: Path | None = None) -> dict[str, Any]:
    """Per rule, in the order they run: left rows that were open before it, that it matches, that it finds ambiguous.

    Runs the engine on the plan's files, or on those of the folder `sample`. `guarantee` is false for a rule that
    compares nothing for equality: its counterparts may be missing from a sample. `twice`: by side the rows that equal
    an earlier one in every field. Raises ReconError.
    """
    if sample is not None:
        plan = plan.with_files([str(sample / "left.parquet")], [str(sample / "right.parquet")])
        plan = plan.model_copy(update={side: plain_reader(plan.side(side)) for side in SIDES})
    with tempfile.TemporaryDirectory(prefix="recon-preview-") as work:
        sides, found = matched(plan, Path(work))
        twice = {side.side: repeated(side) for side in sides}
        return counts(plan, sides[0], found, sample) | {"twice": twice}


def counts(plan: Plan, left: StagedSide, found: Found, sample: Path | None) -> dict[str, Any]:
    """What the rules of `plan` decided, counted in records of the left side that were open before: of all, or of those
    picked in a sample.
    """
    picked = None if sample is None else pl.read_parquet(sample / SEEDS)["row"]
    place = left.comparables.select("__i", "__row").collect()
    counted = set(place.filter(pl.col("__row").is_in(picked.implode()))["__i"] if picked is not None else place["__i"])
    counted -= set(np.flatnonzero(found.before[0]).tolist())
    held = pl.concat(
        [
            found.pairs.frame().select("rule", i="l"),
            found.decided.sets.filter(pl.col("side") == 0).select("rule", "i"),
        ]
    )
    tied = found.decided.ties.filter(pl.col("side") == 0).select("rule", "i").unique()
    rules = []
    is_open = len(counted)
    for number, rule in enumerate(plan.rules):
        mine, unclear = (set(t.filter(pl.col("rule") == number)["i"]) & counted for t in (held, tied))
        sure = sample is None or bool(_keys(plan, number))
        rules.append(
            {"name": rule.name, "open": is_open, "matched": len(mine), "ambiguous": len(unclear), "guarantee": sure}
        )
        is_open -= len(mine)
    return {"sample": sample is not None, "rows": len(counted), "left_over": is_open, "rules": rules}


def repeated(side: StagedSide) -> int:
    """How many records of a side equal an earlier one in every field."""
    return int(side.comparables.select(pl.len() - pl.col(ID).n_unique()).collect(engine="streaming").item())


def write_sample(plan: Plan, out: Path) -> dict[str, int]:
    """Write `left.parquet`, `right.parquet` (text, as read) and the picked left rows into the folder `out`.

    Returns how many rows of each side it holds. Raises ReconError.
    """
    tables = {side: opened(plan, side) for side in SIDES}
    plan = with_scales(plan, tables)
    with tempfile.TemporaryDirectory(prefix="recon-sample-") as work:
        staged = [stage(plan, side, tables[side], Path(work) / f"{side}.parquet", None) for side in SIDES]
        left, right = (side.comparables.collect() for side in staged)
    rows, seeds = _chosen(plan, left, right)
    counts: dict[str, int] = {}
    for side, chosen in zip(SIDES, rows, strict=True):
        counts[side] = _write(tables[side], chosen.select("__file", "__row"), out / f"{side}.parquet")
    placed = rows[0].sort("__file", "__row").with_row_index("row", offset=1)
    placed.filter(pl.col("__i").is_in(seeds.implode())).select("row").write_parquet(out / SEEDS)
    return counts


def _chosen(plan: Plan, left: pl.DataFrame, right: pl.DataFrame) -> tuple[tuple[pl.DataFrame, pl.DataFrame], pl.Series]:
    """The sampled records of both sides, and the places of the left ones that count."""
    keys = list(dict.fromkeys(_keys(plan, n) for n in range(len(plan.rules))))
    common = tuple(name for name in keys[0] if all(name in key for key in keys))
    if common:
        hashed = [table.select("__i", k=join_key(plan, (), common).hash(_SEED)).drop_nulls() for table in (left, right)]
        least = hashed[0]["k"].bottom_k(min(PICKED, hashed[0].height)).max()
        if least is not None:
            whole = [
                table.filter(pl.col("__i").is_in(h.filter(pl.col("k") <= least)["__i"].implode()))
                for table, h in zip((left, right), hashed, strict=True)
            ]
            if all(table.height <= _MOST for table in whole):
                return (whole[0], whole[1]), whole[0]["__i"]
    order = left.select("__i", h=(pl.col(ID).hash(_SEED) + pl.col("__i").cast(pl.UInt64).hash(_SEED)))
    seeds = order.bottom_k(PICKED, by="h")["__i"]
    picked = left.filter(pl.col("__i").is_in(seeds.implode()))
    theirs = _agreeing(plan, keys, picked, right)
    ours = _agreeing(plan, keys, theirs, left)
    return (pl.concat([picked, ours]).unique("__i").sort("__i"), theirs), seeds


def _agreeing(plan: Plan, keys: Sequence[tuple[str, ...]], known: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """The records of `table` that agree with a known one on one of the keys; keys that bring too many are left out."""
    found = []
    for key in filter(None, keys):
        expression = join_key(plan, (), key)
        wanted = known.select(k=expression).drop_nulls().unique()
        rows = table.select("__i", k=expression).join(wanted, on="k", how="semi")["__i"]
        if len(rows) <= _MOST:
            found.append(rows)
    places = pl.concat(found).unique() if found else table["__i"].clear()
    return table.filter(pl.col("__i").is_in(places.implode())).sort("__i")


def _keys(plan: Plan, number: int) -> tuple[str, ...]:
    """The fields that a rule compares for equality, by which its counterparts find together."""
    return tuple(c.field for c in equalities(plan.rules[number]) if not c.nulls)


def _write(tables: Sequence[TextTable], chosen: pl.DataFrame, path: Path) -> int:
    """The chosen rows of a side's files as one table of text."""
    shared = [c for c in tables[0].columns if all(c in table.columns for table in tables)]
    parts = []
    for number, table in enumerate(tables):
        rows = chosen.filter(pl.col("__file") == number)["__row"].cast(pl.UInt32)
        wanted = table.settled().frame.filter(pl.col(ROW).is_in(rows.implode())).sort(ROW).select(shared)
        parts.append(wanted.collect(engine="streaming"))
    text = pl.concat(parts)
    text.write_parquet(path)
    return text.height


def plain_reader(side: Reader) -> Reader:
    """A side as a sample's file is read: what said how to split its text, and what to make of it, is done with."""
    split = ("format", "delimiter", "quote", "encoding", "sheet", "header_row", "footer_rows", "debit", "credit")
    return side.model_copy(update={**dict.fromkeys(split), "nulls": (), "combined": {}})
