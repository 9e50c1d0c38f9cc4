"""Record linkage without labels: what it learns, what it keeps the same, and how well it does on real tables."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import linear_sum_assignment

from recon_engine.matching.linkage import Linked, LinkField, link
from recon_engine.matching.linkage_compare import MISSING, compare, prepare

pytestmark = pytest.mark.slow

REAL = Path(os.environ.get("RECON_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "linkage"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"real tables are not at {REAL} (RECON_REAL_DATA)")
FIELDS = [LinkField("name", "text"), LinkField("town", "text"), LinkField("born", "date"), LinkField("code", "text")]


def people(count: int, shared: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two tables that share their first `shared` people; a tenth of each right field differs, a tenth is missing."""
    random = np.random.default_rng(7)
    total = 2 * count - shared
    letters = np.array(list("bcdfghklmnprstvw"))

    def word(kinds: int, size: int) -> np.ndarray:
        words = np.array(["a".join(letters[random.integers(0, 16, size)]) for _ in range(kinds)])
        return words[random.integers(0, kinds, total)]

    everyone = pl.DataFrame(
        {
            "name": word(400, 5),
            "town": word(20, 4),
            "born": pl.Series(random.integers(0, 20_000, total), dtype=pl.Int32),
            "code": random.integers(100_000, 999_999, total).astype(str),
        }
    )
    right = pl.concat([everyone.head(shared), everyone.slice(count)])
    for column in everyone.columns:
        how = pl.Series(random.random(count))
        other = right[column].gather(pl.Series(random.permutation(count)))
        right = right.with_columns(
            pl.when(how < 0.1).then(None).when(how < 0.2).then(other).otherwise(column).alias(column)
        )
    return everyone.head(count), right


def probabilities(linked: Linked) -> dict[tuple[int, int], float]:
    """The probability of each returned pair, rounded."""
    return {(a, b): round(p, 6) for a, b, p in linked.pairs.select("l", "r", "probability").rows()}


def f1(found: set[tuple[int, int]], true: set[tuple[int, int]]) -> float:
    """Harmonic mean of precision and recall."""
    return 2 * len(found & true) / (len(found) + len(true))


def one_to_one(pairs: pl.DataFrame, probability: float) -> set[tuple[int, int]]:
    """The assignment of the greatest total weight among pairs that are probable enough."""
    pairs = pairs.filter(pl.col("probability") >= probability)
    worth = np.zeros((int(pairs["l"].max()) + 1, int(pairs["r"].max()) + 1))  # type: ignore[arg-type]
    worth[pairs["l"], pairs["r"]] = pairs["weight"].to_numpy() + 100
    a, b = linear_sum_assignment(worth, maximize=True)
    kept = worth[a, b] > 0
    return set(zip(a[kept].tolist(), b[kept].tolist(), strict=True))


@pytest.fixture(scope="module")
def linked() -> Linked:
    """Made-up people, linked."""
    return link(*people(900, 600), FIELDS)


def test_matches_are_found_without_labels(linked: Linked) -> None:
    """Shared people are found, strangers are not."""
    assert f1(one_to_one(linked.pairs, 0.95), {(i, i) for i in range(600)}) > 0.9


def test_what_is_learnt_is_what_was_planted(linked: Linked) -> None:
    """Of present values of matches one in nine differs, whatever the field; a tenth is missing."""
    for field in linked.parameters["fields"]:
        equal = field["levels"][-1]
        assert equal["m"] == pytest.approx(8 / 9, abs=0.06), field["field"]
        assert sum(level["m"] for level in field["levels"]) == pytest.approx(1)
        assert sum(level["u"] for level in field["levels"]) == pytest.approx(1)
    town = linked.parameters["fields"][1]["levels"][-1]
    assert town["u"] == pytest.approx(1 / 20, abs=0.02)
    assert linked.parameters["matches"] == pytest.approx(600, rel=0.05)


