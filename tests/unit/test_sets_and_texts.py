"""Rules beyond pairs of equal and near values: sums, sets, netting, fees, likeness of texts, references, linkage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, PlanError, Result, reconcile, verify
from recon_engine.matching import candidates

FIELDS = [
    {"name": "account", "left": "account", "right": "account"},
    {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 2},
    {"name": "day", "left": "day", "right": "day", "type": "date"},
    {"name": "note", "left": "note", "right": "note"},
]
SPLIT = [{"field": "day", "days": 3}, "account", {"field": "amount", "total": True}]


def table(text: str) -> pl.DataFrame:
    """Rows 'account amount day note…' as a frame of text; '-' is empty."""
    rows = [line.split(maxsplit=3) for line in text.strip().splitlines() if line.strip()]
    names = ["account", "amount", "day", "note"]
    padded = [[None if c == "-" else c for c in (*row, *["-"] * (4 - len(row)))] for row in rows]
    return pl.DataFrame(padded, schema=dict.fromkeys(names, pl.String), orient="row")


def run(left: str, right: str, *rules: dict[str, Any], **options: Any) -> Result:
    """Reconciles two inline tables; the evidence of the result must hold."""
    plan = {"name": "t", "left": {"label": "Ledger"}, "right": {"label": "Bank"}, "fields": FIELDS, "rules": rules}
    result = reconcile(Plan.build(plan), left=table(left), right=table(right), **options)
    failed = [check for check in verify(result.path) if check.holds is False]
    assert not failed
    assert result.summary["conserved"]
    return result


def groups(result: Result) -> list[tuple[list[int], list[int]]]:
    """Matches as (left rows, right rows)."""
    found: dict[int, tuple[list[int], list[int]]] = {}
    for row in result.matches().sort("match_id", "side", "row").collect().iter_rows(named=True):
        found.setdefault(row["match_id"], ([], []))[row["side"] == "right"].append(row["row"])
    return sorted(found.values())


def breaks(result: Result) -> dict[tuple[str, int], tuple[str, str]]:
    """Breaks as {(side, row): (category, reason)}."""
    return {
        (r["side"], r["row"]): (r["category"], r["reason"]) for r in result.breaks().collect().iter_rows(named=True)
    }


LEFT = """
    A 100.00 2026-01-01
    A 55.00 2026-01-01
    B 70.00 2026-01-01
    C 10.00 2026-01-01
"""
RIGHT = """
    A 60.00 2026-01-02
    A 40.00 2026-01-02
    A 55.00 2026-01-02
    B 30.00 2026-01-02
    B 40.00 2026-01-02
    B 70.00 2026-01-02
    C 5.00 2026-01-02
    C 6.00 2026-01-02
