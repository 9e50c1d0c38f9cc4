"""Rules for a plan, from what records that share a key show: equal amounts, usual lags, small differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from recon_engine.column_matching import Pair, end_key, end_value
from recon_engine.column_names import concepts, is_identifier
from recon_engine.plan import FieldSpec, Rule
from recon_engine.reading.table import TextTable
from recon_engine.rules import Cardinality

_LONGEST_LAG_DAYS = 31
# Where none is of the same day, and none is nearer than this, the window begins there.
_NEVER_SOONER = 5
_TOLERANCES = ("0.01", "0.02", "0.05", "0.10", "0.25", "0.50", "1.00")
_SMALL = 1.0
# A pattern seen in fewer joined records than this share is an exception, not a rule.
_SEEN = 0.005
_USUAL = 0.5
_FEWEST_FEES, _USUAL_FEE, _LARGEST_FEE = 10, 0.05, 15
_CENT = 0.0051
_ABOVE_CHANCE = 3
# A rule without a key confirms as long as the run finds no more accidents than this among its matches, and where it
# rests on values that name most records.
ACCIDENTS, NAMES_MOST, ALIKE = 0.05, 0.7, 0.5
_FEWEST_DATED = 20
# More than a few numbers that somebody has entered twice.
_COMES_BACK = 0.05

On = list[str | dict[str, Any]]
Tables = tuple[TextTable, TextTable]


@dataclass(frozen=True)
class MappedField:
    """A field of the plan being proposed and the pair of columns behind it."""

    spec: FieldSpec
    pair: Pair


@dataclass(frozen=True)
class ProposedRule:
    """A rule, how sure it is (0 to 1), what in the data speaks for it, and its place in the cascade (strict first)."""

    rule: Rule
    confidence: float
    reason: str
    stage: int = 0


@dataclass(frozen=True)
class Observed:
    """What records that share a unique key show. Shares are of the joined records.

    `far`: those whose amounts differ by more than a small difference. `fee`: what was kept back, and how often.
    `nearest`: the key repeats, and the lag is that of the nearest records that share it, with those of the same day.
    `same_time`: those of the same time of day, where there is one.
    """

    joined: int
    coverage: float
    equal_amount: float
    same_day: float
    lag: tuple[int, int] | None
    tolerance: str | None
    close: float
    far: float = 0.0
    fee: tuple[dict[str, str], float] | None = None
    nearest: bool = False
    same_time: float | None = None

    @property
    def other_times(self) -> bool:
        """Whether records of the same day usually have another time."""
        return self.same_time is not None and self.same_time < _USUAL * self.same_day


def key_fields(fields: list[MappedField]) -> list[MappedField]:
    """Fields that name single records on at least one side and occur on the other, best first."""
    ranked = sorted(((_key_quality(f), f) for f in fields), key=lambda item: -item[0])
    return [f for quality, f in ranked if quality >= 0.25]


def _key_quality(mapped: MappedField) -> float:
    a, b = mapped.pair.left, mapped.pair.right
    # People and purposes recur: a text about them names no single record, however unique it is in these two files.
    spoken = called(mapped)
    named = "reference" not in spoken and any("name" in concepts(c.name) and not is_identifier(c.name) for c in (a, b))
    if mapped.spec.type not in ("text", "integer") or named or spoken & {"description", "amount"}:
        return 0.0
    if min(a.distinct, b.distinct) < 3:
        return 0.0
    return mapped.pair.overlap * (1 - min(a.repeats, b.repeats)) * min(a.filled, b.filled)


def called(mapped: MappedField) -> set[str]:
    """What the names of a field's two columns speak of, whichever side is left."""
    return concepts(mapped.pair.left.name) | concepts(mapped.pair.right.name)


def observed(
    left: TextTable,
    right: TextTable,
    keys: list[MappedField],
    amount: MappedField | None,
    date: MappedField | None,
    part: int,
) -> Observed:
    """Join the records that share `keys`, unique on both sides, and look at what differs."""
    sides = []
    for table, side in ((left, "left"), (right, "right")):
        values = [_value(amount, side, "amount"), _value(date, side, "day"), _time(date, side)]
        sides.append(picked(table.frame, joint_key(keys, side, part), [v for v in values if v is not None], part))
    one, two = (s.collect(engine="streaming") for s in sides)
    unique = [f.filter(pl.col("key").is_unique()) for f in (one, two)]
    both = unique[0].join(unique[1], on="key", how="inner", suffix="_right")
    n = max(1, both.height)
    equal = close = far = same_day = 0.0
    tolerance: str | None = None
    fee: tuple[dict[str, str], float] | None = None
    lag: tuple[int, int] | None = None
    if amount is not None:
        off = (both["amount_right"] - both["amount"]).abs().round(6)
        equal = float((off == 0).sum()) / n
        tolerance, close = _tolerance(off.filter(off > 0), n)
        far = float((off > _SMALL).sum()) / n
        fee = _fee(both["amount"], both["amount_right"])
    if date is not None:
        days = (both["day_right"] - both["day"]).dt.total_days().drop_nulls()
        same_day = float((days == 0).sum()) / n
        lag = usual_lag(days)
    same_time = float((both["time"] == both["time_right"]).sum()) / n if "time" in both.columns else None
    coverage = both.height / max(1, min(one.height, two.height))
    return Observed(both.height, coverage, equal, same_day, lag, tolerance, close, far, fee, same_time=same_time)


