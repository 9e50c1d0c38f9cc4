"""What is wrong with a plan is shown below the widget that it concerns, and counted in one line at the top."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages._shared.marks import WRITE_PERCENT, named

PLAN: dict[str, Any] = {
    "name": "p",
    "left": {"label": "Ledger"},
    "right": {"label": "Bank"},
    "fields": [
        {"name": "ref", "left": "ref", "right": "ref"},
        {"name": "amount", "left": "amount", "right": "amount", "type": "decimal"},
        {"name": "note", "left": "note", "right": "note"},
    ],
    "rules": [
        {
            "name": "near",
            "on": [
                "ref",
                {"field": "amount", "within": "0.05"},
                {"field": "note", "similarity": "tfidf", "at_least": 0.9},
            ],
        },
        {"name": "link", "link": {"fields": ["ref", "note"]}},
    ],
}
FORM = """
import streamlit as st
from pages._shared import rule_form
from recon_engine.plan import Plan

plan = Plan.build(st.session_state["plan"])
if "rule-draft" not in st.session_state:
    rule_form.open_draft(plan.rules[st.session_state["place"]], plan)
rule_form.show(plan, st.session_state["place"], lambda rule: st.session_state.__setitem__("saved", rule))
"""


def opened(place: int) -> AppTest:
    """The dialog of one rule."""
    app = AppTest.from_string(FORM, default_timeout=30)
    app.session_state["plan"], app.session_state["place"] = PLAN, place
    return app.run()


def fill(app: AppTest, label: str, text: str) -> None:
    """Write into the first cell of that name."""
    next(cell for cell in app.text_input if cell.label == label).set_value(text)


def save(app: AppTest) -> None:
    """Press the button."""
    next(button for button in app.button if button.label == "Save rule").click().run()
    assert not app.exception


def seen(app: AppTest) -> list[str]:
    """The labels of widgets and the texts of marks, from top to bottom."""

    def walk(node: Any) -> list[str]:
        children = getattr(node, "children", None)
        if children:
            return [text for child in children.values() for text in walk(child)]
        if node.type == "markdown" and node.value.startswith(":red["):
            return [node.value]
        return [node.label] if getattr(node, "label", "") else []

    return walk(app.main)


def below(app: AppTest, label: str) -> str:
    """The mark that follows the last widget of that name, before the next row begins."""
    texts = seen(app)
    after = texts[len(texts) - texts[::-1].index(label) :]
    return next(text for text in after if text.startswith(":red[")).replace("\\", "")


def test_each_mistake_is_marked_below_its_widget() -> None:
    """A name, a tolerance, a likeness and a gate: four mistakes, each below its own widget, nothing saved."""
    app = opened(0)
    for label, text in (("Name", ""), ("To", "abc"), ("At least, %", "most"), ("From", "-1")):
        fill(app, label, text)
    fill(app, "Only suggest when more than so many % would be accidental", "150")
    save(app)
    assert "saved" not in app.session_state
    assert [e.value.strip() for e in app.error] == ["Not saved yet: 4 mistakes, each marked below."]
    assert "Must not be empty" in below(app, "Name")
    assert "**To**: 'abc' is no number" in below(app, "To")
    assert WRITE_PERCENT[1:] in below(app, "At least, %")
    assert WRITE_PERCENT[1:] in below(app, "Only suggest when more than so many % would be accidental")
    marks = [number for number, text in enumerate(seen(app)) if text.startswith(":red[")]
    rows = [number for number, text in enumerate(seen(app)) if text == "Field"]
    assert rows[1] < marks[1] < rows[2] < marks[2], "the marks stand below their own conditions"


def test_marks_go_one_by_one_as_mistakes_are_mended() -> None:
    """What is mended is no longer marked, the rest still is; without mistakes the rule is saved."""
    app = opened(0)
    fill(app, "To", "abc")
    fill(app, "At least, %", "most")
    save(app)
    fill(app, "To", "0.10")
    app.run()
    assert [e.value.strip() for e in app.error] == ["Not saved yet: 1 mistake, marked below."]
    assert "saved" not in app.session_state
    fill(app, "At least, %", "85")
    save(app)
    assert not app.error
    assert app.session_state["saved"]["on"][1:] == [
        {"field": "amount", "within": ["-0.05", "0.10"]},
        {"field": "note", "similarity": "tfidf", "at_least": 0.85},
    ]


def test_a_form_is_not_marked_before_it_is_saved() -> None:
    """While somebody still writes, nothing is called a mistake."""
    app = opened(0)
    fill(app, "To", "abc")
    app.run()
    assert not app.error
    assert not [text for text in seen(app) if text.startswith(":red[")]


def test_a_name_that_another_rule_has_is_marked() -> None:
    """What is only wrong beside the rest of the plan is marked at its own place too."""
    app = opened(0)
    fill(app, "Name", "link")
    save(app)
    assert "Rule names must be unique; repeated: link" in below(app, "Name")
    assert [e.value.strip() for e in app.error] == ["Not saved yet: 1 mistake, marked below."]


def test_the_threshold_of_a_linkage_is_marked() -> None:
    """A probability that is none is marked below its cell."""
    app = opened(1)
    fill(app, "Match when it is at least so probable, %", "sure")
    save(app)
    assert WRITE_PERCENT[1:] in below(app, "Match when it is at least so probable, %")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("fields[1].clean.right[0]", "amount, Clean Bank"),
        ("fields[1]", "amount"),
        ("rules[0].on[1].within", "rule near"),
        ("currency.field", "currency"),
        ("compare[3]", "compare"),
    ],
)
def test_a_place_has_a_name_on_the_screen(place: str, name: str) -> None:
    """The table of fields and the rules are named as the page shows them."""
    assert named(place, PLAN, {"clean.right": "Clean Bank"}) == name
