"""Habits of trades that hide what is the same: what repeats each month, which sign a side writes, sums under a code."""

from __future__ import annotations

from pathlib import Path

import pytest

from recon_engine.plan import LastStep
from tests.unit.test_suggest_unseen import DAYS, FIRST, LAST, Columns, cents, proposed, right_share

pytestmark = pytest.mark.slow

MONTHS = [f"2025-{month:02}" for month in range(1, 13)]
PRICES = ["9.99", "19.99", "49.00"]


def test_what_repeats_each_month_is_told_apart_by_days_near_each_other(tmp_path: Path) -> None:
    """A subscription has the same price each month and is paid some days later: no field alone tells its months apart,
    nor do price and day, which others have too.
    """
    billed = [(f"SUB-{i * 37 % 1009:04}", PRICES[i % 3], month, 1 + i % 20) for i in range(100) for month in MONTHS]
    left: Columns = {
        "subscription": [code for code, *_ in billed],
        "amount": [price for _, price, *_ in billed],
        "billed_on": [f"{month}-{day:02}" for *_, month, day in billed],
    }
    right: Columns = {
        "Ref": left["subscription"],
        "Paid": left["amount"],
        "Value Date": [f"{month}-{day + (n * 7 % 4):02}" for n, (*_, month, day) in enumerate(billed)],
    }
    found, result = proposed(tmp_path, left, right)
    near = next(r for r in found.rules if r.rule.name == "near dates")
    assert near.rule.on[-1].days == (0, 3)
    assert right_share(result, 1200) == 1


def test_a_sign_that_each_side_writes_its_own_way_is_left_out(tmp_path: Path) -> None:
    """One side writes what it pays with a minus, the other has its own direction: equal in half of the records."""
    rates = [f"{1 + (i * 31 % 997) / 10_000:.4f}" for i in range(300)]
    left: Columns = {
        "Rate": rates,
        "Amount1": [f"{cents(i) / 100 * (1 if i % 2 else -1):.2f}" for i in range(300)],
        "Value": [str(day) for day in DAYS[:300]],
    }
    right: Columns = {
        "Px": rates,
        "Notional": [f"{cents(i) / 100 * (1 if i % 3 else -1):.2f}" for i in range(300)],
        "Settle": [str(day) for day in DAYS[:300]],
    }
    found, result = proposed(tmp_path, left, right)
    field = next(f for f in found.plan.fields if f.left == "Amount1")
    assert (field.right, field.clean.left, field.clean.right) == ("Notional", ("absolute",), ("absolute",))
    assert "but for the sign" in next(f.reason for f in found.fields if f.left == "Amount1")
    assert any(asked.startswith("Amount1: ") and "a wrong one would not show" in asked for asked in found.questions)
    assert right_share(result, 300) == 1


def test_amounts_that_only_add_up_are_found_by_the_codes_in_texts(tmp_path: Path) -> None:
    """No order has the amount of a payout, and the columns' names say nothing: where a code leads to several, they add
    up. Payouts that do not are for a person to judge, with all that they name.
    """
    orders = [(i, k, f"po{i * 7_919 % 100_003:06}x") for i in range(60) for k in range(2 + i % 4)]
    nets = [10_00 + i * 97 + k * 13 for i, k, _ in orders]
    wholes = {code: sum(n for n, (*_, c) in zip(nets, orders, strict=True) if c == code) for *_, code in orders}
    left: Columns = {
        "Order": [f"A{i}-{k}" for i, k, _ in orders],
        "Payout": [code for *_, code in orders],
        "Kept": [f"{n / 100:.2f}" for n in nets],
        "made_on": [str(DAYS[i]) for i, *_ in orders],
    }
    right: Columns = {
        "Text": [f"PAYOUT {code} TO SHOP {n % 7}" for n, code in enumerate(wholes)],
        "Credit": [f"{(whole + (500 if n % 10 == 9 else 0)) / 100:.2f}" for n, whole in enumerate(wholes.values())],
        "Booked": [str(DAYS[n]) for n in range(60)],
    }
    found, result = proposed(tmp_path, left, right)
    assert {(f.left, f.right) for f in found.fields} >= {("Kept", "Credit"), ("Payout", "Text")}
    by_rule = {r["name"]: (r["outcome"], r["matches"]) for r in result.summary["rules"]}
    assert by_rule["adds up by payout in the text"] == ("confirmed", 54)
    assert by_rule["all by payout in the text"] == ("suggested", 6)
    assert not result.summary["breaks"]


def test_a_code_that_some_write_with_zeros_is_one_code(tmp_path: Path) -> None:
    """Most have the same digits on both sides; a tenth has leading zeros on one."""
    left: Columns = {
        "Employee": [f"{(i * 37 % 1000):05}" if i % 10 == 0 else f"{10_000 + i * 37 % 1000}" for i in range(400)],
        "Hours": [f"{1 + i * 7 % 80 / 10:.1f}" for i in range(400)],
    }
    right: Columns = {"Staff": [code.lstrip("0") or "0" for code in map(str, left["Employee"])], "Qty": left["Hours"]}
    found, result = proposed(tmp_path, left, right)
    assert "leading zeros" in next(f.reason for f in found.fields if f.left == "Employee")
    assert right_share(result, 400) > 0.99


