"""How far a pair is from what a condition asks, in numbers and in words. Pairs carry `l.*` and `r.*` columns."""

from __future__ import annotations

import polars as pl

from recon_engine.matching.conditions import difference, likeness_column, window_units
from recon_engine.outcome.differences import units_text
from recon_engine.plan import Condition, Plan


def size_of(plan: Plan, condition: Condition) -> pl.Expr:
    """How far apart the values are, in minor units, days, or microseconds; null where a value is missing."""
    spec = plan.field(condition.field)
    if spec.type in ("text", "boolean") or condition.is_text:
        return pl.lit(None, dtype=pl.Int64)
    if spec.type == "date" or condition.days is not None:
        condition = Condition(field=condition.field, days=condition.days or (0, 0))
    return difference(spec, condition)


def distance_of(plan: Plan, condition: Condition) -> pl.Expr:
    """How far apart the values are, in the field's own unit: money, days, seconds; what likeness lacks, of 1."""
    if condition.at_least is not None:
        return (condition.at_least - pl.col(likeness_column(condition))).round(6)
    spec = plan.field(condition.field)
    scale = 10**spec.digits if spec.type == "decimal" else 86_400_000_000 if _is_instant(plan, condition) else 1
    return size_of(plan, condition).abs() / scale


def _is_instant(plan: Plan, condition: Condition) -> bool:
    return plan.field(condition.field).type == "datetime" and condition.days is None


def excess_of(plan: Plan, condition: Condition, own: str) -> pl.Expr:
    """How far outside the window, against a natural size (a tenth of the value of the `own` record, l or r, or a week):
    comparable across conditions.
    """
    spec = plan.field(condition.field)
    size = size_of(plan, condition)
    if condition.is_text:
        return (1 - pl.col(likeness_column(condition))).fill_null(1.0) * 10
    if condition.percent is None and not condition.is_equality:
        low, high = window_units(spec, condition)
        size = pl.max_horizontal(size - high, low - size)
    size = size.abs().cast(pl.Float64)
    if spec.type in ("decimal", "integer"):
        natural = (pl.col(f"{own}.{spec.name}").abs().cast(pl.Float64) / 10).clip(lower_bound=1.0)
        return (size / natural).fill_null(1e9)
    natural_size = 7 * 86_400_000_000 if _is_instant(plan, condition) else 7
    return (size / natural_size).fill_null(1e9)


def failure_of(plan: Plan, condition: Condition) -> pl.Expr:
    """One sentence part: what differs, by how much, and what the rule allows."""
    spec = plan.field(condition.field)
    name = spec.name
    if condition.found_in is not None:
        place = "the text of the other side" if condition.found_in == name else condition.found_in
        return pl.lit(f"{name} is not found in {place}")
    if condition.similarity is not None:
        alike = short_of(pl.col(likeness_column(condition)), condition.at_least or 1.0)
        asked = pl.lit(f" alike ({condition.similarity}), the rule asks {condition.at_least:g}")
        return pl.coalesce(pl.lit(f"{name} is ") + alike + asked, pl.lit(f"{name} is empty on one side"))
    left, right = pl.col(f"l.{name}"), pl.col(f"r.{name}")
    size = size_of(plan, condition)
    if spec.type in ("decimal", "integer"):
        after = " after the fee" if condition.net_of else " from the opposite" if condition.sign else ""
        apart = units_text(size.abs(), spec.digits)
        text = pl.lit(f"{name} differs by ") + apart + pl.lit(after + allowed_by(plan, condition))
    elif _is_instant(plan, condition):
        seconds = (size.abs() // 1_000_000).cast(pl.String)
        text = (
            pl.lit(f"{name} is ")
            + seconds
            + pl.when(size > 0).then(pl.lit(" seconds later")).otherwise(pl.lit(" seconds earlier"))
            + pl.lit(allowed_by(plan, condition))
        )
    elif spec.type in ("date", "datetime"):
        unit = pl.when(size.abs() == 1).then(pl.lit(" day ")).otherwise(pl.lit(" days "))
        later = pl.when(size > 0).then(pl.lit("later")).otherwise(pl.lit("earlier"))
        text = pl.lit(f"{name} is ") + size.abs().cast(pl.String) + unit + later + pl.lit(allowed_by(plan, condition))
    else:
        text = pl.lit(f"{name} differs")
    return pl.when(left.is_null() | right.is_null()).then(pl.lit(f"{name} is empty on one side")).otherwise(text)


def short_of(share: pl.Expr, asked: float) -> pl.Expr:
    """A share that is less than `asked`, as text: rounded down, so that it never reads as what is asked."""
    steps: int = 10 ** max(2, len(f"{asked:g}".partition(".")[2]))
    return ((share * steps + 1e-9).floor() / steps).cast(pl.String)


def allowed_by(plan: Plan, condition: Condition) -> str:
    """What the rule allows, as the end of a sentence."""
    if condition.is_equality:
        return ", the rule allows none"
    if condition.percent is not None:
        low, high = (f"{v.normalize():f}" for v in condition.percent)
        cap = f", at most {condition.cap:f}" if condition.cap is not None else ""
        return (
            f", the rule allows {high} %{cap}" if low == f"-{high}" else f", the rule allows {low} % to {high} %{cap}"
        )
    spec = plan.field(condition.field)
    digits = 0 if condition.days is not None else spec.digits
    units = window_units(spec, condition)
    low, high = (decimal_text(v, digits) if digits else str(v) for v in units)
    if units[0] == -units[1]:
        return f", the rule allows {high}" if units[1] else ", the rule allows none"
    return f", the rule allows {low} to {high}"


def decimal_text(units: int, digits: int) -> str:
    """Minor units as exact decimal text."""
    sign = "-" if units < 0 else ""
    whole, part = divmod(abs(units), 10**digits)
    return f"{sign}{whole}.{part:0{digits}d}"
