"""Hard cases: ties that a rule suggests, linkage with nothing to link, fields called as they like, evidence forged."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest

from recon_engine import Plan, PlanError, Result, reconcile, verify
from recon_engine.hashing import hash_file
from recon_engine.matching.best_assignments import in_some_best

pytestmark = pytest.mark.slow

COLUMNS = ("ref", "amount", "day", "text")
Rows = list[tuple[str | None, ...]]


def plan_of(*rules: dict[str, Any], **others: Any) -> Plan:
    """A plan over four fields."""
    types = {"amount": "decimal", "day": "date"}
    fields = [{"name": n, "left": n, "right": n, "type": types.get(n, "text")} for n in COLUMNS]
    sides = {"left": {"label": "Ledger"}, "right": {"label": "Bank"}}
    return Plan.build({"name": "hard", **sides, "fields": fields, "rules": list(rules), **others})


def run(plan: Plan, left: Rows, right: Rows) -> Result:
    """A run of these rows, which must conserve and verify."""
    frames = [pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row") for rows in (left, right)]
    result = reconcile(plan, left=frames[0], right=frames[1])
    assert result.summary["conserved"]
    assert [c for c in verify(result.path) if c.holds is False] == []
    return result


def told(result: Result) -> list[tuple[str, ...]]:
    """The matches as sorted tuples of side and row, with outcome."""
    matches = result.matches().collect().with_columns(who=pl.format("{}{}", pl.col("side").cast(pl.String), "row"))
    grouped = matches.sort("match_id", "side", "row").group_by("match_id", maintain_order=True).agg("who", "outcome")
    return [(*who, outcome[0]) for _, who, outcome in grouped.iter_rows()]


DAY = "2026-01-01"
TOTAL = {"name": "total", "cardinality": "one_to_many", "on": ["ref", {"field": "amount", "total": True}]}
LINK = {"name": "link", "link": {"fields": ["ref", "text"], "probability": 0.6}}


def test_records_that_claim_the_same_parts_are_one_suggestion() -> None:
    """Two wholes, one set of parts: one group to choose from, not a lone record beside it."""
    left: Rows = [("A", "10", DAY, "x"), ("A", "10", DAY, "y")]
    right: Rows = [("A", "4", DAY, "x"), ("A", "6", DAY, "y")]
    result = run(plan_of(TOTAL | {"when_ambiguous": "suggest"}), left, right)
    assert told(result) == [("left1", "left2", "right1", "right2", "suggested")]
    assert result.matches().collect()["rivals"].max() == 2
    leaving = run(plan_of(TOTAL), left, right)
    kept_open = leaving.breaks().collect()
    assert kept_open["category"].to_list() == ["ambiguous"] * 4
    assert all("fit equally well" in reason for reason in kept_open["reason"])


@pytest.mark.parametrize("cardinality", ["one_to_many", "many_to_many"])
def test_suggested_sets_need_not_add_up_to_be_verified(cardinality: str) -> None:
    """Several sets fit: all of their records are shown together, and the evidence still verifies."""
    left: Rows = [("A", "10", DAY, "x"), ("A", "1.50", DAY, "z")]
    right: Rows = [("A", a, DAY, a) for a in ("4", "6", "3", "7")]
    rule = TOTAL | {"cardinality": cardinality, "when_ambiguous": "suggest"}
    assert told(run(plan_of(rule), left, right)) == [("left1", "right1", "right2", "right3", "right4", "suggested")]


def test_a_record_tied_over_leaders_of_sets_is_not_suggested_alone() -> None:
    """Its rivals are matched: it stays open, and the reason says so."""
    rule = {"name": "sets", "cardinality": "one_to_many", "on": ["ref", {"field": "amount", "within": 2}]}
    left: Rows = [("A", "10", DAY, "x"), ("A", "11", DAY, "y")]
    right: Rows = [("A", "10", DAY, "1"), ("A", "10.50", DAY, "2"), ("A", "11", DAY, "3")]
    suggesting = run(plan_of(rule | {"when_ambiguous": "suggest"}), left, right)
    assert told(suggesting) == [("left1", "right1", "confirmed"), ("left2", "right3", "confirmed")]
    for result in (suggesting, run(plan_of(rule), left, right)):
        (reason,) = result.breaks().collect()["reason"]
        assert "lead matches of others" in reason


@pytest.mark.parametrize("empty", ["left", "right", "both", "matched before"])
def test_linkage_with_nothing_to_link(empty: str) -> None:
    """An empty side, or one that earlier rules have matched: no match, no failure."""
    rows: Rows = [("A", "1", DAY, "one two"), ("B", "2", DAY, "three four")]
    exact = {"name": "exact", "on": ["ref"]}
    if empty == "matched before":
        assert run(plan_of(exact, LINK), rows, rows).summary["matches"] == 2
        return
    left, right = ([] if empty in (side, "both") else rows for side in ("left", "right"))
    assert run(plan_of(LINK), left, right).summary["matches"] == 0


@pytest.mark.parametrize("rule", [{"cardinality": "many_to_many"}, {"when_ambiguous": "suggest"}])
def test_every_record_of_a_linked_match_has_its_evidence(rule: dict[str, Any]) -> None:
    """Also where several of both sides belong together, and where a person must choose."""
    people: Rows = [(f"K{k * 7919 % 1000:03}", "1", DAY, f"person number {k * 31 % 97} of {k}") for k in range(40)]
    result = run(plan_of(LINK | rule), [*people, *people[:6]], [*people, *people[:6], ("K000", "9", DAY, people[0][3])])
    weights = pl.read_parquet(result.path / "weights.parquet")
    assert set(weights["match_id"]) == set(result.matches().collect()["match_id"])


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("{field: amount, within: abc}", "'abc' is no number"),
        ("{field: amount, within: true}", "'true' is no number"),
        ("{field: amount, within: {a: 1}}", "is no number"),
        ("{field: amount, percent: 1e30}", "allows everything"),
        ("{field: day, days: 2.7}", "'2.7' is no whole number of days"),
        ("{field: day, days: .inf}", r"'\.inf' is no whole number of days"),
        ("{field: day, days: 99999999999999999999}", "allows everything"),
    ],
)
def test_tolerances_that_are_none_are_refused_in_words(condition: str, said: str) -> None:
    """A plan with a tolerance that cannot be read names it; nothing is cut down to what could be."""
    text = plan_of({"name": "near", "on": ["ref"]}).to_yaml().replace("  - ref\n", f"  - ref\n  - {condition}\n")
    with pytest.raises(PlanError, match=said):
        Plan.parse(text)


@pytest.mark.parametrize("within", ["1e40", "99999999999999999999"])
def test_a_tolerance_wider_than_any_amount_is_one(within: str) -> None:
    """It does not overflow."""
    rows: Rows = [("A", "9999999999999999.99", DAY, "")]
    rule = {"name": "near", "on": ["ref", {"field": "amount", "within": within}]}
    assert run(plan_of(rule), rows, [("A", "-9999999999999999.99", DAY, "")]).summary["matches"] == 1


def test_plans_with_bare_on_and_with_rules_that_are_none() -> None:
    """YAML reads `on` as true, in searches for duplicates too; rules that are no list are told."""
    text = plan_of({"name": "exact", "on": ["ref"]}).to_yaml()
    found = Plan.parse(text + "duplicates: {left: {on: [ref]}}\n").duplicates.left
    assert found is not None
    assert found.on[0].field == "ref"
    with pytest.raises(PlanError, match="rules"):
        Plan.parse("name: x\nleft: {label: a}\nright: {label: b}\nfields: []\nrules: 5\n")
    with pytest.raises(PlanError, match="repeated: amount"):
        plan_of({"name": "exact", "on": ["ref"]}, compare=["amount", "amount"])


@pytest.mark.parametrize("name", ["state", "part", "n", "currency", "id", "other", "l", "r"])
def test_fields_are_called_as_people_like(name: str) -> None:
    """Names that the engine could use for itself are fields like others: matched, explained, verified."""
    plan = plan_of({"name": "exact", "on": ["ref", "text"]}, {"name": "like", "on": ["ref"]}).to_yaml()
    like = f"{{field: {name}, similarity: levenshtein, at_least: 0.9}}"
    plan = plan.replace("name: text\n", f"name: {name}\n").replace("  - ref\n  - text\n", f"  - ref\n  - {name}\n")
    plan = plan.replace("like\n  'on':\n  - ref\n", f"like\n  'on':\n  - ref\n  - {like}\n")
    left: Rows = [("A", "1", DAY, "Ohio"), ("B", "1", DAY, "Texas"), ("C", "1", DAY, "Washington")]
    right: Rows = [("A", "1", DAY, "Ohio"), ("B", "1", DAY, "Utah"), ("C", "1", DAY, "Washingtom")]
    result = run(Plan.parse(plan), left, right)
    assert told(result) == [("left1", "right1", "confirmed"), ("left3", "right3", "confirmed")]
    assert set(result.breaks().collect()["category"]) == {"value_mismatch"}


@pytest.mark.parametrize("name", ["currency", "units", "state", "part", "v", "w", "excess"])
def test_amounts_are_called_as_people_like(name: str) -> None:
    """So are amounts: summed per currency, explained, verified, also those of rows that cannot be read."""
    plan = plan_of(TOTAL, {"name": "like", "on": ["ref"]}, compare=["amount"], currency={"field": "text"})
    built = plan.to_yaml().replace("name: amount\n", f"name: {name}\n").replace("field: amount\n", f"field: {name}\n")
    left: Rows = [("A", "10", DAY, "EUR"), ("B", "7", DAY, "EUR"), ("C", "3", DAY, "USD"), ("D", "4", "none", "USD")]
    right: Rows = [("A", "6", DAY, "EUR"), ("A", "4", DAY, "EUR"), ("C", "3.5", DAY, "USD"), ("K", "8", DAY, "USD")]
    result = run(Plan.parse(built.replace("- amount\n", f"- {name}\n")), left, right)
    assert result.summary["totals"]["left"]["EUR"][name]["read"] == "17.00"
    assert result.summary["totals"]["left"]["USD"][name]["rejected"] == "4.00"


def test_names_that_cannot_be_fields_are_said() -> None:
    """A reserved name is refused in words."""
    with pytest.raises(PlanError, match="'i' is a reserved name"):
        Plan.parse(plan_of({"name": "exact", "on": ["ref"]}).to_yaml().replace("name: text\n", "name: i\n"))


def _merged(matches: pl.DataFrame) -> pl.DataFrame:
    return matches.with_columns(match_id=pl.lit(1, dtype=pl.Int64))


def _confirmed(matches: pl.DataFrame) -> pl.DataFrame:
    return matches.with_columns(outcome=pl.lit("confirmed"))


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("matches", _merged, "rule 'like'"),
        ("matches", _confirmed, "rule 'like'"),
        ("breaks", lambda t: t.with_columns(category=pl.lit("ambiguous")), "summary"),
        ("differences", lambda t: t.head(0), "summary"),
        ("summary", {"breaks": {}}, "summary"),
        ("summary", {"conserved": False}, "summary"),
        ("manifest", {"inputs": {"left": [], "right": []}}, "input files"),
    ],
)
def test_forgery_is_found_even_with_new_hashes(part: str, change: Any, said: str) -> None:
    """Whoever changes a table and then its hash in the manifest is found by what the other files say."""
    rules = {"name": "exact", "on": ["ref", "day"]}, {"name": "like", "on": ["amount"], "outcome": "suggested"}
    left: Rows = [("A", "1", DAY, "x"), ("B", "2", DAY, "x"), ("C", "3", DAY, "y"), ("D", "4", DAY, "y")]
    right: Rows = [("A", "1.50", DAY, "x"), ("K", "2", DAY, "x"), ("L", "3", DAY, "y"), ("M", "9", DAY, "y")]
    result = run(plan_of(*rules, compare=["amount"]), left, right)
    if callable(change):
        table = result.path / f"{part}.parquet"
        change(pl.read_parquet(table)).write_parquet(table)
    else:
        told = json.loads((result.path / f"{part}.json").read_text())
        (result.path / f"{part}.json").write_text(json.dumps(told | change))
    manifest = json.loads((result.path / "manifest.json").read_text())
    manifest["outputs"] = {name: hash_file(result.path / name) for name in manifest["outputs"]}
    (result.path / "manifest.json").write_text(json.dumps(manifest))
    assert said in {check.name for check in verify(result.path) if check.holds is False}


def test_every_rival_of_a_tie_is_known() -> None:
    """The pairs that some best assignment has are those that listing every assignment finds."""
    random = np.random.default_rng(378)
    for _ in range(200):
        weights = random.integers(0, 4, random.integers(1, 5, 2))
        best: dict[int, set[tuple[int, int]]] = {}
        choices = [[None, *np.flatnonzero(row).tolist()] for row in weights]
        for chosen in product(*choices):
            used = [j for j in chosen if j is not None]
            if len(used) == len(set(used)):
                pairs = {(i, j) for i, j in enumerate(chosen) if j is not None}
                best.setdefault(int(sum(weights[p] for p in pairs)), set()).update(pairs)
        found = zip(*(a.tolist() for a in np.nonzero(in_some_best(weights))), strict=True)
        assert set(found) == best[max(best)], weights


@pytest.mark.parametrize("when_ambiguous", ["best", "suggest"])
def test_what_a_capped_search_leaves_open_is_open_to_the_next_rule(when_ambiguous: str) -> None:
    """Nothing is suggested of records that were not looked at, so nothing holds them, in one stage or in two."""
    left: Rows = [("A", f"{k}.00", DAY, f"text {k}") for k in range(210)]
    right: Rows = [("A", f"{k}.50", DAY, f"text {k}") for k in range(210)]
    others: Rows = [(f"B{k}", "1", DAY, "x") for k in range(60)]
    near = {"name": "near", "on": ["ref", {"field": "amount", "within": 300}], "when_ambiguous": when_ambiguous}
    result = run(plan_of(near, {"name": "text", "on": ["ref", "text"]}), [*left, *others], [*right, *others])
    assert "search capped" in str(result.summary["warnings"])
    assert [rule["matches"] for rule in result.summary["rules"]] == [60, 210]


def test_netting_makes_no_claim_of_being_sure() -> None:
    """Nothing is known of its accidents: a bound on them makes it suggest."""
    rule = {"name": "net", "net": "left", "on": ["ref", {"field": "amount", "total": True}], "max_false_rate": 0.05}
    result = run(plan_of(rule), [("A", "5", DAY, "x"), ("A", "-5", DAY, "x")], [("A", "5", DAY, "x")])
    assert told(result) == [("left1", "left2", "suggested")]
    assert result.summary["rules"][0]["chance"] is None


def test_many_equal_records_under_a_tolerance_are_paired() -> None:
    """Three hundred times the same payment, three cents apart: interchangeable, whatever their number."""
    rule = {"name": "near", "on": ["ref", {"field": "amount", "within": "0.05"}]}
    left: Rows = [("A", "1", DAY, "x")] * 300
    right: Rows = [("A", "1.03", DAY, "y")] * 290
    result = run(plan_of(rule), left, right)
    assert result.summary["rows"]["right"]["matched"] == 290
    rows = result.matches().collect().filter(pl.col("side") == "left")["row"]
    assert rows.to_list() == list(range(1, 291))
    other: Rows = [*right[:-1], ("A", "1.04", DAY, "z")]
    assert "search capped" in str(run(plan_of(rule), left, other).summary["warnings"])
