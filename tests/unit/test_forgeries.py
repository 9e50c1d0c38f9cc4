"""Whoever changes one cell of a result, and computes every hash anew, is told of the table and the column."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, SidesPlan, reconcile, verify
from recon_engine.hashing import hash_file
from recon_engine.verification.checks import Check

pytestmark = pytest.mark.slow
COLUMNS = ["ref", "amount", "day", "note", "name", "city"]
LEFT = [
    ("1", "10.00", "2026-01-01", "red chair", "Ann", "Rome"), ("2", "20.00", "2026-01-02", "oak table", "Bob", "Oslo"),
    ("3", "30.00", "2026-01-03", "lamp", "Cid", "Bern"), *[("4", "5.00", "2026-01-04", "x", "Dan", "Kyiv")] * 2,
    ("5", "7.00", "2026-01-05", "sofa", "Eve", "Riga"), ("6", "x", "2026-01-05", "sofa", "Eve", "Riga"),
    ("7", "9.00", "2026-01-07", "one", "Flo", "Nice"), ("8", "11.00", "2026-01-08", "two", "Gus", "Cork"),
    ("19", "12.00", "2026-01-09", "green velvet armchair", "Hal", "Graz"),
    *[(f"L{k}", f"{100 + k}.00", "2026-02-01", f"n{k}", f"Given{k} Sur{k}", f"City{k % 7}") for k in range(30)],
]  # fmt: skip
RIGHT = [
    ("1", "10.05", "2026-01-03", "RED chair", "Ann", "Rome"), ("2", "20.00", "2026-01-02", "oak tables", "Bob", "Oslo"),
    ("3", "10.00", "2026-01-03", "shade", "Cid", "Bern"), ("3", "20.00", "2026-01-05", "lamp", "Cid", "Bern"),
    ("4", "5.00", "2026-01-04", "x", "Dan", "Kyiv"), ("5", "8.50", "2026-01-05", "bench", "Kim", "Lima"),
    ("7", "9.00", "2026-01-08", "one", "Flo", "Nice"), ("7", "9.00", "2026-01-06", "one", "Flo", "Nice"),
    ("8", "11.00", "", "two", "Gus", "Cork"), ("9", "-1", "2026-01-01", "y", "Ida", "Lodz"),
    ("29", "12.30", "2026-01-19", "green velvet armchairs", "Jon", "Gent"),
    *[(f"R{k}", f"{300 + k}.00", "2026-03-01", f"m{k}", f"Given{k} Sur{k}", f"City{k % 7}") for k in range(30)],
]  # fmt: skip
FIELDS: list[dict[str, Any]] = [
    {"name": "ref"}, {"name": "amount", "type": "decimal"}, {"name": "day", "type": "date"}, {"name": "note"},
    {"name": "name"}, {"name": "city"},
]  # fmt: skip
RULES: list[dict[str, Any]] = [
    {"name": "near", "on": ["ref", {"field": "amount", "within": "0.10"}, {"field": "day", "days": 2}]},
    {"name": "split", "cardinality": "one_to_many", "on": ["ref", {"field": "amount", "total": True}]},
    {"name": "alike", "outcome": "suggested", "on": [{"field": "note", "similarity": "jaro_winkler", "at_least": 0.9}]},
    {"name": "linked", "link": {"fields": ["name", "city"], "probability": 0.5}},
]  # fmt: skip
PLAN: dict[str, Any] = {
    "name": "t",
    "left": {"label": "L"},
    "right": {"label": "R"},
    "fields": [{"left": f["name"], "right": f["name"], **f} for f in FIELDS],
    "rules": RULES,
    "compare": ["amount", "day", "note"],
    "duplicates": {"left": {"on": ["ref"]}},
}
SIDES = {
    "name": "s",
    "sides": [{"name": n, "label": n.title()} for n in ("orders", "ledger", "bank")],
    "fields": [{"columns": dict.fromkeys(("orders", "ledger", "bank"), f["name"]), **f} for f in FIELDS],
    "rules": [
        {"name": "near", "on": ["ref", {"field": "amount", "within": "0.10"}]},
        {"name": "linked", "between": ["orders", "ledger"], "link": {"fields": ["name", "city"], "probability": 0.5}},
    ],
    "compare": ["amount", "day"],
}
OTHER_VALUES: dict[Any, Any] = {pl.Float64: 0.01, pl.Date: timedelta(days=1)}
# What no second run can tell again.
FREE = {"seconds", "peak_memory_bytes"}


def table(rows: list[tuple[str, ...]]) -> pl.DataFrame:
    """Rows as a frame of texts."""
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sound results: of two sides in one piece and in parts, of the same without their inputs, and of three sides."""
    folder = tmp_path_factory.mktemp("results")
    for name, rows in {"left": LEFT, "right": RIGHT, "third": [row for row in RIGHT if row[0] != "8"]}.items():
        table(rows).write_csv(folder / f"{name}.csv")
    files = [str(folder / f"{name}.csv") for name in ("left", "right", "third")]
    two = Plan.build(PLAN).with_files(files[:1], files[1:2])
    three = SidesPlan.build(SIDES).with_files(
        {side: [file] for side, file in zip(("orders", "ledger", "bank"), files, strict=True)}
    )
    reconcile(two, out=folder / "pairs")
    reconcile(two, out=folder / "parts", partitions=3)
    reconcile(three, out=folder / "sides")
    shutil.copytree(folder / "pairs", folder / "sent")
    manifest = json.loads((folder / "sent" / "manifest.json").read_text())
    plan = (folder / "sent" / "plan.yaml").read_text()
    for side, file in zip(("left", "right"), files, strict=False):
        manifest["inputs"][side][0]["file"] = f"elsewhere/{side}.csv"
        plan = plan.replace(file, f"elsewhere/{side}.csv")
    (folder / "sent" / "plan.yaml").write_text(plan)
    manifest["plan"]["sha256"] = hash_file(folder / "sent" / "plan.yaml")
    (folder / "sent" / "manifest.json").write_text(json.dumps(manifest))
    _hashed(folder / "sent")
    return {name: folder / name for name in ("pairs", "parts", "sent", "sides")}


