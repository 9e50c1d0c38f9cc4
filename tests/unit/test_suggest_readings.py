"""How suggest reads what could be read otherwise: months as dates, marks that the other file decides, check digits."""

from __future__ import annotations

from pathlib import Path

import pytest

from recon_engine.plan import FirstStep
from tests.unit.test_suggest_unseen import Columns, proposed, right_share, suggested

pytestmark = pytest.mark.slow
MONTHS = [f"2026-{month:02}" for month in range(1, 13)]
LONG = ["January", "February", "March", "April", "May", "June"]
LONG += ["July", "August", "September", "October", "November", "December"]
NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def readings() -> tuple[Columns, Columns]:
    """Thirty meters in twelve months: their number, the month, what was used, from 1,012 on."""
    rows = [(10_000_007 + meter * 7_919, month) for meter in range(30) for month in range(12)]
    used = [1_012 + i * 617 % 8_000 for i in range(len(rows))]
    left: Columns = {"meter": [str(m) for m, _ in rows], "period": [MONTHS[k] for _, k in rows], "used": used}
    right: Columns = {
        "supply point": [f"{m}{(m * 7 + 3) % 10}" for m, _ in rows],
        "month": [f"{k + 1:02}/2026" for _, k in rows],
        "kWh": [f"{u:,}" for u in used],
    }
    return left, right


def test_months_and_check_digits_and_marks_are_read(tmp_path: Path) -> None:
    """2026-03 is 03/2026, a meter's number has a check digit in one file, and 1,234 is what the other calls 1234."""
    found, result = proposed(tmp_path, *readings())
    fields = {f.left: f for f in found.plan.fields}
    assert fields["meter"].clean.left == ("digits_only", FirstStep(first=8))
    assert fields["period"].type == "date"
    assert (fields["period"].formats.left, fields["period"].formats.right) == ("%Y-%m", "%m/%Y")
    assert found.plan.right.thousands == ","
    assert "otherwise" in next(f.reason for f in found.fields if f.left == "used")
    assert right_share(result, 360) == 1


@pytest.mark.parametrize("form", ["{name} 2026", "{name}-2026", "{name}-26"])
def test_months_by_name_are_read(tmp_path: Path, form: str) -> None:
    """The month's name before the year."""
    left, right = readings()
    right["month"] = [form.format(name=NAMES[int(str(month)[:2]) - 1]) for month in right["month"]]
    found, result = proposed(tmp_path, left, right)
    assert next(f.type for f in found.plan.fields if f.left == "period") == "date"
    assert right_share(result, 360) == 1


def test_rates_of_exchange_are_no_months(tmp_path: Path) -> None:
    """1.2025 is a number, whatever could be read into it."""
    rates = [f"1.{2_000 + i % 90:04}" for i in range(300)]
    keys = [f"D-{i * 7_919 % 99_991}" for i in range(300)]
    found, _ = proposed(tmp_path, {"deal": keys, "rate": rates}, {"ref": keys, "rate": rates})
    assert next(f.type for f in found.plan.fields if f.left == "rate") == "decimal"


def test_dates_are_read_as_the_other_file_says(tmp_path: Path) -> None:
    """Due on the first of each month, month first or day first: the other file has these days written out."""
    days = [(1 + k, 1) for k in range(12)]
    keys = [f"K{i * 7_919 % 99_991}" for i in range(240)]
    left: Columns = {"contract": keys, "due": [f"{days[i % 12][1]:02}/{days[i % 12][0]:02}/2026" for i in range(240)]}
    right: Columns = {"no": keys, "due": [f"2026-{days[i % 12][0]:02}-01" for i in range(240)]}
    found, result = proposed(tmp_path, left, right)
    due = next(f for f in found.plan.fields if f.left == "due")
    assert due.formats.left == "%d/%m/%Y"
    assert any("check this" in question for question in found.questions)
    assert right_share(result, 240) == 1


def dated(form: str) -> list[object]:
    """Each of the first twelve days of each month, twice."""
    return [form.format(day=1 + i % 12, month=1 + i // 12 % 12) for i in range(288)]


def test_dates_are_read_as_the_records_say(tmp_path: Path) -> None:
    """All days occur in the other file, however they are read: only by one reading do contracts have the same."""
    keys: list[object] = [f"K{i * 7_919 % 99_991}" for i in range(288)]
    left: Columns = {"contract": keys, "due": dated("{day:02}/{month:02}/2026")}
    right: Columns = {"no": keys, "due": dated("2026-{month:02}-{day:02}")}
    found, result = proposed(tmp_path, left, right)
    assert next(f.formats.left for f in found.plan.fields if f.left == "due") == "%d/%m/%Y"
    assert "as due is read as %d/%m/%Y" in next(f.reason for f in found.fields if f.left == "due")
    assert right_share(result, 288) == 1


def test_dates_that_nothing_decides_are_asked_for(tmp_path: Path) -> None:
    """Read either way they have nothing to do with the other file's."""
    keys: list[object] = [f"K{i * 7_919 % 99_991}" for i in range(288)]
    left: Columns = {"contract": keys, "due": dated("{day:02}/{month:02}/2026")}
    right: Columns = {"no": keys, "due": [str(2_020 + i % 3) + "-05-17" for i in range(288)]}
    found = suggested(tmp_path, left, right)
    assert any("due" in question for question in found.questions)


@pytest.mark.parametrize(("comma", "form"), [(", ", "%B %d, %Y"), (" , ", "%B %d , %Y")])
def test_a_space_before_the_comma_of_a_date(tmp_path: Path, comma: str, form: str) -> None:
    """June 3 , 2026 is the day that June 3, 2026 is; the format that is told is the one that is written."""
    days = [(f"2026-{k % 12 + 1:02}-{k % 28 + 1:02}", f"{LONG[k % 12]} {k % 28 + 1}{comma}2026") for k in range(200)]
    left: Columns = {"code": [f"K{k * 37 + 1000}" for k in range(200)], "released": [d for d, _ in days]}
    right: Columns = {"code": left["code"], "released": [written for _, written in days]}
    found, result = proposed(tmp_path, left, right)
    released = next(f for f in found.plan.fields if f.name == "released")
    assert (released.type, released.formats.right) == ("date", form)
    assert right_share(result, 200) == 1
