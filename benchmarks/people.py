"""Two tables of made-up people, the same on every machine: the right table misspells, swaps and forgets.

Eight in ten people of the left table are in the right one; the others there are strangers. Each person there has one
to four spoilt values. Names follow a steep curve of popularity, as real ones do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

COLUMNS = (
    "given_name", "surname", "street_number", "address", "suburb", "postcode", "state", "date_of_birth", "soc_sec_id",
)  # fmt: skip
SHARED = 0.8
_SYLLABLES = ("ba", "con", "der", "el", "fi", "gar", "ha", "is", "jo", "kel", "lin", "mor", "na", "or", "pe", "ri",
              "son", "ton", "ul", "ver", "wil", "ya", "zen")  # fmt: skip
_STREETS = ("street", "road", "place", "crescent", "avenue", "close")
_STATES = ("nsw", "vic", "qld", "wa", "sa", "tas", "act", "nt")
Words = NDArray[np.str_]
Made = Callable[[np.random.Generator, int], pl.DataFrame]
Otherwise = Callable[[np.random.Generator, pl.DataFrame], pl.DataFrame]


def generate(folder: Path, rows: int) -> None:
    """Write left.parquet and right.parquet with `rows` people each; `person` tells who is who."""
    two_tables(folder, rows, _people, _spoilt)


def two_tables(folder: Path, rows: int, made: Made, otherwise: Otherwise) -> None:
    """Write left.parquet as `made`, and right.parquet with the shared ones written `otherwise`; once."""
    if (folder / "right.parquet").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(20_261_124)
    shared = int(rows * SHARED)
    every = made(random, 2 * rows - shared)
    every.head(rows).write_parquet(folder / "left.parquet")
    right = otherwise(random, pl.concat([every.head(shared), every.slice(rows)]))
    right.select(pl.all().gather(pl.lit(random.permutation(rows)))).write_parquet(folder / "right.parquet")


def _names(random: np.random.Generator, count: int, kinds: int, syllables: int) -> Words:
    """Names of which the first are far more popular than the last."""
    parts = random.integers(0, len(_SYLLABLES), (kinds, syllables))
    names = np.array(["".join(_SYLLABLES[p] for p in row) for row in parts])
    rank = np.floor(kinds ** random.random(count)).astype(np.int64) - 1
    return names[rank]


def _people(random: np.random.Generator, count: int) -> pl.DataFrame:
    suburb = random.integers(0, max(50, count // 500), count)
    kinds = max(500, int(count**0.6))
    suburbs = _names(random, int(suburb.max()) + 1, 4 * kinds, 4)
    street = np.array(_STREETS)[random.integers(0, len(_STREETS), count)]
    frame = pl.DataFrame(
        {
            "person": np.arange(count),
            "given_name": _names(random, count, kinds, 2),
            "surname": _names(random, count, 3 * kinds, 3),
            "street_number": random.integers(1, 300, count).astype(str),
            "road": _names(random, count, 2 * kinds, 3),
            "kind": street,
            "suburb": suburbs[suburb],
            "postcode": (2000 + suburb % 7000).astype(str),
            "state": np.array(_STATES)[suburb % len(_STATES)],
            "day": random.integers(-20_000, 11_000, count),
            "soc_sec_id": random.integers(1_000_000, 9_999_999, count).astype(str),
        }
    )
    birth = pl.col("day").cast(pl.Int32).cast(pl.Date).dt.strftime("%Y%m%d")
    return frame.with_columns(address=pl.format("{} {}", "road", "kind"), date_of_birth=birth).select(
        "person", *COLUMNS
    )


def _spoilt(random: np.random.Generator, people: pl.DataFrame) -> pl.DataFrame:
    """One to four values of each person are forgotten, misspelt, or swapped between the names."""
    count = people.height
    spoils = random.integers(1, 5, count)
    order = random.random((count, len(COLUMNS))).argsort(axis=1)
    for place, name in enumerate(COLUMNS):
        hit = pl.Series(order[:, place] < spoils)
        how = pl.Series(random.random(count))
        at = pl.Series(random.integers(0, 12, count)) % (pl.col(name).str.len_chars().cast(pl.Int64))
        letter = pl.Series(np.array(list("abcdefghij0123456789"))[random.integers(0, 20, count)])
        head, tail = pl.col(name).str.slice(0, at), pl.col(name).str.slice(at + 1)
        spoilt = (
            pl.when(how < 0.2).then(None)
            .when(how < 0.5).then(pl.concat_str(head, tail))
            .when(how < 0.8).then(pl.concat_str(head, letter, tail))
            .otherwise(pl.concat_str(head, letter, pl.col(name).str.slice(at)))
        )  # fmt: skip
        people = people.with_columns(pl.when(hit).then(spoilt).otherwise(pl.col(name)).alias(name))
    swap = pl.Series(random.random(count) < 0.03)
    return people.with_columns(
        given_name=pl.when(swap).then("surname").otherwise("given_name"),
        surname=pl.when(swap).then("given_name").otherwise("surname"),
    )
