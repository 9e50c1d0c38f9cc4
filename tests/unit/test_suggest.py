"""Suggested plans: mappings by name and value, rules from what is seen, questions for what is not decided."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from recon_engine import reconcile
from recon_engine.column_names import name_likeness
from recon_engine.errors import InputError
from recon_engine.plan import Plan
from recon_engine.suggest import Suggestion, suggest


def suggested(folder: Path, left: str, right: str) -> Suggestion:
    """The suggestion for two CSV texts."""
    (folder / "ledger.csv").write_text(left)
    (folder / "bank.csv").write_text(right)
    return suggest(folder / "ledger.csv", folder / "bank.csv")


def ledger_and_bank(lag_from: int = 80, off_from: int = 95) -> tuple[str, str]:
    """100 records a side: some booked two days later, some two cents off."""
    left, right = ["ref,amount,posted_on,memo"], ["value;booking date;txn id;narrative"]
    for i in range(100):
        amount = 100 + i * 7
        left.append(f"INV-{i:04},{amount}.10,2024-03-{i % 20 + 1:02},sold {i}")
        day = i % 20 + 1 + (2 if i >= lag_from else 0)
        right.append(f"{amount}.{12 if i >= off_from else 10};{day:02}/03/2024;inv-{i:04} ;got {i}")
    return "\n".join(left) + "\n", "\n".join(right) + "\n"


def test_columns_are_mapped_by_name_and_value(tmp_path: Path) -> None:
    """Synonyms and values find the pairs; a format that one value proves is set, and case is cleaned away."""
    plan = suggested(tmp_path, *ledger_and_bank()).plan
    pairs = {f.left: f.right for f in plan.fields}
    assert pairs["ref"] == "txn id"
    assert pairs["amount"] == "value"
    assert pairs["posted_on"] == "booking date"
    reference = next(f for f in plan.fields if f.left == "ref")
    assert reference.clean.left == ("trim", "casefold")
    day = next(f for f in plan.fields if f.left == "posted_on")
    assert (day.type, day.formats.right) == ("date", "%d/%m/%Y")


def test_long_names_of_files_are_no_hindrance(tmp_path: Path) -> None:
    """The name of the plan is cut to what one may have."""
    paths = [tmp_path / f"{letter * 150}.csv" for letter in "ab"]
    for path, text in zip(paths, ledger_and_bank(), strict=True):
        path.write_text(text)
    plan = suggest(*paths).plan
    assert plan.name.startswith("A" + "a" * 149 + " against B")
    assert len(plan.name) == 200


def test_rules_follow_what_joined_records_show(tmp_path: Path) -> None:
    """Exact first, then the observed lag, then the observed cents, then the key alone."""
    found = suggested(tmp_path, *ledger_and_bank())
    rules = {r.rule.name: r.rule for r in found.rules}
    assert list(rules) == ["exact", "other day", "small difference", "same ref"]
    assert rules["other day"].on[-1].days == (0, 2)
    assert "posted_on" in found.plan.compare
    assert str(rules["small difference"].on[1].within) == "(Decimal('-0.02'), Decimal('0.02'))"
    assert "amount" in found.plan.compare


def test_a_day_that_nearly_always_differs_is_not_compared(tmp_path: Path) -> None:
    """Where settling takes days, every match would list a difference that its rule allows."""
    found = suggested(tmp_path, *ledger_and_bank(lag_from=5))
    assert "other day" in {r.rule.name for r in found.rules}
    assert "posted_on" not in found.plan.compare
    assert "amount" in found.plan.compare


def test_nothing_is_proposed_that_was_not_seen(tmp_path: Path) -> None:
    """Without lags and cents there are no rules for them."""
    found = suggested(tmp_path, *ledger_and_bank(100, 100))
    assert [r.rule.name for r in found.rules] == ["exact", "same ref"]


def test_the_yaml_is_a_plan_with_its_reasons(tmp_path: Path) -> None:
    """The file reads back to the same plan; confidences and reasons are comments in it."""
    found = suggested(tmp_path, *ledger_and_bank())
    text = found.to_yaml()
    assert Plan.parse(text) == found.plan
    assert "% sure:" in text
    assert found.as_dict()["fields"][0]["confidence"] > 0.5


def test_an_ambiguous_date_becomes_a_question(tmp_path: Path) -> None:
    """The question tells both ways, how well each agrees with the other side, and which one the plan takes."""
    left = "ref,day\n" + "".join(f"R{i:03},2024-0{i % 3 + 1}-0{i % 9 + 1}\n" for i in range(60))
    right = "ref,day\n" + "".join(f"R{i:03},0{i % 9 + 1}/0{i % 3 + 1}/2024\n" for i in range(60))
    found = suggested(tmp_path, left, right)
    assert next(f for f in found.plan.fields if f.name == "day").formats.right == "%d/%m/%Y"
    (question,) = found.questions
    assert "%d/%m/%Y (100% of its values then occur on the other side)" in question
    assert "%m/%d/%Y" in question
    assert "the plan reads it as %d/%m/%Y, by which records agree" in question


def test_an_ambiguous_date_that_no_record_decides_is_left_open(tmp_path: Path) -> None:
    """The format is left out, and the question says where it is set."""
    left = "ref,day\n" + "".join(f"R{i:03},2024-0{i % 3 + 1}-0{i % 9 + 1}\n" for i in range(60))
    right = "ref,day\n" + "".join(f"R{i:03},0{i % 4 + 4}/0{i % 7 + 1}/2019\n" for i in range(60))
    found = suggested(tmp_path, left, right)
    assert next(f for f in found.plan.fields if f.name == "day").formats.right is None
    assert "set formats for this field (right)" in found.questions[0]


def test_points_and_seconds_decide_a_date(tmp_path: Path) -> None:
    """01.02.2024 has its day first everywhere; 1717200000 in a column called so is a moment. Both run as proposed."""
    left = "ref,day\n" + "".join(f"R{i:03},01.0{i % 6 + 1}.2024\n" for i in range(60))
    days = [date(2024, i % 6 + 1, 1) for i in range(60)]
    moments = [int(datetime(d.year, d.month, d.day, 13, tzinfo=UTC).timestamp()) for d in days]
    right = "ref,created_day\n" + "".join(f"R{i:03},{at}\n" for i, at in enumerate(moments))
    found = suggested(tmp_path, left, right)
    assert not found.questions
    exact = reconcile(found.plan).summary["rules"][0]
    assert (exact["name"], exact["matches"]) == ("exact", 60)


def test_a_turned_sign_is_seen(tmp_path: Path) -> None:
    """Where one side books what the other pays, the right side is negated."""
    left = "ref,amount\n" + "".join(f"R{i:03},{i + 10}.50\n" for i in range(50))
    right = "ref,amount\n" + "".join(f"R{i:03},-{i + 10}.50\n" for i in range(50))
    amount = next(f for f in suggested(tmp_path, left, right).plan.fields if f.name == "amount")
    assert amount.clean.right == ("negate",)


def test_files_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    """No mapping is invented."""
    with pytest.raises(InputError, match="no columns with like names or values"):
        suggested(tmp_path, "apple\nx\ny\n", "2024\n1.5\n2.5\n")


def test_names_are_compared_by_meaning() -> None:
    """Same words, other spellings and synonyms come before strangers."""
    assert name_likeness("Booking Date", "bookingDate") == 1.0
    assert name_likeness("txn_ref", "Reference") > 0.5
    assert name_likeness("amount", "value") > 0.5
    assert name_likeness("amount", "narrative") < 0.3


def test_small_files_with_synonyms_and_one_bad_cell_are_mapped(tmp_path: Path) -> None:
    """Six rows are enough: ref is txn_id, amount is value though one cell is a typing mistake."""
    left = "ref,acct,amount,date,desc\n" + "".join(
        f"INV-100{k},4000,{'12O.00' if k == 6 else f'{k}5.50'},2026-03-0{k},Item {k}\n" for k in range(1, 8)
    )
    right = "txn_id,account_no,value,posted,narrative\n" + "".join(
        f"inv-100{k},4000,{k}5.50,2026-03-0{k},ITEM {k}\n" for k in range(2, 9)
    )
    (tmp_path / "left.csv").write_text(left)
    (tmp_path / "right.csv").write_text(right)
    found = suggest(tmp_path / "left.csv", tmp_path / "right.csv")
    mapped = {f.left: (f.right, f.type) for f in found.fields}
    assert mapped["ref"] == ("txn_id", "text"), found.to_yaml()
    assert mapped["amount"] == ("value", "decimal")
    assert mapped["date"] == ("posted", "date")
    exact = found.plan.rules[0]
    assert {c.field for c in exact.on} == {"ref", "amount", "date"}
