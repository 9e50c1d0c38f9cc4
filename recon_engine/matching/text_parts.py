"""The parts of texts, how rare each is, and texts as vectors of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recon_engine.rules import Similarity

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]

WORD = r"[\p{L}\p{N}]+"
_MIX = np.uint64(0x9E3779B97F4A7C15)
# So many texts are taken apart at once, where only counts are wanted.
_AT_ONCE = 1 << 17
_NOTHING = pl.DataFrame(schema={"p": pl.UInt64, "n": pl.Int64})
_KEPT = 20_000_000  # parts of distinct texts of which the vectors are kept: 12 bytes each


@dataclass(frozen=True, slots=True)
class Rarity:
    """In how many records of both files each part of a text stands.

    `parts`: sorted hashes; `count`: records that hold the part; `records`: records in all that have a text; `seen`:
    these texts (text, row) and their vectors, where they are wanted and not too many.
    """

    parts: Hashes
    count: Ints
    records: int
    seen: tuple[pl.DataFrame, csr_array] | None = None

    def of(self, parts: Hashes) -> Ints:
        """The count of each part; parts that were never seen count 0."""
        if not len(self.parts):
            return np.zeros(len(parts), dtype=np.int64)
        place = np.minimum(np.searchsorted(self.parts, parts), len(self.parts) - 1)
        return np.where(self.parts[place] == parts, self.count[place], 0)

    def weight(self, parts: Hashes) -> Floats:
        """Inverse document frequency, smoothed: 1 + ln((1 + records) / (1 + count))."""
        return np.asarray(1 + np.log((1 + self.records) / (1 + self.of(parts))), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Parts:
    """The distinct parts of a list of texts: `text` (position, ascending), `part`, `times` (how often it stands in
    it).
    """

    texts: int
    text: Ints
    part: Hashes
    times: Ints


def parts_of(texts: pl.Series, method: Similarity) -> Parts:
    """The parts of each text (String, no nulls)."""
    counted = _taken_apart(texts, method).group_by("t", "p").agg(pl.len().cast(pl.Int64).alias("n")).sort("t", "p")
    return Parts(len(texts), counted["t"].to_numpy(), counted["p"].to_numpy(), counted["n"].to_numpy())


def _taken_apart(texts: pl.Series, method: Similarity) -> pl.DataFrame:
    """Every part of each text as often as it stands there: t (position of the text), p."""
    plain = texts.str.to_lowercase()
    if method == "token_set":
        words = plain.str.extract_all(WORD).to_frame("p").with_row_index("t").explode("p").drop_nulls("p")
        return words.select(pl.col("t").cast(pl.Int64), pl.col("p").hash(5))
    text, part = windows(" " + plain.str.replace_all(r"\s+", " ").str.strip_chars() + " ", 3)
    return pl.DataFrame({"t": text, "p": part})


def windows(texts: pl.Series, size: int) -> tuple[Ints, Hashes]:
    """Every window of `size` characters of each text (String, no nulls): (position of the text, hash) per window."""
    codes = np.frombuffer("".join(texts.to_list()).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    if len(codes) < size:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
    owner = np.repeat(np.arange(len(texts)), texts.str.len_chars().to_numpy())
    count = len(codes) - size + 1
    mixed = np.zeros(count, dtype=np.uint64)
    for k in range(size):
        mixed = (mixed ^ codes[k : k + count]) * _MIX
        mixed ^= mixed >> np.uint64(29)
    inside = owner[size - 1 :] == owner[:count]
    return owner[:count][inside], mixed[inside]


def rarity(columns: list[pl.Series], method: Similarity) -> Rarity:
    """The rarity of parts over the texts of both files (String, nulls left out), one text a record."""
    texts = pl.concat(columns).alias("text").drop_nulls().value_counts(name="n") if columns else pl.DataFrame()
    total = int(texts["n"].sum())
    if method != "tfidf":  # what each text holds is not asked for again: only counts are kept
        pieces = [_counts(t.to_series(0), t["n"], method) for t in texts.iter_slices(_AT_ONCE)]
        counted = pl.concat(pieces or [_NOTHING]).group_by("p").agg(pl.col("n").sum()).sort("p")
        return Rarity(counted["p"].to_numpy(), counted["n"].to_numpy(), total)
    found = parts_of(texts.to_series(0), method)
    held = texts["n"].to_numpy().astype(np.int64)[found.text]
    parts, place = np.unique(found.part, return_inverse=True)
    count = np.bincount(place, weights=held, minlength=len(parts)).astype(np.int64)
    known = Rarity(parts, count, total)
    if len(place) > _KEPT:
        return known
    return replace(known, seen=(texts.select("text").with_row_index("row"), _unit_rows(found, parts, place, known)))


def _counts(texts: pl.Series, times: pl.Series, method: Similarity) -> pl.DataFrame:
    """Per part, how many records hold it; `times`: how many records have each text."""
    held = _taken_apart(texts, method).unique()
    counted = held.select("p", n=times.cast(pl.Int64).gather(held["t"]))
    return counted.group_by("p").agg(pl.col("n").sum())


def vectors_of(texts: pl.Series, known: Rarity) -> csr_array:
    """One row of unit length per text (String, no nulls): how often it holds each part, times the part's weight.

    The columns are parts in order of their hashes: what a text's row holds does not depend on the other texts.
    """
    if known.seen is not None:
        seen, vectors = known.seen
        rows = texts.to_frame("text").join(seen, on="text", how="left", maintain_order="left")["row"]
        if not rows.null_count():
            return vectors[rows.to_numpy()]
    found = parts_of(texts, "tfidf")
    parts, place = np.unique(found.part, return_inverse=True)
    return _unit_rows(found, parts, place, known)


def _unit_rows(found: Parts, parts: Hashes, place: Ints, known: Rarity) -> csr_array:
    from scipy.sparse import csr_array

    value = found.times * known.weight(parts)[place]
    norm = np.sqrt(np.bincount(found.text, weights=value * value, minlength=found.texts))
    begins = np.concatenate([[0], np.cumsum(np.bincount(found.text, minlength=found.texts))])
    index = np.int32 if len(place) < 2**31 else np.int64
    rows = value / norm[found.text], place.astype(index), begins.astype(index)
    return csr_array(rows, shape=(found.texts, len(parts)))
