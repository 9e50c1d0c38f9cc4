"""Plans of more than two sides: one match over all of them, breaks that name the missing side, evidence that holds."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, PlanError, Result, SidesPlan, load_plan, reconcile, verify
from recon_engine import __main__ as command_line

pytestmark = pytest.mark.slow
REAL = Path(os.environ.get("RECON_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ledger"
FIELDS = [
    {"name": "ref", "columns": {"orders": "ref", "ledger": "ref", "bank": "ref"}, "clean": ["trim"]},
    {"name": "amount", "columns": {"orders": "amt", "ledger": "amt", "bank": "amt"}, "type": "decimal"},
]
EXACT = {"name": "exact", "on": ["ref", "amount"]}
SPLIT = {
    "name": "split",
    "between": ["orders", "ledger"],
    "cardinality": "one_to_many",
    "on": ["ref", {"field": "amount", "total": True}],
}


def data(rules: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A plan of orders, ledger and bank."""
    sides = [{"name": "orders", "label": "Orders"}, {"name": "ledger", "label": "Ledger"}, {"name": "bank"}]
    return {"name": "test", "sides": sides, "fields": FIELDS, "rules": rules or [EXACT], **more}


def table(text: str) -> pl.DataFrame:
    """'R1 10, R2 20' as a frame of references and amounts."""
    rows = [part.split() for part in text.split(",") if part.strip()]
    return pl.DataFrame(rows, schema={"ref": pl.String, "amt": pl.String}, orient="row")


def run(orders: str, ledger: str, bank: str, rules: list[dict[str, Any]] | None = None, **more: Any) -> Result:
    """Reconciles three inline tables, and verifies the result."""
    frames = {"orders": table(orders), "ledger": table(ledger), "bank": table(bank)}
    result = reconcile(SidesPlan.build(data(rules, **more)), sides=frames)
    assert [check for check in verify(result.path) if check.holds is False] == []
    assert result.summary["conserved"]
    return result


def matches(result: Result) -> list[str]:
    """Each match as 'bank 1 ledger 2 orders 3', with a question mark when it is suggested."""
    found: dict[int, str] = {}
    for m in result.matches().collect().iter_rows(named=True):
        mark = "?" if m["outcome"] == "suggested" else ""
        found[m["match_id"]] = f"{found.get(m['match_id'], '')} {m['side']} {m['row']}{mark}".strip()
    return sorted(found.values())


def breaks(result: Result) -> dict[str, tuple[str, str, str]]:
    """Breaks as {'bank 1': (category, missing sides, reason)}."""
    rows = result.breaks().collect().iter_rows(named=True)
    return {f"{b['side']} {b['row']}": (b["category"], b["missing"], b["reason"]) for b in rows}


def test_what_would_make_breaks_match_is_tried_on_its_two_sides() -> None:
    """Amounts that are 5 apart between orders and bank: the wider window is tried, and said what it would do."""
    near = {"field": "amount", "within": "0.05"}
    rules = [
        {"name": "o-l", "between": ["orders", "ledger"], "on": ["ref", "amount"]},
        {"name": "o-b", "between": ["orders", "bank"], "on": ["ref", near]},
    ]
    numbers = range(1, 31)
    booked = ", ".join(f"R{n} {10 * n}" for n in numbers)
    result = run(booked, booked, ", ".join(f"R{n} {10 * n + (5 if n > 20 else 0)}" for n in numbers), rules)
    [cause] = result.summary["causes"]
    assert (cause["between"], cause["blast"]["new_matches"]) == (["orders", "bank"], 10)


