"""The records that can say anything about the open ones: found in one pass, so that large files are not read again."""

from __future__ import annotations

from functools import reduce

import numpy as np
import polars as pl

from recon_engine.matching.candidates import join_key
from recon_engine.matching.comparables import ID, at
from recon_engine.outcome.matches import OPEN
from recon_engine.plan import Plan, Rule

# The more bins a record has, the fewer others share one by chance; a bin takes a byte while they are filled.
_BINS_EACH, _MOST_BINS = 64, 1 << 28
KEY_TYPES = ("text", "integer", "boolean")
Frames = tuple[pl.LazyFrame, pl.LazyFrame]


def keys_of(plan: Plan, rule: Rule) -> tuple[str, ...]:
    """The rule's equality fields that identify records, rather than measure them."""
    return tuple(c.field for c in rule.on if c.is_equality and plan.field(c.field).type in KEY_TYPES)


def relevant(
    plan: Plan, frames: Frames, still_open: tuple[pl.DataFrame, pl.DataFrame], named: tuple[pl.Series, pl.Series]
) -> Frames:
    """Of both sides (`__i`, `__id`, `__state`, comparable columns) the records that matter, in order of position.

    Those are: the open ones, those equal in every field to one of them, those that share a rule's keys with an open one
    of the other side, and those at the positions `named`. A few others may be among them. Where texts are likened, all
    records are.
    """
    if any(rule.text_fields for rule in plan.rules):
        return frames
    keys = dict.fromkeys(keys_of(plan, rule) for rule in plan.rules if rule.total is None)
    kept = []
    for own, frame in enumerate(frames):
        mine, theirs = still_open[own], still_open[1 - own]
        flags = np.zeros(int(frame.select(pl.col("__i").max()).collect(engine="streaming").item() or 0) + 1, np.bool_)
        flags[named[own].to_numpy()] = True
        wanted = [pl.col("__state") == OPEN, at(pl.Series(flags)), _among(pl.col(ID), mine)]
        wanted += [_among(join_key(plan, (), names), theirs) for names in keys if names]
        matter = reduce(lambda a, b: a | b, wanted)
        kept.append(frame.filter(matter).collect(engine="streaming").sort("__i").lazy())
    return kept[0], kept[1]


def _among(key: pl.Expr, records: pl.DataFrame) -> pl.Expr:
    """True where the UInt64 `key` is that of one of the records, seldom where it is not: it shares a bin with one."""
    bins = min(_MOST_BINS, 1 << max(10, (_BINS_EACH * records.height).bit_length()))
    there = np.zeros(bins, dtype=np.bool_)
    there[records.select((key % bins).drop_nulls()).to_series().to_numpy()] = True
    found = pl.Series(there)
    return (key % bins).map_batches(found.gather, return_dtype=pl.Boolean, is_elementwise=True).fill_null(False)
