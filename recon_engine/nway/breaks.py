"""Open records of a run over named sides, each with the sides that are missing and why."""

from __future__ import annotations

import polars as pl

from recon_engine.nway.groups import CONFLICT, INCOMPLETE, INTERCHANGED, LEFT_OUT
from recon_engine.nway.tables import named
from recon_engine.outcome.breaks import CATEGORY

# Of several missing sides, the one that tells most gives the category.
_TELLING = ["ambiguous", "value_mismatch", "one_sided_total", "duplicate", "missing_counterpart"]
_LISTED = 6
_TOGETHER = {
    CONFLICT: "hang together, which is more than one record of a side, and no rule allows that",
    INTERCHANGED: "hang together through records equal in every mapped field: which belong to which cannot be told",
    LEFT_OUT: "its only links were suggested, to a record that is in a confirmed match",
}


def breaks_table(
    unmatched: pl.DataFrame,
    why: pl.DataFrame,
    names: list[str],
    titles: list[str],
    places: pl.DataFrame,
    excluded: pl.DataFrame,
    tied: pl.DataFrame,
) -> pl.DataFrame:
    """The breaks table, one row per open record.

    `unmatched`: node, side, group, fate of every open record (its own group and INCOMPLETE where it has no link);
    `why`: the breaks of the pairs by node and `other` side; `titles`: what people call the sides; `places`: by node;
    `excluded`: node, kept of the duplicates that were left out of matching; `tied`: node, and why a rule that nets its
    side left it open (tied).
    """
    groups = unmatched.group_by("group").agg(
        pl.col("side").unique().alias("present"), pl.len().alias("records"), pl.col("node").sort().head(_LISTED)
    )
    told = _listed(groups, places)
    missing = _missing(unmatched, groups, len(names))
    explained = _explained(missing, unmatched, why, titles, places)
    table = (
        unmatched.sort("node")
        .join(groups.select("group", "records"), on="group", how="left", maintain_order="left")
        .join(told, on="group", how="left", maintain_order="left")
        .join(explained, on="node", how="left", maintain_order="left")
        .join(excluded, on="node", how="left", maintain_order="left")
        .join(tied, on="node", how="left", maintain_order="left")
    )
    is_excluded, kept = pl.col("kept").is_not_null(), table["kept"].fill_null(0)
    kept_place = places["source"].gather(kept).cast(pl.String), places["row"].gather(kept)
    unclear = pl.col("fate") != INCOMPLETE
    together = pl.col("fate").replace_strict(_TOGETHER, default=None, return_dtype=pl.String)
    linked = pl.when(pl.col("records") > 1).then(pl.format("; {} belong together", "listed")).otherwise(pl.lit(""))
    reason = (
        pl.when(is_excluded)
        .then(pl.format("a duplicate of {} row {}, left out of matching as the plan says", *kept_place))
        .when(pl.col("fate") == LEFT_OUT)
        .then(together)
        .when(unclear)
        .then(pl.format("{} {}", "listed", together))
        .when(pl.col("tied").is_not_null())
        .then(pl.concat_str("tied", pl.lit("; "), "told", linked))
        .otherwise(pl.concat_str("told", linked))
    )
    return table.select(
        named("side", names),
        places["source"].gather(table["node"]).cast(pl.String).alias("source"),
        places["row"].gather(table["node"]).alias("row"),
        pl.when(is_excluded)
        .then(pl.lit("duplicate"))
        .when(unclear | pl.col("tied").is_not_null())
        .then(pl.lit("ambiguous"))
        .otherwise(pl.col("category").cast(pl.String))
        .cast(CATEGORY)
        .alias("category"),
        reason.alias("reason"),
        "nearest_row",
        "nearest_rule",
        "nearest_distance",
        "cause",
        pl.col("missing").list.eval(named("", names).cast(pl.String)).list.join(", ").fill_null("").alias("missing"),
        named("nearest_side", names),
        "nearest_source",
    )


def _listed(groups: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Per group its records in words."""
    every = groups.select("group", "records", "node").explode("node")
    words = every.with_columns(
        word=pl.format(
            "{} row {}", places["source"].gather(every["node"]).cast(pl.String), places["row"].gather(every["node"])
        )
    )
    listed = words.group_by("group", "records", maintain_order=True).agg(pl.col("word").str.join(", "))
    more = pl.when(pl.col("records") > _LISTED).then(pl.format(" and {} more", pl.col("records") - _LISTED))
    return listed.select("group", listed=pl.concat_str("word", more.otherwise(pl.lit(""))))


def _missing(unmatched: pl.DataFrame, groups: pl.DataFrame, sides: int) -> pl.DataFrame:
    """Node, group and `other`: each side that a record's group has no record of."""
    held = unmatched.join(groups.select("group", "present"), on="group")
    absent = [
        held.filter(~pl.col("present").list.contains(side)).select(
            "node", "group", "side", other=pl.lit(side, dtype=pl.UInt8)
        )
        for side in range(sides)
    ]
    return pl.concat(absent).sort("node", "other")


def _explained(
    missing: pl.DataFrame, unmatched: pl.DataFrame, why: pl.DataFrame, titles: list[str], places: pl.DataFrame
) -> pl.DataFrame:
    """Per node: `told` in words why sides are missing, `missing`, and the category and nearest record of the most
    telling one. What keeps a record from a side can be known of it, or of a record that it belongs together with.
    """
    own = why.select(
        "node",
        "other",
        "category",
        "reason",
        "nearest_row",
        "nearest_rule",
        "nearest_distance",
        "cause",
        "nearest_source",
    )
    of_group = (
        own.join(unmatched.select("node", "group"), on="node", maintain_order="left")
        .select("group", "other", "reason", partner="node")
        .unique(["group", "other"], keep="first", maintain_order=True)
    )
    rows = missing.join(own, on=["node", "other"], how="left", maintain_order="left").join(
        of_group, on=["group", "other"], how="left", suffix="_of_group", maintain_order="left"
    )
    at = rows["partner"].fill_null(0)
    partner = pl.format("{} row {}: ", places["source"].gather(at).cast(pl.String), places["row"].gather(at))
    side = pl.col("other").replace_strict(dict(enumerate(titles)), return_dtype=pl.String)
    rows = rows.with_columns(
        text=pl.when(pl.col("reason").is_not_null())
        .then(pl.format("missing in {}: {}", side, "reason"))
        .when(pl.col("partner").is_not_null())
        .then(pl.concat_str(pl.format("missing in {}: ", side), partner, "reason_of_group"))
        .otherwise(pl.format("missing in {}, which only records of other sides lead to", side)),
        rank=pl.col("category")
        .cast(pl.String)
        .replace_strict({name: k for k, name in enumerate(_TELLING)}, default=len(_TELLING), return_dtype=pl.UInt8),
    )
    best = rows.sort("node", "rank", "other").unique("node", keep="first", maintain_order=True)
    summed = rows.group_by("node", maintain_order=True).agg(told=pl.col("text").str.join("; "), missing="other")
    nearest = pl.when(pl.col("nearest_row").is_not_null()).then("other")
    return summed.join(
        best.select(
            "node",
            pl.col("category").cast(pl.String).fill_null("missing_counterpart"),
            "nearest_row",
            "nearest_rule",
            "nearest_distance",
            "cause",
            "nearest_source",
            nearest_side=nearest,
        ),
        on="node",
    )
