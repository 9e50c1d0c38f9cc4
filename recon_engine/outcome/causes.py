"""What would make the breaks match: the smallest change for each, and over all the causes by rows and by money, each
with what it would do to the whole file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from recon_engine.errors import PlanError
from recon_engine.outcome.blast import Ran, blast_of, effort
from recon_engine.outcome.cause_kinds import Cause, Missed
from recon_engine.outcome.conservation import CURRENCY, currency_of
from recon_engine.outcome.matches import OPEN
from recon_engine.outcome.near_misses import OpenSides, near_misses
from recon_engine.outcome.text_causes import text_causes
from recon_engine.outcome.value_causes import value_causes
from recon_engine.plan import SIDES, Condition, Plan
from recon_engine.plan_changes import Change

MOST_CAUSES, MOST_TRIED = 20, 8
# The records that are matched again to see what the changes would do, all together.
MOST_EFFORT = 2_000_000
# In larger files the texts of keys are not read again.
MOST_RECORDS = 4_000_000
# A cause comes before others only where so many of its records match once it is mended.
_HELPS = 0.05


@dataclass(slots=True)
class Causes:
    """`ranked`: what summary.json tells, the best cause first; `sentence`: per side and open record in order of
    position, its cause or null; `note`: what was left out, in words.
    """

    ranked: list[dict[str, Any]] = field(default_factory=list)
    sentence: pl.Series = field(default_factory=lambda: pl.Series("cause", [], dtype=pl.String))
    note: str | None = None


def causes(ran: Ran) -> Causes:
    """The causes of a run's breaks. They do not depend on the order of rows, and cost nothing without open records on
    both sides.
    """
    tables = ran.still_open
    nothing = pl.Series("cause", [None], dtype=pl.String).new_from_index(0, sum(table.height for table in tables))
    if any(table.is_empty() for table in tables):
        return Causes(sentence=nothing)
    sides = OpenSides(ran.plan, tables[0], tables[1], ran.known)
    left_out: list[str] = []
    assigned = _assigned(list(_found(sides, ran, left_out)), (tables[0].height, tables[1].height))
    if not assigned:
        return Causes(sentence=nothing, note=_note(sides, left_out))
    amounts = _amounts(ran)
    ranked = []
    for cause, rows in assigned:
        money = amounts.filter(pl.Series(rows)).group_by(CURRENCY).agg(pl.col("units").sum()).sort(CURRENCY)
        ranked.append((cause, rows, dict(money.iter_rows())))
    ranked.sort(key=lambda c: (-int(c[1].sum()), -sum(c[2].values()), c[0].size, c[0].sentence))
    number = np.full(len(nothing), len(ranked), dtype=np.uint32)  # the one behind the last: none
    for k, (_, rows, _) in enumerate(ranked):
        number[rows.to_numpy()] = k
    sentences = pl.Series("cause", [*(c.sentence for c, _, _ in ranked), None], dtype=pl.String)
    told = [_told(ran, *cause) for cause in ranked[:MOST_CAUSES]]
    _with_blasts(ran, told, [c for c, _, _ in ranked])
    told.sort(key=_hardly_helps)
    return Causes(told, sentences.gather(pl.Series(number)), _note(sides, left_out))


def _found(sides: OpenSides, ran: Ran, left_out: list[str]) -> Iterator[Cause]:
    """Causes field by field: of the near misses of every one-to-one rule on its conditions. Keys of text
    that are not compared come into `left_out`.
    """
    missed: dict[str, list[Missed]] = {}
    for number, rule in enumerate(ran.plan.rules):
        if rule.link is not None or rule.total is not None:
            continue
        for condition in rule.on:
            if not _is_tried(ran.plan, condition):
                continue
            pairs = near_misses(sides, rule, condition)
            if pairs.height:
                missed.setdefault(condition.field, []).append(Missed(number, rule, condition, pairs))
    for name, mine in missed.items():
        spec = ran.plan.field(name)
        if spec.type != "text":
            yield from value_causes(sides, spec, mine)
        elif sum(len(s) for s in ran.state) <= MOST_RECORDS:
            yield from text_causes(sides, spec, mine, ran.records)
        else:
            left_out.append(name)


def _is_tried(plan: Plan, condition: Condition) -> bool:
    kind = plan.field(condition.field).type
    return kind != "boolean" and not condition.is_text and condition.nulls is None


def _assigned(found: list[Cause], heights: tuple[int, int]) -> list[tuple[Cause, pl.Series]]:
    """Each open record goes to its smallest change; per cause that has any, which ones (left, then right)."""
    taken = pl.Series([False]).new_from_index(0, sum(heights))
    kept = []
    for cause in sorted(found, key=lambda c: (c.size, -c.pairs.height, c.sentence)):
        rows = pl.concat([cause.pairs["l"].cast(pl.Int64), cause.pairs["r"].cast(pl.Int64) + heights[0]]).unique()
        mine = pl.Series([False]).new_from_index(0, sum(heights)).scatter(rows, True) & ~taken
        if mine.any():
            kept.append((cause, mine))
            taken = taken | mine
    return kept


def _amounts(ran: Ran) -> pl.DataFrame:
    """The currency of each open record, and the size of its first decimal field in minor units."""
    money = next((f for f in ran.plan.fields if f.type == "decimal"), None)
    frames = []
    for side, typed, state in zip(SIDES, ran.records, ran.state, strict=True):
        units = pl.lit(0) if money is None else pl.col(money.name).to_physical().cast(pl.Int64).abs().fill_null(0)
        placed = pl.concat([typed, state.alias("__state").to_frame().lazy()], how="horizontal").with_row_index("__i")
        wanted = currency_of(ran.plan, side), units.cast(pl.Int128).alias("units")
        still_open = placed.filter(pl.col("__state") == OPEN).select("__i", *wanted)
        frames.append(still_open.collect(engine="streaming").sort("__i").drop("__i"))
    return pl.concat(frames)


def _told(ran: Ran, cause: Cause, rows: pl.Series, money: dict[str, int]) -> dict[str, Any]:
    spec = next((f for f in ran.plan.fields if f.type == "decimal"), None)
    amount = {} if spec is None else {c: f"{Decimal(v).scaleb(-spec.digits):f}" for c, v in money.items()}
    return {"cause": cause.sentence, "change": cause.changes[0], "rows": int(rows.sum()), "amount": amount}


def _with_blasts(ran: Ran, told: list[dict[str, Any]], ranked: list[Cause]) -> None:
    """Adds to each cause its blast radius; of several changes the one that does best is kept."""
    spent = 0
    for number, (cause, entry) in enumerate(zip(ranked, told, strict=False)):
        tried: list[tuple[Change, dict[str, int]]] = []
        reason = f"only the first {MOST_TRIED} causes are tried on the whole file"
        for change in cause.changes if number < MOST_TRIED else ():
            needed = effort(ran, change)
            if spent + needed > MOST_EFFORT:
                reason = f"trying it would match {needed:,} records again; {MOST_EFFORT:,} is the most for all causes"
                continue
            spent += needed
            try:
                tried.append((change, blast_of(ran, change)))
            except PlanError as error:
                reason = str(error)
                continue
            if not tried[-1][1]["lost_matches"] and not tried[-1][1]["new_ambiguous"]:
                break
        if tried:
            entry["change"], entry["blast"] = max(tried, key=lambda t: _gain(t[1]))
        else:
            entry["blast"], entry["not_tried"] = None, reason


def _hardly_helps(entry: Mapping[str, Any]) -> bool:
    """Whether a change that fits many pairs makes hardly any match on the whole file: it explains by accident."""
    blast = entry["blast"]
    return blast is not None and 2 * _gain(blast)[0] < _HELPS * entry["rows"]


def _gain(blast: dict[str, int]) -> tuple[int, int]:
    return blast["new_matches"] - blast["lost_matches"], -blast["new_ambiguous"]


def _note(sides: OpenSides, left_out: list[str]) -> str | None:
    parts = []
    heights = sides.left.height, sides.right.height
    if sides.looked_at != heights:
        parts.append(
            f"of {heights[0]:,} and {heights[1]:,} open records, {sides.looked_at[0]:,} and {sides.looked_at[1]:,} "
            "were looked at, picked by their content"
        )
    if left_out:
        parts.append(f"the texts of {', '.join(left_out)} were not compared, the files are too large")
    return f"causes of breaks: {'; '.join(parts)}" if parts else None
