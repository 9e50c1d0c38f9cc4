"""A plan file says what is written in it: no value is taken for another, and every mistake is told at its place."""

from __future__ import annotations

from typing import Any

import pytest

from recon_engine import Plan, PlanError
from recon_engine.plan import FieldSpec, MapStep

PLAN = """
version: 1
name: 2026
left: {label: No, files: [l.csv], nulls: [NULL, n/a], header_row: 2}
right: {label: R, files: [r.csv], decimal: ","}
fields:
  - {name: code, left: on, right: 0042, clean: [trim, {map: {NO: Norway, 007: seven, 1.50: y}}]}
  - {name: amount, left: amount, right: 2026-01-31, type: decimal, scale: 2, clean: {left: [{times: 100}]}}
  - {name: day, left: day, right: day, type: date}
rules:
  - name: exact
    on: [code, {field: amount, within: 0.10, total: no}, {field: day, days: [-1, 3]}]
    max_false_rate: 0.05
"""


def test_a_value_is_what_is_written() -> None:
    """`NO` is no boolean, `0042` no octal number, `NULL` not nothing; numbers are read where the plan has numbers."""
    plan = Plan.parse(PLAN)
    assert (plan.name, plan.left.label, plan.left.nulls, plan.left.header_row) == ("2026", "No", ("NULL", "n/a"), 2)
    code, amount, _ = plan.fields
    assert (code.left, code.right, amount.right) == ("on", "0042", "2026-01-31")
    step = code.clean.left[1]
    assert isinstance(step, MapStep)
    assert step.map == {"NO": "Norway", "007": "seven", "1.50": "y"}
    near = plan.rules[0].on[1]
    assert near.within is not None
    assert (str(near.within[1]), near.total, plan.rules[0].on[2].days) == ("0.10", False, (-1, 3))
    assert plan.rules[0].max_false_rate == 0.05
    assert Plan.parse(plan.to_yaml()) == plan


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: 2026", "name: 2026\nname: again", "line 4, column 1: the key 'name' stands twice"),
        ("on: [code,", "on: [code]\n    on: [code,", "the key 'on' stands twice"),
        ("nulls: [NULL, n/a]", "nulls: [~]", "left.nulls[0]: must be a text; put it in quotes"),
        ("clean: [trim, {map", "clean: [upper, {map", "fields[0].clean.left[0]: 'upper' is not known; write 'trim', "),
        ("[{times: 100}]", "[{times: many}]", "fields[1].clean.left[0].times: 'many' is no whole number"),
        ("[{times: 100}]", "[{last: 8}]", "clean step 'last' is for text fields, this one is decimal"),
        ("[{times: 100}]", "[{factor: 100}]", "fields[1].clean.left[0]: no clean step; write a name such as trim, "),
        ("type: date}", "type: date, formats: DD/MM/YYYY}", "'DD/MM/YYYY' is no format of dates; write one such as"),
        ("type: date}", "type: date, formats: '%d.%m.%Q'}", "'%d.%m.%Q' is no format of dates; write one such as"),
        ("scale: 2,", "scale: 2},", "plan: not valid YAML: line 8, column "),
        ("scale: 2,", "scale: 2, formats: {left: '%d'},", "formats.left: formats are for dates, this field is decimal"),
        ("total: no", "total: perhaps", "rules[0].on[1].total: 'perhaps' is neither true nor false"),
        ("left: {label: No,", "left: No\nlefts: {label: No,", "left: must be a mapping, such as {key: value}; lefts: "),
        ("type: date}", "type: money}", "fields[2].type: 'money' is not known; write 'text', 'decimal', "),
        ("name: code,", "name: the code,", "'the code' is no name; use letters, digits and _, a letter or _ first"),
        ("name: 2026\n", "", "name: is missing; add it"),
        ("rules:", "compare: code\nrules:", "compare: must be a list, such as [a, b]"),
    ],
)
def test_what_is_wrong_is_told_in_words(old: str, new: str, told: str) -> None:
    """The place, what stands there and what may; not what follows from it, such as a list that is then too short."""
    assert old in PLAN
    with pytest.raises(PlanError) as refused:
        Plan.parse(PLAN.replace(old, new, 1))
    assert told in str(refused.value)
    assert "must have at least" not in str(refused.value)
    assert "Input should" not in str(refused.value)


@pytest.mark.parametrize("blank", ["within: ", "within: ''", "percent: ", "percent: 1, cap: "])
def test_a_blank_tolerance_is_zero(blank: str) -> None:
    """Also a blank cap: it is never without limit."""
    near = Plan.parse(PLAN.replace("within: 0.10", blank)).rules[0].on[1]
    assert near.cap == 0 if "cap" in blank else (near.within or near.percent) == (0, 0)


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%#z", "%-d %b %y", "%Y%m%d%3f"])
def test_formats_of_dates_are_taken(form: str) -> None:
    """Whatever the reader of dates knows."""
    data: dict[str, Any] = {"name": "day", "left": "a", "right": "b", "type": "date", "formats": form}
    assert FieldSpec.model_validate(data).formats.left == form