"""


def test_one_record_is_matched_with_the_only_set_that_adds_up() -> None:
    """One fitting set is a match, two are ambiguous, none says by how much the group is off."""
    rule = {"name": "split", "cardinality": "one_to_many", "on": SPLIT}
    result = run(LEFT, RIGHT, rule)
    assert groups(result) == [([1], [1, 2]), ([2], [3])]
    told = breaks(result)
    assert told["left", 3][0] == "ambiguous"
    assert told["left", 4] == (
        "one_sided_total",
        "2 Bank records of the same account add up to 11.00: amount differs by 1.00, the rule allows none",
    )
    certificates = pl.read_parquet(result.path / "certificates.parquet")
    assert certificates["search"].to_list() == ["exhaustive", "exhaustive"]


def test_many_to_one_is_the_mirror_image() -> None:
    """Swapped sides and the mirrored cardinality give the mirrored matches."""
    mirrored = [{**c, "days": [-3, 3]} if isinstance(c, dict) and "days" in c else c for c in SPLIT]
    there = run(LEFT, RIGHT, {"name": "split", "cardinality": "one_to_many", "on": SPLIT})
    back = run(RIGHT, LEFT, {"name": "split", "cardinality": "many_to_one", "on": mirrored})
    assert groups(there) == sorted((left, right) for right, left in groups(back))


@pytest.mark.parametrize("partitions", [1, 3])
def test_partitions_do_not_change_sums(partitions: int) -> None:
    """Groups that share a key stay together on disk."""
    rule = {"name": "split", "cardinality": "one_to_many", "on": SPLIT}
    assert groups(run(LEFT, RIGHT, rule, partitions=partitions)) == [([1], [1, 2]), ([2], [3])]


def test_a_whole_group_is_taken_before_its_subsets() -> None:
    """Where everything of a key adds up, other fitting subsets do not make it ambiguous."""
    right = "A 60.00 2026-01-01\nA 40.00 2026-01-01\nA 5.00 2026-01-01\nA -5.00 2026-01-01"
    rule = {"name": "split", "cardinality": "one_to_many", "on": SPLIT}
    assert groups(run("A 100.00 2026-01-01", right, rule)) == [([1], [1, 2, 3, 4])]


def test_interchangeable_records_are_no_ambiguity() -> None:
    """Sets that differ only in records equal in every field count as one; the first in row order are taken."""
    right = "A 50.00 2026-01-01\nA 50.00 2026-01-01\nA 50.00 2026-01-01"
    rule = {"name": "split", "cardinality": "one_to_many", "on": SPLIT}
    assert groups(run("A 100.00 2026-01-01", right, rule)) == [([1], [1, 2])]


def test_too_many_candidates_are_said_to_be_unsearched() -> None:
    """A record with more candidates than the budget stays open, with the reason."""
    right = "\n".join(f"A {k}.0{k % 10} 2026-01-01" for k in range(1, 8))
    rule = {"name": "split", "cardinality": "one_to_many", "on": SPLIT, "budget": {"members": 4}}
    assert "search capped" in breaks(run("A 20.00 2026-01-01", right, rule))["left", 1][1]


def test_a_fee_that_was_kept_back_is_allowed_for() -> None:
    """Several sales less a percentage and a fixed fee make one payout, to the cent."""
    left = "A 100.00 2026-01-01\nA 50.00 2026-01-01"
    total = {"field": "amount", "total": True, "net_of": {"percent": "2.9", "fixed": "0.30"}}
    rule = {"name": "payout", "cardinality": "many_to_one", "on": ["account", total]}
    assert groups(run(left, "A 145.35 2026-01-02", rule)) == [([1, 2], [1])]
    assert groups(run(left, "A 145.36 2026-01-02", rule)) == []


def test_signs_can_be_opposite() -> None:
    """What one side books as plus, the other books as minus."""
    rule = {"name": "opposite", "on": ["account", {"field": "amount", "sign": "opposite"}]}
    assert groups(run("A 10.00 2026-01-01\nB 5.00 2026-01-01", "A -10.00 2026-01-01\nB 5.00 2026-01-01", rule)) == [
        ([1], [1])
    ]


def test_reversals_inside_a_side_are_netted() -> None:
    """Plus and minus of the same reference make a match of one side; what is left goes on."""
    right = "A 60.00 2026-01-01\nA -60.00 2026-01-02\nA 55.00 2026-01-01"
    rules = (
        {"name": "reversed", "net": "right", "on": ["account", {"field": "amount", "total": True}]},
        {"name": "exact", "on": ["account", "amount"]},
    )
    assert groups(run("A 55.00 2026-01-01", right, *rules)) == [([], [1, 2]), ([1], [3])]


def test_each_of_many_joins_its_one() -> None:
    """Without a total, one_to_many lets a record have any number of counterparts; a tie between two stays open."""
    left = "A 10.00 2026-01-01\nB 10.00 2026-01-01\nB 10.00 2026-01-03"
    right = "A 10.00 2026-01-01\nA 10.00 2026-02-01\nB 10.00 2026-01-05"
    rule = {"name": "standing order", "cardinality": "one_to_many", "on": ["account", "amount"]}
    result = run(left, right, rule)
    assert groups(result) == [([1], [1, 2])]
    assert breaks(result)["right", 3][0] == "ambiguous"


def test_everything_connected_is_one_match_of_many_to_many() -> None:
    """Many to many makes whole groups of what satisfies the rule."""
    rule = {"name": "group", "cardinality": "many_to_many", "on": ["account"]}
    assert groups(run(LEFT, RIGHT, rule)) == [([1, 2], [1, 2, 3]), ([3], [4, 5, 6]), ([4], [7, 8])]


def test_many_to_many_totals_take_whole_groups_then_their_parts() -> None:
    """A group that adds up is one match; of one that does not, the parts that do, when they share no record."""
    left = "A 10.00 2026-01-01\nA 20.00 2026-01-01\nB 7.00 2026-01-01\nB 5.00 2026-01-01\nB 4.00 2026-01-01"
    right = "A 12.00 2026-01-01\nA 18.00 2026-01-01\nB 12.00 2026-01-01\nB 3.00 2026-01-01"
    rule = {"name": "g", "cardinality": "many_to_many", "on": ["account", {"field": "amount", "total": True}]}
    result = run(left, right, rule)
    assert groups(result) == [([1, 2], [1, 2]), ([3, 4], [3])]
    assert pl.read_parquet(result.path / "certificates.parquet")["search"].to_list() == ["whole group", "exhaustive"]
    two_ways = run("B 5.00 2026-01-01\nB 7.00 2026-01-01", "B 5.00 2026-01-02\nB 5.00 2026-01-03", rule)
    assert breaks(two_ways)["left", 1][0] == "ambiguous"


def test_parts_of_many_to_many_are_candidates_of_each_other() -> None:
    """27.00 and 27.00 hang together by other records, but the right one is a day late."""
    rule = {
        "name": "m",
        "on": ["account", {"field": "day", "days": [-1, 0]}, {"field": "amount", "total": True}],
        "cardinality": "many_to_many",
    }
    right = "A 55.00 2026-01-15\nA 27.00 2026-01-16"
    assert groups(run("A 27.00 2026-01-15\nA 40.00 2026-01-16", right, rule)) == []
    assert groups(run("A 27.00 2026-01-16\nA 40.00 2026-01-16", right, rule)) == [([1], [2])]
    # Two off by 2.00 each, the one more and the other less, are held together by a third alone.
    rule["on"][1] = {"field": "day", "days": 2}
    right = "A 12.00 2026-01-01\nA 3.00 2026-01-05\nA 100.00 2026-01-03"
    assert groups(run("A 10.00 2026-01-01\nA 5.00 2026-01-05", right, rule)) == []


@pytest.mark.parametrize("turned", [False, True])
def test_codes_of_either_side_are_found_in_texts_of_the_other(turned: bool) -> None:
    """One field holds texts on the one side and codes on the other, and nothing must be equal."""
    texts = "A 30.00 2026-01-01 Freight 12312345678, 45698765432\nA 5.00 2026-01-01 Freight 55566667777"
    codes = "A 10.00 2026-01-01 123-12345678\nA 20.00 2026-01-01 456-98765432\nA 5.00 2026-01-01 555-66667777"
    cardinality, whole = ("many_to_one", ([1, 2], [1])) if turned else ("one_to_many", ([1], [1, 2]))
    on = [{"field": "note", "found_in": "note"}, {"field": "amount", "total": True}]
    result = run(*((codes, texts) if turned else (texts, codes)), {"name": "r", "on": on, "cardinality": cardinality})
    assert groups(result) == [whole, ([3], [2]) if turned else ([2], [3])]


def test_a_reference_is_found_in_a_narrative_in_either_direction() -> None:
    """Separators and leading zeros may be missing, and it may stand inside a longer word."""
    left = "INV-00123 10.00 2026-01-01\nAB/991 20.00 2026-01-01\nX 1.00 2026-01-01 see 00456 please"
    right = "x 10.00 2026-01-01 payment inv 123 thanks\ny 20.00 2026-01-01 zzAB991zz\n456 1.00 2026-01-01"
    found = {"field": "account", "found_in": "note"}
    for on in (["amount", found], [found]):
        assert groups(run(left, right, {"name": "found", "on": on})) == [([1], [1]), ([2], [2]), ([3], [3])]


@pytest.mark.parametrize(
    ("method", "at_least"), [("jaro_winkler", 0.85), ("levenshtein", 0.6), ("token_set", 0.5), ("tfidf", 0.3)]
)
def test_texts_that_are_alike_match(method: str, at_least: float) -> None:
    """Each method finds the two names, with or without something that must be equal; evidence is re-worked out."""
    left = "A 1.00 2026-01-01 Initech Limited\nB 2.00 2026-01-01 Globex Corporation"
    right = "B 2.00 2026-01-01 Globex Corporatoin\nA 1.00 2026-01-01 Initech Limited Co"
    alike = {"field": "note", "similarity": method, "at_least": at_least}
    for on in (["amount", alike], [alike]):
        assert groups(run(left, right, {"name": "alike", "on": on}))[0] == ([1], [2])


@pytest.mark.parametrize("method", ["jaro_winkler", "levenshtein", "token_set", "tfidf"])
@pytest.mark.parametrize("missing", ["left", "right", "both"])
def test_a_missing_text_alone_in_its_column_is_like_nothing(method: str, missing: str) -> None:
    """One pair to compare, and no text on one of its sides, or on either."""
    notes = {side: "-" if missing in (side, "both") else "ACME Ltd" for side in ("left", "right")}
    alike = {"name": "alike", "on": ["amount", {"field": "note", "similarity": method, "at_least": 0.5}]}
    result = run(f"a 5 2024-01-01 {notes['left']}", f"a 5 2024-01-01 {notes['right']}", alike)
    assert result.summary["matches"] == 0
    assert result.summary["breaks"] == {"missing_counterpart": 2}


def test_an_unlike_text_is_a_reason() -> None:
    """A break says how alike the texts are and what the rule asks."""
    alike = {"field": "note", "similarity": "levenshtein", "at_least": 0.9}
    result = run("A 1.00 2026-01-01 Acme", "A 1.00 2026-01-01 Apex", {"name": "alike", "on": ["account", alike]})
    assert breaks(result)["left", 1] == ("value_mismatch", "note is 0.25 alike (levenshtein), the rule asks 0.9")


def test_likeness_that_would_compare_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of comparisons is known before any is made; the sentence says what to change."""
    monkeypatch.setattr("recon_engine.matching.text_candidates.MOST_COMPARISONS", 1)
    alike = {"field": "note", "similarity": "tfidf", "at_least": 0.1}
    rows = "A 1.00 2026-01-01 one two\nB 1.00 2026-01-01 one three"
    with pytest.raises(PlanError, match="add a field that must be equal"):
        run(rows, rows, {"name": "alike", "on": [alike]})