def test_the_same_tables_give_the_same_bits() -> None:
    """Nothing is summed in an order of its own: weights are the same to the last digit."""
    tables = people(3000, 2500)
    first, *others = (link(*tables, FIELDS).pairs for _ in range(4))
    assert all(other.equals(first) for other in others)


def test_weights_add_up(linked: Linked) -> None:
    """The prior's and the fields' weights are the pair's weight, and the weight is the probability."""
    pairs = linked.pairs
    total = linked.parameters["prior_weight"] + pairs.select(pl.sum_horizontal("^w\\..*$")).to_series()
    assert np.allclose(total, pairs["weight"])
    assert np.allclose(1 / (1 + np.exp2(-pairs["weight"].to_numpy())), pairs["probability"])


def test_missing_is_neutral(linked: Linked) -> None:
    """A field that either side lacks says nothing."""
    left, right = people(900, 600)
    for name in ("name", "town", "born", "code"):
        lacking = left[name].gather(linked.pairs["l"]).is_null() | right[name].gather(linked.pairs["r"]).is_null()
        assert lacking.any()
        assert (linked.pairs[f"w.{name}"].filter(lacking) == 0).all()


def test_rare_values_tell_more() -> None:
    """Equal values weigh by their rarity."""
    left, right = people(900, 600)
    common = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("smith")).otherwise("name").alias("name")
    pairs = link(left.with_columns(common), right.with_columns(common), FIELDS).pairs
    names = left.with_columns(common)["name"].gather(pairs["l"])
    same = pairs.filter(pairs["w.name"] > 0)
    assert same.filter((names == "smith").filter(pairs["w.name"] > 0))["w.name"].max() < same["w.name"].max()


def test_a_number_in_its_own_field_is_one_that_texts_mention() -> None:
    """Things that only their model numbers tell apart: one shop keeps these in a field, the other mostly writes them
    into its titles.
    """
    chance = random.Random(4)
    kinds = ["wall mount for flat screens", "shredder with basket", "label printer for shelves", "case for cameras"]
    left, right = [], []
    for i in range(400):
        maker, kind = chance.choice(["north", "south", "alder", "birch", "cedar", "maple"]), chance.choice(kinds)
        number = str(chance.randrange(10_000, 99_999))
        left.append((f"{maker} {kind}", number, maker))
        right.append((f"new {maker} {number} {kind}", None, maker) if i % 6 else left[-1])
    fields = ["title", "model", "maker"]
    tables = [pl.DataFrame(rows, schema=dict.fromkeys(fields, pl.String), orient="row") for rows in (left, right)]
    linked = link(tables[0], tables[1], [LinkField(name, "text") for name in fields])
    assert f1(one_to_one(linked.pairs, 0.9), {(i, i) for i in range(400)}) > 0.98


def test_what_goes_together_by_chance_tells_little() -> None:
    """Restaurants of one hotel share its street, town and phone; that they do on either side makes none a match."""
    random = np.random.default_rng(11)
    letters = np.array(list("bcdfghklmnprstvw"))
    hotels, alone = 4, 400
    # The first 400 stand alone; then come the hotels' restaurants, four each.
    home = np.concatenate([np.arange(alone), np.repeat(np.arange(alone, alone + hotels), 4)])

    def words(count: int) -> np.ndarray:
        return np.array(["a".join(letters[random.integers(0, 16, 5)]) for _ in range(count)])

    places = pl.DataFrame(
        {
            "name": words(len(home)),
            "street": words(150)[random.integers(0, 150, len(home))[home]],
            "phone": random.integers(10**8, 10**9, len(home)).astype(str)[home],
            "town": words(8)[random.integers(0, 8, len(home))[home]],
            "kind": words(6)[random.integers(0, 6, len(home))],
        }
    )
    housed = np.arange(alone, len(home))
    left = places[[*range(300), *housed[housed % 4 < 2]]]
    right = places[[*range(100), *range(300, 400), *housed[housed % 4 >= 2]]]
    found = link(left, right, [LinkField(name, "text") for name in places.columns]).pairs
    certain = found.filter(pl.col("probability") >= 0.95)
    assert set(certain.select("l", "r").rows()) == {(i, i) for i in range(100)}


