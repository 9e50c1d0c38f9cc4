"""What is wrong with a plan is told at its place, all of it at once."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from recon_engine import Plan, PlanError

DATA: dict[str, Any] = {
    "name": "t",
    "left": {"label": "Ledger"},
    "right": {"label": "Bank", "decimal": "."},
    "fields": [
        {"name": "ref", "left": "ref", "right": "id"},
        {"name": "amount", "left": "amount", "right": "value", "type": "decimal"},
        {"name": "day", "left": "day", "right": "booked", "type": "date"},
    ],
    "rules": [
        {"name": "exact", "on": ["ref", "amount"]},
        {"name": "near", "on": ["ref", {"field": "amount", "within": "0.05"}, {"field": "day", "days": 3}]},
    ],
}
CLEAN = "clean step 'negate' is for decimal and integer fields, this one is text"


def changed(path: str, value: Any) -> dict[str, Any]:
    """The plan with one value replaced."""
    data = copy.deepcopy(DATA)
    *steps, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    part: Any = data
    for step in steps:
        part = part[step] if isinstance(part, list) else part.setdefault(step, {})
    part[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "place", "says"),
    [
        ("rules/1/on/1/within", ["abc", "1"], "rules[1].on[1].within[0]", "'abc' is no number"),
        ("rules/1/on/1/within", [1, -1], "rules[1].on[1].within", "the low end 1 is above the high end -1"),
        ("rules/1/on/1/within", "-0.05", "rules[1].on[1].within", "write 0.05, or [-0.05, 0]"),
        ("rules/1/on/2/days", -3, "rules[1].on[2].days", "write 3, or [-3, 0]"),
        ("left/label", "L" * 201, "left.label", "must have at most 200 characters"),
        ("fields/0/left", None, "fields[0].left", "is missing; add it"),
        (
            "rules/1",
            {"name": "l", "link": {"fields": ["ref", "ref"]}},
            "rules[1].link.fields[1]",
            "'ref' stands there already",
        ),
        (
            "rules/1",
            {"name": "l", "link": {"fields": ["ref"], "compare_as": {"day": "exact"}}},
            "rules[1].link.compare_as.day",
            "none of the link's fields",
        ),
        ("rules/1/on/1/percent", 1, "rules[1].on[1].percent", "one of within, percent"),
        ("rules/1/on/2/days", 2.5, "rules[1].on[2].days", "'2.5' is no whole number of days"),
        ("rules/1/on/2/field", "ref", "rules[1].on[2].days", "days is for dates, 'ref' is text"),
        ("rules/1/on/0", {"field": "ref", "within": 1}, "rules[1].on[0].within", "are for numbers, 'ref' is text"),
        ("rules/1/on/0", "reff", "rules[1].on[0].field", "there is no field 'reff'"),
        ("rules/1/on/1/total", True, "rules[1].cardinality", "total needs a cardinality"),
        ("rules/1/net", "left", "rules[1].net", "net pairs plus and minus"),
        ("rules/1/max_false_rate", 2, "rules[1].max_false_rate", "must be less than 1"),
        ("rules/1/budget/members", 99, "rules[1].budget.members", "must be at most 40"),
        ("rules/1/name", "exact", "rules[1].name", "rule names must be unique; repeated: exact"),
        ("rules/1/name", "", "rules[1].name", "must not be empty"),
        (
            "rules/1",
            {"name": "l", "link": {"fields": ["ref", "x"]}},
            "rules[1].link.fields[1]",
            "there is no field 'x'",
        ),
        ("rules/1", {"name": "l", "link": {"fields": []}}, "rules[1].link.fields", "must have at least 1"),
        (
            "rules/1",
            {"name": "l", "link": {"fields": ["ref"], "block_on": [[]]}},
            "rules[1].link.block_on[0]",
            "least 1",
        ),
        *(
            (
                "rules/1",
                {"name": "l", "link": {"fields": ["ref", "amount", "day"], "compare_as": {field: way}}},
                f"rules[1].link.compare_as.{field}",
                f"'{field}' is {kind}, which can be compared as {ways}; not as {way}",
            )
            for field, kind, ways, way in (
                ("amount", "decimal", "number, name, code, tfidf, exact", "date"),
                ("day", "date", "date, name, code, tfidf, exact", "datetime"),
                ("ref", "text", "name, code, tfidf, exact", "number"),
            )
        ),
        ("right/thousands", ".", "right.thousands", "'.' cannot be the decimal mark too"),
        ("fields/0/clean", {"right": ["trim", "negate"]}, "fields[0].clean.right[1]", CLEAN),
        ("fields", [*DATA["fields"], DATA["fields"][0]], "fields[3].name", "field names must be unique; repeated: ref"),
        ("fields/0/scale", 2, "fields[0].scale", "scale is only for type decimal"),
        ("duplicates/left/on", ["ref", "nope"], "duplicates.left.on[1].field", "there is no field 'nope'"),
        ("compare", ["amount", "due"], "compare[1]", "there is no field 'due'"),
        ("currency", {"field": "money"}, "currency.field", "there is no field 'money'"),
        ("right/label", "Ledger", "right.label", "left and right need different labels"),
        ("colour", "red", "colour", "unknown key"),
    ],
)
def test_a_fault_has_its_place(path: str, value: Any, place: str, says: str) -> None:
    """The place is the path to the value, and the one line of the error names it too."""
    with pytest.raises(PlanError) as refused:
        Plan.build(changed(path, value))
    *others, fault = refused.value.faults
    assert all(other.says == fault.says for other in others), "of names that are repeated each is told"
    assert fault.place == place
    assert says in fault.says
    assert f"{place}: " in str(refused.value)


def test_all_faults_are_told_at_once() -> None:
    """Several rules that are wrong are all named; the message is still one line."""
    data = changed("rules/0/on", ["reff", "amount"])
    data["rules"][1]["on"][2]["days"] = None
    data["rules"][1]["on"][2]["field"] = "amount"
    data["currency"] = {"field": "money"}
    with pytest.raises(PlanError) as refused:
        Plan.build(data)
    places = [fault.place for fault in refused.value.faults]
    assert places == ["rules[0].on[0].field", "rules[1].on[2].days", "currency.field"]
    assert "\n" not in str(refused.value)


def test_an_error_that_is_not_the_plans_has_no_place() -> None:
    """Text that is no plan at all is told as a whole."""
    with pytest.raises(PlanError) as refused:
        Plan.parse("- a\n- b\n")
    assert refused.value.faults == ()
