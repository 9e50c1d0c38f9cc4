"""What suggest does not take for granted: a second key, a number that may be a quantity, a spelling, a direction."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.test_suggest_unseen import DAYS, FIRST, LAST, Columns, cents, proposed, right_share, suggested

pytestmark = pytest.mark.slow


def test_a_second_key_waits_and_confirms_nothing_by_accident(tmp_path: Path) -> None:
    """Every tenth waybill is mistyped; the postcode names a record now and then, and more often another one."""
    zips = [f"{10_000 + i * i % 997}" for i in range(900)]
    amounts = [f"{20 + i * 7 % 40}.00" for i in range(900)]
    left: Columns = {
        "waybill": [f"WB-{500_000 + i * 37}" for i in range(900)],
        "dest_zip": zips,
        "cost": amounts,
        "shipped": [str(DAYS[i % 30]) for i in range(900)],
    }
    right: Columns = {
        "Reference": [f"WB-{500_000 + i * 37 + (3 if i % 10 == 0 else 0)}" for i in range(900)],
        "PLZ": zips,
        "Betrag": amounts,
        "Datum": [str(DAYS[i % 30 + i % 3]) for i in range(900)],
    }
    found, result = proposed(tmp_path, left, right)
    by_zip = [r.rule for r in found.rules if "zip" in r.rule.name]
    first = [r.rule for r in found.rules if "zip" not in r.rule.name]
    assert by_zip
    assert all(r.max_false_rate is not None or r.outcome == "suggested" for r in by_zip)
    assert [r.name for r in first[:2]] == [r.rule.name for r in found.rules[:2]]
    assert right_share(result, 900) > 0.89


def test_a_quantity_that_nothing_confirms_is_no_key(tmp_path: Path) -> None:
    """Consumption is all that both files have: it is the same now and then, and confirms nothing."""
    used = [1_000 + i * 617 % 9_000 for i in range(400)]
    left: Columns = {"meter": [f"M{i * 7_919 % 9_973}" for i in range(400)], "kwh": used}
    right: Columns = {"account": [f"A-{i * 6_007 % 99_991}x" for i in range(400)], "consumption_kwh": used}
    found, _ = proposed(tmp_path, left, right)
    assert all(r.rule.outcome == "suggested" or r.rule.max_false_rate is not None for r in found.rules)
    assert found.questions


def test_files_whose_only_key_is_written_in_two_ways_are_read(tmp_path: Path) -> None:
    """Ticket numbers with the airline before them, and nothing else in common."""
    left: Columns = {
        "ticket": [f"220-{2_400_000_000 + i * 7_919}" for i in range(300)],
        "fare": [f"{cents(i) / 100:.2f}" for i in range(300)],
    }
    right: Columns = {
        "document": [f"{2_400_000_000 + i * 7_919}" for i in range(300)],
        "net": [f"{cents(i) / 107:.2f}" for i in range(300)],
    }
    found, result = proposed(tmp_path, left, right)
    assert "all but the last 10 digits" in next(f.reason for f in found.fields if f.left == "ticket")
    assert right_share(result, 300) == 1


def test_values_that_one_side_writes_in_two_cases_are_one(tmp_path: Path) -> None:
    """All codes of the left are among those of the right, which has some in small letters besides."""
    tests = [["GLU", "HBA1C", "CREA", "TSH"][i % 4] for i in range(400)]
    left: Columns = {
        "patient": [f"P{1000 + i // 4}" for i in range(400)],
        "test": tests,
        "ordered": [str(DAYS[i // 4 % 50]) for i in range(400)],
    }
    right: Columns = {
        "Pat": left["patient"],
        "Test": [test.lower() if i % 9 == 0 else test for i, test in enumerate(tests)],
        "Taken": left["ordered"],
    }
    found, result = proposed(tmp_path, left, right)
    field = next(f for f in found.plan.fields if f.left == "test")
    assert "casefold" in field.clean.left
    assert right_share(result, 400) > 0.9


def test_each_side_may_speak_of_the_others_numbers(tmp_path: Path) -> None:
    """Two companies: whoever books second writes the other's document number into the text."""
    ours, theirs = [f"DE{70_000 + i * 31}" for i in range(300)], [f"UK{20_000 + i * 53}" for i in range(300)]
    amounts = [f"{cents(i) / 100:.2f}" for i in range(300)]
    left: Columns = {
        "Doc": ours,
        "Text": [f"invoice {theirs[i]} {FIRST[i % 11]}" if i % 2 else f"goods for {FIRST[i % 11]}" for i in range(300)],
        "Amount": amounts,
    }
    right: Columns = {
        "Number": theirs,
        "Line": [f"your {ours[i]} of {FIRST[i % 7]}" if i % 2 == 0 else f"sent to {FIRST[i % 7]}" for i in range(300)],
        "Value": amounts,
    }
    found, result = proposed(tmp_path, left, right)
    inside = [c.found_in for r in found.rules if r.rule.outcome == "confirmed" for c in r.rule.on if c.found_in]
    assert len(set(inside)) == 2
    assert not found.questions, "what is looked for in texts has its counterpart"
    assert right_share(result, 300) == 1


def test_records_that_all_columns_leave_equal_are_not_linked(tmp_path: Path) -> None:
    """Five shops and four prices name nobody: two files that have nothing to do with each other would be linked."""
    chance = random.Random(1)
    tables: list[Columns] = [
        {
            "store": [chance.choice(["S1", "S2", "S3", "S4", "S5"]) for _ in range(690)],
            "amount": [chance.choice(["4.50", "9.00", "12.00", "20.00"]) for _ in range(690)],
        }
        for _ in range(2)
    ]
    found = suggested(tmp_path, *tables)
    assert all(rule.link is None and rule.outcome == "suggested" for rule in found.plan.rules)
    assert any("map further columns" in asked for asked in found.questions)


def test_a_key_in_another_spelling_leads_before_all_that_is_alike(tmp_path: Path) -> None:
    """Numbers with leading zeros on one side name people who are written in two ways: nothing need be linked."""
    born = [DAYS[i] - timedelta(365 * (i % 20 + 20)) for i in range(400)]
    people = [(FIRST[i % 11], f"{LAST[i * 7 % 13]}{chr(97 + i % 7)}son") for i in range(400)]
    left: Columns = {
        "Employee ID": [f"{100_000 + i * 131:08d}" for i in range(400)],
        "First": [first for first, _ in people],
        "Last": [last for _, last in people],
        "Birth date": [f"{day:%d/%m/%Y}" for day in born],
    }
    right: Columns = {
        "EMPNO": [f"{100_000 + i * 131}" if i % 14 else None for i in range(400)],
        "NAME": [f"{last.upper()}, {first[: 2 + i % 5]}" for i, (first, last) in enumerate(people)],
        "DOB": [f"{day:%Y%m%d}" for day in born],
    }
    found, result = proposed(tmp_path, left, right)
    assert ("Employee ID", "EMPNO") in {(f.left, f.right) for f in found.fields}
    assert all(rule.link is None for rule in found.plan.rules)
    assert right_share(result, 400) > 0.9
