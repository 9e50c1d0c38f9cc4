"""Texts that are quantities: prices with a currency, shares with a percent sign, durations as clocks or words say them.

Two files write one quantity in different ways ("$ 9.99" and "9.99", "3:45" and "225", "1 hr. 45 min." and "1 hour,
45 minutes"): as numbers they can be compared, as texts they are unlike.
"""

from __future__ import annotations

import polars as pl

# A column is one of quantities where so many of its values are; what else it says ("sold out") tells nothing.
_MOSTLY = 0.7
# Numbers alone beside durations are hours, minutes, seconds or thousandths: whichever comes so near the others' middle.
_UNITS, _NEAR = (1.0, 60.0, 0.001, 3600.0), 2.0
# Quantities are compared as whole thousandths.
_SMALLEST = 1000
_NUMBER = r"([0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?)"
_CURRENCY = r"(?:(?:us|ca|au)?[$€£¥]|usd|eur|gbp|chf|rs\.?)"
_CALLED = {"us$": "$", "usd": "$", "eur": "€", "gbp": "£", "rs.": "rs"}
# A point before three digits is as likely one of thousands: such a price is not read.
_MONEY = r"([0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,2})?|[0-9]+(?:\.[0-9]{1,2})?)"
_PRICE = rf"^(?:{_CURRENCY}\s*{_MONEY}|{_MONEY}\s*{_CURRENCY})$"
_SHARE = rf"^{_NUMBER}\s*(?:%|percent)"
_PLAIN = rf"^{_NUMBER}$"
_CLOCK = r"^(?:([0-9]{1,2}):)?([0-9]{1,3}):([0-9]{2})$"
_SPOKEN = (("(?:h|hrs?|hours?)", 3600), ("(?:m|mins?|minutes?)", 60), ("(?:s|secs?|seconds?)", 1))
_WORDS = r"^(?:[0-9]+\s*(?:h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?)\b[\s.,]*(?:and\s+)?)+$"


def quantities(left: pl.Series, right: pl.Series) -> tuple[pl.Series, pl.Series] | None:
    """Both columns (String) as whole numbers in one unit, where most values of both are quantities of one kind and
    those of one side at least say so; else None.
    """
    plain = [_plainly(side) for side in (left, right)]
    for kind in (_durations, _prices, _shares):
        said = [kind(side) for side in plain]
        shares = [_filled(side, of) for side, of in zip(said, plain, strict=True)]
        if kind is _prices and _of_other_currencies(plain):
            continue
        if min(shares) >= _MOSTLY:
            # A clock may be of hours and minutes, as the other side's words tell.
            factor = _factor(said[0], said[1], (1.0, 60.0, 1 / 60)) if kind is _durations else None
            return _whole(said[0] * (factor or 1.0)), _whole(said[1])
        if max(shares) < _MOSTLY:
            continue
        bare = 0 if shares[0] < shares[1] else 1
        numbers = _numbers(plain[bare]).fill_null(said[bare])
        if _filled(numbers, plain[bare]) < _MOSTLY:
            continue
        factor = _factor(numbers, said[1 - bare], _UNITS) if kind is _durations else 1.0
        if factor is not None:
            said[bare] = numbers * factor
            return _whole(said[0]), _whole(said[1])
    return None


def _plainly(values: pl.Series) -> pl.Series:
    return values.str.to_lowercase().str.strip_chars()


def _filled(found: pl.Series, of: pl.Series) -> float:
    """The share of the values that are found."""
    return float(found.count()) / max(1, of.count())


def _of(values: pl.Series, expression: pl.Expr) -> pl.Series:
    return values.alias("v").to_frame().select(expression).to_series()


def _number(pattern: str, groups: int) -> pl.Expr:
    texts = [pl.col("v").str.extract(pattern, group) for group in range(1, groups + 1)]
    return pl.coalesce(texts).str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)


def _numbers(values: pl.Series) -> pl.Series:
    return _of(values, _number(_PLAIN, 1))


def _prices(values: pl.Series) -> pl.Series:
    return _of(values, _number(_PRICE, 2))


def _shares(values: pl.Series) -> pl.Series:
    return _of(values, _number(_SHARE, 1))


def _durations(values: pl.Series) -> pl.Series:
    """Seconds, of a clock's 3:45 or 1:03:45 and of words."""
    text = pl.col("v")
    hours, minutes, seconds = (text.str.extract(_CLOCK, group).cast(pl.Float64) for group in (1, 2, 3))
    clock = hours.fill_null(0) * 3600 + minutes * 60 + seconds
    spoken = [text.str.extract(rf"([0-9]+)\s*{unit}\b", 1).cast(pl.Float64) * of for unit, of in _SPOKEN]
    return _of(values, pl.when(text.str.contains(_WORDS)).then(pl.sum_horizontal(spoken)).otherwise(clock))


def _of_other_currencies(sides: list[pl.Series]) -> bool:
    """Whether both sides name currencies, and not the same one throughout: then the number alone says too little."""
    named = [set(side.str.extract(f"({_CURRENCY})", 1).drop_nulls().replace(_CALLED).unique()) for side in sides]
    return all(named) and len(named[0] | named[1]) > 1


def _factor(numbers: pl.Series, seconds: pl.Series, units: tuple[float, ...]) -> float | None:
    """What makes seconds of numbers, one of `units`, so that their middle is near that of the others."""
    own, other = numbers.median(), seconds.median()
    if not isinstance(own, float) or not isinstance(other, float) or min(own, other) <= 0:
        return None
    near = [(max(own * unit / other, other / (own * unit)), unit) for unit in units]
    apart, unit = min(near)
    return unit if apart <= _NEAR else None


def _whole(values: pl.Series) -> pl.Series:
    return (values * _SMALLEST).round().cast(pl.Int64, strict=False)
