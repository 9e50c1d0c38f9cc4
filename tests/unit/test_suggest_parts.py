"""What suggest finds where one thing is paid in parts, or a moment is written down some minutes apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from recon_engine import Result, reconcile
from tests.unit.test_suggest_unseen import DAYS, Columns, cents, proposed, right_share, suggested

pytestmark = pytest.mark.slow


def test_moments_some_minutes_apart_are_of_the_same_day(tmp_path: Path) -> None:
    """Cars that come twice: the plate repeats, and who leaves pays some minutes before."""
    plates = [f"K{i // 2 * 37 % 1000:03d} {chr(65 + i // 2 % 26)}XT" for i in range(400)]
    out = [datetime(2025, 9, 1, 8, tzinfo=UTC) + timedelta(days=i * 7 % 29, minutes=i * 53 % 900) for i in range(400)]
    fees: list[object] = [f"{1 + i * 7 % 13}.50" for i in range(400)]
    left: Columns = {"plate": list(plates), "exit": [f"{t:%Y-%m-%d %H:%M:%S}" for t in out], "fee": fees}
    right: Columns = {
        "registration": [p.replace(" ", "-").lower() for p in plates],
        "paid_at": [f"{t - timedelta(minutes=1 + i % 5):%d/%m/%Y %H:%M}" for i, t in enumerate(out)],
        "paid": fees,
    }
    # Half of the cars came once only: their plates show what the others have in common.
    once = [i for i in range(400) if i % 4 != 1]
    left, right = ({name: [values[i] for i in once] for name, values in side.items()} for side in (left, right))
    found, result = proposed(tmp_path, left, right)
    assert [r.rule.name for r in found.rules][:1] == ["same day"]
    assert "exit" not in found.plan.compare
    assert right_share(result, len(once)) == 1


def test_fees_paid_in_parts_whose_texts_name_the_student(tmp_path: Path) -> None:
    """No column goes with another: texts speak of the student, and what is paid in two or three parts adds up."""
    students = [f"2025{i * 7 % 1000:04d}" for i in range(300)]
    left: Columns = {"student": list(students), "fee": [f"{cents(i) * 6 / 100:.2f}" for i in range(300)]}
    payments = [(i, 1 + i % 3) for i in range(300) for _ in range(1 + i % 3)]
    right: Columns = {
        "reference": [
            f"TUITION {students[i]}" if k % 2 else f"from {students[i]} part" for k, (i, _) in enumerate(payments)
        ],
        "received": [f"{cents(i) * 6 // of / 100:.2f}" for i, of in payments],
    }
    found = suggested(tmp_path, left, right)
    assert {(f.left, f.right) for f in found.fields} == {("fee", "received"), ("student", "reference")}
    result = reconcile(found.plan)
    assert _confirmed(result, "right") == len(payments)


def test_certificates_that_add_up_invoices_of_a_customer(tmp_path: Path) -> None:
    """A customer has several of both, and a quarter on one side: sums to the cent within the customer tell which."""
    names = [f"Customer {chr(65 + c % 26)}{c}" for c in range(60)]
    certificates = [(c, q) for c in range(60) for q in range(3)]
    invoices = [(k, part) for k in range(len(certificates)) for part in range(1 + k % 3)]

    def amount(k: int, part: int) -> int:
        return cents(7 * k + 3 * part)

    left: Columns = {
        "certificate": [f"W{k:05d}" for k in range(len(certificates))],
        "customer": [names[c] for c, _ in certificates],
        "quarter": [f"Q{q + 1} 2025" for _, q in certificates],
        "gross": [f"{sum(amount(k, p) for p in range(1 + k % 3)) / 100:.2f}" for k in range(len(certificates))],
    }
    right: Columns = {
        "invoice": [f"S-{i * 7919 % 100_003}" for i in range(len(invoices))],
        "client": [names[certificates[k][0]].upper() for k, _ in invoices],
        "amount": [f"{amount(k, p) / 100:.2f}" for k, p in invoices],
    }
    found = suggested(tmp_path, left, right)
    assert "adds up within customer" in [r.rule.name for r in found.rules]
    result = reconcile(found.plan)
    matches = result.matches().filter(pl.col("outcome") == "confirmed").collect()
    one, two = (matches.filter(pl.col("side") == side).select("match_id", "row") for side in ("left", "right"))
    of = [k for k, _ in invoices][::-1]
    pairs = one.join(two, on="match_id").filter(
        pl.col("row") - 1 == pl.col("row_right").replace_strict(dict(enumerate(of, 1)))
    )
    assert pairs.height >= 0.98 * len(invoices)
    assert two.height == pairs.height


def test_collective_payments_with_the_other_sign_and_on_another_day(tmp_path: Path) -> None:
    """The amounts have nothing in common until those of a batch are added up, with the sign turned."""
    batches = [f"MSG{2025_0000 + b}" for b in range(60)]
    entries = [(b, j) for b in range(60) for j in range(2 + b % 5)]
    left: Columns = {
        "day": [f"{DAYS[b]:%d.%m.%Y}" for b in range(60)],
        "purpose": [f"SEPA BATCH {batches[b]} OF {2 + b % 5}" for b in range(60)],
        "amount": [f"-{sum(cents(9 * b + j) for j in range(2 + b % 5)) / 100:.2f}" for b in range(60)],
    }
    right: Columns = {
        "msg_id": [batches[b] for b, _ in entries],
        "exec_date": [str(DAYS[b] - timedelta(1)) for b, _ in entries],
        "amount": [f"{cents(9 * b + j) / 100:.2f}" for b, j in entries],
    }
    found = suggested(tmp_path, left, right)
    assert [f.clean.right for f in found.plan.fields if f.type == "decimal"] == [("negate",)]
    result = reconcile(found.plan)
    assert _confirmed(result, "right") == len(entries)


def test_a_mandate_that_comes_back_every_month_is_told_by_the_day(tmp_path: Path) -> None:
    """Returns speak of the mandate, of which there are four collections of one amount: the nearest before is meant."""
    collections = [(m, month) for m in range(200) for month in range(1, 5)]
    returned = [(m, month) for m, month in collections if (m * 7 + month * 3) % 10 == 0]
    left: Columns = {
        "id": [f"E{k * 7919 % 100_003}" for k in range(len(collections))],
        "mandate": [f"MND{m:06d}" for m, _ in collections],
        "collected": [f"2025-{month:02d}-03" for _, month in collections],
        "amount": [f"{19 + m % 20 * 10}.90" for m, _ in collections],
    }
    right: Columns = {
        "booked": [f"2025-{month:02d}-{5 + m % 6:02d}" for m, month in returned],
        "text": [f"{('RETURN', 'R')[m % 2]} MANDATE MND{m:06d} {('AM04', 'X')[m % 3 % 2]}" for m, _ in returned],
        "amount": [f"-{19 + m % 20 * 10}.90" for m, _ in returned],
    }
    found = suggested(tmp_path, left, right)
    assert found.rules[0].rule.name == "amount, mandate in the text, near dates"
    result = reconcile(found.plan)
    matches = result.matches().collect()
    one, two = (matches.filter(pl.col("side") == side).select("match_id", "row") for side in ("left", "right"))
    pairs = {(a, b) for a, b in one.join(two, on="match_id").select("row", "row_right").iter_rows()}
    assert pairs == {(collections.index(r) + 1, len(returned) - k) for k, r in enumerate(returned)}
    assert _confirmed(result, "right") == len(returned)


def _confirmed(result: Result, side: str) -> int:
    """How many records of the side are in confirmed matches."""
    mine = (pl.col("side") == side) & (pl.col("outcome") == "confirmed")
    return result.matches().filter(mine).collect().height


def test_words_in_another_order_name_the_same(tmp_path: Path) -> None:
    """A campaign is called after its country first here and last there, and each has a row a day."""
    kinds, goods = ("Brand", "Generic", "Retargeting"), ("Shoes", "Bags", "Coats", "Hats")
    campaigns = [(("DE", "FR", "UK")[i % 3], kinds[i % 7 % 3], goods[i % 4], i) for i in range(40)]
    rows = [(k, day) for k in range(40) for day in range(10)]
    left: Columns = {
        "date": [f"{DAYS[day]:%Y%m%d}" for _, day in rows],
        "campaign": ["_".join(map(str, campaigns[k])) for k, _ in rows],
        "micros": [cents(k * 10 + day) * 10_000 for k, day in rows],
    }
    right: Columns = {
        "day": [f"{DAYS[day]:%d.%m.%y}" for _, day in rows],
        "campaign_name": ["{1} {2} {0} ({3})".format(*campaigns[k]) for k, _ in rows],
        "spend": [f"{cents(k * 10 + day) / 100:.2f}" for k, day in rows],
    }
    found, result = proposed(tmp_path, left, right)
    assert ("unaccent", "casefold", "sort_words") in [f.clean.left for f in found.plan.fields]
    assert right_share(result, len(rows)) == 1


def test_what_shares_only_a_key_that_comes_back_is_for_a_person(tmp_path: Path) -> None:
    """Contracts with several records: one of another amount and day is not confirmed by the contract alone."""
    contracts = [i if i < 360 else i - 360 for i in range(400)]
    left: Columns = {
        "contract_no": [f"C{c:05d}" for c in contracts],
        "day": [str(DAYS[i]) for i in range(400)],
        "amount": [f"{cents(i) / 100:.2f}" for i in range(400)],
    }
    wrong = {5, 150}
    right: Columns = {
        "contract_id": left["contract_no"],
        "booked": [str(DAYS[i - 7 if i in wrong else i]) for i in range(400)],
        "value": [f"{(cents(i) + (40_000 if i in wrong else 0)) / 100:.2f}" for i in range(400)],
    }
    found, result = proposed(tmp_path, left, right)
    [last] = [r.rule for r in found.rules if r.rule.name == "same contract_no"]
    assert last.outcome == "suggested"
    assert _confirmed(result, "right") == 398
