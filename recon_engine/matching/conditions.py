"""What a rule's conditions mean on a pair: the predicate, and how close the pair is. Exact integer arithmetic.

Pairs carry the comparable columns of both records, prefixed `l.` and `r.`.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import reduce

import polars as pl

from recon_engine.matching import references, text_parts, texts
from recon_engine.matching.comparables import MICROSECONDS_PER_DAY, columns_of, text_column
from recon_engine.plan import Condition, FieldSpec, Plan, Rule

# What is known of the rarity of words and trigrams, by field and method.
Rarities = dict[tuple[str, str], text_parts.Rarity]
_ROUNDING = 1e-12
# No two values of 18 digits are farther apart: a wider window is the same as this one, which fits 64 bits.
_FARTHEST = 2 * 10**18

# The closeness of one condition, as an integer: CLOSE when the values are equal, half of it at the edge of a window.
CLOSE = 1_000_000_000


def equalities(rule: Rule) -> tuple[Condition, ...]:
    """The rule's equality conditions."""
    return tuple(c for c in rule.on if c.is_equality)


def windows(rule: Rule) -> tuple[Condition, ...]:
    """The rule's tolerance conditions: within, percent, days; also an exact value after a sign or a fee."""
    return tuple(c for c in rule.on if c.is_window)


def likenesses(rule: Rule) -> tuple[Condition, ...]:
    """The rule's conditions on the likeness of texts."""
    return tuple(c for c in rule.on if c.is_text)


def needed_columns(plan: Plan, rules: list[Rule]) -> list[str]:
    """The comparable columns that the rules look at."""
    names = dict.fromkeys(c.field for rule in rules for c in rule.on if not c.is_text)
    texts = dict.fromkeys(text_column(n) for rule in rules for n in rule.text_fields)
    return [*(column for name in names for column in columns_of(plan.field(name))), *texts]


def with_likeness(pairs: pl.DataFrame, rule: Rule, known: Rarities) -> pl.DataFrame:
    """The pairs with the likeness (0-1) of each condition on texts as a column, for `holds` and `weight`.

    Columns that are there already stay.
    """
    wanted = (c for c in likenesses(rule) if likeness_column(c) not in pairs.columns)
    return pairs.with_columns(likeness_of(pairs, c, known).alias(likeness_column(c)) for c in wanted)


def likeness_of(pairs: pl.DataFrame, condition: Condition, known: Rarities) -> pl.Series:
    """The likeness (0-1) of one condition on texts; null where a text is missing."""
    name = condition.field
    if condition.found_in is not None:
        other = condition.found_in
        ways = [
            (f"l.{text_column(name)}", f"r.{text_column(other)}"),
            (f"r.{text_column(name)}", f"l.{text_column(other)}"),
        ]
        return references.found(pairs, ways)
    assert condition.similarity is not None
    columns = f"l.{text_column(name)}", f"r.{text_column(name)}"
    return texts.similarity(pairs, *columns, condition.similarity, known.get((name, condition.similarity)))


def likeness_column(condition: Condition) -> str:
    """Where `with_likeness` puts a condition's likeness."""
    return f"like.{condition.field}.{condition.similarity or condition.found_in}"


def holds(plan: Plan, rule: Rule, skip: tuple[str, ...] = ()) -> pl.Expr:
    """True where a pair satisfies every condition of the rule but a total; null counts as not satisfied.

    Equalities of the fields in `skip` are known to hold and are not looked at. Conditions on texts need the columns of
    `with_likeness`.
    """
    looked_at = (c for c in rule.on if not c.total and not (c.is_equality and c.field in skip))
    each = [condition_holds(plan.field(c.field), c) for c in looked_at]
    return reduce(lambda a, b: a & b, each).fill_null(False) if each else pl.lit(True)


def condition_holds(spec: FieldSpec, condition: Condition) -> pl.Expr:
    """True where a pair satisfies one condition, both ends of a window included; null where a value is missing."""
    if condition.is_text:
        return pl.col(likeness_column(condition)) >= least_likeness(condition) - _ROUNDING
    if condition.is_equality:
        pairs = [(pl.col(f"l.{c}"), pl.col(f"r.{c}")) for c in columns_of(spec)]
        same = [a.eq_missing(b) if condition.nulls else a == b for a, b in pairs]
        return reduce(lambda a, b: a & b, same)
    if condition.percent is None:
        low, high = window_units(spec, condition)
        return difference(spec, condition).is_between(low, high)
    # r - l between low% and high% of |l|, each also within the cap: multiplied out, so that nothing is divided.
    (low_num, high_num), denominator = _percent_fraction(condition)
    apart = difference(spec, condition).cast(pl.Int128)
    scaled = apart * (100 * denominator)
    size = pl.col(f"l.{spec.name}").cast(pl.Int128).abs()
    inside = (scaled >= size * low_num) & (scaled <= size * high_num)
    if condition.cap is not None:
        cap = _units(condition.cap, spec, ROUND_FLOOR)
        inside &= apart.is_between(-cap, cap)
    return inside


