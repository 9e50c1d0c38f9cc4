"""`verify` re-checks groups of duplicates: a forgery is found by the values in the files, even with new hashes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, Result, SidesPlan, reconcile, verify
from recon_engine.hashing import hash_file

pytestmark = pytest.mark.slow

SEARCHES: dict[str, list[Any]] = {
    "equal": ["ref", "amount"],
    "near": ["ref", {"field": "amount", "within": 1}],
    "alike": ["ref", {"field": "note", "similarity": "levenshtein", "at_least": 0.8}],
}
ROWS = [("R1", "10", "blue chair"), ("R1", "10", "blue chair"), ("R2", "20", "table"), ("R3", "20", "table")]
FIELDS: list[dict[str, Any]] = [{"name": "ref"}, {"name": "amount", "type": "decimal"}, {"name": "note"}]
Change = Callable[[pl.DataFrame], pl.DataFrame]


def two_sides(search: dict[str, Any]) -> Result:
    """A plan with left and right, the left searched."""
    plan = {
        "name": "t",
        "fields": [{**f, "left": f["name"], "right": f["name"]} for f in FIELDS],
        "rules": [{"name": "r", "on": ["ref"]}],
        "duplicates": {"left": search},
    }
    plan |= {side: {"label": side} for side in ("left", "right")}
    frame = pl.DataFrame(ROWS, schema=["ref", "amount", "note"], orient="row")
    return reconcile(Plan.build(plan), left=frame, right=frame)


def three_sides(search: dict[str, Any]) -> Result:
    """A plan of three sides, the one called left searched."""
    sides = ("left", "bank", "shop")
    plan = {
        "name": "t",
        "sides": [{"name": side} for side in sides],
        "fields": [{**f, "columns": dict.fromkeys(sides, f["name"])} for f in FIELDS],
        "rules": [{"name": side, "between": ["left", side], "on": ["ref"]} for side in sides[1:]],
        "duplicates": {"left": search},
    }
    frame = pl.DataFrame(ROWS, schema=["ref", "amount", "note"], orient="row")
    return reconcile(SidesPlan.build(plan), sides=dict.fromkeys(sides, frame))


def _another(twins: pl.DataFrame) -> pl.DataFrame:
    """A record that is like none of the group."""
    return pl.concat([twins, twins.tail(1).with_columns(row=pl.lit(3, dtype=pl.Int64))])


def _other_kept(twins: pl.DataFrame) -> pl.DataFrame:
    return twins.with_columns(~pl.col("kept"))


def _alone(twins: pl.DataFrame) -> pl.DataFrame:
    return twins.filter("kept")


@pytest.mark.parametrize("sided", [two_sides, three_sides])
@pytest.mark.parametrize("how", SEARCHES)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "2 records, as the plan says"),
        (_another, "1 records are not the same thing twice"),
        (_other_kept, "2 records were kept, or left out, against the plan"),
        (_alone, "1 records are not the same thing twice"),
    ],
)
def test_forged_duplicates_are_found(
    sided: Callable[[dict[str, Any]], Result], how: str, change: Change | None, said: str
) -> None:
    """Whatever the search compares: strangers in a group, another one kept, a group of one."""
    result = sided({"on": SEARCHES[how], "exclude": True})
    if change is not None:
        table = result.path / "duplicates.parquet"
        change(pl.read_parquet(table)).write_parquet(table)
        manifest = json.loads((result.path / "manifest.json").read_text())
        manifest["outputs"]["duplicates.parquet"] = hash_file(table)
        (result.path / "manifest.json").write_text(json.dumps(manifest))
    checks = {check.name: check for check in verify(result.path)}
    assert checks["left duplicates"].holds == (change is None)
    assert said in checks["left duplicates"].detail
    counted = ["summary"] if sided is two_sides and change in (_another, _alone) else []  # it tells of two records
    again = [] if change is None else ["duplicates again"]
    assert [n for n, c in checks.items() if c.holds is False and n != "left duplicates"] == [*counted, *again]


@pytest.mark.parametrize("sided", [two_sides, three_sides])
def test_one_that_was_left_out_is_in_no_match(sided: Callable[[dict[str, Any]], Result]) -> None:
    """A match with a record that the plan leaves out is found."""
    result = sided({"on": ["ref"], "exclude": True})
    table = result.path / "duplicates.parquet"
    twins = pl.read_parquet(table)
    forged = result.path / "matches.parquet"
    is_first = (pl.col("side").cast(pl.String) == "left") & (pl.col("row") == 1)
    matches = pl.read_parquet(forged).with_columns(row=pl.when(is_first).then(2).otherwise("row"))
    matches.write_parquet(forged)
    assert twins.filter(~pl.col("kept"))["row"].to_list() == [2]
    checks = {check.name: check for check in verify(result.path)}
    assert checks["left duplicates"].detail == "1 records that were left out are in a match"


def test_a_side_that_is_not_searched_has_no_check() -> None:
    """Nothing is said of what was not asked."""
    result = two_sides({"on": ["ref"]})
    assert [c.name for c in verify(result.path) if "duplicates" in c.name] == ["left duplicates", "duplicates again"]
