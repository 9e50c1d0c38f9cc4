"""The table of fields on Map: clean steps go into its cells and come back as they were, or as they were edited."""

from __future__ import annotations

from typing import Any

import pytest

from pages._shared.mapping import applied, rows_of
from recon_engine.errors import PlanError
from recon_engine.plan import Plan

LOOKUP = {"map": {"SIPO": "household"}}


def plan(clean: list[Any], kind: str = "text") -> Plan:
    """A plan of one field that is cleaned so on its left side."""
    field = {"name": "code", "left": "a", "right": "b", "type": kind, "clean": {"left": clean}}
    sides = {"left": {"label": "L"}, "right": {"label": "R"}}
    return Plan.build({"name": "t", **sides, "fields": [field], "rules": [{"name": "r", "on": ["code"]}]})


def cleaned(before: Plan, edit: dict[str, Any]) -> Any:
    """The left steps after the row was edited."""
    rows = [{**row, **edit} for row in rows_of(before, {})]
    return Plan.build(applied(before, rows, {0: "code"})).to_data()["fields"][0].get("clean", {}).get("left", [])


@pytest.mark.parametrize(
    ("steps", "kind", "shown"),
    [
        (["digits_only", {"last": 10}], "text", ["digits_only", "last 10"]),
        (["alphanumeric", {"first": 8}], "text", ["alphanumeric", "first 8"]),
        (["trim", LOOKUP, "casefold"], "text", ["trim", "casefold"]),
        ([{"times": 100}, "negate"], "decimal", ["times 100", "negate"]),
    ],
)
def test_steps_that_nobody_touches_stay_as_they_are(steps: list[Any], kind: str, shown: list[str]) -> None:
    """Also those that a cell cannot hold, in their order."""
    before = plan(steps, kind)
    assert rows_of(before, {})[0]["left_clean"] == shown
    assert cleaned(before, {}) == steps


def test_numbered_steps_are_typed_and_removed() -> None:
    """They are added at the end; a lookup table stays."""
    assert cleaned(plan(["trim"]), {"left_clean": ["trim", "last 8"]}) == ["trim", {"last": 8}]
    assert cleaned(plan([LOOKUP, {"last": 8}]), {"left_clean": []}) == [LOOKUP]


def test_what_no_step_is_called_is_refused_in_a_sentence() -> None:
    """With the names that there are."""
    with pytest.raises(PlanError, match=r"fields\[0\]\.clean"):
        cleaned(plan(["trim"]), {"left_clean": ["last eight"]})
