"""How many matches of a linkage are near relatives taken for the same thing: estimated without labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recon_engine.execution.local import run
from recon_engine.matching.linkage import LinkField, link
from recon_engine.matching.linkage_relatives import Relatives, accidents
from recon_engine.plan import Plan
from recon_engine.rules import Cardinality

SIZES = ["tiny", "small", "medium", "large", "giant"]


def table(rows: int, found: float, alike: list[int]) -> Relatives:
    """Relatives of a thousand tried records, of which a share finds one across."""
    tried = np.arange(1000)
    return Relatives(rows, tried < found * 1000, np.array(alike)[tried % len(alike)])


def test_no_relatives_no_accidents() -> None:
    """Where no record looks like another of its table, nothing is taken for what it is not."""
    estimate, low, high = accidents(table(1000, 0.6, [0]), table(1000, 0.6, [0]), "one_to_one") or (1.0, 1.0, 1.0)
    assert (estimate, low) == (0.0, 0.0)
    assert 0 < high < 4


def test_accidents_by_hand() -> None:
    """Half of a table has one relative; 70 % find something. So 60 % have no counterpart: 0.5 / (1 - 0.5) of them find
    something all the same. What they find is free in 60 % of cases: 1000 x 0.6 x 0.5 x 0.6.
    """
    one = table(1000, 0.7, [0, 1])
    estimate, low, high = accidents(one, one, "one_to_one") or (0.0, 0.0, 0.0)
    assert estimate == pytest.approx(180)
    assert low < 180 < high
    many, *_ = accidents(one, table(1000, 0.7, [3]), "one_to_many") or (0.0,)
    assert many == pytest.approx(300)  # whatever stands several times on the side of many
    assert accidents(one, one, "many_to_many") is None


def test_all_found_none_lone() -> None:
    """Where every record finds its counterpart, relatives do no harm."""
    every = table(500, 1.0, [4])
    assert (accidents(every, every, "one_to_one") or (1.0,))[0] == 0.0


@pytest.mark.parametrize("cardinality", ["one_to_one", "one_to_many", "many_to_one"])
def test_sides_change_nothing(cardinality: Cardinality) -> None:
    """Which table is called left does not matter."""
    mirrored: dict[Cardinality, Cardinality] = {"one_to_many": "many_to_one", "many_to_one": "one_to_many"}
    one, other = table(700, 0.5, [0, 1, 1]), table(4000, 0.1, [2, 0])
    assert accidents(one, other, cardinality) == accidents(other, one, mirrored.get(cardinality, cardinality))


def catalogs(seed: int, shared: float, count: int = 500) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two shops' lists of products that come in sizes; of the left one `shared` are in the right one too, which names
    the size only half of the time and asks other prices.
    """
    random = np.random.default_rng(seed)
    letters = np.array(list("bcdfghklmnprstvw"))

    def words(kinds: int, of: int, size: int) -> list[str]:
        made = np.array(["a".join(letters[random.integers(0, 16, size)]) for _ in range(of)])
        return list(made[random.integers(0, of, kinds)]) if kinds != of else list(made)

    families = 300
    products = pl.DataFrame(
        {"brand": words(families, 30, 4), "kind": words(families, 40, 5), "line": words(300, 300, 5)}
    )
    every = products.join(pl.DataFrame({"size": SIZES}), how="cross")
    every = every.with_columns(price=pl.Series(random.integers(500, 9000, every.height))).with_row_index("id")
    every = every[random.permutation(every.height)]
    left, lone = every.head(count), every.slice(count, count - round(count * shared))
    right = pl.concat([left.head(round(count * shared)), lone])
    bare = pl.Series(random.random(right.height) < 0.5)
    right = right.with_columns(
        size=pl.when(bare).then(None).otherwise("size"),
        price=(pl.col("price") * pl.Series(random.uniform(0.9, 1.1, right.height))).round(0).cast(pl.Int64),
    )[random.permutation(right.height)]
    titled = [
        side.select(
            "id",
            "brand",
            pl.concat_str("line", "kind", "size", separator=" ", ignore_nulls=True).alias("title"),
            "price",
        )
        for side in (left, right)
    ]
    return titled[0], titled[1]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.3, 0.6, 0.9])
def test_the_estimate_holds_the_planted_rate(tmp_path: Path, shared: float) -> None:
    """Of families of products, the share of matches that are another size lies in the interval, near the estimate."""
    sides = dict(zip(("left", "right"), catalogs(5, shared), strict=True))
    for name, side in sides.items():
        side.drop("id").write_csv(tmp_path / f"{name}.csv")
    plan = Plan.build(
        {
            "name": "catalogs",
            **{name: {"label": name, "files": [str(tmp_path / f"{name}.csv")]} for name in sides},
            "fields": [{"name": n, "left": n, "right": n, "type": t} for n, t in FIELDS.items()],
            "rules": [{"name": "same product", "link": {"fields": list(FIELDS), "probability": 0.5}}],
        }
    )
    run(plan, tmp_path / "out")
    found = pl.read_parquet(tmp_path / "out" / "matches.parquet").with_columns(pl.col("side").cast(pl.String))
    left, right = (found.filter(pl.col("side") == name).sort("match_id")["row"] - 1 for name in sides)
    wrong = float((sides["left"]["id"].gather(left) != sides["right"]["id"].gather(right)).mean())  # type: ignore[arg-type]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    told = summary["rules"][0]["chance"]
    assert told["method"] == "relatives"
    assert told["low"] <= wrong <= told["high"]
    assert told["false_rate"] == pytest.approx(wrong, abs=0.12)
    doubted = [w for w in summary["warnings"] if "accidents" in w]
    assert bool(doubted) == (told["false_rate"] > 0.2)


FIELDS = {"brand": "text", "title": "text", "price": "decimal"}


@pytest.mark.slow
def test_order_changes_nothing() -> None:
    """The same records in another order have the same relatives."""
    left, right = catalogs(6, 0.5, 300)
    fields = [LinkField("brand", "text"), LinkField("title", "text"), LinkField("price", "number")]
    told = []
    for seed in (None, 1, 2):
        tables = [
            t.drop("id") if seed is None else t.drop("id").sample(fraction=1, shuffle=True, seed=seed)
            for t in (left, right)
        ]
        found = link(*tables, fields, probability=0.5).relatives
        assert found is not None
        told.append(accidents(*found, "one_to_one"))
    assert told[0] is not None
    assert told[1] == pytest.approx(told[0])
    assert told[2] == pytest.approx(told[0])