@pytest.mark.parametrize("partitions", [1, 3])
def test_duplicates_inside_a_side_are_reported_and_left_out(partitions: int) -> None:
    """Exact and near duplicates make groups; where the plan excludes them, only the first record is matched."""
    left = "A 10.00 2026-01-01\nA 10.00 2026-01-02\nA 10.00 2026-01-03\nB 5.00 2026-01-01"
    plan = {
        "name": "t",
        "left": {"label": "Ledger"},
        "right": {"label": "Bank"},
        "fields": FIELDS,
        "rules": [{"name": "r", "on": ["account", "amount", {"field": "day", "days": 9}]}],
        "duplicates": {"left": {"on": ["account", "amount", {"field": "day", "days": 1}], "exclude": True}},
    }
    built = Plan.build(plan)
    assert Plan.parse(built.to_yaml()) == built
    right = "A 10.00 2026-01-01\nB 5.00 2026-01-01"
    result = reconcile(built, left=table(left), right=table(right), partitions=partitions)
    assert groups(result) == [([1], [1]), ([4], [2])]
    told = breaks(result)
    assert told["left", 3] == ("duplicate", "a duplicate of Ledger row 1, left out of matching as the plan says")
    reported = pl.read_parquet(result.path / "duplicates.parquet")
    assert reported.select("group", "row", "kept").rows() == [(1, 1, True), (1, 2, False), (1, 3, False)]
    assert result.summary["duplicates"] == {"left": {"groups": 1, "records": 3}}
    assert not [check for check in verify(result.path) if check.holds is False]