def difference(spec: FieldSpec, condition: Condition) -> pl.Expr:
    """Right minus left of a pair: minor units for numbers, calendar days (UTC) for `days`.

    The left value first takes the opposite sign and loses the fee, where the condition says so.
    """
    left, right = pl.col(f"l.{spec.name}"), pl.col(f"r.{spec.name}")
    if condition.days is None:
        return right - expected_value(left, spec, condition)
    days = [v // MICROSECONDS_PER_DAY if spec.type == "datetime" else v.cast(pl.Int64) for v in (left, right)]
    return days[1] - days[0]


def expected_value(left: pl.Expr, spec: FieldSpec, condition: Condition) -> pl.Expr:
    """What the right value should be, before any tolerance: the left one with the sign and less the fee, in minor
    units. The percentage of the size is rounded to the nearest minor unit, halves up.
    """
    value = -left if condition.sign else left
    if condition.net_of is None:
        return value
    fixed = _units(condition.net_of.fixed, spec, ROUND_FLOOR)
    share, denominator = percent_integer(condition.net_of.percent)
    if share == 0:
        return value - fixed
    size = value.cast(pl.Int128).abs()
    fee = (2 * size * share + 100 * denominator) // (200 * denominator)
    return (value.cast(pl.Int128) - fee - fixed).cast(pl.Int64)


def percent_integer(percent: Decimal) -> tuple[int, int]:
    """A percentage as an integer over a power of ten."""
    places = max(0, -int(percent.as_tuple().exponent))
    return int(percent.scaleb(places)), 10**places


def units_of(amount: Decimal, spec: FieldSpec) -> int:
    """An amount in minor units of the field; what is smaller than one is dropped."""
    return _units(amount, spec, ROUND_FLOOR)


def least_likeness(condition: Condition) -> float:
    """The likeness from which a condition on texts holds."""
    return condition.at_least if condition.at_least is not None else references.EMBEDDED


def window_units(spec: FieldSpec, condition: Condition) -> tuple[int, int]:
    """The allowed window of `within` (minor units, rounded inwards) or `days`."""
    if condition.days is not None:
        return condition.days
    low, high = condition.within or (Decimal(0), Decimal(0))  # after a sign or a fee: exactly
    return _units(low, spec, ROUND_CEILING), _units(high, spec, ROUND_FLOOR)


def weight(plan: Plan, rule: Rule) -> pl.Expr:
    """How close a pair is: the sum over the conditions of an integer from CLOSE/2 to CLOSE. Int64.

    An equality counts CLOSE. A window counts CLOSE at its ideal (the difference nearest to zero that it allows),
    falling linearly to CLOSE/2 at its farther end; likeness counts in the same way between 1 and what is asked. The
    score of a match is weight / (CLOSE × conditions).
    """
    parts = [_closeness(plan.field(c.field), c) for c in windows(rule)]
    parts += [_alike(c) for c in likenesses(rule)]
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


def _alike(condition: Condition) -> pl.Expr:
    least = least_likeness(condition)
    share = (pl.col(likeness_column(condition)) - least) / (1 - least) if least < 1 else pl.lit(1.0)
    return ((1 + share.clip(0, 1)) * (CLOSE // 2)).round().cast(pl.Int64)


def _units(amount: Decimal, spec: FieldSpec, rounding: str) -> int:
    units = int(amount.scaleb(spec.digits).to_integral_value(rounding=rounding))
    return max(-_FARTHEST, min(units, _FARTHEST))


def _percent_fraction(condition: Condition) -> tuple[tuple[int, int], int]:
    """Both percentages as integers over one denominator."""
    assert condition.percent is not None
    low, high = condition.percent
    places = max(0, *(-int(p.as_tuple().exponent) for p in (low, high)))
    return (int(low.scaleb(places)), int(high.scaleb(places))), 10**places