def test_neither_order_nor_side_matters(linked: Linked) -> None:
    """Shuffled rows give the same pairs; swapped tables the mirrored ones."""
    left, right = people(900, 600)
    random = np.random.default_rng(3)
    orders = [random.permutation(900) for _ in range(2)]
    shuffled = link(left[orders[0]], right[orders[1]], FIELDS)
    back = {(int(orders[0][a]), int(orders[1][b])): p for (a, b), p in probabilities(shuffled).items()}
    assert back == probabilities(linked)
    mirrored = {(a, b): p for (b, a), p in probabilities(link(right, left, FIELDS)).items()}
    assert mirrored == probabilities(linked)


def test_given_keys_and_their_limit() -> None:
    """`block_on` decides which pairs are compared; pairs beyond the limit are dropped and said."""
    left, right = people(900, 600)
    given = link(left, right, FIELDS, block_on=[["code"], ["name", "town"]])
    assert [key["key"] for key in given.parameters["blocking"]] == ["code", "name + town"]
    assert not given.capped
    capped = link(left, right, FIELDS, block_on=[["town"]], most_pairs=5_000)
    assert capped.capped
    assert capped.parameters["candidates"] <= 5_000
    assert capped.parameters["blocking"][0]["dropped"] > 0


def test_a_key_of_a_field_that_says_nothing() -> None:
    """A field that only blocks finds the pairs that have it in common, and no weight of theirs is its."""
    left, right = people(900, 600)
    fields = [replace(field, speaks=field.name != "code") for field in FIELDS]
    given = link(left, right, fields, block_on=[["code"]])
    assert [key["key"] for key in given.parameters["blocking"]] == ["code"]
    assert probabilities(given)
    assert "w.code" not in given.pairs.columns
    codes = left["code"].gather(given.pairs["l"]), right["code"].gather(given.pairs["r"])
    assert (codes[0].str.to_lowercase() == codes[1].str.to_lowercase()).all()


@pytest.mark.parametrize("way", ["name", "code", "tfidf", "exact"])
def test_days_and_numbers_can_be_compared_as_they_are_written(way: str) -> None:
    """Any field can be compared as text."""
    left, right = (t.with_columns(pl.col("code").cast(pl.Int64)) for t in people(300, 200))
    fields = [LinkField("name", "text"), LinkField("born", "date", way), LinkField("code", "number", way)]
    pairs = one_to_one(link(left, right, fields).pairs, 0.9)
    assert f1(pairs, {(i, i) for i in range(200)}) > 0.8


def test_labels_are_used() -> None:
    """Labelled pairs take part in learning, also those that no key would have found."""
    left, right = people(900, 600)
    every = pl.DataFrame({"l": range(300), "r": range(300), "match": [True] * 300})
    told = link(left, right, FIELDS, labels=every, block_on=[["code"]])
    untold = link(left, right, FIELDS, block_on=[["code"]])
    assert told.parameters["candidates"] > untold.parameters["candidates"]
    code = told.parameters["fields"][3]["levels"][-1]["m"]
    assert code < untold.parameters["fields"][3]["levels"][-1]["m"]


def test_empty_tables() -> None:
    """Nothing to link gives no pairs."""
    left, right = people(30, 10)
    assert link(left.head(0), right, FIELDS).pairs.is_empty()
    assert link(
        left, right.with_columns(pl.lit(None, dtype=t).alias(n) for n, t in right.schema.items()), FIELDS
    ).pairs.is_empty()


