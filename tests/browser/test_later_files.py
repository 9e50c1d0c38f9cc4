"""Next month's files with the plan of this month: columns that are called otherwise, and one that is gone."""

from __future__ import annotations

import csv
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.unit.test_combined_columns import people


def test_columns_that_are_called_otherwise_take_their_place(page: Page, tmp_path: Path) -> None:
    """The rules of the saved plan stay: a column is found again by its type, another one is left out."""
    ledger, bank = steps.write_files(tmp_path)
    steps.to_map(page, "October", ledger, bank)
    expect(page.get_by_text("would stay open")).to_be_visible()
    rules = page.locator("[class*=st-key-rule-card-]").count()
    _use_saved(page)
    expect(page.get_by_text("The plan calls it Bank.")).to_be_visible()

    with bank.open(newline="") as file:
        rows = [[row[0], row[1], row[2]] for row in csv.reader(file)]
    with bank.open("w", newline="") as file:
        csv.writer(file).writerows([["booked", "bank_reference", "sum in euro"], *rows[1:]])
    for side, path in enumerate((ledger, bank)):
        steps.upload(page, side, path)
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_text("Bank has no column 'value', 'narrative'.")).to_be_visible()
    expect(page.get_by_label("Bank: 'value' is now")).to_have_value("sum in euro  (3700.50, 3737.50)")
    expect(steps.button(page, "Use these columns")).to_be_disabled()
    page.get_by_label("Bank: 'narrative' is now").click()
    page.get_by_role("option", name="nothing: leave the field out").click()
    steps.picture(page, "other-columns")
    steps.button(page, "Use these columns").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    expect(page.locator("[class*=st-key-rule-card-]")).to_have_count(rules)
    steps.button(page, "Continue to run").click()
    expect(steps.button(page, "Run reconciliation")).to_be_enabled()


def test_a_column_that_the_plan_makes_may_come_with_the_file(page: Page, tmp_path: Path) -> None:
    """Said on Map, not by a run that fails: the file's own is read from then on."""
    one, two = people(tmp_path)
    steps.to_map(page, "Members", one, two)
    expect(page.get_by_text("In Two, member is made of first and last.")).to_be_visible()
    _use_saved(page)
    with two.open(newline="") as file:
        header, *rows = csv.reader(file)
    first, last = header.index("first"), header.index("last")
    with two.open("w", newline="") as file:
        csv.writer(file).writerows([[*header, "member"], *([*row, f"{row[first]} {row[last]}"] for row in rows)])
    for side, path in enumerate((one, two)):
        steps.upload(page, side, path)
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_text("Two has itself what the plan makes of others: 'member'.")).to_be_visible()
    steps.button(page, "Use the file's own").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    expect(page.get_by_text("is made of first and last")).to_have_count(0)


def test_debits_and_credits_may_be_called_otherwise(page: Page, tmp_path: Path) -> None:
    """What an amount is made of is asked for, each with what it holds; the plan goes on with every rule, and runs."""
    ledger, bank = steps.write_files(tmp_path)
    _in_two_columns(bank, "Debit", "Credit")
    steps.to_map(page, "October", ledger, bank)
    expect(page.get_by_text("would stay open")).to_be_visible()
    expect(page.get_by_text("In Bank, amount is made of Debit and Credit.")).to_be_visible()
    rules = page.locator("[class*=st-key-rule-card-]").count()
    _use_saved(page)
    bank.write_text(bank.read_text().replace("Debit,Credit", "Out,In", 1))
    for side, path in enumerate((ledger, bank)):
        steps.upload(page, side, path)
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_text("Bank has no column 'Debit', 'Credit'.")).to_be_visible()
    for gone, now in (("Debit", "Out  (12.00)"), ("Credit", "In  (3700.50, 3737.50)")):
        expect(steps.button(page, "Use these columns")).to_be_disabled()
        page.get_by_label(f"Bank: '{gone}' is now").click()
        page.get_by_role("option", name=now).click()
        steps.quiet(page)
    steps.picture(page, "other-debits")
    steps.button(page, "Use these columns").click()
    expect(page.get_by_text("In Bank, amount is made of Out and In.")).to_be_visible()
    expect(page.get_by_text("would stay open")).to_be_visible()
    expect(page.locator("[class*=st-key-rule-card-]")).to_have_count(rules)
    steps.button(page, "Continue to run").click()
    steps.button(page, "Run reconciliation").click()
    steps.open_results(page)
    expect(page.get_by_text("Every row is accounted for")).to_be_visible()


def _in_two_columns(bank: Path, debit: str, credit: str) -> None:
    """The bank's amounts, with what goes out in a column of its own."""
    with bank.open(newline="") as file:
        header, *rows = csv.reader(file)
    told = [
        [day, ref, *((amount[1:], "") if amount.startswith("-") else ("", amount)), who]
        for day, ref, amount, who in rows
    ]
    with bank.open("w", newline="") as file:
        csv.writer(file).writerows([[*header[:2], debit, credit, header[3]], *told])


def _use_saved(page: Page) -> None:
    steps.quiet(page)
    steps.button(page, "Save plan").click()
    steps.button(page, "Save").click()
    expect(page.get_by_text("is saved under Plans")).to_be_visible()
    page.get_by_role("link", name="Plans").first.click()
    steps.button(page, "Use").click()
    expect(page.get_by_role("heading", name="Left side")).to_be_visible()
    steps.quiet(page)
