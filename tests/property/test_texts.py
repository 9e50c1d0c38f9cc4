"""The search for texts that are alike leaves none out, whatever it does not compare."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recon_engine.matching.texts import candidate_texts, rarity, similarity
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