def picked(rows: pl.LazyFrame, key: pl.Expr, values: Iterable[pl.Expr], part: int) -> pl.LazyFrame:
    """`key` and `values` of the rows that have one; of large files, those of one key in `part`, the same on both sides.

    The rows are picked before their values are worked out: of large files most are not wanted.
    """
    wanted = key.is_not_null() if part == 1 else key.is_not_null() & (key.hash(7) % part == 0)
    return rows.filter(wanted).select(key.alias("key"), *values)


def joint_key(keys: Sequence[MappedField], side: str, part: int) -> pl.Expr:
    """Several fields on one side as one text; null where one of them is."""
    each = [sided_key(mapped, side, thorough=part == 1) for mapped in keys]
    return each[0] if len(each) == 1 else pl.concat_str(each, separator="\x1f")


def sided_key(mapped: MappedField, side: str, *, thorough: bool) -> pl.Expr:
    """The field on one side as text that is equal where the values are."""
    return end_key(mapped.pair, side, thorough=thorough)


def _value(mapped: MappedField | None, side: str, alias: str) -> pl.Expr | None:
    if mapped is None:
        return None
    return sided_value(mapped, side).cast(pl.Float64 if alias == "amount" else pl.Date).alias(alias)


def _time(mapped: MappedField | None, side: str) -> pl.Expr | None:
    if mapped is None or mapped.spec.type != "datetime":
        return None
    return sided_value(mapped, side).cast(pl.Datetime("us")).alias("time")


def sided_value(mapped: MappedField, side: str) -> pl.Expr:
    """The field on one side as its type's value, numbers for looking at only: with the sign and in the unit of both."""
    return end_value(mapped.pair, side)


def _tolerance(off: pl.Series, joined: int) -> tuple[str | None, float]:
    """The smallest usual tolerance that covers the small differences seen, and the share of records with one."""
    small = off.filter(off <= _SMALL)
    if small.len() < max(2, _SEEN * joined):
        return None, 0.0
    for tolerance in _TOLERANCES:
        if float((small <= float(tolerance)).mean() or 0) >= 0.8:  # type: ignore[arg-type]
            return tolerance, small.len() / joined
    return None, 0.0


def _fee(gross: pl.Series, net: pl.Series) -> tuple[dict[str, str], float] | None:
    """The percentage or amount that is kept back wherever amounts differ, as `net_of` has it, and its share of all."""
    both = pl.DataFrame({"a": gross, "b": net}).filter((pl.col("a") != 0) & (pl.col("a") - pl.col("b") >= _CENT))
    if both.height < max(_FEWEST_FEES, _USUAL_FEE * gross.len()):
        return None
    kept, size = pl.col("a") - pl.col("b"), pl.col("a").abs()
    percent, fixed = both.select((100 * kept / size).median().round(2).alias("p"), kept.median().round(2)).row(0)
    by_percent, by_fixed = both.select(
        ((kept - size * percent / 100).abs() <= 2 * _CENT).mean(), ((kept - fixed).abs() <= _CENT).mean().alias("f")
    ).row(0)
    fits = max(by_percent, by_fixed)
    # Something kept back that is most of the amount is no fee.
    if fits < _USUAL or not 0 < percent <= _LARGEST_FEE:
        return None
    part = {"percent": f"{percent:.2f}"} if by_percent >= by_fixed else {"fixed": f"{fixed:.2f}"}
    return part, fits * both.height / gross.len()