def test_two_links_make_one_match_and_a_break_names_the_missing_side() -> None:
    """A=B and B=C make A-B-C, without a rule between A and C; what lacks a side is a break that says which."""
    rules = [
        {"name": "o-l", "between": ["orders", "ledger"], "on": ["ref", "amount"]},
        {"name": "l-b", "between": ["ledger", "bank"], "on": ["ref", {"field": "amount", "within": [0, "0.05"]}]},
    ]
    result = run("R1 10, R2 20, R3 30", "R1 10, R2 20", "R1 10.05, R3 30, R2 20.50", rules, compare=["amount"])
    assert matches(result) == ["bank 1 ledger 1 orders 1"]
    differing = result.differences().collect().rows(named=True)
    assert [(d["left_side"], d["right_side"], d["difference"]) for d in differing] == [("ledger", "bank", "0.05")]
    near = "amount differs by 0.50, the rule allows 0.00 to 0.05"
    none, far = "record comes near under any rule", "which only records of other sides lead to"
    both = "Ledger row 2, Orders row 2 belong together"
    assert breaks(result) == {
        "bank 2": (
            "missing_counterpart",
            "ledger, orders",
            f"missing in Ledger: no Ledger {none}; missing in Orders, {far}",
        ),
        "bank 3": ("value_mismatch", "ledger, orders", f"missing in Ledger: {near}; missing in Orders, {far}"),
        "ledger 2": ("value_mismatch", "bank", f"missing in bank: {near}; {both}"),
        "orders 2": ("missing_counterpart", "bank", f"missing in bank: Ledger row 2: {near}; {both}"),
        "orders 3": (
            "missing_counterpart",
            "bank, ledger",
            f"missing in bank, {far}; missing in Ledger: no Ledger {none}",
        ),
    }
    together = {("-".join(t["sides"]), t["kind"]): t["groups"] for t in result.summary["together"]}
    assert together == {("bank-ledger-orders", "complete"): 1, ("ledger-orders", "incomplete"): 1}
    assert result.summary["missing"] == {"orders": 2, "ledger": 3, "bank": 3}


@pytest.mark.parametrize(
    ("incomplete", "found"),
    [
        ("break", ["bank 1 ledger 1 orders 1"]),
        ("match", ["bank 1 ledger 1 orders 1", "ledger 2 orders 2"]),
        ("suggest", ["bank 1 ledger 1 orders 1", "ledger 2? orders 2?"]),
    ],
)
def test_what_lacks_a_side_is_what_the_plan_says(incomplete: str, found: list[str]) -> None:
    """Groups that lack a side are breaks, suggested, or matches."""
    assert matches(run("R1 10, R2 20", "R1 10, R2 20", "R1 10", incomplete=incomplete)) == found


def test_links_that_contradict_each_other_are_a_conflict() -> None:
    """Two records of a side in one group, which no rule allows, settle nothing and say so."""
    rules = [
        {"name": "ref", "between": ["orders", "ledger"], "on": ["ref"]},
        {"name": "amount", "between": ["ledger", "bank"], "on": ["amount"]},
        {"name": "both", "between": ["orders", "bank"], "on": ["ref"]},
    ]
    result = run("R1 10", "R1 20", "X 20, R1 99", rules)
    assert matches(result) == []
    category, missing, reason = breaks(result)["ledger 1"]
    assert (category, missing) == ("ambiguous", "")
    assert reason.startswith("bank row 1, bank row 2, Ledger row 1, Orders row 1 hang together, which is more than one")


def test_several_records_of_a_side_stand_where_a_rule_allows_them() -> None:
    """A split payment and its two lines on both other sides are one match."""
    lines = {"name": "lines", "between": ["ledger", "bank"], "on": ["ref", "amount"]}
    result = run("R1 30, R2 5", "R1 10, R1 20, R2 5", "R1 20, R1 10, R2 5", [SPLIT, lines])
    assert matches(result) == ["bank 1 bank 2 ledger 1 ledger 2 orders 1", "bank 3 ledger 3 orders 2"]
    certificates = pl.read_parquet(result.path / "certificates.parquet")
    assert certificates["match_id"].n_unique() == 2


def test_a_suggested_link_makes_a_suggested_match_and_disturbs_no_confirmed_one() -> None:
    """One suggested link makes the match suggested; beside a complete confirmed match it is left out and says so."""
    rules = [
        EXACT,
        {"name": "ref alone", "between": ["orders", "bank"], "outcome": "suggested", "on": ["ref"]},
        {"name": "amount alone", "between": ["orders", "ledger"], "outcome": "suggested", "on": ["amount"]},
    ]
    result = run("R1 10, R2 20, R3 30", "R1 10, R2 20, X 30", "R1 10, R2 21, R3 30", rules)
    assert matches(result) == ["bank 1 ledger 1 orders 1", "bank 2? ledger 2? orders 2?", "bank 3? ledger 3? orders 3?"]