@pytest.mark.parametrize(
    ("kind", "a", "b", "level"),
    [
        ("text", "Zoë O'Neill", "zoe oneill", "equal"),
        ("text", "katherine", "cathrin", "Jaro-Winkler ≥ 0.80"),
        ("text", "310/246-1501", "310-246-1501", "equal"),
        ("text", "310/246-1501", "310-246-1502", "one edit"),
        ("text", "12345", "21345", "one edit"),
        ("date", 7_000, 7_000, "equal"),
        ("date", 0, 31, "one digit or day and month swapped"),
        ("number", 10_000, 10_040, "one digit"),
        ("number", 10_000, 10_400, "one digit"),
        ("number", 10_000, 9_000, "within 20%"),
    ],
)
def test_levels(kind: str, a: object, b: object, level: str) -> None:
    """What a pair of values says."""
    schema = {"f": {"text": pl.String, "date": pl.Int32, "number": pl.Int64}[kind]}
    left, right = pl.DataFrame({"f": [a, None]}, schema=schema), pl.DataFrame({"f": [b]}, schema=schema)
    (item,) = prepare(left, right, [LinkField("f", kind)])  # type: ignore[arg-type]
    found = compare(item, pl.Series([0, 1], dtype=pl.UInt32), pl.Series([0, 0], dtype=pl.UInt32))
    assert item.labels[found[0]] == level
    assert found[1] == MISSING


def table(path: str) -> pl.DataFrame:
    """A real table, all text."""
    return pl.read_csv(REAL / path, infer_schema_length=0)


def real(folder: str, right: str, truth: str, ids: tuple[str, str], texts: list[str], numbers: dict[str, int]) -> tuple:
    """Both tables' fields, and the true pairs as positions."""
    tables = [table(f"{folder}/{name}") for name in (right.replace("right", "left").replace("dup", "org"), right)]
    true = table(f"{folder}/{truth}")
    where = [t.select(pl.col(i).alias("k")).with_row_index("at") for t, i in zip(tables, ids, strict=True)]
    a, b = true.columns[:2]
    pairs = true.join(where[0], left_on=a, right_on="k").join(where[1], left_on=b, right_on="k", suffix="_r")
    chosen = [pl.col(t) for t in texts] + [
        (pl.col(n).cast(pl.Float64) * 10**scale).round().cast(pl.Int64) for n, scale in numbers.items()
    ]
    fields = [LinkField(t, "text") for t in texts] + [LinkField(n, "number") for n in numbers]
    return tables[0].select(chosen), tables[1].select(chosen), fields, set(pairs.select("at", "at_r").rows())


@needs_real
@pytest.mark.parametrize(
    ("folder", "texts", "numbers", "probability", "least"),
    [
        ("dblp_acm", ["title", "authors", "venue"], {"year": 0}, 0.5, 0.99),
        ("abt_buy", ["name", "description"], {"price": 2}, 0.5, 0.92),
        ("fodors_zagats", ["name", "addr", "city", "phone", "type"], {}, 0.9, 1.0),
    ],
)
def test_real_tables(folder: str, texts: list[str], numbers: dict[str, int], probability: float, least: float) -> None:
    """Whole tables, no labels, one to one."""
    left, right, fields, true = real(folder, "right.csv", "truth.csv", ("id", "id"), texts, numbers)
    assert f1(one_to_one(link(left, right, fields).pairs, probability), true) >= least


@needs_real
@pytest.mark.parametrize("folder", ["febrl1", "febrl3"])
def test_real_people(folder: str) -> None:
    """Persons with up to five doubles each: every right record goes to its best left."""
    names = ["given_name", "surname", "street_number", "address_1", "address_2", "suburb", "postcode", "state"]
    left, right, fields, true = real(
        folder, "right_dup.csv", "truth_org_dup.csv", ("rec_id", "rec_id"), [*names, "date_of_birth", "soc_sec_id"], {}
    )
    pairs = link(left, right, fields).pairs.filter(pl.col("probability") >= 0.95)
    best = pairs.filter((pl.col("weight") == pl.col("weight").max()).over("r")).filter(pl.len().over("r") == 1)
    assert f1(set(best.select("l", "r").rows()), true) >= 0.995
