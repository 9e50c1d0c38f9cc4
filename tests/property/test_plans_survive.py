"""Every plan that parses survives the screens: what is opened and saved untouched is the same plan."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from pages._shared import draft, mapping, rule_draft
from recon_engine.errors import PlanError
from recon_engine.plan import CleanStep, Condition, Duplicates, Link, Plan, Rule

NAMES = {
    "reference": "text", "narrative": "text", "amount": "decimal", "count": "integer",
    "day": "date", "moment": "datetime", "paid": "boolean",
}  # fmt: skip
STEPS: dict[str, list[CleanStep | dict[str, Any]]] = {
    "text": ["trim", "casefold", "digits_only", {"map": {"SIPO": "household", "": "none"}}, {"last": 8}],
    "decimal": ["negate", "absolute", {"times": 100}],
    "integer": ["absolute", {"times": 1000}],
    "date": ["swap_day_month"],
    "datetime": ["swap_day_month"],
    "boolean": [],
}
DECIMALS = st.decimals(-99999, 99999, places=3) | st.sampled_from([Decimal(0), Decimal("1E+2"), Decimal("0.10")])
SHARES = st.floats(0.0001, 0.9999)
FIELDS = st.sampled_from(sorted(NAMES))


def _of(*kinds: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name for name, kind in NAMES.items() if kind in kinds])


def _window(low: Any, high: Any) -> list[str]:
    return [str(end) for end in sorted((low, high))]


@st.composite
def conditions(draw: st.DrawFn, *, sums: bool = True) -> Any:
    """Anything that a condition may say."""
    kind = draw(st.sampled_from(["bare", "number", "days", "similarity", "found_in", "nulls"]))
    if kind == "number":
        data: dict[str, Any] = {"field": draw(_of("decimal", "integer"))}
        window = draw(st.sampled_from(["", "within", "percent"]))
        if window:
            data[window] = _window(draw(DECIMALS), draw(DECIMALS))
        if window == "percent" and draw(st.booleans()):
            data["cap"] = str(abs(draw(DECIMALS)))
        if sums:
            extras = {"total": True, "sign": "opposite"}
            data |= {key: value for key, value in extras.items() if draw(st.booleans())}
            if draw(st.booleans()):
                fee = {"fixed": str(draw(DECIMALS)), "percent": str(draw(DECIMALS))}
                data["net_of"] = {key: value for key, value in fee.items() if draw(st.booleans())}
        return data
    if kind == "days":
        days = st.integers(-400, 400)
        return {"field": draw(_of("date", "datetime")), "days": sorted((draw(days), draw(days)))}
    if kind == "similarity":
        method = draw(st.sampled_from(["jaro_winkler", "levenshtein", "token_set", "tfidf"]))
        return {"field": draw(_of("text")), "similarity": method, "at_least": draw(SHARES)}
    if kind == "found_in":
        return {"field": draw(_of("text")), "found_in": draw(_of("text"))}
    return {"field": draw(FIELDS), "nulls": "equal"} if kind == "nulls" else draw(FIELDS)


@st.composite
def rules(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Anything that a rule may say, coherent or not."""
    rule: dict[str, Any] = {"name": name, "outcome": draw(st.sampled_from(["confirmed", "suggested"]))}
    rule["when_ambiguous"] = draw(st.sampled_from(["best", "leave", "suggest"]))
    rule["cardinality"] = draw(st.sampled_from(["one_to_one", "one_to_many", "many_to_one", "many_to_many"]))
    rule["budget"] = {"members": draw(st.integers(2, 40))}
    if draw(st.booleans()):
        rule["max_false_rate"] = draw(SHARES)
    if draw(st.integers(0, 3)) == 0:
        rule["link"] = {
            "fields": draw(st.lists(FIELDS, min_size=1, unique=True)),
            "probability": draw(SHARES),
            "compare_as": draw(st.dictionaries(FIELDS, st.sampled_from(["name", "code", "exact"]), max_size=2)),
            "block_on": draw(st.lists(st.lists(FIELDS, min_size=1, max_size=2), max_size=2)),
        }
        return rule
    rule["on"] = draw(st.lists(conditions(), min_size=1, max_size=4))
    if draw(st.integers(0, 3)) == 0:
        rule |= {"cardinality": "one_to_one", "net": draw(st.sampled_from(["left", "right"]))}
        rule["on"] = [*(c for c in rule["on"] if "total" not in c), {"field": "amount", "total": True}]
    return rule


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans that parse, of every kind of rule, with cleaning, formats and searches for duplicates."""
    fields = []
    for name, kind in NAMES.items():
        spec: dict[str, Any] = {"name": name, "left": f"l {name}", "right": f"r {name}", "type": kind}
        steps = st.lists(st.sampled_from(STEPS[kind]), max_size=3) if STEPS[kind] else st.just([])
        spec["clean"] = {"left": draw(steps), "right": draw(steps)}
        if kind == "decimal" and draw(st.booleans()):
            spec["scale"] = draw(st.integers(0, 18))
        if draw(st.booleans()):
            spec["formats"] = {"left": draw(st.sampled_from(["%d/%m/%Y", " %Y", ""])), "right": None}
        fields.append(spec)
    searched = st.none() | st.fixed_dictionaries(
        {"on": st.lists(conditions(sums=False), min_size=1, max_size=3), "exclude": st.booleans()}
    )
    data = {
        "name": "p",
        "left": {"label": "Ledger", "delimiter": ";"},
        "right": {"label": "Bank", "nulls": ["n/a"]},
        "fields": fields,
        "rules": [draw(rules(f"rule {n}")) for n in range(draw(st.integers(1, 3)))],
        "compare": draw(st.lists(FIELDS, unique=True)),
        "currency": draw(st.none() | st.just({"field": "reference"})),
        "duplicates": {"left": draw(searched), "right": draw(searched)},
    }
    try:
        return Plan.build(data)
    except PlanError:
        assume(False)
        raise


@pytest.mark.timeout(300)  # a hundred and fifty plans, on a busy machine
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(plans())
def test_what_is_opened_and_saved_untouched_is_the_same_plan(plan: Plan) -> None:
    """Each rule, each search for duplicates and the table of fields come back as they were."""
    for place, rule in enumerate(plan.rules):
        saved = rule_draft.rule_data(rule_draft.opened(rule, plan))
        assert Plan.build(draft.with_rule(plan, place, saved)) == plan
    for side in ("left", "right"):
        search = plan.duplicates_of(side)
        if search is not None:
            on = [rule_draft.condition_data(rule_draft.cells_of(c)) for c in search.on]
            assert Plan.build(draft.with_duplicates(plan, side, {"on": on, "exclude": search.exclude})) == plan
    rows = mapping.rows_of(plan, {})
    before = {number: spec.name for number, spec in enumerate(plan.fields)}
    assert Plan.build(mapping.applied(plan, rows, before)) == plan


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(plans(), FIELDS)
def test_a_renamed_field_is_renamed_wherever_it_is_named(plan: Plan, name: str) -> None:
    """Renaming a field and giving it its name again changes nothing: no rule, linkage or search forgets it."""
    rows = mapping.rows_of(plan, {})
    before = {number: spec.name for number, spec in enumerate(plan.fields)}
    number = list(NAMES).index(name)
    renamed = Plan.build(mapping.applied(plan, [*_with(rows, number, "other")], before))
    assert name not in {n for rule in renamed.all_rules for n in rule.fields}
    back = mapping.applied(renamed, [*_with(mapping.rows_of(renamed, {}), number, name)], before | {number: "other"})
    assert Plan.build(back).model_dump(exclude={"fields"}) == plan.model_dump(exclude={"fields"})


def _with(rows: list[mapping.Row], number: int, name: str) -> list[mapping.Row]:
    return [row | {"name": name} if row["id"] == number else row for row in rows]


def test_the_dialog_knows_all_that_a_rule_may_say() -> None:
    """A key that the engine learns must be given a place in the dialog, or be named here as left alone."""
    conditions_say = {"field", "nulls", "within", "percent", "cap", "days", "similarity", "at_least", "found_in"}
    assert set(Condition.model_fields) == conditions_say | {"total", "sign", "net_of"}
    rules_say = {"name", "on", "link", "cardinality", "net", "budget", "when_ambiguous", "outcome", "max_false_rate"}
    assert set(Rule.model_fields) == rules_say
    assert set(Link.model_fields) == {"fields", "probability", "compare_as", "block_on"}
    assert set(Duplicates.model_fields) == {"on", "exclude"}


def test_numbers_that_cannot_be_read_are_named() -> None:
    """A percent sign is taken; a share that is no number reaches the plan as written, which refuses it at its place."""
    assert rule_draft.share(" 0.5 % ") == 0.005
    for key, place in (("gate", "max_false_rate"), ("at_least", "on[0].at_least")):
        opened = rule_draft.opened(Plan.build(WIDE).rules[2], Plan.build(WIDE))
        opened["conditions"][0] |= {key: "half"}
        saved = rule_draft.rule_data(opened | {key: "half"})
        (fault,) = draft.faults(draft.with_rule(Plan.build(WIDE), 2, saved))
        assert (fault.place, fault.says) == (f"rules[2].{place}", "'half' is no number")


FORM = """
import streamlit as st
from pages._shared import rule_form
from recon_engine.plan import Plan

