"""Why numbers and dates differ: a sign, a factor of ten, swapped day and month, a fee, or a window too narrow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.matching.candidates import with_values
from recon_engine.matching.comparables import columns_of
from recon_engine.matching.conditions import condition_holds, difference, window_units
from recon_engine.outcome.cause_kinds import FACTOR, SIGN, SWAP, WIDER, WINDOW, Cause, Missed, every_pair, without
from recon_engine.outcome.fees import fees
from recon_engine.outcome.near_misses import OpenSides
from recon_engine.outcome.reasons import allowed_by, decimal_text
from recon_engine.plan import Condition, FieldSpec, SideName, TimesStep
from recon_engine.plan_changes import SideSteps, clean_change, cleaned_rule_change, condition_change, rule_change

_FACTORS = (10, 100, 1000)
# A wider window is no cause where values are further apart than this: days, and a share of the larger value.
_MOST_DAYS, _MOST_SHARE = 31, 10
_MOST = 0.9


def value_causes(sides: OpenSides, spec: FieldSpec, missed: list[Missed]) -> Iterator[Cause]:
    """The causes of near misses on one field of numbers or dates; each pair has one."""
    for cause in _turned(sides, spec, missed):
        missed = without(missed, cause.pairs)
        yield cause
    if spec.type in ("decimal", "integer"):
        for cause in fees(sides, spec, missed):
            missed = without(missed, cause.pairs)
            yield cause
    yield from _windows(sides, spec, missed)


def _turned(sides: OpenSides, spec: FieldSpec, missed: list[Missed]) -> Iterator[Cause]:
    """Values that agree after one more clean step on one side."""
    for size, told, steps in _steps(sides, spec):
        fitting = []
        for m in missed:
            pairs = with_values(m.pairs, sides.left, sides.right, columns_of(spec))
            after = pairs.with_columns(_stepped(spec, side, steps[side]) for side in steps)
            fits = after.filter(condition_holds(spec, m.condition).fill_null(False)).select("l", "r")
            if fits.height:
                fitting.append(Missed(m.number, m.rule, m.condition, fits))
        if not fitting:
            continue
        best = max(fitting, key=lambda m: (m.pairs.height, -m.number))
        if size == SIGN and not best.condition.sign and not best.condition.net_of:
            turned = best.condition.model_copy(update={"sign": "opposite"})
            own = rule_change(sides.plan, best.rule, best.condition, turned, f"{spec.name} with the opposite sign")
        else:
            own = cleaned_rule_change(sides.plan, best.rule, best.condition, steps, told)
        cause = Cause(told, size, (clean_change(spec.name, steps), own), every_pair(fitting))
        missed = without(missed, cause.pairs)
        yield cause


def _steps(sides: OpenSides, spec: FieldSpec) -> Iterator[tuple[int, str, SideSteps]]:
    if spec.type in ("date", "datetime"):
        yield SWAP, f"{spec.name} has day and month swapped", {"right": ("swap_day_month",)}
        return
    yield SIGN, f"{spec.name} has the opposite sign", {"right": ("negate",)}
    names: tuple[SideName, SideName] = ("left", "right")
    for factor in _FACTORS:
        for side, other in (names, names[::-1]):
            told = f"{spec.name} is {factor} times larger in {sides.plan.side(other).label}"
            yield FACTOR, told, {side: (TimesStep(times=factor),)}


def _stepped(spec: FieldSpec, side: SideName, steps: tuple[object, ...]) -> pl.Expr:
    column = f"{side[0]}.{spec.name}"
    value = pl.col(column)
    if spec.type == "date":
        return cleaned(value.cast(pl.Date), steps).to_physical().cast(pl.Int32).alias(column)  # type: ignore[arg-type]
    if spec.type == "datetime":
        moment = cleaned(value.cast(pl.Datetime("us")), steps)  # type: ignore[arg-type]
        return moment.to_physical().cast(pl.Int64).alias(column)
    return cleaned(value, steps).alias(column)  # type: ignore[arg-type]


def _windows(sides: OpenSides, spec: FieldSpec, missed: list[Missed]) -> Iterator[Cause]:
    """The window that covers most of the near misses, and the one that covers all; of the rules that already have a
    window first: it has the shortest way to go.
    """
    while missed:
        m = min(missed, key=lambda m: (m.condition.is_equality, -m.pairs.height, m.number))
        missed = [other for other in missed if other is not m]
        near = _nearest(sides, spec, m)
        if near.is_empty():
            continue
        cut = near["far"].sort().head(math.ceil(_MOST * near.height)).max()
        for size, part in ((WINDOW, near.filter(pl.col("far") <= cut)), (WIDER, near.filter(pl.col("far") > cut))):
            if part.is_empty():
                continue
            reach = near.filter(pl.col("far") <= part["far"].max())
            new, told = _wider(spec, m.condition, reach)
            own = rule_change(sides.plan, m.rule, m.condition, new, told)
            in_place = () if m.condition.is_equality else (condition_change(m.rule, m.condition, new),)
            yield Cause(_told(sides, spec, m, part), size, (*in_place, own), part.select("l", "r"))
        missed = without(missed, near.select("l", "r"))


def _nearest(sides: OpenSides, spec: FieldSpec, missed: Missed) -> pl.DataFrame:
    """The pairs that are nearest to each other: d (right minus left, beyond any sign or fee), far (the size of what is
    beyond the window), size (of the larger value).
    """
    condition = missed.condition
    if spec.type in ("date", "datetime") and condition.days is None:
        condition = Condition(field=spec.name, days=(0, 0))
    pairs = with_values(missed.pairs, sides.left, sides.right, columns_of(spec))
    left, right = pl.col(f"l.{spec.name}"), pl.col(f"r.{spec.name}")
    low, high = (0, 0) if condition.percent is not None else window_units(spec, condition)
    d = difference(spec, condition).cast(pl.Int64)
    measured = pairs.with_columns(d=d, size=pl.max_horizontal(left.cast(pl.Int64).abs(), right.cast(pl.Int64).abs()))
    measured = measured.with_columns(far=pl.max_horizontal(pl.col("d") - high, low - pl.col("d"), 0)).drop_nulls("d")
    if condition.days is not None:
        measured = measured.filter(pl.col("far") <= _MOST_DAYS)
    else:
        measured = measured.filter(pl.col("d").abs() <= pl.col("size") // _MOST_SHARE)
    is_nearest = [pl.col("far") == pl.col("far").min().over(side) for side in "lr"]
    return measured.filter(is_nearest[0] & is_nearest[1]).select("l", "r", "d", "far", "size", left.alias("left"))


def _wider(spec: FieldSpec, condition: Condition, near: pl.DataFrame) -> tuple[Condition, str]:
    """The condition with the smallest window that has room for these pairs too, and how it is called."""
    low, high = int(near["d"].min()), int(near["d"].max())  # type: ignore[arg-type]
    if condition.percent is not None:
        old = condition.percent
        share = 10_000 * near["d"].cast(pl.Float64) / near["left"].cast(pl.Float64).abs()
        ends = (
            min(old[0], Decimal(share.floor().cast(pl.Int64).min()).scaleb(-2)),  # type: ignore[arg-type]
            max(old[1], Decimal(share.ceil().cast(pl.Int64).max()).scaleb(-2)),  # type: ignore[arg-type]
        )
        cap = condition.cap
        if cap is not None:
            cap = max(cap, Decimal(max(-low, high)).scaleb(-spec.digits))
        new = condition.model_copy(update={"percent": ends, "cap": cap})
        return new, f"{spec.name} up to {max(-ends[0], ends[1]).normalize():f} %"
    if spec.type in ("date", "datetime"):
        old_days = condition.days or (0, 0)
        days = (min(low, old_days[0], 0), max(high, old_days[1], 0))
        new = Condition(field=spec.name, days=days)
        return new, f"{spec.name} within {_span(days, 0)} days"
    units = window_units(spec, condition)
    amounts = (min(low, units[0]), max(high, units[1]))
    exact = (Decimal(amounts[0]).scaleb(-spec.digits), Decimal(amounts[1]).scaleb(-spec.digits))
    new = condition.model_copy(update={"within": exact})
    return new, f"{spec.name} within {_span(amounts, spec.digits)}"


def _span(ends: tuple[int, int], digits: int) -> str:
    low, high = (decimal_text(v, digits) if digits else str(v) for v in ends)
    return high if ends[0] == -ends[1] else f"{low} to {high}"


def _told(sides: OpenSides, spec: FieldSpec, missed: Missed, near: pl.DataFrame) -> str:
    sizes = near["d"].abs()
    digits = 0 if spec.type in ("date", "datetime") else spec.digits
    low, high = int(sizes.min()), int(sizes.max())  # type: ignore[arg-type]
    span = _span((low, high), digits) if low != high else _span((-high, high), digits)
    unit = "" if spec.type not in ("date", "datetime") else " day" if high == 1 else " days"
    allowed = allowed_by(sides.plan, missed.condition).replace("the rule", f"rule '{missed.rule.name}'", 1)
    return f"{spec.name} is {span}{unit} apart{allowed}"
