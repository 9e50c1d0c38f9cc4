"""How alike two texts are, and which texts can be alike at all: similarity on pairs, candidates by rare shared parts.

A text is seen as the set of its parts: words for `token_set`, trigrams of characters for the others. Candidates come
from an exact argument where there is one (prefix filtering, after Chaudhuri, Ganti and Kaushik, ICDE 2006): order all
parts by rarity; two texts alike enough share one of the first few parts of each. For a cosine the first parts must
bring so much of it that the others can make up for the rest (after Bayardo, Ma and Srikant, WWW 2007). Nothing compares
all with all.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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

_WORD = r"[\p{L}\p{N}]+"
_MIX = np.uint64(0x9E3779B97F4A7C15)
_TRIED = 8  # rarest trigrams of a text by which a Jaro-Winkler counterpart is looked for
_CHUNK = 500_000  # pairs whose trigram vectors are multiplied at once
_BEHIND = 0.6  # of the likeness that is asked: so much at most may come from the parts that a search leaves out
_PRODUCTS = 100  # products of two weights that take as long as one comparison
_BLOCK = 10_000_000  # products at once: what they give is held in memory
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Rarity:
    """In how many records of both files each part of a text stands.

    `parts`: sorted hashes; `count`: records that hold the part; `records`: records in all that have a text.
    """

    parts: Hashes
    count: Ints
    records: int

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
    plain = texts.str.to_lowercase()
    if method == "token_set":
        words = plain.str.extract_all(_WORD).to_frame("p").with_row_index("t").explode("p").drop_nulls("p")
        text, part = words["t"].to_numpy().astype(np.int64), words["p"].hash(5).to_numpy()
    else:
        text, part = windows(" " + plain.str.replace_all(r"\s+", " ").str.strip_chars() + " ", 3)
    counted = (
        pl.DataFrame({"t": text, "p": part}).group_by("t", "p").agg(pl.len().cast(pl.Int64).alias("n")).sort("t", "p")
    )
    return Parts(len(texts), counted["t"].to_numpy(), counted["p"].to_numpy(), counted["n"].to_numpy())


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
    found = parts_of(texts.to_series(0), method)
    held = texts["n"].to_numpy().astype(np.int64)[found.text]
    parts, place = np.unique(found.part, return_inverse=True)
    count = np.bincount(place, weights=held, minlength=len(parts)).astype(np.int64)
    return Rarity(parts, count, int(texts["n"].sum()))


def similarity(pairs: pl.DataFrame, left: str, right: str, method: Similarity, known: Rarity | None) -> pl.Series:
    """The likeness 0-1 of the texts in columns `left` and `right` (String) of each pair; null where one is missing.

    jaro_winkler: Winkler's (prefix weight 0.1). levenshtein: 1 - edits / length of the longer text. token_set: Dice's
    coefficient of the distinct words. tfidf: cosine of the trigram counts weighted by `known` rarity.
    """
    if method == "tfidf":
        assert known is not None
        return _cosine(pairs[left], pairs[right], known)
    a, b = pl.col(left).str.to_lowercase(), pl.col(right).str.to_lowercase()
    if method == "token_set":
        words = [e.str.extract_all(_WORD).list.unique() for e in (a, b)]
        size = words[0].list.len() + words[1].list.len()
        common = words[0].list.set_intersection(words[1]).list.len()
        value = pl.when(size > 0).then(2 * common / size).otherwise(0.0)
        value = pl.when(a.is_not_null() & b.is_not_null()).then(value)
        return pairs.select(value.cast(pl.Float64)).to_series()
    if pairs.height > _CHUNK:  # in slices, so that memory stays flat
        slices = pairs.select(left, right).iter_slices(_CHUNK)
        return pl.concat([similarity(part, left, right, method, known) for part in slices])
    return _edited(pairs, a, b, method)


def _edited(pairs: pl.DataFrame, a: pl.Expr, b: pl.Expr, method: Similarity) -> pl.Series:
    import polars_ds as pds

    # The measures go through the first text in order: which side that is must not matter.
    ordered = pairs.select(
        a=pl.min_horizontal(a, b), b=pl.max_horizontal(a, b), known=a.is_not_null() & b.is_not_null()
    )
    measure = pds.str_jw("a", "b") if method == "jaro_winkler" else pds.str_leven("a", "b", return_sim=True)
    return ordered.select(pl.when("known").then(measure.cast(pl.Float64))).to_series()


def _cosine(left: pl.Series, right: pl.Series, known: Rarity) -> pl.Series:
    texts = pl.concat([left, right]).drop_nulls().unique().sort()
    if texts.is_empty():
        return pl.Series([None] * len(left), dtype=pl.Float64)
    vectors = _vectors(parts_of(texts, "tfidf"), known)
    place = [column.cast(pl.Enum(texts)).to_physical() for column in (left, right)]
    both = place[0].is_not_null() & place[1].is_not_null()
    rows = [p.filter(both).to_numpy().astype(np.int64) for p in place]
    found = [
        np.asarray(vectors[rows[0][k : k + _CHUNK]].multiply(vectors[rows[1][k : k + _CHUNK]]).sum(axis=1)).ravel()
        for k in range(0, len(rows[0]), _CHUNK)
    ]
    value = np.full(len(left), np.nan)
    value[both.to_numpy()] = np.minimum(np.concatenate([np.zeros(0), *found]), 1.0)
    return pl.Series(value).fill_nan(None)


def _vectors(parts: Parts, known: Rarity) -> csr_array:
    """One row of unit length per text."""
    from scipy.sparse import csr_array

    columns, place = np.unique(parts.part, return_inverse=True)
    value = parts.times * known.weight(parts.part)
    norm = np.sqrt(np.bincount(parts.text, weights=value * value, minlength=parts.texts))
    return csr_array((value / norm[parts.text], (parts.text, place)), shape=(parts.texts, len(columns)))


def prefix_of(texts: pl.Series, method: Similarity, at_least: float, known: Rarity) -> pl.DataFrame:
    """The parts (t: position in `texts`, p: hash) of which texts alike enough share one: the rarest of each text."""
    parts = parts_of(texts, method)
    frame = pl.DataFrame(
        {"t": parts.text, "p": parts.part, "c": known.of(parts.part), "v": parts.times * known.weight(parts.part)}
    ).sort("t", "c", "p")
    rank = pl.int_range(pl.len()).over("t")
    if method == "token_set":
        size = pl.len().over("t")
        # Dice d of sets of sizes n and m means an overlap of at least n * d / (2 - d).
        least = (size * (at_least / (2 - at_least)) - 1e-9).ceil()
        return frame.filter(rank < size - least + 1).select("t", "p")
    length = texts.str.len_chars().cast(pl.Float64).gather(frame["t"])
    # One edit changes at most three trigrams. Jaro-Winkler bounds no number of edits: a few rare trigrams are tried.
    most = 3 * (length * ((1 - at_least) / at_least) + 1e-9).floor() + 1
    if method == "jaro_winkler":
        most = pl.repeat(_TRIED, frame.height, dtype=pl.Float64, eager=True)
    return frame.with_columns(most=most).filter(rank < pl.col("most")).select("t", "p")


def candidate_texts(
    left: pl.Series, right: pl.Series, method: Similarity, at_least: float, known: Rarity, most: int
) -> tuple[pl.DataFrame, int]:
    """Pairs of positions (a, b) of distinct texts that may be alike enough, and how many comparisons that means.

    The number is known before anything is joined; beyond `most` no pairs are made. Where more pairs than that are found
    nevertheless, it is theirs.
    """
    if method == "tfidf":
        return _near_vectors(left, right, at_least, known, most)
    sides = [prefix_of(texts, method, at_least, known) for texts in (left, right)]
    counts = [side.group_by("p").agg(pl.len().cast(pl.Int64).alias(n)) for side, n in zip(sides, "lr", strict=True)]
    expected = int(counts[0].join(counts[1], on="p").select((pl.col("l") * pl.col("r")).sum()).item())
    if expected > most:
        return pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64}), expected
    pairs = sides[0].rename({"t": "a"}).join(sides[1].rename({"t": "b"}), on="p").select("a", "b").unique()
    return pairs, expected


def _near_vectors(
    left: pl.Series, right: pl.Series, at_least: float, known: Rarity, most: int
) -> tuple[pl.DataFrame, int]:
    """The same for a cosine. Searched from the side that needs fewer products, so that sides may be swapped."""
    vectors = _vectors(parts_of(pl.concat([left, right]), "tfidf"), known)
    sides = vectors[: len(left)], vectors[len(left) :]
    rare = [_rare(own, other, at_least) for own, other in (sides, sides[::-1])]
    products = [int(one["c"].sum()) for one in rare]
    price, nothing = min(products) // _PRODUCTS, pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64})
    if price > most:
        return nothing, price
    swapped = products[1] < products[0]
    found, total = [nothing], 0
    for pairs in _products(rare[swapped], *(sides[::-1] if swapped else sides), at_least):
        found.append(pairs.select(a="b", b="a") if swapped else pairs)
        total += pairs.height
        if total > most:
            return nothing, total
    return pl.concat(found), price


def _rare(own: csr_array, other: csr_array, at_least: float) -> pl.DataFrame:
    """The parts (t: row, p: column, v: value, c: in how many rows of `other`) by which the rows of `own` are searched:
    the rarest, until those left out are too short a vector to bring more than `_BEHIND` of what is asked.
    """
    row = np.repeat(np.arange(own.shape[0]), np.diff(own.indptr))
    held = other.count_nonzero(axis=0)[own.indices]
    behind = (pl.col("v") ** 2).cum_sum(reverse=True).over("t")
    return (
        pl.DataFrame({"t": row, "p": own.indices, "v": own.data, "c": held})
        .sort("t", "c", "p")
        .filter(behind > (_BEHIND * at_least) ** 2)
    )


def _products(rare: pl.DataFrame, own: csr_array, other: csr_array, at_least: float) -> Iterator[pl.DataFrame]:
    """Pairs (a: row of `own`, b: row of `other`) whose rare parts bring enough, block by block, in order.

    What the parts left out can add is at most the length of their vector (Cauchy and Schwarz).
    """
    from scipy.sparse import csr_array

    texts = own.shape[0]
    row = rare["t"].to_numpy()
    searched = np.bincount(row, weights=rare["v"].to_numpy() ** 2, minlength=texts)
    enough = at_least - np.sqrt(np.maximum(0, 1 - searched)) - _ROUNDING
    rows = csr_array((rare["v"].to_numpy(), (row, rare["p"].to_numpy())), shape=own.shape)
    columns = other.T.tocsr()
    block = np.cumsum(np.bincount(row, weights=rare["c"].to_numpy(), minlength=texts)) // _BLOCK
    begins = np.concatenate([[0], np.flatnonzero(np.diff(block)) + 1, [texts]])

    def near(begin: int, end: int) -> pl.DataFrame:
        product = rows[begin:end] @ columns
        place = np.repeat(np.arange(begin, end), np.diff(product.indptr))
        kept = product.data >= enough[place]
        return pl.DataFrame({"a": place[kept], "b": product.indices[kept]}, schema={"a": pl.Int64, "b": pl.Int64})

    pool = ThreadPoolExecutor(pl.thread_pool_size())
    try:
        yield from pool.map(near, begins[:-1], begins[1:])
    finally:  # who asks may have enough
        pool.shutdown(cancel_futures=True)