plan = Plan.build(st.session_state["plan"])
if "rule-draft" not in st.session_state:
    rule_form.open_draft(plan.rules[st.session_state["place"]], plan)
rule_form.show(plan, st.session_state["place"], lambda rule: st.session_state.__setitem__("saved", rule))
"""
WIDE: dict[str, Any] = {
    "name": "p",
    "left": {"label": "Ledger"},
    "right": {"label": "Bank"},
    "fields": [{"name": name, "left": name, "right": name, "type": kind} for name, kind in NAMES.items()],
    "rules": [
        {"name": " spaced ", "on": ["reference", {"field": "day", "days": [0, 3]}], "when_ambiguous": "suggest"},
        {
            "name": "cap",
            "on": [{"field": "amount", "percent": [-1, 2], "cap": "5.50"}, {"field": "paid", "nulls": "equal"}],
        },
        {"name": "alike", "on": [{"field": "narrative", "similarity": "tfidf", "at_least": 0.925}, "amount"]},
        {"name": "within", "on": [{"field": "reference", "found_in": "narrative"}, "amount"], "max_false_rate": 0.005},
        {
            "name": "sum",
            "cardinality": "many_to_one",
            "budget": {"members": 30},
            "on": [
                "day",
                {"field": "amount", "total": True, "sign": "opposite", "net_of": {"percent": "1.5"}, "within": "0.05"},
            ],
        },
        {"name": "reversal", "net": "right", "on": ["reference", {"field": "amount", "total": True}]},
        {
            "name": "linked",
            "link": {
                "fields": ["narrative", "day"],
                "probability": 0.9,
                "block_on": [["day"]],
                "compare_as": {"day": "date"},
            },
            "cardinality": "one_to_many",
            "outcome": "suggested",
        },
    ],
}  # fmt: skip


@pytest.mark.parametrize("place", range(len(WIDE["rules"])), ids=lambda place: WIDE["rules"][place]["name"])
def test_the_dialog_itself_changes_nothing(place: int) -> None:
    """Drawn with its widgets and saved at once, the dialog gives back the rule that it was opened with."""
    app = AppTest.from_string(FORM, default_timeout=30)
    app.session_state["plan"], app.session_state["place"] = WIDE, place
    app.run()
    assert not app.exception
    next(button for button in app.button if button.label == "Save rule").click().run()
    assert Rule.model_validate(app.session_state["saved"]) == Plan.build(WIDE).rules[place]