def usual_lag(days: pl.Series) -> tuple[int, int] | None:
    """The window of days, right minus left, in which nearly all pairs lie; None when dates agree or say nothing."""
    near = days.filter(days.abs() <= _LONGEST_LAG_DAYS)
    off = near.filter(near != 0)
    if near.len() < 0.5 * days.len() or off.len() < max(2, _SEEN * days.len()):
        return None
    # Decoys: so many pairs a day lie that far apart by accident, and a window holds no day that has hardly more.
    strangers = days.filter(days.abs().is_between(_LONGEST_LAG_DAYS + 1, 3 * _LONGEST_LAG_DAYS)).len()
    accidental = strangers / (4 * _LONGEST_LAG_DAYS)
    usual = off.value_counts(name="n").filter(pl.col("n") >= max(2, 0.01 * off.len(), _ABOVE_CHANCE * accidental))
    if usual.is_empty():
        return None
    seen = usual[off.name]
    low, high = int(seen.min()), int(seen.max())  # type: ignore[arg-type]
    if off.len() == near.len() and (low >= _NEVER_SOONER or high <= -_NEVER_SOONER):
        return low, high  # what belongs to a month is paid at its end
    return min(0, low), max(0, high)


def keyed_rules(
    keys: Sequence[MappedField],
    amount: MappedField | None,
    date: MappedField | None,
    currency: MappedField | None,
    seen: Observed,
    *,
    first: bool,
) -> list[ProposedRule]:
    """The cascade on a key of one field or several: exact, other day, small difference, the key alone; as seen.

    `first`: of other keys less is known, and where a run finds accidents in what they match, it only suggests.
    """
    names = [f.spec.name for f in keys]
    name = " and ".join(names)
    joined = f"{seen.joined:,} records share a unique {name}"
    by = "" if first else f" by {name}"
    less = 0.0 if first else 0.05
    if amount is None and date is None:
        return [rule(f"same {name}", [*names], 0.9 * seen.coverage + 0.1, joined, stage=0)]
    base: On = [*names, *([currency.spec.name] if currency and amount else [])]
    equal: On = [*base, *([amount.spec.name] if amount else [])]
    rules = []
    both = min(seen.equal_amount if amount else 1.0, seen.same_day if date else 1.0)
    day: On = [date.spec.name] if date else []
    if both > _SEEN and (not seen.other_times or (seen.same_time or 0) > _SEEN):
        told = f"{joined}; at least {min(both, seen.same_time or 1.0):.0%} agree in the rest"
        rules.append(rule(f"exact{by}", [*equal, *day], 0.99 - less, told, stage=0))
    if date and seen.other_times:
        day = [{"field": date.spec.name, "days": [0, 0]}]
        told = f"{joined}; {seen.same_day:.0%} are of the same day, most of these at another time"
        rules += [rule(f"same day{by}", [*equal, *day], 0.95 - less, told, stage=0)] if both > _SEEN else []
    window: On = [{"field": date.spec.name, "days": list(seen.lag)}] if date and seen.lag else []
    if date and seen.lag:
        reason = (
            f"{1 - seen.same_day:.0%} of records with the same {name} have another {date.spec.name}, "
            f"usually {days_apart(*seen.lag)}"
        )
        rules.append(rule(f"other day{by}", [*equal, *window], 0.9 - less, reason, stage=1))
    if amount and seen.tolerance:
        close = {"field": amount.spec.name, "within": seen.tolerance}
        on = [*base, close, *(window or day)]
        reason = (
            f"{seen.close:.1%} of records with the same {name} differ by up to {seen.tolerance} in {amount.spec.name}"
        )
        rules.append(rule(f"small difference{by}", on, 0.8 - less, reason, stage=2))
    if amount and seen.fee:
        kept, share = seen.fee
        [(kind, size)] = kept.items()
        net = {"field": amount.spec.name, "net_of": kept, "within": "0.01"}
        on = [*base, net, *(window or day)]
        reason = f"in {share:.0%} of records with the same {name} a {kind} fee of {size} was kept back"
        rules.append(rule(f"net of fee{by}", on, 0.85 - less, reason, stage=2))
    reason, outcome = f"{joined}; what differs is listed as differences", "confirmed"
    if amount and _SEEN < seen.far < 1 - _USUAL:
        # Where amounts usually agree, one that is far off is for a person to judge.
        reason, outcome = f"{joined}, but in {seen.far:.1%} of them {amount.spec.name} is far off", "suggested"
    elif amount and len(keys) == 1 and max(c.repeats for c in (keys[0].pair.left, keys[0].pair.right)) > _COMES_BACK:
        # Of a customer or a contract several records may be meant: what agrees in nothing else may be another's.
        reason, outcome = f"{joined}; but {name} comes back in a file, and what differs may be another's", "suggested"
    rules.append(rule(f"same {name}", [*names], 0.7 - less, reason, stage=3, outcome=outcome))
    return rules if first else [_gated(each) for each in rules]