def test_equal_records_pair_over_all_sides_and_never_carry_a_choice_over() -> None:
    """Records equal in every field match one by one; where they would carry a guess over, nothing is settled."""
    result = run("R1 10, R1 10", "R1 10, R1 10", "R1 10, R1 10, R1 10")
    assert matches(result) == ["bank 1 ledger 1 orders 1", "bank 2 ledger 2 orders 2"]
    assert breaks(result)["bank 3"][:2] == ("duplicate", "ledger, orders")
    rules = [{"name": "to the ledger", "between": ["orders", "ledger"], "on": ["ref"]}]
    rules += [{"name": "to the bank", "between": ["orders", "bank"], "on": ["ref"]}]
    result = run("R1 10, R1 10", "R1 1, R1 2", "R1 3, R1 4", rules)
    assert matches(result) == []
    assert {category for category, _, _ in breaks(result).values()} == {"ambiguous"}
    assert "equal in every mapped field" in breaks(result)["orders 1"][2]


def test_two_named_sides_are_left_and_right() -> None:
    """A plan of two sides by name gives the matches, differences and breaks of the plan with left and right."""
    frames = {"orders": table("R1 10, R2 20, R4 4, R4 4"), "bank": table("R1 10.02, R3 20, R4 4")}
    near = {"name": "near", "on": ["ref", {"field": "amount", "within": "0.05"}]}
    fields = [
        {
            **f,
            "columns": {
                "bank": "ref" if f["name"] == "ref" else "amt",
                "orders": "ref" if f["name"] == "ref" else "amt",
            },
        }
        for f in FIELDS
    ]
    sides = [{"name": "bank"}, {"name": "orders"}]
    named = reconcile(SidesPlan.build(data([near], sides=sides, fields=fields, compare=["amount"])), sides=frames)
    flat = [
        {
            "name": f["name"],
            "left": f["columns"]["bank"],
            "right": f["columns"]["bank"],
            "type": f.get("type", "text"),
            "clean": f.get("clean", []),
        }
        for f in fields
    ]
    two = {
        "name": "t",
        "left": {"label": "bank"},
        "right": {"label": "orders"},
        "fields": flat,
        "rules": [near],
        "compare": ["amount"],
    }
    plain = reconcile(Plan.build(two), left=frames["bank"], right=frames["orders"])
    names = {"left": "bank", "right": "orders"}
    place = pl.col("side").cast(pl.String).replace(names), "row"
    for columns in (("matches", "match_id", "score", "rivals", "margin"), ("breaks", "category", "nearest_row")):
        of_named, of_plain = (
            getattr(r, columns[0])().select(*place, *columns[1:]).sort("side", "row").collect() for r in (named, plain)
        )
        assert of_named.equals(of_plain)
    assert (
        named.differences().collect().drop("link_id", "left_side", "right_side").equals(plain.differences().collect())
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sides": [{"name": "orders"}]}, "sides"),
        ({"sides": [{"name": "orders"}, {"name": "Orders"}]}, "must differ"),
        ({"sides": [{"name": "links"}, {"name": "bank"}]}, "is the name of a table"),
        (
            {"rules": [{**EXACT, "between": ["orders", "shop"]}]},
            "there is no side 'shop'; the sides are orders, ledger",
        ),
        ({"rules": [{**EXACT, "between": ["orders", "bank"]}]}, "no rule leads from orders to ledger"),
        ({"rules": [EXACT, {"name": "p", "on": ["ref", {"field": "amount", "percent": 1}]}]}, "say between"),
        ({"rules": [EXACT, {**SPLIT, "name": "a"}, {**SPLIT, "between": ["ledger", "orders"]}]}, "in two orders"),
        ({"rules": [{"name": "days", "on": [{"field": "amount", "days": 3}]}]}, "days is for dates"),
        ({"compare": ["day"]}, "compare: there is no field 'day'"),
        ({"fields": [{"name": "ref", "columns": {"shop": "x"}}]}, "there is no side 'shop'"),
        ({"left": {"label": "L"}}, "left: unknown key"),
    ],
)
def test_a_wrong_plan_is_told_in_one_sentence(change: dict[str, Any], said: str) -> None:
    """Every mistake of a plan with sides is one line that names what and where."""
    with pytest.raises(PlanError, match=said) as told:
        SidesPlan.build({**data(), **change})
    assert "\n" not in str(told.value)


