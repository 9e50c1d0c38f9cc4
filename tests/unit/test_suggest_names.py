"""Files of things that only names and descriptions tell: which columns name them, and what may repeat."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from recon_engine import reconcile
from recon_engine.suggest import Suggestion, suggest

pytestmark = pytest.mark.slow

Columns = dict[str, list[object]]
SYLLABLES = ("ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu")


def suggested(folder: Path, left: Columns, right: Columns) -> Suggestion:
    """The suggestion for two tables, the right one upside down."""
    pl.DataFrame(left).write_csv(folder / "one.csv")
    pl.DataFrame(right).reverse().write_csv(folder / "two.csv")
    return suggest(folder / "one.csv", folder / "two.csv")


def rightly(found: Suggestion, rows: int) -> tuple[int, int]:
    """How many pairs there are, and how many are of the same place in both tables of so many rows."""
    result = reconcile(found.plan)
    matches = result.matches().collect()
    one, two = (matches.filter(pl.col("side") == side).select("match_id", "row") for side in ("left", "right"))
    pairs = one.join(two, on="match_id")
    return pairs.height, int((pairs["row"] + pairs["row_right"] == rows + 1).sum())


def words(chance: random.Random, count: int) -> list[str]:
    """Made words of three syllables."""
    return ["".join(chance.choice(SYLLABLES) for _ in range(3)) for _ in range(count)]


def test_titles_that_share_rare_words_are_one_field(tmp_path: Path) -> None:
    """No value is in both files, the columns are called differently: brands and model numbers bring them together."""
    chance = random.Random(5)
    brands, kinds = words(chance, 20), ["printer", "camera", "monitor", "speaker", "player"]
    made = [
        (chance.choice(brands), f"{chance.choice('ABCDEF')}X{i * 37 + 1000}", chance.choice(kinds)) for i in range(300)
    ]
    prices = [chance.randint(2_000, 90_000) for _ in made]
    left: Columns = {
        "item": [f"{b.title()} {m} {k.title()}" for b, m, k in made],
        "price": [f"$ {p / 100:.2f}" for p in prices],
    }
    right: Columns = {
        "text": [f"{k} {m.lower()} by {b.upper()}, new" for b, m, k in made],
        "cost": [f"{p * 0.93 / 100:.2f}" for p in prices],
    }
    found = suggested(tmp_path, left, right)
    assert ("item", "text") in {(f.left, f.right) for f in found.fields}
    assert "rare words in common" in next(f.reason for f in found.fields if f.left == "item")
    pairs, good = rightly(found, 300)
    assert good >= 285
    assert pairs - good <= 15


def test_descriptions_of_other_things_are_no_field(tmp_path: Path) -> None:
    """A colour and a price here, a town and a weight there: that texts have words does not make them one field."""
    chance = random.Random(6)
    ours, theirs = words(chance, 400), [f"{w}x" for w in words(chance, 400)]
    left: Columns = {"item": [f"{a} {b}" for a, b in zip(ours, ours[::-1], strict=True)], "size": [*range(1, 401)]}
    right: Columns = {"text": [f"{a} {b}" for a, b in zip(theirs, theirs[::-1], strict=True)], "size": [*range(1, 401)]}
    found = suggested(tmp_path, left, right)
    assert {f.left for f in found.fields} == {"size"}


def test_a_file_that_holds_its_records_twice_is_linked(tmp_path: Path) -> None:
    """What is in a file twice is no reason to leave all of it: equal records are paired one by one."""
    chance = random.Random(7)
    names = words(chance, 500)
    films = [(" ".join(chance.choice(names) for _ in range(3)), 1950 + i % 60) for i in range(200)]
    twice = [f for f in films for _ in range(2)]
    left: Columns = {"title": [t for t, _ in twice], "year": [y for _, y in twice]}
    right: Columns = {"title": [f"{t[:-1]}ee" for t, _ in twice], "year": [y for _, y in twice]}
    found = suggested(tmp_path, left, right)
    assert [r.link is not None for r in found.plan.rules] == [True]
    result = reconcile(found.plan)
    matches = result.matches().collect()
    assert matches.filter(pl.col("side") == "left").height >= 380


def test_names_that_recur_speak_of_what_is_the_same(tmp_path: Path) -> None:
    """Directors make many films, so their names are no key; neither are they a numbering, to be left out."""
    chance = random.Random(8)
    first, last, about = words(chance, 60), words(chance, 300), words(chance, 300)
    directors = [f"{chance.choice(first)} {name}".title() for name in last]
    left, right = (
        [(f"{chance.choice(about)} {chance.choice(about)}", d, chance.randint(60, 180)) for d in directors]
        for _ in range(2)
    )
    right[:100] = [(f"the {title[:-1]}", director, length) for title, director, length in left[:100]]
    names = ("title", "director", "length")
    found = suggested(tmp_path, *({n: [row[k] for row in rows] for k, n in enumerate(names)} for rows in (left, right)))
    assert not any("own numbering" in asked for asked in found.questions)
    assert [r.link is not None and "director" in r.link.fields for r in found.plan.rules] == [True]
    pairs, good = rightly(found, 300)
    assert good >= 95
    assert pairs - good <= 10
