"""Two tables of made-up firms, the same on every machine: the right one writes eight in ten of them in another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.people import two_tables

_KINDS = ("trading", "foods", "steel", "logistics", "partners", "energy", "textiles", "foundry", "shipping", "software")
_BEGINS = ("b", "br", "c", "ch", "d", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pr", "r", "s", "sh",
           "st", "t", "th", "tr", "v", "w", "z")  # fmt: skip
_ENDS = ("", "", "n", "r", "l", "s", "nd", "rt", "ck", "m")
_FORMS = (("limited", "ltd"), ("incorporated", "inc"), ("company", "co"), ("corporation", "corp"))


def generate(folder: Path, rows: int) -> None:
    """Write left.parquet and right.parquet with `rows` names each; `firm` tells which is which."""
    two_tables(folder, rows, _firms, _otherwise)


def _firms(random: np.random.Generator, count: int) -> pl.DataFrame:
    words = max(2_000, count // 4)
    form = random.integers(0, len(_FORMS), count)
    firms = pl.DataFrame(
        {
            "firm": np.arange(count),
            "first": _words(random, count, words),
            "second": _words(random, count, words),
            "kind": np.array(_KINDS)[random.integers(0, len(_KINDS), count)],
            "long": np.array([long for long, _ in _FORMS])[form],
            "short": np.array([short for _, short in _FORMS])[form],
        }
    )
    return firms.with_columns(name=pl.concat_str("first", "second", "kind", "long", separator=" "))


def _words(random: np.random.Generator, count: int, kinds: int) -> np.typing.NDArray[np.str_]:
    """Words of two or three syllables, of which some are far more popular than others."""
    begin, middle, end = (np.array(list(letters)) for letters in (_BEGINS, "aeiou", _ENDS))
    syllables = [
        np.char.add(np.char.add(*(part[random.integers(0, len(part), kinds)] for part in (begin, middle))),
                    end[random.integers(0, len(end), kinds)])
        for _ in range(3)
    ]  # fmt: skip
    short = random.random(kinds) < 0.5
    words = np.char.add(np.char.add(syllables[0], syllables[1]), np.where(short, "", syllables[2]))
    rank = np.floor(kinds ** random.random(count)).astype(np.int64) - 1
    return words[rank]


def _otherwise(random: np.random.Generator, firms: pl.DataFrame) -> pl.DataFrame:
    """The legal form is written short, and in half of the names a letter of the first word is missing or another."""
    at = pl.Series(random.integers(0, 12, firms.height)) % pl.col("first").str.len_chars().cast(pl.Int64)
    letter = pl.Series(np.array(list("abcdefghij"))[random.integers(0, 10, firms.height)])
    how = pl.Series(random.random(firms.height))
    head, tail = pl.col("first").str.slice(0, at), pl.col("first").str.slice(at + 1)
    first = (
        pl.when(how < 0.25)
        .then(pl.concat_str(head, tail))
        .when(how < 0.5)
        .then(pl.concat_str(head, letter, tail))
        .otherwise("first")
    )
    return firms.select("firm", name=pl.concat_str(first, "second", "kind", "short", separator=" "))
