"""Pairwise matches ("links") become groups over all sides: what hangs together, and what such a group is.

A pure function on frames. A node is a record, numbered through all sides; a link is a match of two sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recon_engine.matching.connected import lowest

Ids = np.typing.NDArray[np.uint64]
Labels = np.typing.NDArray[np.int64]

COMPLETE, INCOMPLETE, CONFLICT, INTERCHANGED, LEFT_OUT, NETTED = range(6)
"""What a group is: one with a record of every side; one that lacks sides; one with several records of a side that no
rule allows; one in which interchangeable records are linked to different ones, so that nobody can tell which belong
together; a record whose only links were suggested ones to a record that is in a complete group; records of one side
that cancel each other out, which no link joins.
"""
MEMBERS_SCHEMA: dict[str, Any] = {
    "link": pl.UInt32,
    "pair": pl.UInt16,
    "side": pl.UInt8,
    "node": pl.UInt32,
    "suggested": pl.Boolean,
}
NODES_SCHEMA: dict[str, Any] = {"node": pl.UInt32, "side": pl.UInt8, "group": pl.UInt32, "fate": pl.UInt8}
_KEPT = {"link": pl.UInt32, "group": pl.UInt32}


@dataclass(frozen=True, slots=True)
class Groups:
    """`nodes`: every linked record with its group (the lowest node in it) and fate; `links`: the group of each link
    that holds one together.
    """

    nodes: pl.DataFrame
    links: pl.DataFrame


def joined(members: pl.DataFrame, ids: Ids, sides: int) -> Groups:
    """Joins links to groups.

    Confirmed links speak first: a complete group of them stands, and suggested links to its records are left out. What
    is left is joined by all its links.

    Args:
        members: one row per record of a link, MEMBERS_SCHEMA.
        ids: by node, what is equal for interchangeable records of a side.
        sides: how many there are.
    """
    certain = members.filter(~pl.col("suggested"))
    first = _round(certain, ids, sides)
    if certain.height == members.height:
        return first
    settled = first.nodes.filter(pl.col("fate") == COMPLETE)
    fixed = np.zeros(len(ids), dtype=np.bool_)
    fixed[settled["node"].to_numpy()] = True
    touched = members.filter(pl.Series(fixed[members["node"].to_numpy()])).select("link").unique()
    second = _round(members.join(touched, on="link", how="anti"), ids, sides)
    known = pl.concat([settled, second.nodes])
    stranded = members.select("node", "side").unique().join(known, on="node", how="anti")
    stranded = stranded.with_columns(group="node", fate=pl.lit(LEFT_OUT, dtype=pl.UInt8)).cast(NODES_SCHEMA)  # type: ignore[arg-type]
    links = first.links.join(settled.select("group").unique(), on="group", how="semi")
    return Groups(pl.concat([known, stranded]).sort("node"), pl.concat([links, second.links]).sort("link"))


def _round(members: pl.DataFrame, ids: Ids, sides: int) -> Groups:
    if members.is_empty():
        return Groups(pl.DataFrame(schema=NODES_SCHEMA), pl.DataFrame(schema=_KEPT))
    members = members.sort("link")
    node, link = members["node"].to_numpy(), members["link"].to_numpy()
    is_first = np.r_[True, link[1:] != link[:-1]]
    heads = node[is_first][np.cumsum(is_first) - 1]
    groups = lowest(heads, node, len(ids))
    members = members.with_columns(group=pl.Series(groups[node], dtype=pl.UInt32))
    nodes = members.select("node", "side", "group").unique("node")
    fates = several_of_a_side(members).with_columns(
        fate=pl.when("conflict").then(CONFLICT).when(pl.col("sides") == sides).then(COMPLETE).otherwise(INCOMPLETE)
    )
    nodes = nodes.join(fates.select("group", pl.col("fate").cast(pl.UInt8)), on="group")
    unclear = _interchanged(members, nodes, heads, ids)
    if unclear.height:
        nodes = nodes.join(unclear, on="node", how="left", suffix="_of_all").with_columns(
            group=pl.coalesce("group_of_all", "group"),
            fate=pl.when(pl.col("group_of_all").is_not_null()).then(INTERCHANGED).otherwise("fate").cast(pl.UInt8),
        )
        members = members.drop("group").join(nodes.select("node", "group"), on="node")
    links = members.unique("link").select(*_KEPT)
    return Groups(nodes.select(*NODES_SCHEMA).cast(NODES_SCHEMA).sort("node"), links.sort("link"))  # type: ignore[arg-type]


def several_of_a_side(members: pl.DataFrame) -> pl.DataFrame:
    """Per group its number of sides, and whether it has several records of a side without a rule that allows it.

    Several are allowed where one link holds them all, or where each is the counterpart of one that such a link holds.
    `members`: link, pair, side, node, group.
    """
    held = members.group_by("group", "side").agg(n=pl.col("node").n_unique())
    summed = held.group_by("group").agg(sides=pl.len(), most=pl.col("n").max())
    crowded = summed.filter(pl.col("most") > 1).select("group")
    if crowded.is_empty():
        return summed.select("group", "sides", conflict=pl.lit(False))
    some = members.join(crowded, on="group", how="semi")
    held = held.join(crowded, on="group", how="semi").filter(pl.col("n") > 1)
    together = some.group_by("group", "side", "link").len("n")
    whole = held.join(together, on=["group", "side", "n"], how="semi")
    # Records of a side that all have a counterpart, pair by pair, on a side whose records one link holds.
    paired = some.group_by("group", "pair", "side").agg(n=pl.col("node").n_unique())
    paired = paired.join(held, on=["group", "side", "n"], how="semi")
    ends = some.select("pair", "side").unique()
    opposite = ends.join(ends, on="pair", suffix="_other").filter(pl.col("side") != pl.col("side_other"))
    carried = paired.join(opposite, on=["pair", "side"]).join(
        whole.select("group", side_other="side"), on=["group", "side_other"], how="semi"
    )
    wrong = held.join(whole, on=["group", "side"], how="anti").join(carried, on=["group", "side"], how="anti")
    conflict = pl.col("group").is_in(wrong["group"].unique().implode())
    return summed.select("group", "sides", conflict=conflict)


def _interchanged(members: pl.DataFrame, nodes: pl.DataFrame, heads: Labels, ids: Ids) -> pl.DataFrame:
    """Nodes whose groups hang on which of several interchangeable records was taken, with the group of them all.

    Two sides alone pair such records in row order, and each choice comes to the same. Over three sides it does not: two
    equal records of one side would carry over whichever records of the others they happen to be paired with.
    """
    alike = nodes.with_columns(id=pl.Series(ids[nodes["node"].to_numpy()]))
    crowds = alike.group_by("side", "id").agg(first=pl.col("node").min(), n=pl.len()).filter(pl.col("n") > 1)
    if crowds.is_empty():
        return pl.DataFrame(schema={"node": pl.UInt32, "group_of_all": pl.UInt32})
    alike = alike.join(crowds, on=["side", "id"], how="left").with_columns(kind=pl.coalesce("first", "node"))
    same = alike.drop_nulls("first")
    every = lowest(
        np.r_[heads, same["first"].to_numpy()], np.r_[members["node"].to_numpy(), same["node"].to_numpy()], len(ids)
    )
    alike = alike.with_columns(group_of_all=pl.Series(every[alike["node"].to_numpy()], dtype=pl.UInt32))
    alike = alike.filter(pl.col("first").is_not_null().any().over("group_of_all"))
    shares = alike.group_by("group_of_all", "side").agg(kinds=pl.col("kind").n_unique())
    shares = shares.group_by("group_of_all").agg(sides=pl.len(), kinds=pl.col("kinds").max())
    linked = members.join(alike.select("node", "kind", "group_of_all"), on="node")
    often = linked.group_by("group_of_all", "kind", "pair").agg(n=pl.col("link").n_unique()).filter(pl.col("n") > 1)
    unclear = shares.filter((pl.col("sides") > 2) & (pl.col("kinds") > 1)).join(often, on="group_of_all", how="semi")
    return alike.join(unclear, on="group_of_all", how="semi").select("node", "group_of_all")
