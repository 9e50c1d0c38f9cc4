"""What suggest proposes where files share no key as it stands: codes inside texts or in another spelling, amounts."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from recon_engine import Result, reconcile
from recon_engine.column_names import concepts, name_likeness
from recon_engine.columns import columns_of
from recon_engine.plan import FirstStep, ReaderOptions
from recon_engine.reading import open_table
from recon_engine.spellings import respelt
from recon_engine.suggest import Suggestion, suggest

pytestmark = pytest.mark.slow

Table = dict[str, list[str]]
CUSTOMERS = ["Acme Ltd", "Globex GmbH", "Initech SA", "Umbrella Inc", "Stark BV"]


def suggested(folder: Path, left: Table, right: Table) -> tuple[Suggestion, Result]:
    """The suggestion for two tables, and what its plan finds."""
    for name, table in (("left", left), ("right", right)):
        pl.DataFrame(table).write_csv(folder / f"{name}.csv")
    found = suggest(folder / "left.csv", folder / "right.csv")
    return found, reconcile(found.plan)


def day(i: int) -> str:
    """A day of 2025."""
    return str(date(2025, 1, 1) + timedelta(i % 300))


def cents(i: int) -> str:
    """An amount that no other number has."""
    return f"{(i * 7919) % 100_003 + 500}.{i % 100:02}"


def matched(result: Result) -> dict[str, int]:
    """Matches by rule."""
    return {rule["name"]: rule["matches"] for rule in result.summary["rules"]}


def test_an_invoice_is_found_in_the_words_of_its_payment(tmp_path: Path) -> None:
    """However it is written there; payments without one, and those of another amount, are for a person to judge."""
    left = {
        "Invoice No": [f"INV-{20_000 + i}" for i in range(300)],
        "Customer": [CUSTOMERS[i % 5] for i in range(300)],
        "Gross Amount": [cents(i) for i in range(300)],
        "Invoice Date": [day(i) for i in range(300)],
    }
    written = ["Payment INV-{} thank you", "SEPA REF INV{} ACME", "{} your order", "RE INV-{}/2025"]
    paid = [i for i in range(299, -1, -1) if i % 10]
    right = {
        "Narrative": [written[i % 4].format(20_000 + i) for i in paid] + [f"Bank fee {i} of March" for i in range(30)],
        "Amount": [cents(i) if i % 50 != 7 else "1.00" for i in paid] + [f"-{i + 1}.00" for i in range(30)],
        "Booking Date": [day(i + 20) for i in paid] + [day(i) for i in range(30)],
    }
    found, result = suggested(tmp_path, left, right)
    first = found.plan.rules[0]
    assert {c.found_in for c in first.on if c.found_in} == {"invoice_no"}
    assert found.plan.field("invoice_no").left == "Invoice No"
    assert found.plan.field("invoice_no").right == "Narrative"
    assert "invoice_date" not in found.plan.compare, "weeks later, always"
    assert matched(result)[first.name] == 270 - 6
    judged = [rule for rule in result.summary["rules"] if rule["outcome"] == "suggested" and rule["matches"]]
    assert sum(rule["matches"] for rule in judged) == 6
    (swapped, _) = suggested(tmp_path, right, left)
    assert swapped.plan.rules[0].on[0].found_in == "invoice_no"


def test_a_year_in_every_text_that_is_also_a_number_hides_no_other(tmp_path: Path) -> None:
    """Every text holds two codes: the amount tells of which one it speaks, and the year's own payment is found too."""
    numbers = range(1_900, 2_200)
    left = {"invoice": [f"{n}" for n in numbers], "amount": [cents(n) for n in numbers]}
    right = {
        "text": [f"Invoice {n} of {n % 28 + 1:02}.03.2025 thank you" for n in reversed(numbers)],
        "amount": [cents(n) for n in reversed(numbers)],
    }
    found, result = suggested(tmp_path, left, right)
    first = found.plan.rules[0]
    assert [(c.field, c.found_in) for c in first.on] == [("invoice", "invoice"), ("amount", None)]
    assert first.outcome == "confirmed"
    assert matched(result)[first.name] == len(numbers)