def _hashed(folder: Path) -> None:
    """Every hash of the manifest, as it is now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["outputs"] = {name: hash_file(folder / name) for name in manifest["outputs"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def failures(folder: Path) -> list[Check]:
    """The checks that fail once every hash is made anew."""
    _hashed(folder)
    return [check for check in verify(folder) if check.holds is False]


def forged(frame: pl.DataFrame, column: str, row: int) -> pl.DataFrame:
    """The table with another value in one cell."""
    kind, value = frame.schema[column], frame[column][row]
    frame = frame.with_columns(pl.col(pl.Enum).cast(pl.String))
    if kind == pl.Boolean:
        other = not value
    elif kind.is_numeric() or kind == pl.Date:
        other = (frame[column].drop_nulls().max() if value is None else value) + OTHER_VALUES.get(kind.base_type(), 1)
    else:
        other = f"9{value or ''}"
    here = pl.int_range(pl.len()) == row
    new = pl.when(here).then(pl.lit(other, dtype=frame.schema[column])).otherwise(column)
    return frame.with_columns(new.alias(column))


@pytest.mark.parametrize("kind", ["pairs", "parts", "sent", "sides"])
def test_sound_results_hold(results: dict[str, Path], kind: str) -> None:
    """Nothing fails; only what the files are needed for is not checked where these are not at hand."""
    checks = verify(results[kind])
    assert [check for check in checks if check.holds is False] == []
    unchecked = {check.name for check in checks if check.holds is None}
    files = {"input left.csv", "input right.csv", "left again", "right again"}
    assert unchecked == (files if kind == "sent" else set())
    assert {"breaks again", "matches again", "weights again", "summary again"} <= {check.name for check in checks}


def test_the_results_have_something_of_every_kind(results: dict[str, Path]) -> None:
    """Else a forgery of it could not be tried: every table has rows, and breaks are of every kind but two."""
    folder = results["pairs"]
    assert {path.stem for path in folder.glob("*.parquet") if pl.read_parquet(path).is_empty()} == set()
    rules = pl.read_parquet(folder / "matches.parquet")["rule"].cast(pl.String).unique().sort().to_list()
    assert rules == sorted(rule["name"] for rule in RULES)
    assert {"ambiguous", "missing_counterpart", "value_mismatch"} <= json.loads((folder / "summary.json").read_text())[
        "breaks"
    ].keys()


TABLES = [
    *(("pairs", name) for name in ("breaks", "certificates", "differences", "duplicates", "left", "matches")),
    *(("pairs", name) for name in ("rejected", "right", "weights")),
    *(("sides", name) for name in ("breaks", "differences", "ledger", "links", "matches", "rejected", "weights")),
]


@pytest.mark.parametrize(("kind", "table_name"), TABLES)
def test_no_cell_can_be_forged(results: dict[str, Path], kind: str, table_name: str, tmp_path: Path) -> None:
    """Of each column one cell is changed, the first that is not empty: a check of the table names every column."""
    folder = shutil.copytree(results[kind], tmp_path / "result")
    path = folder / f"{table_name}.parquet"
    sound = frame = pl.read_parquet(path)
    rows = {name: int(sound[name].is_not_null().arg_max() or 0) for name in sound.columns}
    for column, row in rows.items():
        frame = forged(frame, column, row)
    frame.write_parquet(path)
    [told] = [check for check in failures(folder) if check.name == f"{table_name} again"]
    assert told.detail == "differs: " + "; ".join(f"{c} in 1 rows, first in row {r + 1}" for c, r in rows.items())


@pytest.mark.parametrize("change", ["twice", "gone"])
def test_no_row_can_be_added_or_left_out(results: dict[str, Path], change: str, tmp_path: Path) -> None:
    """A break more or less is found by its number as well."""
    folder = shutil.copytree(results["sent"], tmp_path / "result")
    frame = pl.read_parquet(folder / "breaks.parquet")
    (frame.slice(1) if change == "gone" else pl.concat([frame, frame.head(1)])).write_parquet(folder / "breaks.parquet")
    told = {check.name: check.detail for check in failures(folder)}
    assert (
        told["breaks again"]
        == f"it has {frame.height + (change == 'twice') - (change == 'gone')} rows, not {frame.height}"
    )
    assert "counts" in " ".join(told)


@pytest.mark.parametrize("kind", ["pairs", "sides"])
def test_no_figure_of_the_summary_can_be_forged(results: dict[str, Path], kind: str, tmp_path: Path) -> None:
    """Each key is told by its name; how long the run took and its memory no second run can tell."""
    folder = shutil.copytree(results[kind], tmp_path / "result")
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({key: _another(value) for key, value in summary.items()}))
    [told] = [check.detail for check in failures(folder) if check.name == "summary again"]
    named = told.removeprefix("tells otherwise: ").split(", ")
    assert [place.partition(".")[0] for place in named] == [key for key in summary if key not in FREE]


def _another(value: Any) -> Any:
    """The same with one figure in it changed: the first that a second run can tell."""
    if isinstance(value, dict):
        key = next((k for k in value if k not in FREE and value[k] not in ({}, [])), "more")
        return {**value, key: _another(value.get(key, 0))}
    if isinstance(value, list):
        return [_another(value[0]), *value[1:]] if value else ["more"]
    return not value if isinstance(value, bool) else f"9{value}" if isinstance(value, str) else value + 1


@pytest.mark.parametrize("rule", range(len(RULES)))
def test_no_estimate_of_a_rule_can_be_forged(results: dict[str, Path], rule: int, tmp_path: Path) -> None:
    """Neither candidates nor the share of accidents, nor what a linkage has learnt."""
    folder = shutil.copytree(results["sent"], tmp_path / "result")
    summary = json.loads((folder / "summary.json").read_text())
    figures = {key: value for key, value in summary["rules"][rule].items() if key not in FREE and value is not None}
    summary["rules"][rule] |= {key: _another(value) for key, value in figures.items()}
    (folder / "summary.json").write_text(json.dumps(summary))
    [told] = [check.detail for check in failures(folder) if check.name == "summary again"]
    named = told.removeprefix("tells otherwise: ").split(", ")
    assert [place.split(".")[:3] for place in named] == [["rules", str(rule), key] for key in figures]


@pytest.mark.parametrize(
    ("table_name", "column"),
    [("breaks", "reason"), ("breaks", "cause"), ("matches", "margin"), ("weights", "bits"), ("matches", "score")],
)
def test_without_the_inputs_only_the_records_must_be_believed(
    results: dict[str, Path], table_name: str, column: str, tmp_path: Path
) -> None:
    """What follows from the records is found as well where the files that they were read from are not here."""
    folder = shutil.copytree(results["sent"], tmp_path / "result")
    path = folder / f"{table_name}.parquet"
    frame = pl.read_parquet(path)
    forged(frame, column, int(frame[column].is_not_null().arg_max() or 0)).write_parquet(path)
    assert f"{table_name} again" in {check.name for check in failures(folder)}


def test_another_reading_is_found(results: dict[str, Path], tmp_path: Path) -> None:
    """What the manifest tells of how the files were read is what reading them again tells."""
    folder = shutil.copytree(results["pairs"], tmp_path / "result")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["read_as"]["left"]["L"]["columns"]["day"] = "otherwise"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert [check.name for check in failures(folder)] == ["left again"]


@pytest.mark.parametrize("kind", ["pairs", "sides"])
@pytest.mark.parametrize(("key", "value"), [("rerun", "rm -r results"), ("plan", {"name": "another"})])
def test_a_forged_manifest_is_found(results: dict[str, Path], kind: str, key: str, value: Any, tmp_path: Path) -> None:
    """What it tells of the plan, and the command that somebody may type in."""
    folder = shutil.copytree(results[kind], tmp_path / "result")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {key: value}))
    [told] = failures(folder)
    assert (told.name, told.detail) == ("manifest", f"tells otherwise: {key}")


def test_another_version_is_no_forger(results: dict[str, Path], tmp_path: Path) -> None:
    """What another version may make so is not checked, and says which; what no run is needed for still fails."""
    folder = shutil.copytree(results["pairs"], tmp_path / "result")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["engine"]["version"] = "earlier"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert failures(folder) == []
    sound = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("matches", "weights")}
    linked = int((sound["matches"]["rule"] == "linked").arg_max() or 0)
    for name, column, row, expected in (
        ("matches", "margin", 0, []),
        ("matches", "score", 0, ["rule 'near'"]),
        ("matches", "score", linked, ["rule 'linked'"]),
        ("weights", "field", 0, ["rule 'linked'"]),
        ("weights", "bits", 0, ["rule 'linked'"]),
    ):
        path = folder / f"{name}.parquet"
        forged(sound[name], column, row).write_parquet(path)
        assert [check.name for check in failures(folder)] == expected
        told = {check.name: check for check in verify(folder) if check.holds is None}
        assert "version earlier, here" in told[f"{name} again"].detail
        sound[name].write_parquet(path)


def test_a_table_more_is_found(results: dict[str, Path], tmp_path: Path) -> None:
    """A list of approvals that no run made is no evidence."""
    folder = shutil.copytree(results["pairs"], tmp_path / "result")
    pl.DataFrame({"approved": [1]}).write_parquet(folder / "approvals.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["outputs"]["approvals.parquet"] = ""
    (folder / "manifest.json").write_text(json.dumps(manifest))
    [told] = failures(folder)
    assert (told.name, told.detail) == ("approvals again", "no run makes such a table")


def test_a_quick_check_says_what_it_left_out(results: dict[str, Path]) -> None:
    """It makes nothing again, and nobody can take that for a check that held."""
    left_out = [check for check in verify(results["pairs"], quick=True) if check.holds is None]
    assert [check.name for check in left_out] == ["made again"]
