"""Columns that say the same in other codes (SIPO, household): the lookup between them, from records that agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from recon_engine.plan import FieldSpec
from recon_engine.rule_proposals import MappedField, Tables, joint_key, picked

_MOST_CODES = 50
_LEAST_SEEN = 3
# A code goes with one other code in so many of its records, and the lookup explains so many of all.
_ALWAYS, _EXPLAINED = 0.9, 0.9
_ALREADY = 0.2


def differing_codes(fields: Sequence[MappedField]) -> list[MappedField]:
    """Fields of few values that hardly occur on the other side."""
    return [
        f
        for f in fields
        if f.spec.type == "text"
        and f.pair.overlap < _ALREADY
        and all(2 <= c.distinct <= _MOST_CODES for c in (f.pair.left, f.pair.right))
    ]


def with_codes(
    tables: Tables, fields: Sequence[MappedField], keys: Sequence[MappedField], part: int
) -> list[MappedField]:
    """The fields whose codes go one to one among records that share `keys`, with the lookup among their clean steps."""
    codes = [f for f in differing_codes(fields) if f not in keys]
    if not codes or not keys:
        return []
    sides = []
    for table, side in zip(tables, ("left", "right"), strict=True):
        key = joint_key(keys, side, part)
        values = [_code(f, side).alias(f.spec.name) for f in codes]
        sides.append(picked(table.frame, key, values, part).collect(engine="streaming"))
    # Records of one key that is common on both sides would meet in all their combinations.
    unique = [s.filter(pl.col("key").is_unique()) for s in sides]
    both = max(
        (unique[0].join(sides[1], on="key", suffix="_right"), sides[0].join(unique[1], on="key", suffix="_right")),
        key=lambda f: f.height,
    )
    found = [(f, _lookup(both.select(a=f.spec.name, b=f"{f.spec.name}_right").drop_nulls())) for f in codes]
    return [_translated(f, *lookup) for f, lookup in found if lookup is not None]


def _code(mapped: MappedField, side: str) -> pl.Expr:
    column = mapped.pair.left if side == "left" else mapped.pair.right
    text = pl.col(column.name).str.strip_chars()
    return pl.when(text != "").then(text)


def _lookup(both: pl.DataFrame) -> tuple[dict[str, str], float] | None:
    counts = both.group_by("a", "b").len().with_columns(of=pl.col("len").sum().over("a"))
    sure = counts.filter((pl.col("len") >= _LEAST_SEEN) & (pl.col("len") >= _ALWAYS * pl.col("of"))).sort("a")
    translated = sure.filter(pl.col("a") != pl.col("b"))
    explained = sure["len"].sum() / max(1, both.height)
    if sure["b"].is_duplicated().any() or translated.height < 2 or explained < _EXPLAINED:
        return None
    return dict(translated.select("a", "b").rows()), float(explained)


def _translated(mapped: MappedField, lookup: dict[str, str], explained: float) -> MappedField:
    data = mapped.spec.model_dump(mode="json", exclude={"clean"})
    data["clean"] = {"left": ["trim", {"map": lookup}], "right": ["trim"]}
    reason = (
        f"{mapped.pair.reason}; {len(lookup)} codes of the left side stand for other codes of the right side in "
        f"{explained:.0%} of the records that agree in the rest"
    )
    pair = replace(mapped.pair, overlap=explained, score=max(mapped.pair.score, 0.9 * explained), reason=reason)
    return MappedField(FieldSpec.model_validate(data), pair)
