"""`verify` finds what a forger changed, also where every hash was made anew: differences, certificates, summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, Result, reconcile, verify
from recon_engine.hashing import hash_file

LEFT = [
    ("1", "10.00", "2026-01-01", "red  Chair", "true"), ("2", "20.00", "2026-01-02", "", "false"),
    ("3", "30.00", "2026-01-03", "lamp", "true"), *[("4", "5.00", "2026-01-04", "x", "")] * 2,
]  # fmt: skip
RIGHT = [
    ("1", "-10.05", "2026-01-03", "RED chair", "false"), ("2", "-20.00", "2026-01-02", "bed", "false"),
    ("3", "-10.00", "2026-01-03", "shade", "true"), ("3", "-20.00", "2026-01-05", "lamp", "true"),
    ("5", "-1", "2026-01-01", "x", ""),
]  # fmt: skip
COLUMNS = ["ref", "amount", "day", "note", "paid"]
PLAN: dict[str, Any] = {
    "name": "t",
    "left": {"label": "L"},
    "right": {"label": "R"},
    "fields": [
        {"name": "ref", "left": "ref", "right": "ref"},
        {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "clean": {"right": ["negate"]}},
        {"name": "day", "left": "day", "right": "day", "type": "date"},
        {"name": "note", "left": "note", "right": "note", "clean": ["casefold", "collapse_spaces"]},
        {"name": "paid", "left": "paid", "right": "paid", "type": "boolean"},
    ],
    "rules": [
        {"name": "near", "on": ["ref", {"field": "amount", "within": "0.10"}]},
        {"name": "split", "cardinality": "one_to_many", "on": ["ref", {"field": "amount", "total": True}]},
    ],
    "compare": ["amount", "day", "note", "paid"],
    "duplicates": {"left": {"on": ["ref"]}, "right": {"on": ["day", "note"]}},
}


@pytest.fixture
def result() -> Result:
    """A result with a match of two, one by a total, differences of every type, and a group of duplicates."""
    frames = [pl.DataFrame(rows, schema=COLUMNS, orient="row") for rows in (LEFT, RIGHT)]
    return reconcile(Plan.build(PLAN), left=frames[0], right=frames[1])


def failed(result: Result) -> set[str]:
    """The checks that fail once every hash of the manifest is made anew."""
    path = result.path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["outputs"] = {name: hash_file(result.path / name) for name in manifest["outputs"]}
    path.write_text(json.dumps(manifest))
    return {check.name for check in verify(result.path) if check.holds is False}


def test_differences_are_those_of_the_values(result: Result) -> None:
    """What was told here is right by hand: cleaned where numbers are compared, as read where texts are."""
    told = result.differences().collect().rows()
    assert told == [
        (1, "amount", 1, 1, "10.00", "10.05", "0.05"),
        (1, "day", 1, 1, "2026-01-01", "2026-01-03", "2"),
        (1, "paid", 1, 1, "true", "false", None),
        (2, "note", 2, 2, None, "bed", None),
        (3, "day", 3, 4, "2026-01-03", "2026-01-05", "2"),
        (3, "note", 3, 3, "lamp", "shade", "0.0"),
    ]
    assert failed(result) == set()


def _other(column: str, value: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda t: t.with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(value)).otherwise(column).cast(t.schema[column]).alias(column)
    )


@pytest.mark.parametrize(
    ("table", "change", "check"),
    [
        ("differences", _other("left_value", "10.01"), "differences"),
        ("differences", _other("right_value", "10.04"), "differences"),
        ("differences", _other("difference", "0.04"), "differences"),
        ("differences", _other("field", "ref"), "differences"),
        ("differences", _other("match_id", 2), "differences"),
        ("differences", _other("left_row", 2), "differences"),
        ("differences", lambda t: pl.concat([t.slice(1), t.slice(1, 1)]), "differences"),
        ("differences", lambda t: t.head(0), "differences"),
        ("certificates", lambda t: t.head(0), "certificates"),
        ("certificates", lambda t: pl.concat([t, t]), "certificates"),
        ("certificates", _other("match_id", 1), "certificates"),
        ("certificates", _other("rule", "near"), "certificates"),
        ("duplicates", lambda t: pl.concat([t, t.tail(1)]), "left duplicates"),
    ],
)
def test_a_forged_table_is_found(
    result: Result, table: str, change: Callable[[pl.DataFrame], pl.DataFrame], check: str
) -> None:
    """Another value, another place, a row that is gone or stands twice."""
    path = Path(result.path / f"{table}.parquet")
    change(pl.read_parquet(path)).write_parquet(path)
    assert check in failed(result)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"duplicates": {"left": {"groups": 1, "records": 3}, "right": {"groups": 0, "records": 0}}},
        {"rules": [{"name": n, "matches": m, "outcome": "suggested"} for n, m in (("near", 2), ("split", 1))]},
    ],
)
def test_a_forged_summary_is_found(result: Result, change: dict[str, Any]) -> None:
    """What it says of the plan and of duplicates."""
    path = result.path / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert failed(result) == {"summary", "summary again"}