def test_a_key_that_joins_hardly_any_leads_no_cascade(tmp_path: Path) -> None:
    """An order number that stands on many lines joins the few orders of one line: line and price name the rest."""
    lines = [(f"4500{i // 5:04}" if i < 380 else f"4500{i:04}", i) for i in range(400)]
    left: Columns = {
        "po": [po for po, _ in lines],
        "value": [f"{cents(i) / 100:.2f}" for _, i in lines],
        "item": [f"M{i * 13 % 50}" for _, i in lines],
    }
    right: Columns = {"Order": left["po"], "Net": left["value"], "Material": left["item"]}
    found, result = proposed(tmp_path, left, right)
    assert not any(r.rule.name == "same po" for r in found.rules[:1])
    assert right_share(result, 400) == 1


def test_what_tells_hardly_any_record_apart_is_said(tmp_path: Path) -> None:
    """Only the day is in both files: whoever runs this must know, and which columns may be the same."""
    left: Columns = {
        "called": [f"K{i * 7_919 % 9_973}" for i in range(300)],
        "day": [str(DAYS[i % 9]) for i in range(300)],
    }
    right: Columns = {"Party": [f"P-{i * 6_007 % 99_991}x" for i in range(300)], "Day": left["day"]}
    found, _ = proposed(tmp_path, left, right)
    told = " ".join(found.questions)
    assert "day: what both files have tells only 0% of the smaller one's records apart" in told
    assert "called in the left file and Party in the right one name most records and have no values in common" in told
    assert all(r.rule.outcome == "suggested" for r in found.rules)


def test_names_written_otherwise_help_where_day_and_amount_are_not_quite_sure(tmp_path: Path) -> None:
    """Half of the wages are paid days later: amounts of one day may be another's by accident, unless the name tells."""
    people = [f"{FIRST[i % 11]} {LAST[i // 11 % 13]}" for i in range(400)]
    wages = [f"{2000 + i * 7 % 390}.00" for i in range(400)]
    left: Columns = {"employee": people, "net_pay": wages, "pay_date": [f"2025-0{1 + i % 9}-25" for i in range(400)]}
    right: Columns = {
        "beneficiary": [" ".join(reversed(name.upper().split())) for name in people],
        "amount": wages,
        "booked": [f"2025-0{1 + i % 9}-{25 if i % 2 else 27}" for i in range(400)],
    }
    found, result = proposed(tmp_path, left, right)
    assert [r.rule.name for r in found.rules][:2] == ["exact, like words", "near dates, like words"]
    assert right_share(result, 400) > 0.95


@pytest.mark.parametrize(("left_form", "right_form"), [("0171{:07}", "+49 171 {:07}"), ("0171/{:07}", "49171{:07}")])
def test_telephones_are_the_same_by_their_last_digits(tmp_path: Path, left_form: str, right_form: str) -> None:
    """One side writes the country, the other a zero; a number calls on several days."""
    numbers = [1_234_567 + i * 7919 % 80 * 10_007 for i in range(400)]
    days = [str(DAYS[i // 80 * 3]) for i in range(400)]
    left: Columns = {"caller": [left_form.format(n) for n in numbers], "day": days}
    right: Columns = {"A_Party": [right_form.format(n) for n in numbers], "Called on": days}
    found, result = proposed(tmp_path, left, right)
    field = next(f for f in found.plan.fields if f.left == "caller")
    assert field.clean.left == ("digits_only", LastStep(last=10))
    assert "all but the last 10 digits are left out" in next(f.reason for f in found.fields if f.left == "caller")
    assert right_share(result, 400) == 1


def test_numbers_that_run_on_are_not_the_same_by_their_ends(tmp_path: Path) -> None:
    """Orders 4500000001 and on, and bookings 9900000001 and on: each counts its own."""
    left: Columns = {
        "order": [str(4_500_000_000 + i) for i in range(300)],
        "amount": [f"{cents(i) / 100:.2f}" for i in range(300)],
        "day": [str(DAYS[i]) for i in range(300)],
    }
    mixed = [i * 7 % 300 for i in range(300)]
    right: Columns = {
        "booking": [str(9_900_000_000 + mixed[i]) for i in range(300)],
        "amount": left["amount"],
        "day": left["day"],
    }
    found, result = proposed(tmp_path, left, right)
    assert not any("last" in str(f.clean) for f in found.plan.fields)
    assert right_share(result, 300) == 1


def test_rents_of_the_same_amount_are_told_apart_by_names_in_texts(tmp_path: Path) -> None:
    """Thirty rents for 143 tenants, the same each month, paid some days after the first, the name turned round."""
    tenants = [(FIRST[i % 11], LAST[i % 13]) for i in range(143)]
    rows = [(tenant, month) for month in range(1, 5) for tenant in range(143)]
    rents = [f"{650 + tenant % 30 * 15}.00" for tenant, _ in rows]
    left: Columns = {
        "tenant": [f"{LAST[t % 13].title()}, {FIRST[t % 11].title()}" for t, _ in rows],
        "due": [f"2025-{month:02}-01" for _, month in rows],
        "rent": rents,
    }
    right: Columns = {
        "text": [f"TRANSFER {' '.join(tenants[t])} RENT".upper() for t, _ in rows],
        "booked": [f"2025-{month:02}-{1 + (t * 7 + month) % 6:02}" for t, month in rows],
        "credit": rents,
    }
    found, result = proposed(tmp_path, left, right)
    first = found.rules[0].rule
    assert first.name == "amount, words of tenant"
    assert first.max_false_rate is not None
    assert not any("tells only" in question for question in found.questions)
    assert right_share(result, 572) > 0.95
