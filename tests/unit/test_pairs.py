"""Matches are held by the position of their left record: nothing that was told of them is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recon_engine.matching.cascade import MATCHES_SCHEMA
from recon_engine.matching.conditions import CLOSE
from recon_engine.matching.pairs import Pairs
from recon_engine.plan import Plan

PLAN = Plan.build(
    {
        "name": "t",
        "left": {"label": "L", "files": ["l.csv"]},
        "right": {"label": "R", "files": ["r.csv"]},
        "fields": [{"name": n, "left": n, "right": n} for n in ("a", "b")],
        "rules": [{"name": "both", "on": ["a", "b"]}, {"name": "one", "on": ["a"]}],
    }
)
ROWS = 40


@st.composite
def decided(draw: Any) -> pl.DataFrame:
    """Matches of some records, most of them perfect."""
    count = draw(st.integers(0, ROWS))
    left, right = (draw(st.permutations(range(ROWS)))[:count] for _ in "lr")
    rule = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    full = [CLOSE * (2 - r) for r in rule]
    less = draw(st.lists(st.sampled_from([0, 0, 0, 1, 7]), min_size=count, max_size=count))
    weight = [f - off for f, off in zip(full, less, strict=True)]
    rivals = draw(st.lists(st.sampled_from([0, 0, 2]), min_size=count, max_size=count))
    margin = [float(w) / (1 + r) for w, r in zip(weight, rivals, strict=True)]
    columns = dict(zip(MATCHES_SCHEMA, (left, right, rule, weight, rivals, margin), strict=True))
    return pl.DataFrame(columns, schema=MATCHES_SCHEMA)


@given(decided(), st.integers(1, ROWS))
def test_what_was_added_comes_back_in_the_order_of_the_left_records(matches: pl.DataFrame, cut: int) -> None:
    """In parts or at once, with its evidence, and numbered."""
    pairs = Pairs(PLAN, (ROWS, ROWS))
    pairs.add(matches[:cut])
    pairs.add(matches[cut:])
    told = pairs.frame()
    assert told["match_id"].to_list() == list(range(1, matches.height + 1))
    assert told.select(*MATCHES_SCHEMA).equals(matches.sort("l"))
    assert pairs.height == matches.height
    assert pairs.frame(1).select(*MATCHES_SCHEMA).equals(matches.filter(pl.col("rule") >= 1).sort("l"))
    assert pairs.ids_of(matches["l"]).to_list() == [told["l"].index_of(left) + 1 for left in matches["l"]]  # type: ignore[operator]
    for rule in (0, 1):
        mine = matches.filter(pl.col("rule") == rule).sort("l")
        for end, flags in zip("lr", pairs.of(rule), strict=True):
            assert np.flatnonzero(flags).tolist() == mine[end].sort().to_list()
    values = pairs.per_record(np.array([5, 9], dtype=np.uint8))
    for end, found in zip("lr", values, strict=True):
        expected = dict(zip(matches[end], matches["rule"], strict=True))
        assert found.tolist() == [{None: 0, 0: 5, 1: 9}[expected.get(k)] for k in range(ROWS)]