def test_charges_add_up_to_the_payout_that_names_their_batch(tmp_path: Path) -> None:
    """The bank's text names the batch of which each charge is a part; their amounts are no differences."""
    batches = [f"po_{i * 7_919_777:010x}" for i in range(1, 61)]
    charges = [(f"ch{i}x{k}", batches[i], i * 100 + k * 13 + 5) for i in range(60) for k in range(1 + i % 5)]
    left = {
        "charge": [c for c, _, _ in charges],
        "payout": [b for _, b, _ in charges],
        "amount": [f"{a}.10" for _, _, a in charges],
        "created": [day(n) for n in range(len(charges))],
    }
    totals = {b: sum((10 * a + 1 for _, batch, a in charges if batch == b), 0) for b in batches}
    right = {
        "date": [day(i + 2) for i in range(60)],
        "description": [f"STRIPE PAYOUT {b} TO ACCOUNT" for b in batches],
        "amount": [f"{totals[b] / 10:.2f}" for b in batches],
    }
    found, result = suggested(tmp_path, left, right)
    (adding,) = [rule for rule in found.plan.rules if rule.cardinality == "many_to_one"]
    assert matched(result)[adding.name] == 48
    assert result.summary["rows"]["right"]["matched"] == 60
    assert result.summary["differences"] == 0
    assert not result.summary["breaks"]


def test_numbers_that_texts_hold_by_chance_are_no_codes(tmp_path: Path) -> None:
    """Every text names a year, and some article has that number."""
    left = {
        "article": [str(1900 + i) for i in range(200)],
        "amount": [cents(i) for i in range(200)],
        "day": [day(i) for i in range(200)],
    }
    right = {
        "words": [f"Order of spring {2015 + i % 10} by {CUSTOMERS[i % 5]}" for i in range(200)],
        "amount": [cents(i) for i in range(200)],
        "day": [day(i) for i in range(200)],
    }
    found, _ = suggested(tmp_path, left, right)
    assert not any(c.found_in for rule in found.plan.rules for c in rule.on if rule.outcome == "confirmed")


@pytest.mark.parametrize(
    ("written", "steps"),
    [("00{}", ("strip_leading_zeros",)), ("GL-{}", ("digits_only", "strip_leading_zeros"))],
)
def test_accounts_in_another_spelling_are_a_key(tmp_path: Path, written: str, steps: tuple[str, ...]) -> None:
    """A trial balance is compared account by account, not balance by balance."""
    numbers = [4000 + 10 * i for i in range(120)]
    left = {
        "Account": [str(n) for n in numbers],
        "Name": [f"Account {n} costs" for n in numbers],
        "Balance": [cents(n) for n in numbers],
    }
    right = {
        "GL Account": [written.format(n) for n in numbers],
        "Description": [f"ACCOUNT {n} COSTS" for n in numbers],
        "Closing balance": [cents(n) if n % 200 else "1.00" for n in numbers],
    }
    found, result = suggested(tmp_path, left, right)
    assert found.plan.field("account").clean.right == steps
    assert "account" in found.plan.rules[0].fields
    assert "left out" in next(f.reason for f in found.fields if f.name == "account")
    assert not result.summary["breaks"]
    assert result.summary["differences"] == 6


def test_a_policy_that_one_side_writes_in_two_ways_is_one(tmp_path: Path) -> None:
    """Its sections, some of which name an endorsement otherwise, add up to what the other side has once."""
    policies = [f"PL{i * 7_919 % 1_000_003:07}" for i in range(1, 301)]
    lines = [(i, k) for i in range(300) for k in range(1 + i % 3)]
    left = {
        "Certificate": [
            f"{policies[i]} / E{i % 2}" if (i + k) % 4 == 0 else f"{policies[i]}/{i % 2}" for i, k in lines
        ],
        "Inception": [day(i) for i, _ in lines],
        "GWP share": [f"{i + 100 * k + 50}.25" for i, k in lines],
    }
    right = {
        "policy_number": [f"{policy}-{i % 2:02}" for i, policy in enumerate(policies)],
        "effective_date": [day(i) for i in range(300)],
        "annual_premium": [f"{sum(4 * (i + 100 * k + 50) + 1 for k in range(1 + i % 3)) / 4:.2f}" for i in range(300)],
    }
    found, result = suggested(tmp_path, left, right)
    assert found.plan.field("certificate").clean.left == ("alphanumeric", "casefold", FirstStep(first=9))
    assert not result.summary["breaks"]


