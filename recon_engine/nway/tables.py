"""The tables of a run over named sides, from the links' tables and the groups that they were joined to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.execution.partitions import PARQUET
from recon_engine.nway.plan import Pair, SidesPlan

_PAIR_TABLES = ("differences", "certificates", "weights")


def write_links(
    folders: list[Path], plan: SidesPlan, names: list[str], numbers: pl.DataFrame, firsts: list[int], out: Path
) -> pl.DataFrame:
    """Writes links.parquet, and per match `match_id` the `rule`, `score`, `rivals`, `margin` of its weakest link.

    `folders`: by pair, the result of its run; `numbers`: link and match_id; `firsts`: by pair, its first link's number.
    """
    rules = pl.Enum([rule.name for rule in plan.rules])
    sources = pl.Enum(_sources(folders, "matches"))
    parts = []
    for folder, pair, first in zip(folders, plan.pairs, firsts, strict=True):
        end = pl.col("side").cast(pl.String)
        parts.append(
            pl.scan_parquet(folder / "matches.parquet")
            .with_columns(link=(pl.col("match_id") + first).cast(pl.UInt32))
            .drop("match_id")
            .join(numbers.lazy(), on="link", how="left", maintain_order="left")
            .select(
                pl.col("link").cast(pl.Int64).alias("link_id"),
                "match_id",
                end.cast(pl.Enum(["left", "right"])).alias("end"),
                end.replace_strict(dict(zip(("left", "right"), pair, strict=True)), return_dtype=pl.Enum(names)).alias(
                    "side"
                ),
                pl.col("source").cast(pl.String).cast(sources),
                "row",
                pl.col("rule").cast(pl.String).cast(rules),
                "outcome",
                "score",
                "rivals",
                "margin",
            )
        )
    pl.concat(parts).sink_parquet(out / "links.parquet", **PARQUET)
    links = pl.scan_parquet(out / "links.parquet").drop_nulls("match_id").group_by("match_id")
    weakest = links.agg(
        pl.col("rule").to_physical().max(), pl.col("score").min(), pl.col("rivals").max(), pl.col("margin").min()
    )
    return weakest.with_columns(pl.col("rule").cat.to(rules)).collect(engine="streaming")


def write_pair_tables(
    folders: list[Path], pairs: list[Pair], names: list[str], numbers: pl.DataFrame, firsts: list[int], out: Path
) -> int:
    """Writes differences of matches, certificates and weights of all links; returns the number of differences."""
    counted = 0
    ends = pl.Enum(names)
    for table in _PAIR_TABLES:
        parts = []
        for folder, pair, first in zip(folders, pairs, firsts, strict=True):
            mine = pl.scan_parquet(folder / f"{table}.parquet").with_columns(
                link=(pl.col("match_id") + first).cast(pl.UInt32)
            )
            how: Any = "inner" if table == "differences" else "left"
            mine = mine.drop("match_id").join(numbers.lazy(), on="link", how=how, maintain_order="left")
            where = [
                pl.lit(name, dtype=ends).alias(f"{end}_side") for end, name in zip(("left", "right"), pair, strict=True)
            ]
            parts.append(
                mine.select(
                    "match_id", pl.exclude("match_id", "link"), pl.col("link").cast(pl.Int64).alias("link_id"), *where
                )
            )
        every = pl.concat(parts).collect(engine="streaming").sort("match_id", "link_id", maintain_order=True)
        every.write_parquet(out / f"{table}.parquet")
        counted = every.height if table == "differences" else counted
    return counted


def matches_table(nodes: pl.DataFrame, names: list[str], places: pl.DataFrame, weakest: pl.DataFrame) -> pl.DataFrame:
    """The matches table: one row per record in a match. `nodes`: node, side, match_id, outcome."""
    return (
        nodes.with_columns(places["source"].gather(nodes["node"]), places["row"].gather(nodes["node"]))
        .join(weakest, on="match_id")
        .select("match_id", named("side", names), "source", "row", "rule", "outcome", "score", "rivals", "margin")
        .sort("match_id", "side", "source", "row")
    )


def named(column: str, names: list[str]) -> pl.Expr:
    """Side numbers as names."""
    return pl.col(column).cast(pl.UInt8).cat.to(pl.Enum(names))


def pair_breaks(
    folders: list[Path], pairs: list[Pair], names: list[str], places: pl.DataFrame, firsts: list[int]
) -> pl.DataFrame:
    """Why records have no link to another side: node, other (side), and the columns of the pairs' breaks."""
    parts: list[pl.DataFrame] = []
    for folder, pair in zip(folders, pairs, strict=True):
        broken = pl.read_parquet(folder / "breaks.parquet").with_columns(pl.col("side").cast(pl.String))
        for end, own, other in (("left", *pair), ("right", *reversed(pair))):
            start, stop = firsts[names.index(own)], firsts[names.index(own) + 1]
            mine = places.slice(start, stop - start).with_row_index("node", offset=start)
            mine = mine.with_columns(pl.col("source").cast(pl.String))
            found = broken.filter(pl.col("side") == end).drop("side").join(mine, on=["source", "row"])
            parts.append(found.with_columns(other=pl.lit(names.index(other), dtype=pl.UInt8)).drop("source", "row"))
    return pl.concat(parts).sort("node", "other")


def _sources(folders: list[Path], table: str) -> list[str]:
    def every() -> Iterator[Any]:
        for folder in folders:
            dtype = pl.read_parquet_schema(folder / f"{table}.parquet")["source"]
            yield from dtype.categories.to_list() if isinstance(dtype, pl.Enum) else ()

    return sorted(set(every()))