def days_apart(low: int, high: int) -> str:
    """A window of days, right minus left, in words: '0 to 3 days later', '1 day earlier to 2 days later', '±2 days'."""

    def days(number: int) -> str:
        return f"{number} day{'' if number == 1 else 's'}"

    if low == -high:
        return f"±{days(high)}"
    if low >= 0:
        return f"{low} to {days(high)} later"
    if high <= 0:
        return f"{-high} to {days(-low)} earlier"
    return f"{days(-low)} earlier to {days(high)} later"


def rule(
    name: str,
    on: On,
    confidence: float,
    reason: str,
    *,
    stage: int,
    outcome: str = "confirmed",
    cardinality: Cardinality = "one_to_one",
    gated: bool = False,
) -> ProposedRule:
    """A proposed rule of conditions. `gated`: it only suggests where a run finds too many accidents in its matches."""
    data = {"name": name, "on": on, "outcome": outcome, "cardinality": cardinality}
    made = Rule.model_validate(data | ({"max_false_rate": ACCIDENTS} if gated else {}))
    return ProposedRule(made, round(min(confidence, 0.99), 2), reason, stage)


def _gated(proposed: ProposedRule) -> ProposedRule:
    """The rule, which only suggests where a run finds too many accidents in its matches."""
    if proposed.rule.outcome != "confirmed":
        return proposed
    return replace(proposed, rule=proposed.rule.model_copy(update={"max_false_rate": ACCIDENTS}))


def link_rule(
    name: str, fields: list[str], probability: float, cardinality: Cardinality, confidence: float, reason: str
) -> ProposedRule:
    """A proposed rule of probabilistic linkage."""
    link = {"fields": fields, "probability": probability}
    made = Rule.model_validate({"name": name, "link": link, "cardinality": cardinality})
    return ProposedRule(made, round(min(confidence, 0.99), 2), reason, stage=3)


def keyless_rules(
    composite: list[MappedField],
    agreeing: list[MappedField],
    date: MappedField | None,
    seen: Observed,
    unique_share: float,
    alike: Sequence[MappedField] = (),
) -> list[ProposedRule]:
    """Without a key: all telling fields together, with those that agree in nearly all such records; then the same with
    dates near each other, and without those that nearly always agree, for a person to confirm.

    `alike`: texts that have words in common in such records; they come to the help where the rest is not quite sure.
    """
    names = [f.spec.name for f in composite]
    every = [*names, *(f.spec.name for f in agreeing)]
    reason = f"no single key; these together are unique in {unique_share:.0%} of the smaller file's records"
    telling = unique_share >= NAMES_MOST
    words: On = [{"field": f.spec.name, "similarity": "token_set", "at_least": ALIKE} for f in alike[:1]]
    rules = []
    dated = date is not None and date.spec.name in every and len(every) > 1
    if not dated or (not seen.nearest and (seen.joined < _FEWEST_DATED or seen.same_day > _SEEN)):
        outcome = "confirmed" if telling else "suggested"
        if words and telling:
            why = f"{reason}, and more surely with words of {alike[0].spec.name} in common"
            rules.append(rule("exact, like words", [*every, *words], 0.95, why, stage=0, gated=True))
        stage = 2 if words and telling else 0  # nothing is taken by accident that words would have given to another
        rules.append(rule("exact", [*every], 0.9 * unique_share, reason, stage=stage, outcome=outcome, gated=telling))
    if date is not None and dated:
        window = seen.lag or (-3, 3)
        others = [n for n in every if n != date.spec.name]
        why = (
            "as seen in records that agree in the rest" + (" and are nearest to each other" if seen.nearest else "")
            if seen.lag
            else "a usual window; nothing in the data tells a better one"
        )
        on: On = [*others, {"field": date.spec.name, "days": list(window)}]
        if words:
            told = f"{why}, and have words of {alike[0].spec.name} in common"
            rules.append(rule("near dates, like words", [*on, *words], 0.8, told, stage=1, gated=True))
        outcome, sure = ("confirmed", 0.8) if seen.lag and telling else ("suggested", 0.5)
        rules.append(
            rule(
                "near dates",
                on,
                sure * unique_share,
                why,
                stage=2 if words else 1,
                outcome=outcome,
                gated=outcome == "confirmed",
            )
        )
    if agreeing:
        left_out = ", ".join(f.spec.name for f in agreeing)
        why = f"{reason}; {left_out} may differ"
        rules.append(
            rule(f"same {' and '.join(names)}", [*names], 0.5 * unique_share, why, stage=2, outcome="suggested")
        )
    return rules