def test_screens_and_two_sided_code_refuse_such_a_plan_in_a_sentence() -> None:
    """What knows two sides says that this plan has more, and where it runs."""
    with pytest.raises(PlanError, match="a plan with sides; here a plan has left and right"):
        Plan.build(data())


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    """A plan that is written and read again is the same."""
    fields = [{**FIELDS[0], "clean": {"bank": ["casefold"]}}, {**FIELDS[1], "scale": 3}]
    plan = SidesPlan.build(data([EXACT, SPLIT], fields=fields, compare=["amount"], incomplete="match"))
    (tmp_path / "plan.yaml").write_text(plan.to_yaml())
    assert load_plan(tmp_path / "plan.yaml").to_data() == plan.to_data()  # type: ignore[union-attr]


def test_the_command_line_takes_a_file_for_each_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files stand in the order of the sides; too few, or --left, are refused; the headline names the missing side."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(SidesPlan.build(data()).to_yaml())
    for name, text in (("a", "R1 10, R2 20"), ("b", "R1 10"), ("c", "R1 10, R2 20")):
        table(text).write_csv(f"{name}.csv")
    assert command_line.main(["run", "plan.yaml", "a.csv", "b.csv", "c.csv", "--out", "out"]) == 1
    shown = capsys.readouterr().out
    assert "Orders: 2 read = 1 matched + 0 suggested + 1 breaks + 0 rejected" in shown
    assert "missing: 2 in Ledger" in shown
    assert command_line.main(["verify", "out"]) == 0
    for wrong, said in (
        (["a.csv"], "the plan has 3 sides (orders, ledger, bank): give one file for each, in this order"),
        (["--left", "a.csv"], "the plan has sides: give one file for each"),
        ([], "side bank has no files"),
    ):
        capsys.readouterr()
        assert command_line.main(["run", "plan.yaml", *wrong, "--out", "again"]) == 2
        assert said in capsys.readouterr().err


def test_the_schema_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    """`schema --sides` prints the JSON Schema of plans with sides."""
    assert command_line.main(["schema", "--sides"]) == 0
    assert set(json.loads(capsys.readouterr().out)["properties"]) == set(SidesPlan.model_fields)


def test_reading_asks_in_the_words_of_the_plan(tmp_path: Path) -> None:
    """What a file cannot decide is asked for by the name of its side."""
    frames = {
        "orders": table("R1 10"),
        "ledger": table("R1 10"),
        "bank": pl.DataFrame({"ref": ["R1"], "amt": ["1,234"]}),
    }
    with pytest.raises(Exception, match=r"set sides\.2\.thousands: \",\" or sides\.2\.decimal"):
        reconcile(SidesPlan.build(data()), sides=frames, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "change", "fails"),
    [
        ("matches", pl.col("match_id") + (pl.col("side") == "bank").cast(pl.Int64), "matches hang together"),
        ("matches", pl.col("row") + (pl.col("side") == "bank").cast(pl.Int64) * 2, "links of matches"),
        ("links", pl.col("row") + (pl.col("link_id") == 1).cast(pl.Int64) * (pl.col("end") == "left"), "rule 'exact'"),
        ("breaks", pl.lit("bank").alias("missing"), "missing sides"),
        ("breaks", pl.lit("ambiguous").alias("category"), "summary"),
    ],
)
def test_verify_finds_what_was_changed(name: str, change: pl.Expr, fails: str, tmp_path: Path) -> None:
    """A join that does not follow from the links, and a link that breaks its rule, are found from the files alone."""
    frames = {
        "orders": table("R1 10, R2 20, R3 30"),
        "ledger": table("R1 10, R2 20"),
        "bank": table("R1 10, R2 20, R4 3"),
    }
    out = reconcile(SidesPlan.build(data()), sides=frames, out=tmp_path / "out").path
    assert [c.name for c in verify(out) if c.holds is False] == []
    pl.read_parquet(out / f"{name}.parquet").with_columns(change).write_parquet(out / f"{name}.parquet")
    failed = [c.name for c in verify(out) if c.holds is False]
    assert any(fails in check for check in failed), failed


