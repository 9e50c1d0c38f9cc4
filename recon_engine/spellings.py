"""Spellings: codes of two columns that are the same once leading zeros, letters or all but one end are left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.columns import Column, Steps, as_text, contained
from recon_engine.plan import FirstStep, LastStep

# What is left out, by the name it has in reasons. Codes must stay apart nearly all, and many more come together; by
# an end, those of one side only: the other writes some in several ways (PL01/0 and PL01 / E0), but not all in two.
_LEFT_OUT: dict[Steps, str] = {
    ("strip_leading_zeros",): "leading zeros",
    ("digits_only", "strip_leading_zeros"): "letters and leading zeros",
}
# Names and titles of the same words in another order.
_ANY_ORDER: Steps = ("unaccent", "casefold", "sort_words")
_FEWEST_CODES, _KEPT_APART, _SEVERAL_WAYS, _SPELT_ALIKE, _SPELT_BETTER, _WORDY = 10, 0.95, 0.6, 0.5, 0.3, 0.2
_UNPADDED_BETTER = 0.02
# Codes that are the same at one end have at least so many characters in common there; more are not asked for.
_SHORTEST_END, _LONGEST_END = 7, 12
_LETTERS, _FORMS = 0.05, 3
Spelt = tuple[Column, Column, float]


def respelt(a: Column, b: Column, overlap: float, *, ends_only: bool = False) -> Spelt | None:
    """The columns in a spelling in which many more of their codes meet (0042 and 42, SKU042 and 42, +49171 and 0171),
    and the share then in common; None where there is none. `overlap`: the share that is the same as it stands;
    `ends_only`: only all but the last or first digits may be left out.
    """
    if not _are_codes(a, b):
        return None if ends_only else _in_any_order(a, b, overlap)
    one, two = as_text(a), as_text(b)
    choices = [] if ends_only or a.kind == b.kind == "integer" else [[steps] for steps in _LEFT_OUT]
    for choice in (*choices, list(_ends(one, two, lettered=not ends_only))):
        found = [each for steps in choice if (each := _meeting(one, two, steps, overlap + _SPELT_BETTER))]
        if found:
            return max(found, key=lambda each: each[2] * min(_kept(each, (one, two))))
    return None


def unpadded(a: Column, b: Column, overlap: float) -> Spelt | None:
    """Codes of which some have leading zeros on one side only: no two of a side may become one."""
    if overlap < _SPELT_ALIKE or a.kind == b.kind == "integer" or not _are_codes(a, b):
        return None
    written = as_text(a), as_text(b)
    if not any(c.keys.str.contains(r"^0\d").any() for c in written):
        return None
    one, two = (spelt_as(c, ("strip_leading_zeros",)) for c in written)
    share = contained(one.keys, two.keys)
    met = one, two, share
    return met if min(_kept(met, written)) == 1 and share >= overlap + _UNPADDED_BETTER else None


def spelt_as(text: Column, steps: Steps) -> Column:
    """A column of text in a spelling; keys have no words any more, so that these are taken from the text."""
    values = text.raw if steps == _ANY_ORDER else text.keys
    keys = values.alias("v").to_frame().select(cleaned(pl.col("v"), steps)).to_series().drop_nulls().unique()
    return replace(text, keys=keys, spelling=steps)


def left_out(steps: Steps) -> str:
    """In words, what a spelling leaves out."""
    if steps == _ANY_ORDER:
        return "the order of words and what stands between them"
    end, what = steps[-1], "digits" if steps[0] == "digits_only" else "characters"
    if isinstance(end, LastStep):
        return f"all but the last {end.last} {what}"
    return f"all but the first {end.first} {what}" if isinstance(end, FirstStep) else _LEFT_OUT[steps]


def _meeting(one: Column, two: Column, steps: Steps, least: float) -> Spelt | None:
    """The columns in a spelling that keeps their codes apart, and the share then in common, from `least` on."""
    left, right = (spelt_as(c, steps) for c in (one, two))
    share = contained(left.keys, right.keys)
    if min(len(left.keys), len(right.keys)) < _FEWEST_CODES or share < max(_SPELT_ALIKE, least):
        return None
    kept = _kept((left, right, share), (one, two))
    enough = _KEPT_APART if steps in _LEFT_OUT or steps == _ANY_ORDER else _SEVERAL_WAYS
    return (left, right, share) if max(kept) >= _KEPT_APART and min(kept) >= enough else None


def _in_any_order(a: Column, b: Column, overlap: float) -> Spelt | None:
    """Texts of several words that are the same in any order of these."""
    if {a.kind, b.kind} != {"text"} or not all(_has_words(c) or _is_joined(c) for c in (a, b)):
        return None
    return _meeting(as_text(a), as_text(b), _ANY_ORDER, overlap + _SPELT_BETTER)


def _is_joined(column: Column) -> bool:
    """True for words that something other than space stands between: `DE_Generic_Shoes`."""
    return float(column.raw.str.contains(r"\p{L}[_/|.-]\p{L}").mean() or 0) > _WORDY  # type: ignore[arg-type]


def _ends(one: Column, two: Column, *, lettered: bool) -> Iterator[Steps]:
    """Spellings by one end, the longest first, where both write long codes: telephones with and without the country,
    numbers with and without a check digit. `lettered`: also of codes that have letters.
    """
    letters = any(float(c.keys.str.contains(r"\p{L}").mean() or 0) > _LETTERS for c in (one, two))  # type: ignore[arg-type]
    if letters and not lettered:
        return
    base: Steps = ("alphanumeric", "casefold") if letters else ("digits_only",)
    sizes = [(c.keys if letters else c.keys.str.replace_all("[^0-9]", "")).str.len_chars() for c in (one, two)]
    if any(not len(n) or float(n.quantile(0.1) or 0) < _SHORTEST_END for n in sizes):
        return
    longest = min(int(n.max()) for n in sizes)  # type: ignore[arg-type]
    for size in range(min(longest, _LONGEST_END), _SHORTEST_END - 1, -1):
        yield *base, LastStep(last=size)
        yield *base, FirstStep(first=size)


def _are_codes(a: Column, b: Column) -> bool:
    return {a.kind, b.kind} <= {"text", "integer"} and not any(_has_words(c) for c in (a, b))


def _has_words(column: Column) -> bool:
    """True for texts of several words, unless all but the digits is the same in all: 'Store 28' is a code."""
    several = float(column.raw.str.contains(r"\S\s+\S").mean() or 0) > _WORDY  # type: ignore[arg-type]
    return several and column.raw.str.replace_all(r"[0-9]+", "").n_unique() > _FORMS


def _kept(spelt: Spelt, written: tuple[Column, Column]) -> tuple[float, float]:
    """The share of each side's codes that a spelling keeps apart."""
    left, right = (len(s.keys) / max(1, len(w.keys)) for s, w in zip(spelt[:2], written, strict=True))
    return left, right
