"""What a rule's conditions mean on a pair: the predicate, and how close the pair is. Exact integer arithmetic.

Pairs carry the comparable columns of both records, prefixed `l.` and `r.`.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import reduce

import polars as pl

from recon_engine.matching.comparables import MICROSECONDS_PER_DAY, columns_of
from recon_engine.plan import Condition, FieldSpec, Plan, Rule

# The closeness of one condition, as an integer: CLOSE when the values are equal, half of it at the edge of a window.
CLOSE = 1_000_000_000


def equalities(rule: Rule) -> tuple[Condition, ...]:
    """The rule's equality conditions."""
    return tuple(c for c in rule.on if c.is_equality)


def windows(rule: Rule) -> tuple[Condition, ...]:
    """The rule's tolerance conditions: within, percent, days."""
    return tuple(c for c in rule.on if not c.is_equality)


def needed_columns(plan: Plan, rules: list[Rule]) -> list[str]:
    """The comparable columns that the rules look at."""
    names = dict.fromkeys(c.field for rule in rules for c in rule.on)
    return [column for name in names for column in columns_of(plan.field(name))]


def holds(plan: Plan, rule: Rule, skip: tuple[str, ...] = ()) -> pl.Expr:
    """True where a pair satisfies every condition of the rule; null counts as not satisfied.

    Equalities of the fields in `skip` are known to hold and are not looked at.
    """
    looked_at = (c for c in rule.on if not (c.is_equality and c.field in skip))
    each = (condition_holds(plan.field(c.field), c) for c in looked_at)
    return reduce(lambda a, b: a & b, each, pl.lit(True)).fill_null(False)


def condition_holds(spec: FieldSpec, condition: Condition) -> pl.Expr:
    """True where a pair satisfies one condition, both ends of a window included; null where a value is missing."""
    left, right = pl.col(f"l.{spec.name}"), pl.col(f"r.{spec.name}")
    if condition.is_equality:
        pairs = [(pl.col(f"l.{c}"), pl.col(f"r.{c}")) for c in columns_of(spec)]
        same = [a.eq_missing(b) if condition.nulls else a == b for a, b in pairs]
        return reduce(lambda a, b: a & b, same)
    if condition.percent is None:
        low, high = window_units(spec, condition)
        return difference(spec, condition).is_between(low, high)
    # r - l between low% and high% of |l|, each also within the cap: multiplied out, so that nothing is divided.
    (low_num, high_num), denominator = _percent_fraction(condition)
    scaled = (right.cast(pl.Int128) - left) * (100 * denominator)
    size = left.cast(pl.Int128).abs()
    inside = (scaled >= size * low_num) & (scaled <= size * high_num)
    if condition.cap is not None:
        cap = _units(condition.cap, spec, ROUND_FLOOR)
        inside &= (right - left).is_between(-cap, cap)
    return inside


def difference(spec: FieldSpec, condition: Condition) -> pl.Expr:
    """Right minus left of a pair: minor units for numbers, calendar days (UTC) for `days`."""
    left, right = pl.col(f"l.{spec.name}"), pl.col(f"r.{spec.name}")
    if condition.days is None:
        return right - left
    days = [v // MICROSECONDS_PER_DAY if spec.type == "datetime" else v.cast(pl.Int64) for v in (left, right)]
    return days[1] - days[0]


def window_units(spec: FieldSpec, condition: Condition) -> tuple[int, int]:
    """The allowed window of `within` (minor units, rounded inwards) or `days`."""
    if condition.days is not None:
        return condition.days
    assert condition.within is not None
    low, high = condition.within
    return _units(low, spec, ROUND_CEILING), _units(high, spec, ROUND_FLOOR)


def weight(plan: Plan, rule: Rule) -> pl.Expr:
    """How close a pair is: the sum over the conditions of an integer from CLOSE/2 to CLOSE. Int64.

    An equality counts CLOSE. A window counts CLOSE at its ideal (the difference nearest to zero that it allows),
    falling linearly to CLOSE/2 at its farther end. The score of a match is weight / (CLOSE × conditions).
    """
    parts = [_closeness(plan.field(c.field), c) for c in windows(rule)]
    constant = pl.lit(CLOSE * len(equalities(rule)), dtype=pl.Int64)
    return reduce(lambda a, b: a + b, parts, constant)


def _closeness(spec: FieldSpec, condition: Condition) -> pl.Expr:
    half = CLOSE // 2
    if condition.percent is not None:
        (low_num, high_num), denominator = _percent_fraction(condition)
        distance = difference(spec, condition).cast(pl.Int128).abs()
        size = pl.col(f"l.{spec.name}").cast(pl.Int128).abs() * max(abs(low_num), abs(high_num))
        lost = pl.when(size > 0).then(distance * (half * 100 * denominator) // size).otherwise(0)
        if condition.cap:
            lost = pl.max_horizontal(lost, distance * half // _units(condition.cap, spec, ROUND_FLOOR))
        return CLOSE - lost.cast(pl.Int64)
    low, high = window_units(spec, condition)
    ideal = min(max(0, low), high)
    reach = max(high - ideal, ideal - low)
    if reach == 0:
        return pl.lit(CLOSE, dtype=pl.Int64)
    distance = (difference(spec, condition) - ideal).abs().cast(pl.Int128)
    return CLOSE - (distance * half // reach).cast(pl.Int64)


def _units(amount: Decimal, spec: FieldSpec, rounding: str) -> int:
    return int(amount.scaleb(spec.digits).to_integral_value(rounding=rounding))


def _percent_fraction(condition: Condition) -> tuple[tuple[int, int], int]:
    """Both percentages as integers over one denominator."""
    assert condition.percent is not None
    low, high = condition.percent
    places = max(0, *(-int(p.as_tuple().exponent) for p in (low, high)))
    return (int(low.scaleb(places)), int(high.scaleb(places))), 10**places
