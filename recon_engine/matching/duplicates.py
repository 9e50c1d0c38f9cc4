"""Records of one side that are the same thing twice: equal, or near, in the fields that the plan names."""

from __future__ import annotations

import numpy as np
import polars as pl

from recon_engine.matching.candidates import search
from recon_engine.matching.comparables import columns_of
from recon_engine.matching.conditions import Rarities
from recon_engine.matching.connected import lowest
from recon_engine.plan import Plan, Rule

DUPLICATES_SCHEMA = {"group": pl.UInt32, "i": pl.UInt32}
"""One row per record of a group of two or more: `group` is the lowest position in it."""


def duplicates(plan: Plan, rule: Rule, table: pl.DataFrame, known: Rarities) -> tuple[pl.DataFrame, int]:
    """Groups of records (`__i`, comparable columns) that satisfy the rule's conditions with each other.

    What is near is not transitive: a group is everything connected. DUPLICATES_SCHEMA, sorted; and how many records
    share their keys with too many others to be compared with them.
    """
    place, uncompared = pl.col("__i").cast(pl.UInt32), 0
    if all(c.is_equality for c in rule.on):
        names = [column for c in rule.on for column in columns_of(plan.field(c.field))]
        known_values = table.drop_nulls([n for n in names if n not in _nullable(plan, rule)])
        grouped = known_values.group_by(names).agg(i=place.sort())
        twins = grouped.filter(pl.col("i").list.len() > 1).select(group=pl.col("i").list.first(), i="i").explode("i")
    else:
        records = table.with_columns(i=place)
        pairs, capped = search(plan, rule, records, records, known)
        uncompared = capped["i"].n_unique()
        pairs = pairs.filter(pl.col("l") < pl.col("r"))
        if pairs.is_empty():
            return pl.DataFrame(schema=DUPLICATES_SCHEMA), uncompared
        ends = pairs["l"].to_numpy(), pairs["r"].to_numpy()
        twin = np.unique(np.concatenate(ends))
        twins = pl.DataFrame({"group": lowest(*ends, int(twin[-1]) + 1)[twin], "i": twin})
    return twins.cast(DUPLICATES_SCHEMA).sort("group", "i"), uncompared  # type: ignore[arg-type]


def _nullable(plan: Plan, rule: Rule) -> set[str]:
    return {column for c in rule.on if c.nulls for column in columns_of(plan.field(c.field))}
