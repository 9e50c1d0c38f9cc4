"""Clean steps as expressions: what a value is compared as. They never change the value that is stored."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from recon_engine.plan import DATE_STEPS, NUMERIC_STEPS, CleanStep, FirstStep, LastStep, MapStep, TimesStep

# Latin letters that Unicode decomposition leaves whole.
_UNDECOMPOSED = {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe"}


def _casefold(text: pl.Expr) -> pl.Expr:
    # Lower-casing plus the one common letter on which full case folding differs from it.
    return text.str.to_lowercase().str.replace_all("ß", "ss", literal=True)


def _unaccent(text: pl.Expr) -> pl.Expr:
    plain = text.str.normalize("NFKD").str.replace_all(r"\p{Mn}", "")
    return plain.str.replace_many(list(_UNDECOMPOSED), list(_UNDECOMPOSED.values()))


def _swapped(date: pl.Expr) -> pl.Expr:
    # A day above 12 can be no month: such a date was read the only way it can be, and stays.
    return pl.when(date.dt.day() <= 12).then(date.dt.replace(month=date.dt.day(), day=date.dt.month())).otherwise(date)


def _times(number: pl.Expr, factor: int) -> pl.Expr:
    # Of what is larger, differences would not fit 64 bits any more: it cannot be compared and counts as missing.
    return pl.when(number.abs() <= (2**62 - 1) // factor).then(number * factor)


_STEPS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "trim": lambda e: e.str.strip_chars(),
    "casefold": _casefold,
    "collapse_spaces": lambda e: e.str.replace_all(r"\s+", " "),
    "strip_punctuation": lambda e: e.str.replace_all(r"[\p{P}\p{S}]", ""),
    "digits_only": lambda e: e.str.replace_all(r"[^0-9]", ""),
    "alphanumeric": lambda e: e.str.replace_all(r"[^\p{L}\p{N}]", ""),
    "unaccent": _unaccent,
    "strip_leading_zeros": lambda e: e.str.replace(r"^0+(.)", "$1"),
    "sort_words": lambda e: e.str.extract_all(r"[\p{L}\p{M}\p{N}]+").list.sort().list.join(" "),
    "negate": lambda e: -e,
    "absolute": lambda e: e.abs(),
    "swap_day_month": _swapped,
}


def cleaned(value: pl.Expr, steps: tuple[CleanStep, ...]) -> pl.Expr:
    """`value` after the clean steps, in their order.

    Text steps take and give String; `negate`, `absolute` and `times` take and give integers (minor units for decimals),
    `swap_day_month` dates.
    Null stays null; text that is cleaned to nothing becomes null, so that two emptied values never match.
    """
    is_text = False
    for step in steps:
        if isinstance(step, MapStep):
            value, is_text = value.replace(step.map), True
        elif isinstance(step, TimesStep):
            value = _times(value, step.times)
        elif isinstance(step, LastStep):
            value, is_text = value.str.tail(step.last), True
        elif isinstance(step, FirstStep):
            value, is_text = value.str.head(step.first), True
        else:
            value, is_text = _STEPS[step](value), step not in NUMERIC_STEPS | DATE_STEPS
    return pl.when(value != "").then(value) if is_text else value
