"""What the screens say: every condition and rule in one sentence, certificates, causes, and marks on what differs."""

from __future__ import annotations

from typing import Any

import pytest

from pages._shared import wording
from pages._shared.side_by_side import EMPTY, LONGEST, marked
from pages._shared.tables import apart
from recon_engine.plan import Condition, Duplicates, Rule


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"field": "a"}, "`a` equal"),
        ({"field": "a", "nulls": "equal"}, "`a` equal (or both empty)"),
        ({"field": "a", "within": ["-0.05", "0"]}, "`a` within -0.05 to 0"),
        ({"field": "a", "percent": "2", "cap": "5"}, "`a` within ±2%, at most 5"),
        ({"field": "a", "days": [0, 3]}, "`a` 0 to 3 days later"),
        ({"field": "a", "similarity": "tfidf", "at_least": 0.925}, "`a` alike (as descriptions), at least 92.5%"),
        ({"field": "a", "found_in": "b"}, "`a` contained in `b`, or the other way round"),
        ({"field": "a", "found_in": "a"}, "`a` of one side contained in that of the other"),
        ({"field": "a", "total": True, "within": "0.05"}, "sum of `a` within ±0.05"),
        ({"field": "a", "sign": "opposite"}, "`a` with the opposite sign"),
        ({"field": "a", "net_of": {"percent": "1.5", "fixed": "0.30"}}, "`a` less a fee of 1.5% and 0.30"),
    ],
)
def test_each_condition_is_one_sentence(condition: dict[str, Any], said: str) -> None:
    """All that a condition asks can be read, whatever its kind."""
    assert wording.condition_sentence(Condition.model_validate(condition)) == said


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"on": ["a", "b"]}, "`a` equal · `b` equal"),
        (
            {"on": ["a", {"field": "b", "total": True}], "cardinality": "many_to_one"},
            "`a` equal · sum of `b` equal · Several Ledger records and one Bank record",
        ),
        (
            {"on": [{"field": "b", "total": True}], "net": "right"},
            "sum of `b` equal · Bank records that cancel each other out (reversals)",
        ),
        (
            {"link": {"fields": ["a", "b"], "compare_as": {"a": "code"}, "block_on": [["a", "b"]]}},
            (
                "at least 95% probable by the evidence of `a`, `b` · "
                "`a` compared as code, looked at where `a` and `b` agree"
            ),
        ),
    ],
)
def test_each_rule_is_one_sentence(rule: dict[str, Any], said: str) -> None:
    """How many records a match holds is told where it is not one of each side."""
    assert wording.rule_sentence(Rule.model_validate({"name": "r", **rule}), "Ledger", "Bank") == said


def test_only_unusual_handling_is_told() -> None:
    """The defaults need no words; a gate, a suggestion and a longer search do."""
    assert wording.handling_sentence(Rule(name="r", on=("a",))) == ""
    rule = {"name": "r", "cardinality": "one_to_many", "on": [{"field": "a", "total": True}]}
    rule |= {"when_ambiguous": "suggest", "max_false_rate": 0.005, "budget": {"members": 30}}
    told = wording.handling_sentence(Rule.model_validate(rule))
    assert told == (
        "competing records are suggested · only suggested when more than 0.5% would be accidental · "
        "sums are searched among at most 30 candidates"
    )
    assert wording.duplicates_sentence(None) == "Not searched."
    assert wording.duplicates_sentence(Duplicates(on=("a",), exclude=True)) == (
        "The same thing twice: `a` equal. All but the first stay out of matching."
    )


@pytest.mark.parametrize(
    ("search", "number", "expected", "said"),
    [
        ("exhaustive", 12, 0.0204, "The only one of 4,096 possible sets of 12 candidates that adds up; about 0.02"),
        ("whole group", 3, 0.001, "All 3 candidates together add up; fewer than 0.01"),
        ("exhaustive", 1, 0.5, "The only candidate, and it adds up; about 0.50"),
    ],
)
def test_a_certificate_in_words(search: str, number: int, expected: float, said: str) -> None:
    """How many sets were possible, and how many would add up by chance."""
    certificate = {"search": search, "candidates": number, "expected_by_chance": expected}
    assert wording.certificate_sentence(certificate) == f"{said} would by chance."


def test_a_cause_says_what_it_would_do() -> None:
    """Rows, amounts by currency, and the effect on the whole file; or why it was not tried."""
    cause: dict[str, Any] = {"rows": 1200, "amount": {"EUR": "12000.50"}}
    blast = {"new_matches": 1, "lost_matches": 2, "new_ambiguous": 3}
    assert wording.cause_sentence(cause | {"blast": blast}) == (
        "1,200 breaks · 12,000.50 EUR · would add 1 match, lose 2, leave 3 more records ambiguous"
    )
    assert wording.cause_sentence(cause | {"blast": None, "not_tried": "too large"}).endswith("not tried: too large")


@pytest.mark.parametrize(
    ("chance", "said"),
    [
        (None, "not estimated"),
        ({"false_rate": 0.0, "low": 0.0, "high": 0.037}, "0% (0% to 3.7%)"),
        ({"false_rate": 0.000005, "low": 0.0, "high": 0.51}, "under 0.01% (0% to 51%)"),
    ],
)
def test_a_false_rate_comes_with_its_interval(chance: dict[str, float] | None, said: str) -> None:
    """Never a bare figure, and never a false zero."""
    assert wording.chance_sentence(chance) == said


def test_nearly_certain_is_not_certain() -> None:
    """No rounding makes a score or a probability 1."""
    assert [wording.score(part) for part in (1.0, 0.99999, 0.5)] == ["1", "0.9999", "0.5"]
    assert wording.probability(0.99999) == "more than 99.99%"
    assert wording.probability(0.973) == "97.3%"


def test_characters_that_differ_are_marked_and_nothing_is_markup() -> None:
    """Only what one side has and the other has not is marked; what stands in files is never run as HTML."""
    assert marked("INV-1001", "INV-1O01") == ("INV-1<mark>0</mark>01", "INV-1<mark>O</mark>01")
    assert marked("a<b>", "a<b>") == ("a&lt;b&gt;", "a&lt;b&gt;")
    assert marked("<i>x", "<i>y") == ("&lt;i&gt;<mark>x</mark>", "&lt;i&gt;<mark>y</mark>")
    assert marked(None, "x") == (EMPTY, "x")
    assert marked("x" * (LONGEST + 1), "y")[1] == "<mark>y</mark>"


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("0.05", "decimal", "0.05"),
        ("-1", "date", "-1 days"),
        ("1", "date", "1 day"),
        ("3600", "datetime", "3,600 seconds"),
        ("0.5", "text", "50% of words in common"),
        ("0", "text", "no word in common"),
        ("1.0", "text", "the same words, written differently"),
        ("7", "integer", "7"),
        (None, "text", None),
    ],
)
def test_a_difference_has_its_unit(text: str | None, kind: str, told: str | None) -> None:
    """A bare 2 could be days or money, a bare 0.5 anything: both are said."""
    assert apart(text, kind) == told
