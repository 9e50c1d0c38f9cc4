"""Texts that are quantities in linkage: one amount, share or duration written in two ways is one number."""

from __future__ import annotations

import random

import polars as pl
import pytest

from recon_engine.matching.linkage import LinkField, link
from recon_engine.matching.linkage_quantities import quantities

Texts = list[str | None]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["$ 9.99", "1,200 USD", "£3", None], ["9.99", "1200", "3.00", "4"]),
        (["5.0%", "7.25 %", "11 %"], ["5 %", "7.25", "11"]),
        (["3:45", "1:02:03", "12:00"], ["225", "3723", "720"]),
        (["3:45", "1:02:03", "12:00"], ["225000", "3723000", "720000"]),
        (["1 hr. 45 min.", "2 hr.", "50 min."], ["1 hour, 45 minutes", "2 hours", "50 minutes"]),
        (["1 hour and 5 minutes", "2 hours"], ["65", "120"]),
        (["1:45", "2:05", "1:10"], ["1 hr. 45 min.", "2 hr. 5 min.", "70 min."]),
        (["€ 100", "€ 250"], ["100.00 eur", "250 EUR"]),
    ],
)
def test_one_quantity_in_two_ways(left: Texts, right: Texts) -> None:
    """What stands in the same place is equal, whichever file is which."""
    for one, other in ((left, right), (right, left)):
        found = quantities(pl.Series(one, dtype=pl.String), pl.Series(other, dtype=pl.String))
        assert found is not None
        known = found[0].is_not_null() & found[1].is_not_null()
        assert known.sum() >= 2
        assert found[0].filter(known).to_list() == found[1].filter(known).to_list()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["12345", "4711"], ["12345", "815"]),
        (["AB-3:45", "red"], ["225", "blue"]),
        (["3:45", "4:10"], ["1999", "31"]),
        (["$ 100", "€ 250"], ["€ 100", "$ 250"]),
        (["$ 100", "$ 250"], ["€ 100", "€ 250"]),
        (["1.299 €", "2.450 €"], ["1299 €", "2450 €"]),
        ([None, None], [None, None]),
    ],
)
def test_codes_and_other_texts_stay_texts(left: Texts, right: Texts) -> None:
    """Numbers alone may be codes, and numbers far from all durations are none."""
    assert quantities(pl.Series(left, dtype=pl.String), pl.Series(right, dtype=pl.String)) is None


def test_a_word_among_prices_is_missing() -> None:
    """What no price can be read from says nothing."""
    found = quantities(pl.Series(["$ 1", "$ 2", "$ 3", "sold out"]), pl.Series(["1", "2", "3", "4"]))
    assert found is not None
    assert found[0].to_list() == [1_000, 2_000, 3_000, None]


def test_songs_of_one_name_are_told_apart_by_how_long_they_are() -> None:
    """Three versions of each song differ in nothing else; one file has clocks, the other seconds."""
    chance = random.Random(3)
    names = [f"{a} {b}" for a in ("ember", "harbor", "lantern", "meadow", "pebble") for b in ("road", "song", "tale")]
    lengths = chance.sample(range(100, 400, 5), 3 * len(names))
    songs = list(zip([name for name in names for _ in range(3)], lengths, strict=True))
    left = pl.DataFrame({"song": [n for n, _ in songs], "time": [f"{s // 60}:{s % 60:02}" for _, s in songs]})
    right = pl.DataFrame({"song": [n.title() for n, _ in songs], "time": [str(s) for _, s in songs]}).reverse()
    found = link(left, right, [LinkField("song", "text"), LinkField("time", "text")])
    best = found.pairs.sort("weight", descending=True).unique("l", keep="first", maintain_order=True)
    assert (best["l"] + best["r"] == len(songs) - 1).all()
    assert best.height == len(songs)
