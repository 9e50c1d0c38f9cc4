"""The table of fields of a plan of several sides: what is edited in it, and what stays as the plan has it."""

from __future__ import annotations

from typing import Any

import pytest

from pages._shared.mapping import MOST_PIXELS, fitting
from pages._shared.sides_fields import applied, mistake, rows_of
from recon_engine.nway.plan import SidesPlan

PLAN = SidesPlan.build(
    {
        "name": "three",
        "sides": [{"name": name} for name in ("orders", "ledger", "bank")],
        "fields": [
            {"name": "ref", "columns": {"orders": "no", "ledger": "ref", "bank": "text"}, "clean": ["trim"]},
            {
                "name": "day",
                "columns": {"orders": "on", "ledger": "posted", "bank": "booked"},
                "type": "date",
                "formats": {"ledger": "%d/%m/%Y", "bank": "%m/%d/%Y"},
            },
        ],
        "rules": [{"name": "exact", "on": ["ref", {"field": "day", "days": 2}]}],
        "compare": ["day"],
        "duplicates": {"bank": {"on": ["ref", {"field": "day", "days": 1}]}},
    }
)


def edited(number: int, **cells: Any) -> dict[str, Any]:
    """The plan's data after one line of the table was changed."""
    rows = rows_of(PLAN, {})
    rows[number] |= cells
    assert mistake(rows) is None
    return applied(PLAN, rows, {0: "ref", 1: "day"})


def test_a_table_that_is_not_edited_changes_nothing() -> None:
    """Rows and back give the plan, with the clean steps and formats that the table does not show."""
    assert SidesPlan.build(edited(0)) == PLAN


def test_a_renamed_field_is_renamed_wherever_it_is_named() -> None:
    """Rules, searches for duplicates and compared fields follow the new name."""
    plan = SidesPlan.build(edited(1, name="booked_on"))
    assert plan.rules[0].fields == ("ref", "booked_on")
    assert plan.compare == ("booked_on",)
    assert [c.field for c in plan.duplicates["bank"].on] == ["ref", "booked_on"]


def test_a_side_without_the_field_loses_what_was_said_of_it() -> None:
    """An emptied cell takes the side's column and its date format away; the others stay."""
    field = edited(1, **{"column-bank": None})["fields"][1]
    assert field["columns"] == {"orders": "on", "ledger": "posted"}
    assert field["formats"] == {"ledger": "%d/%m/%Y"}


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"name": "1st"}, "needs a field name"),
        ({"name": None}, "needs a field name"),
        ({f"column-{side}": "" for side in PLAN.labels}, "'ref' needs a column on a side"),
    ],
)
def test_what_keeps_the_table_from_being_saved_is_a_sentence(cells: dict[str, Any], said: str) -> None:
    """A line without a name, or without a column, is told."""
    rows = rows_of(PLAN, {})
    rows[0] |= cells
    assert said in (mistake(rows) or "")


def test_a_column_is_as_wide_as_its_heading() -> None:
    """Never narrower than it would be anyway, wider for wide letters, and not so wide that it hides the others."""
    assert fitting("Bank", 130) == 130
    assert fitting("Acquirer settlement", 130) > fitting("Acquirer settlement", 130, editable=False) > 130
    assert fitting("総勘定元帳の明細書類", 130) > fitting("ten letter", 130)
    assert fitting("x" * 200, 130) == MOST_PIXELS
