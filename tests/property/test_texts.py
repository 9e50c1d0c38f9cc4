"""The search for texts that are alike leaves none out, whatever it does not compare."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recon_engine.matching import cosines, text_parts
from recon_engine.matching.text_parts import parts_of, rarity
from recon_engine.matching.texts import candidate_texts, similarity
from recon_engine.rules import Similarity

TEXTS = st.lists(st.text("ab cé-", min_size=1, max_size=12), min_size=1, max_size=12, unique=True)


@given(TEXTS, TEXTS, st.sampled_from(["tfidf", "token_set"]), st.floats(0.05, 0.99))
def test_no_pair_that_is_alike_enough_is_left_out(
    ours: list[str], theirs: list[str], method: Similarity, at_least: float
) -> None:
    """Every pair of all with all that reaches the likeness is among the candidates, once."""
    left, right = pl.Series(ours, dtype=pl.String), pl.Series(theirs, dtype=pl.String)
    known = rarity([left, right], method)
    found, asked = candidate_texts(left, right, method, at_least, known, 1_000_000)
    every = pl.DataFrame({"a": range(len(left))}).join(pl.DataFrame({"b": range(len(right))}), how="cross")
    texts = every.select(l=pl.lit(left).gather("a"), r=pl.lit(right).gather("b"))
    alike = every.filter(similarity(texts, "l", "r", method, known) >= at_least)
    assert found.height == found.unique().height
    turned, price = candidate_texts(right, left, method, at_least, known, 1_000_000)
    assert price == asked, "which side is which changes nothing"
    assert set(alike.rows()) <= set(found.select("a", "b").rows()) & set(turned.select("b", "a").rows())


@given(TEXTS, TEXTS, st.floats(0.05, 0.99), st.integers(1, 3), st.integers(1, 50))
def test_a_crowd_of_alike_texts_is_found_whole(
    ours: list[str], theirs: list[str], at_least: float, best: int, block: int
) -> None:
    """More counterparts than the quick multiplication keeps, and many blocks, change nothing of what is found."""
    left, right = pl.Series(ours, dtype=pl.String), pl.Series(theirs, dtype=pl.String)
    known = rarity([left, right], "tfidf")
    whole, price = candidate_texts(left, right, "tfidf", at_least, known, 1_000_000)
    with patch.multiple(cosines, _BEST=best, _BLOCK=block, _ROWS=1):
        found, again = candidate_texts(left, right, "tfidf", at_least, known, 1_000_000)
    assert again == price
    assert sorted(found.rows()) == sorted(whole.rows())


@given(TEXTS, TEXTS)
def test_a_likeness_is_the_same_to_the_last_bit(ours: list[str], theirs: list[str]) -> None:
    """Sides, order, other pairs, blocks and whether vectors are kept decide nothing."""
    left, right = pl.Series("l", ours, dtype=pl.String), pl.Series("r", theirs, dtype=pl.String)
    known = rarity([left, right], "tfidf")
    pairs = pl.DataFrame(left).join(pl.DataFrame(right), how="cross")
    like = similarity(pairs, "l", "r", "tfidf", known)
    assert like.equals(similarity(pairs, "r", "l", "tfidf", known))
    assert like.reverse().equals(similarity(pairs.reverse(), "l", "r", "tfidf", known))
    assert like[-1:].equals(similarity(pairs[-1:], "l", "r", "tfidf", known))
    assert like.equals(similarity(pairs, "l", "r", "tfidf", replace(known, seen=None)))
    with patch.object(cosines, "_ENTRIES", 1):
        assert like.equals(similarity(pairs, "l", "r", "tfidf", known))


@given(st.lists(st.text("ab 1é", max_size=8) | st.none(), max_size=30), st.sampled_from(["levenshtein", "token_set"]))
def test_rarity_does_not_depend_on_how_many_texts_are_taken_apart_at_once(
    texts: list[str | None], method: Similarity
) -> None:
    """A part counts once for each record that holds it, whatever the pieces and however often it repeats."""
    column = pl.Series("t", texts, dtype=pl.String)
    whole = rarity([column], method)
    with patch.object(text_parts, "_AT_ONCE", 2):
        pieces = rarity([column[::-1]], method)
    assert whole.records == pieces.records == len(texts) - column.null_count()
    assert whole.parts.tolist() == pieces.parts.tolist()
    assert whole.count.tolist() == pieces.count.tolist()
    held = Counter(p for text in texts if text is not None for p in set(parts_of(pl.Series([text]), method).part))
    assert dict(zip(whole.parts, whole.count, strict=True)) == held