def test_variants_that_differ_in_their_end_alone_stay_apart(tmp_path: Path) -> None:
    """Each article is there in two, of which the other side has one: what is left of both names neither."""
    articles = [f"AR{i * 7_919 % 1_000_003:07}" for i in range(1, 151)]
    left = {"Article": [f"{a}{size}" for a in articles for size in "SL"], "Pieces": [f"{i % 7}" for i in range(300)]}
    right = {"Item code": [f"{a}-{'XL' if i % 2 else 'XS'}" for i, a in enumerate(articles)], "Units": ["5"] * 150}
    for name, table in (("left", left), ("right", right)):
        pl.DataFrame(table).write_csv(tmp_path / f"{name}.csv")
    columns = (columns_of(open_table(tmp_path / f"{n}.csv"), ReaderOptions(), 300, 1)[0] for n in ("left", "right"))
    assert respelt(*columns, overlap=0.0) is None


def test_counts_are_compared_article_by_article(tmp_path: Path) -> None:
    """Small numbers meet whatever they count: what names single articles on both sides is the key; counts differ."""
    left = {
        "sku": [f"SKU{i:05}" for i in range(200)],
        "qty": [str(i * 37 % 120) for i in range(200)],
        "location": [("A1", "B2", "C3")[i % 3] for i in range(200)],
    }
    right = {
        "item": [str(i) for i in range(199, -1, -1)],
        "counted": [str(i * 37 % 120 + (i % 20 == 0)) for i in range(199, -1, -1)],
        "bin": [("A1", "B2", "C3")[i % 3] for i in range(199, -1, -1)],
    }
    found, result = suggested(tmp_path, left, right)
    assert found.plan.field("sku").right == "item"
    assert found.plan.field("qty").right == "counted"
    assert not found.questions
    assert result.summary["rows"]["left"]["matched"] == 200
    assert result.summary["differences"] == 10


def test_numberings_that_run_on_are_no_key(tmp_path: Path) -> None:
    """Both files number their rows from 1, each with its own letters, and the references tell who is who."""
    left = {
        "bank_entry_id": [f"BANK-{i:05}" for i in range(200)],
        "reference": [f"R{i * 7919 % 10_007}Q" for i in range(200)],
        "amount": [cents(i) for i in range(200)],
    }
    order = [(i * 7 + 3) % 200 for i in range(200)]
    right = {
        "ledger_entry_id": [f"LEDG-{i:05}" for i in range(200)],
        "reference": [left["reference"][i] for i in order],
        "amount": [left["amount"][i] for i in order],
    }
    found, result = suggested(tmp_path, left, right)
    assert [f.name for f in found.fields] == ["reference", "amount"]
    assert result.summary["rows"]["left"]["matched"] == 200


def test_amounts_alone_match_with_what_agrees(tmp_path: Path) -> None:
    """The other company books the same with the other sign, in its own language and date format."""
    left = {
        "Amount": [cents(i) for i in range(150)],
        "Ccy": [("EUR", "USD", "GBP")[i % 3] for i in range(150)],
        "Posting": [day(i) for i in range(150)],
    }
    right = {
        "Betrag": [f"-{a}" for a in left["Amount"][::-1]],
        "Währung": left["Ccy"][::-1],
        "Buchungsdatum": [date.fromisoformat(d).strftime("%d.%m.%Y") for d in left["Posting"][::-1]],
    }
    found, result = suggested(tmp_path, left, right)
    first = found.plan.rules[0]
    assert set(first.fields) == {"amount", "ccy", "posting"}
    assert matched(result)[first.name] == 150
    assert all(rule.outcome == "suggested" for rule in found.plan.rules[1:])
    assert found.plan.currency is not None


def test_column_names_of_other_languages_are_understood() -> None:
    """With and without their accents."""
    assert concepts("Währung") == concepts("waehrung") == {"currency"}
    assert concepts("Belegnummer") == {"reference"}
    assert concepts("Verwendungszweck") == {"description"}
    assert name_likeness("Empfänger", "Payee") > 0.6
