"""Clean steps as expressions: what a value is compared as. They never change the value that is stored."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from recon_engine.plan import CleanStep, MapStep

# Latin letters that Unicode decomposition leaves whole.
_UNDECOMPOSED = {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe"}


def _casefold(text: pl.Expr) -> pl.Expr:
    # Lower-casing plus the one common letter on which full case folding differs from it.
    return text.str.to_lowercase().str.replace_all("ß", "ss", literal=True)


def _unaccent(text: pl.Expr) -> pl.Expr:
    plain = text.str.normalize("NFKD").str.replace_all(r"\p{Mn}", "")
    return plain.str.replace_many(list(_UNDECOMPOSED), list(_UNDECOMPOSED.values()))


_STEPS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "trim": lambda e: e.str.strip_chars(),
    "casefold": _casefold,
    "collapse_spaces": lambda e: e.str.replace_all(r"\s+", " "),
    "strip_punctuation": lambda e: e.str.replace_all(r"[\p{P}\p{S}]", ""),
    "digits_only": lambda e: e.str.replace_all(r"[^0-9]", ""),
    "alphanumeric": lambda e: e.str.replace_all(r"[^\p{L}\p{N}]", ""),
    "unaccent": _unaccent,
    "strip_leading_zeros": lambda e: e.str.replace(r"^0+(.)", "$1"),
    "negate": lambda e: -e,
    "absolute": lambda e: e.abs(),
}


def cleaned(value: pl.Expr, steps: tuple[CleanStep, ...]) -> pl.Expr:
    """`value` after the clean steps, in their order.

    Text steps take and give String; `negate` and `absolute` take and give integers (minor units for decimals).
    Null stays null; text that is cleaned to nothing becomes null, so that two emptied values never match.
    """
    is_text = False
    for step in steps:
        if isinstance(step, MapStep):
            value, is_text = value.replace(step.map), True
        else:
            value, is_text = _STEPS[step](value), step not in ("negate", "absolute")
    return pl.when(value != "").then(value) if is_text else value
