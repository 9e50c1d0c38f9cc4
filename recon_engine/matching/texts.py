"""How alike two texts are, and which texts can be alike at all: similarity on pairs, candidates by rare shared parts.

A text is seen as the set of its parts: words for `token_set`, trigrams of characters for the others. Candidates come
from an exact argument where there is one (prefix filtering, after Chaudhuri, Ganti and Kaushik, ICDE 2006): order all
parts by rarity; two texts alike enough share one of the first few parts of each. Nothing compares all with all.
"""

from __future__ import annotations

import polars as pl

from recon_engine.matching.cosines import cosine, near_texts
from recon_engine.matching.text_parts import WORD, Rarity, parts_of
from recon_engine.rules import Similarity

_TRIED = 8  # rarest trigrams of a text by which a Jaro-Winkler counterpart is looked for
_CHUNK = 500_000  # pairs whose edits are counted at once


def similarity(pairs: pl.DataFrame, left: str, right: str, method: Similarity, known: Rarity | None) -> pl.Series:
    """The likeness 0-1 of the texts in columns `left` and `right` (String) of each pair; null where one is missing.

    jaro_winkler: Winkler's (prefix weight 0.1). levenshtein: 1 - edits / length of the longer text. token_set: Dice's
    coefficient of the distinct words. tfidf: cosine of the trigram counts weighted by `known` rarity.
    """
    if method == "tfidf":
        assert known is not None
        return cosine(pairs[left], pairs[right], known)
    a, b = pl.col(left).str.to_lowercase(), pl.col(right).str.to_lowercase()
    if method == "token_set":
        words = [e.str.extract_all(WORD).list.unique() for e in (a, b)]
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

    # The measures go through the first text in order: which side that is must not matter. They break off at a missing
    # text that is alone in its column, so they see none, nor a condition, which would hide texts from them.
    ordered = pairs.select(
        a=pl.min_horizontal(a, b).fill_null(""),
        b=pl.max_horizontal(a, b).fill_null(""),
        known=a.is_not_null() & b.is_not_null(),
    )
    measure = pds.str_jw("a", "b") if method == "jaro_winkler" else pds.str_leven("a", "b", return_sim=True)
    measured = ordered.select("known", like=measure.cast(pl.Float64))
    return measured.select(pl.when("known").then("like")).to_series()


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
        return near_texts(left, right, at_least, known, most)
    sides = [prefix_of(texts, method, at_least, known) for texts in (left, right)]
    counts = [side.group_by("p").agg(pl.len().cast(pl.Int64).alias(n)) for side, n in zip(sides, "lr", strict=True)]
    expected = int(counts[0].join(counts[1], on="p").select((pl.col("l") * pl.col("r")).sum()).item())
    if expected > most:
        return pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64}), expected
    pairs = sides[0].rename({"t": "a"}).join(sides[1].rename({"t": "b"}), on="p").select("a", "b").unique()
    return pairs, expected
