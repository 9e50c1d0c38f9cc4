"""The engine end to end on small tables: what matches, what breaks and why, and that the evidence holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, PlanError, Result, UndecidedError, reconcile, verify
from recon_engine import __main__ as command_line

FIELDS = [
    {"name": "ref", "left": "ref", "right": "ref", "clean": ["trim", "casefold"]},
    {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 2},
    {"name": "day", "left": "day", "right": "day", "type": "date"},
    {"name": "currency", "left": "currency", "right": "currency"},
    {"name": "note", "left": "note", "right": "note"},
]
EXACT = {"name": "exact", "on": ["ref", "amount", "day"]}
NEAR = {"name": "near", "on": ["ref", "day", {"field": "amount", "within": "0.05"}]}
LATE = {"name": "late", "on": ["ref", "amount", {"field": "day", "days": [0, 3]}]}


def table(text: str) -> pl.DataFrame:
    """Rows 'ref amount day [currency] [note]' as a frame of text; '-' is empty."""
    rows = [[None if c == "-" else c for c in line.split()] for line in text.strip().splitlines() if line.strip()]
    names = ["ref", "amount", "day", "currency", "note"]
    padded = [dict(zip(names, [*row, *[None] * (5 - len(row))], strict=True)) for row in rows]
    return pl.DataFrame(padded, schema=dict.fromkeys(names, pl.String))


def run(left: str, right: str, rules: list[dict[str, Any]] | None = None, **options: Any) -> Result:
    """Reconciles two inline tables by these rules."""
    plan = Plan.build(
        {
            "name": "test",
            "left": {"label": "Ledger"},
            "right": {"label": "Bank"},
            "fields": FIELDS,
            "rules": rules or [EXACT, NEAR, LATE],
            "compare": ["amount", "day", "note"],
            "currency": {"field": "currency"},
        }
    )
    return reconcile(plan, left=table(left), right=table(right), **options)


def pairs(result: Result) -> list[tuple[str, int, int]]:
    """Matches as (rule, left row, right row)."""
    frame = result.matches().with_columns(pl.col("rule", "side").cast(pl.String)).collect()
    wide = frame.group_by("match_id").agg(
        pl.col("rule").first(),
        left=pl.col("row").filter(pl.col("side") == "left").first(),
        right=pl.col("row").filter(pl.col("side") == "right").first(),
    )
    return sorted(wide.select("rule", "left", "right").iter_rows())


def breaks(result: Result) -> dict[tuple[str, int], tuple[str, str]]:
    """Breaks as {(side, row): (category, reason)}."""
    frame = result.breaks().collect()
    return {(r["side"], r["row"]): (r["category"], r["reason"]) for r in frame.iter_rows(named=True)}


def test_the_cascade_goes_from_exact_to_tolerant() -> None:
    """Each rule works on what the earlier ones left open, and the differences tell what was tolerated."""
    result = run(
        """
        A 10.00 2026-01-01
        B 20.00 2026-01-02
        C 30.00 2026-01-03
        """,
        """
        a 10.00 2026-01-01
        B 20.04 2026-01-02
        C 30.00 2026-01-06
        """,
    )
    assert pairs(result) == [("exact", 1, 1), ("late", 3, 3), ("near", 2, 2)]
    found = result.differences().select("field", "left_value", "right_value", "difference").collect().rows()
    assert found == [("amount", "20.00", "20.04", "0.04"), ("day", "2026-01-03", "2026-01-06", "3")]
    assert result.summary["conserved"]


def test_a_break_says_what_would_have_made_it_match() -> None:
    """The reason names the field, the difference and what the nearest rule allows."""
    result = run(
        "A 10.00 2026-01-01\nB 20.00 2026-01-01\nC 5.00 2026-01-01\nD 7.00 2026-01-01\nE 1.00 2026-01-01",
        "A 10.07 2026-01-01\nB 20.00 2026-01-05\nX 5.00 2026-01-01\n- 7.00 2026-01-01\nF 9.99 2025-01-01",
    )
    found = breaks(result)
    assert found["left", 1] == ("value_mismatch", "amount differs by 0.07, the rule allows 0.05")
    assert found["left", 2] == ("value_mismatch", "day is 4 days later, the rule allows 0 to 3")
    assert found["left", 3] == ("missing_counterpart", "ref differs, amount, day agree")
    assert found["left", 4] == ("missing_counterpart", "ref is empty in the Bank record, amount, day agree")
    assert found["left", 5] == ("missing_counterpart", "no Bank record comes near under any rule")
    near = result.breaks().filter(pl.col("side") == "left").collect()
    assert near["nearest_row"].to_list() == [1, 2, 3, 4, None]
    assert near["nearest_distance"].to_list()[:2] == [0.07, 4.0]


def test_a_rule_without_keys_leaves_plain_breaks() -> None:
    """Nothing to join on means no nearest counterpart, and the run ends all the same."""
    result = run("A 10.00 2026-01-01", "B 20.00 2026-01-01", [{"name": "money", "on": ["amount"]}])
    assert breaks(result)["left", 1] == ("missing_counterpart", "no Bank record comes near under any rule")


def test_what_is_tied_stays_open_and_names_its_rivals() -> None:
    """Two counterparts that fit equally well are never settled by chance."""
    result = run("A 10.00 2026-01-01", "A 10.00 2026-01-01 EUR x\nA 10.00 2026-01-01 EUR y")
    assert pairs(result) == []
    found = breaks(result)
    assert found["left", 1] == ("ambiguous", "2 Bank records fit equally well under rule 'exact': rows 1, 2")
    told = "Bank rows 1, 2 fit equally well with Ledger row 1 under rule 'exact'"
    assert found["right", 2] == ("ambiguous", told)


def test_equal_records_pair_in_row_order_and_the_surplus_is_a_duplicate() -> None:
    """Records equal in every mapped field are interchangeable."""
    result = run("A 10.00 2026-01-01\nA 10.00 2026-01-01", "A 10.00 2026-01-01\nA 10.00 2026-01-01\nA 10.00 2026-01-01")
    assert pairs(result) == [("exact", 1, 1), ("exact", 2, 2)]
    assert breaks(result)["right", 3] == ("duplicate", "equal in every field to Bank row 1, which is matched")


def test_the_closest_counterpart_wins_with_its_certificate() -> None:
    """Of competing candidates the strictly best total matches; rivals and margin say how clear it was."""
    result = run("A 10.00 2026-01-01", "A 10.03 2026-01-01\nA 10.01 2026-01-01", [NEAR])
    assert pairs(result) == [("near", 1, 2)]
    match = result.matches().collect().row(0, named=True)
    assert match["rivals"] == 1
    assert 0 < match["margin"] < match["score"] <= 1


def test_ambiguity_can_be_left_or_suggested() -> None:
    """`leave` matches no record that has a rival; `suggest` holds the tied records for a person."""
    left, right = "A 10.00 2026-01-01", "A 10.03 2026-01-01\nA 10.01 2026-01-01"
    assert pairs(run(left, right, [NEAR | {"when_ambiguous": "leave"}])) == []
    tied = run("A 10.00 2026-01-01", "A 10.01 2026-01-01\nA 9.99 2026-01-01", [NEAR | {"when_ambiguous": "suggest"}])
    assert tied.summary["rows"]["right"] == {"read": 2, "matched": 0, "suggested": 2, "breaks": 0, "rejected": 0}
    assert tied.summary["conserved"]
    assert all(check.holds is not False for check in verify(tied.path))


def test_null_equals_nothing_unless_the_rule_says_so() -> None:
    """Two empty references do not match."""
    left, right = "- 10.00 2026-01-01", "- 10.00 2026-01-01"
    assert pairs(run(left, right)) == []
    equal = {"name": "nulls", "on": [{"field": "ref", "nulls": "equal"}, "amount"]}
    assert pairs(run(left, right, [equal])) == [("nulls", 1, 1)]


def test_percent_is_of_the_left_value_and_its_cap_holds() -> None:
    """1 % of 1,000 is 10, capped at 4; 1 % of 100 is 1."""
    rule = {"name": "share", "on": ["ref", {"field": "amount", "percent": 1, "cap": 4}]}
    left = "A 1000.00 2026-01-01\nB 1000.00 2026-01-01\nC 100.00 2026-01-01\nD 100.00 2026-01-01"
    right = "A 1004.00 2026-01-01\nB 1004.01 2026-01-01\nC 101.00 2026-01-01\nD 98.99 2026-01-01"
    assert pairs(run(left, right, [rule])) == [("share", 1, 1), ("share", 3, 3)]


def test_unreadable_cells_are_rejected_rows_and_money_is_conserved() -> None:
    """A cell that is no number is kept with its raw text; the other rows go on; nothing is rounded."""
    result = run("A 10.005 2026-01-01 EUR\nB 20.00 2026-01-01 EUR\nC x 2026-01-01 USD", "B 20.00 2026-01-01 EUR")
    rejected = result.rejected().select("row", "column", "raw").collect().rows()
    assert rejected == [(1, "amount", "10.005"), (3, "amount", "x")]
    summary = result.summary
    assert summary["rows"]["left"] == {"read": 3, "matched": 1, "suggested": 0, "breaks": 0, "rejected": 2}
    assert summary["totals"]["left"]["EUR"]["amount"]["matched"] == "20.00"
    assert summary["conserved"]


@pytest.mark.slow
def test_out_of_core_gives_the_same_answer() -> None:
    """Any number of partitions on disk writes the same tables."""
    left = "\n".join(f"R{k % 40} {k % 7}.00 2026-01-{1 + k % 9:02d} EUR" for k in range(300))
    right = "\n".join(f"R{k % 41} {k % 7}.0{k % 6} 2026-01-{1 + k % 8:02d} EUR" for k in range(300))
    one, many = run(left, right), run(left, right, partitions=7)
    for name in ("matches", "differences", "breaks", "rejected", "left", "right"):
        a, b = (getattr(r, name)().collect() for r in (one, many))
        assert a.equals(b), name
    assert all(check.holds is not False for check in verify(many.path))


@pytest.mark.parametrize("partitions", [0, 100_000])
def test_a_number_of_partitions_that_makes_no_sense_is_refused(partitions: int) -> None:
    """None, or more than files can be open."""
    with pytest.raises(PlanError, match=f"partitions must be from 1 to 4096, not {partitions}"):
        run("A 1.00 2026-01-01 EUR", "A 1.00 2026-01-01 EUR", partitions=partitions)


def test_verify_finds_what_was_changed(tmp_path: Path) -> None:
    """A tampered match fails its hash and its predicate."""
    result = run(
        "A 10.00 2026-01-01\nB 20.00 2026-01-01", "A 10.00 2026-01-01\nB 20.00 2026-01-01", out=tmp_path / "out"
    )
    path = result.path / "matches.parquet"
    frame = pl.read_parquet(path)
    swapped = frame.with_columns(row=pl.when(pl.col("side") == "right").then(3 - pl.col("row")).otherwise("row"))
    swapped.write_parquet(path)
    failed = {check.name for check in verify(result.path) if check.holds is False}
    assert failed == {"output hashes", "rule 'exact'", "matches again"}


def test_inputs_are_looked_for_beside_a_result_that_was_sent(tmp_path: Path) -> None:
    """Whoever gets a result puts the own copies into its directory: they are the files that were read, or are not."""
    plan = {"name": "p", "left": {"label": "L"}, "right": {"label": "R"}}
    plan |= {"fields": [{"name": "ref", "left": "ref", "right": "ref"}], "rules": [{"name": "exact", "on": ["ref"]}]}
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "data.csv").write_text(f"ref,x\nA,{side}\n", encoding="utf-8")
    files = {side: [str(tmp_path / side / "data.csv")] for side in ("left", "right")}
    result = reconcile(Plan.build(plan).with_files(files["left"], files["right"]), out=tmp_path / "out")
    assert result.summary["conserved"]

    def held() -> list[bool | None]:
        return [check.holds for check in verify(tmp_path / "out") if check.name == "input data.csv"]

    assert held() == [True, True]
    for side in ("left", "right"):
        (tmp_path / side).rename(tmp_path / f"gone-{side}")
    assert held() == [None, None]
    for side in ("left", "right"):
        (tmp_path / f"gone-{side}").rename(tmp_path / "out" / side)
    assert held() == [True, True]
    (tmp_path / "out" / "left" / "data.csv").write_text("ref,x\nA,other\n", encoding="utf-8")
    assert held() == [False, True]


def test_a_portable_result_is_checked_and_run_again_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names its inputs as the plan does: beside them anybody's copy verifies and answers the same."""
    made = tmp_path / "here"
    for side in ("left", "right"):
        (made / side).mkdir(parents=True)
        (made / side / "data.csv").write_text("ref\nA\n", encoding="utf-8")
    sides = {side: {"label": side, "files": [f"{side}/data.csv"]} for side in ("left", "right")}
    plan = {"version": 1, "name": "p", **sides, "fields": [{"name": "ref", "left": "ref", "right": "ref"}]}
    plan["rules"] = [{"name": "exact", "on": ["ref"]}]
    (made / "plan.yaml").write_text(json.dumps(plan), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert command_line.main(["run", "here/plan.yaml", "--portable", "--out", "sent"]) == 0
    sent = tmp_path / "sent"
    assert str(tmp_path) not in (sent / "plan.yaml").read_text() + (sent / "manifest.json").read_text()
    for side in ("left", "right"):
        (made / side).rename(sent / side)
    assert [check.holds for check in verify(sent) if check.name == "input data.csv"] == [True, True]
    monkeypatch.chdir(sent)
    rerun = json.loads((sent / "manifest.json").read_text())["rerun"].split()
    assert command_line.main(rerun[3:]) == 0
    assert (sent / "rerun" / "matches.parquet").read_bytes() == (sent / "matches.parquet").read_bytes()


def test_dates_that_can_be_read_two_ways_are_asked_for() -> None:
    """Day-first or month-first: the data does not decide, so the run stops with what to set."""
    with pytest.raises(UndecidedError, match=r"formats: \{left:"):
        run("A 10.00 01/02/2026", "A 10.00 2026-02-01")


def test_a_missing_column_is_named_with_those_there_are() -> None:
    """The sentence says which column is missing, where, and what there is."""
    plan = Plan.build(
        {
            "name": "x",
            "left": {"label": "L"},
            "right": {"label": "R"},
            "fields": [{"name": "ref", "left": "reff", "right": "ref"}],
            "rules": [{"name": "r", "on": ["ref"]}],
        }
    )
    with pytest.raises(PlanError, match="no column 'reff'; the columns are ref, amount"):
        reconcile(plan, left=table("A 1 2026-01-01"), right=table("A 1 2026-01-01"))


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a child."""
    code = [sys.executable, "-m", "recon_engine", *arguments]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(code, capture_output=True, text=True, cwd=cwd, timeout=60, check=False, env=env)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a plan and two files that match but for one row."""
    (tmp_path / "l.csv").write_text("ref,amount\nA,1.00\nB,2.00\n")
    (tmp_path / "r.csv").write_text("ref,amount\nA,1.00\nC,2.00\n")
    (tmp_path / "plan.yaml").write_text(
        "version: 1\nname: x\nleft: {label: L, files: [l.csv]}\nright: {label: R, files: [r.csv]}\n"
        "fields: [{name: ref, left: ref, right: ref}, {name: amount, left: amount, right: amount, type: decimal}]\n"
        "rules: [{name: exact, on: [ref, amount]}]\n"
    )
    return tmp_path


def test_the_command_line_keeps_its_exit_codes(files: Path) -> None:
    """0 all matched, 1 breaks, 2 wrong input with one line; nothing is left behind by a refusal."""
    assert command("run", "plan.yaml", "--out", "one", cwd=files).returncode == 1
    assert command("run", "plan.yaml", "--right", "l.csv", "--out", "two", cwd=files).returncode == 0
    wrong = command("run", "plan.yaml", "--left", "none.csv", "--out", "three", cwd=files)
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "none.csv" in wrong.stderr
    assert not list(files.glob("three*"))
    assert command("verify", "one", cwd=files).returncode == 0


def test_progress_is_one_json_object_a_line(files: Path) -> None:
    """Each line has stage, done, total, rule and seconds."""
    done = command("run", "plan.yaml", "--out", "out", "--progress", "ndjson", cwd=files)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["stage"] for line in lines} == {"read", "match", "explain", "evidence"}
    assert all(line.keys() == {"stage", "done", "total", "rule", "seconds"} for line in lines)


def test_the_schema_is_published(files: Path) -> None:
    """`schema` prints the JSON Schema of plan files."""
    schema = json.loads(command("schema", cwd=files).stdout)
    assert set(schema["properties"]) >= {"version", "name", "left", "right", "fields", "rules", "compare", "currency"}