def test_verify_finds_differences_that_are_not_those_of_the_values(tmp_path: Path) -> None:
    """Between each two sides, what is told to differ must be what differs."""
    same = [{"name": "same", "on": ["ref"]}]
    frames = {"orders": table("R1 10, R2 20"), "ledger": table("R1 11, R2 20"), "bank": table("R1 10, R2 25")}
    out = reconcile(SidesPlan.build(data(same, compare=["amount"])), sides=frames, out=tmp_path / "out").path
    assert [c.name for c in verify(out) if c.holds is False] == []
    told = pl.read_parquet(out / "differences.parquet")
    assert told.height
    told.clear().write_parquet(out / "differences.parquet")
    failed = [c.name for c in verify(out) if c.holds is False]
    assert "ledger-orders differences" in failed
    assert "summary" in failed


@pytest.mark.skipif(not REAL.is_dir(), reason=f"real tables are not at {REAL} (RECON_REAL_DATA)")
def test_card_sales_settlements_and_fees_of_an_acquirer(tmp_path: Path) -> None:
    """A ledger (CSV), an acquirer's settlements (JSON) and its fees (CSV): complete are the orders that plain Python
    finds in all three, each once a file, with the same amount and the same fee; partitions change nothing.
    """
    folder = REAL / "lerian_01_card_acquirer_settlement"
    files = {
        "ledger": folder / "ledger-midaz.csv",
        "settlement": folder / "acquirer-settlement.json.gz",
        "fees": folder / "acquirer-fees.csv",
    }
    plan = SidesPlan.build(
        {
            "name": "card settlement",
            "sides": [{"name": name, "files": [str(path)]} for name, path in files.items()],
            "fields": [
                {"name": "order", "columns": dict.fromkeys(files, "order_id")},
                {"name": "amount", "columns": {"ledger": "amount", "settlement": "gross_amount"}, "type": "decimal"},
                {"name": "fee", "columns": {"settlement": "fee_amount", "fees": "fee_amount"}, "type": "decimal"},
            ],
            "rules": [
                {"name": "sale", "between": ["ledger", "settlement"], "on": ["order", "amount"]},
                {"name": "fee", "between": ["settlement", "fees"], "on": ["order", "fee"]},
            ],
        }
    )
    result = reconcile(plan, out=tmp_path / "one")
    split = reconcile(plan, out=tmp_path / "many", partitions=3)
    for name in ("matches", "links", "breaks", "differences"):
        assert split.records(name).collect().equals(result.records(name).collect())
    assert [check for check in verify(result.path) if check.holds is False] == []
    with gzip.open(files["settlement"]) as file:
        settled = json.load(file)
    rows = {
        name: pl.read_csv(path, infer_schema=False).rows(named=True)
        for name, path in files.items()
        if name != "settlement"
    }
    sales = Counter((r["order_id"], Decimal(r["amount"])) for r in rows["ledger"])
    fees = Counter((r["order_id"], Decimal(r["fee_amount"])) for r in rows["fees"])
    times = Counter(r["order_id"] for r in settled)
    expected = {
        r["order_id"]
        for r in settled
        if times[r["order_id"]] == 1
        and sales[r["order_id"], Decimal(r["gross_amount"])] == 1
        and fees[r["order_id"], Decimal(r["fee_amount"])] == 1
    }
    ledger = result.records("ledger").collect()["order"]
    found = [
        ledger[m["row"] - 1] for m in result.matches().filter(pl.col("side") == "ledger").collect().rows(named=True)
    ]
    assert {order for order in found if times[order] == 1} == expected
    assert len(expected) > 500
    shutil.rmtree(tmp_path / "many")