def test_duplicates_that_are_too_many_to_compare_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd of equal keys beyond what is compared is no silence: the summary says how many records it has."""
    monkeypatch.setattr(candidates, "LARGEST_GROUP", 20)
    near = ["account", {"field": "day", "days": 1}]
    plan = {
        "name": "t",
        "left": {"label": "Ledger"},
        "right": {"label": "Bank"},
        "fields": FIELDS,
        "rules": [{"name": "r", "on": ["account", "amount"]}],
        "duplicates": {"left": {"on": near}},
    }
    left = "\n".join(["A 10.00 2026-01-01"] * 8 + ["B 5.00 2026-01-01", "B 5.00 2026-01-02"])
    result = reconcile(Plan.build(plan), left=table(left), right=table("B 5.00 2026-01-01"))
    reported = pl.read_parquet(result.path / "duplicates.parquet")
    assert reported["row"].to_list() == [9, 10]
    told = "duplicates in Ledger: 8 records are in groups too large to compare; search capped"
    assert told in result.summary["warnings"]


def people(count: int) -> str:
    """Rows that are people: a name with a typing error on every third when `typo`."""
    names = ["anna", "bruno", "carla", "dmitri", "elena", "fabio", "greta", "henrik", "irina", "jonas"]
    return "\n".join(f"{names[k % 10]}{k:03d} {k}.00 2026-01-{k % 28 + 1:02d} street {k * 7}" for k in range(count))


def test_linkage_keeps_its_evidence_by_field() -> None:
    """Every linked pair has the weight of each field; they add up to the probability that verify re-checks."""
    rule = {"name": "same", "link": {"fields": ["account", "amount", "day", "note"], "probability": 0.9}}
    left = people(60)
    right = left.replace("anna", "ana").replace("elena", "elina")
    result = run(left, right, rule)
    assert len(groups(result)) == 60
    weights = pl.read_parquet(result.path / "weights.parquet")
    assert set(weights["field"].unique()) == {"prior", "account", "amount", "day", "note"}
    assert result.summary["rules"][0]["link"]["fields"]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"on": [{"field": "amount", "total": True}]}, "total needs a cardinality"),
        ({"on": ["account"], "net": "left"}, "net pairs plus and minus"),
        ({"on": [{"field": "note", "similarity": "tfidf"}]}, "similarity and at_least go together"),
        ({"on": [{"field": "amount", "found_in": "note"}]}, "texts are compared"),
        ({"on": [{"field": "account", "total": True}], "cardinality": "one_to_many"}, "are for numbers"),
        ({}, "either conditions"),
    ],
)
def test_wrong_rules_are_refused_with_a_sentence(rule: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    """What cannot be meant is said when the plan is read."""
    data = {"name": "t", "left": {"label": "L"}, "right": {"label": "R"}, "fields": FIELDS}
    with pytest.raises(PlanError, match=sentence):
        Plan.build({**data, "rules": [{"name": "r", **rule}]})


def test_a_rule_on_texts_that_one_side_lacks_matches_nothing() -> None:
    """Where all texts of one side are empty there is nothing to compare, and no reason to stop."""
    alike = {"name": "alike", "on": [{"field": "note", "similarity": "tfidf", "at_least": 0.8}]}
    result = run("A 1.00 2024-01-01 -", "B 2.00 2024-01-02 coffee beans", alike)
    assert result.summary["rules"][0]["matches"] == 0
    assert result.breaks().collect().height == 2
