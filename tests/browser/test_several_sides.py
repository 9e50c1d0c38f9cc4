"""Three sides on the screens: another side on Upload, the suggestion and its rules on Map, the run, its results."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import steps

LEDGER_LACKS, BANK_LACKS, ROWS, TWICE = 10, 15, 60, 1
SIDES = ("left", "right", "side_3")


def write_files(folder: Path) -> list[Path]:
    """Orders; a ledger without every tenth, of the other sign; a bank without every fifteenth, at times 2 cents
    off, and with one line twice.
    """
    numbers = range(1, ROWS + 1)
    orders = [["order_no", "total", "ordered_on"]]
    orders += [[f"R{n:04d}", f"{10 + n * 7.13:.2f}", f"2026-03-{1 + n % 28:02d}"] for n in numbers]
    ledger = [["entry", "order_ref", "booked_amount", "posted"]]
    ledger += [
        [f"L{n}", f"R{n:04d}", f"-{10 + n * 7.13:.2f}", f"2026-03-{1 + n % 28:02d}"]
        for n in numbers
        if n % LEDGER_LACKS
    ]
    bank = [["reference", "value", "value_date"]]
    bank += [
        [f"R{n:04d}", f"{10 + n * 7.13 + (0.02 if n % 4 == 0 else 0):.2f}", f"2026-03-{1 + n % 28:02d}"]
        for n in numbers
        if n % BANK_LACKS
    ]
    bank += bank[TWICE : TWICE + 1]
    paths = [folder / f"{name}.csv" for name in ("orders", "ledger", "bank")]
    for path, rows in zip(paths, (orders, ledger, bank), strict=True):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return paths


def shot(page: Page, name: str) -> None:
    """A picture of the whole page, to be looked at."""
    steps.SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=steps.SCREENSHOTS / f"sides-{name}.png", full_page=True)


def section(page: Page, name: str) -> None:
    """Open a section of the results."""
    page.get_by_role("radio", name=name, exact=True).click()
    steps.quiet(page)


def upload(page: Page, paths: list[Path]) -> None:
    """Another side, and a file for each."""
    expect(page.get_by_text("Third side")).to_have_count(0)
    steps.button(page, "Add another side").click()
    expect(page.get_by_role("heading", name="Third side")).to_be_visible()
    for number, (side, path) in enumerate(zip(SIDES, paths, strict=True), start=1):
        page.locator(f".st-key-upload-{side} input[type=file]").set_input_files(path)
        expect(page.get_by_role("button", name=re.compile("Remove$"))).to_have_count(number)
        steps.quiet(page)
    shot(page, "1-upload")
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_text("Each looks at two sides")).to_be_visible()
    expect(page.get_by_text("Tried between each two sides")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Counting")).to_have_count(0, timeout=60_000)
    expect(page.locator(".st-key-rule-card-0")).to_contain_text("Would link")
    steps.quiet(page)
    shot(page, "2-map")


def change(page: Page) -> None:
    """Another name for a side and for the last rule."""
    page.get_by_label("Third side").fill("House bank")
    page.get_by_label("Third side").press("Enter")
    expect(page.get_by_text("House bank").first).to_be_visible()
    steps.quiet(page)
    cards = page.locator("[class*=st-key-rule-card-]")
    before = cards.count()
    steps.button(page, "Add rule").click()
    page.get_by_role("dialog").get_by_label("Name").fill("added by hand")
    page.get_by_role("dialog").get_by_label("Name").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Save rule$")).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(cards.last).to_contain_text("Orders and Ledger:")
    steps.quiet(page)
    page.get_by_role("button", name=re.compile("delete", re.IGNORECASE)).last.click()
    expect(cards).to_have_count(before)
    steps.quiet(page)
    page.get_by_role("button", name=re.compile("Edit$")).last.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("the reference alone")
    dialog.get_by_label("Name").press("Enter")
    shot(page, "3-rule")
    dialog.get_by_role("button", name=re.compile("Save rule$")).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(cards.last).to_contain_text("the reference alone")
    expect(cards).to_have_count(before)
    steps.quiet(page)


def search_bank(page: Page) -> None:
    """The bank is searched for duplicates, and they are left out; what is wrong is told in the dialog."""
    card = page.locator("[class*=st-key-duplicates-]").filter(has_text="House bank")
    expect(card).to_contain_text("Not searched.")
    card.get_by_role("button", name=re.compile("Search$")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Two records of House bank are the same thing twice")
    dialog.get_by_text("Leave all but the first out of matching").click()
    steps.quiet(page)
    shot(page, "3-duplicates")
    dialog.get_by_role("button", name=re.compile("Save$")).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(card).to_contain_text("All but the first stay out of matching.")
    steps.quiet(page)
    shot(page, "3-searched")


def test_three_sides_from_upload_to_results(page: Page, tmp_path: Path) -> None:
    """An analyst adds a side, takes the suggestion, changes a label and a rule, and finds what is missing where."""
    steps.create_administrator(page)
    steps.start(page, "Orders, ledger, bank")
    paths = write_files(tmp_path)
    upload(page, paths)
    change(page)
    search_bank(page)
    steps.button(page, "Continue to run").click()
    expect(page.get_by_text("against").first).to_be_visible()
    shot(page, "4-run")
    steps.button(page, "Run reconciliation").click()
    expect(page.get_by_text("Every row is accounted for")).to_be_visible(timeout=60_000)
    steps.quiet(page)
    expect(page.get_by_text(f"Orders: {ROWS} rows read")).to_be_visible()
    expect(page.get_by_text("What was found together")).to_be_visible()
    shot(page, "5-overview")
    section(page, "Breaks")
    shot(page, "6-breaks")
    expect(page.get_by_text(re.compile(r"\d+ breaks$"))).to_be_visible()
    steps.select_row(page, "breaks-table", 0)
    expect(page.locator(".st-key-break-detail")).to_contain_text("Missing in")
    shot(page, "7-break")
    page.get_by_role("radiogroup", name="Missing").get_by_role("radio", name="Ledger", exact=True).click()
    steps.quiet(page)
    expect(page.get_by_text(re.compile(r"^\d+ breaks$"))).to_have_text(f"{2 * ROWS // LEDGER_LACKS - 2 + TWICE} breaks")
    section(page, "Matches")
    steps.select_row(page, "matches-table", 0)
    expect(page.locator(".st-key-match-detail")).to_contain_text("rule")
    shot(page, "8-match")
    section(page, "Duplicates")
    expect(page.get_by_text("2 records in groups of duplicates")).to_be_visible()
    for name in ("Differences", "Duplicates", "Rejected", "Balance", "Rules"):
        section(page, name)
        shot(page, f"9-{name.lower()}")
        if name == "Balance":
            for told in ("What the open items explain", "Money in breaks", "How old the open items are"):
                expect(page.get_by_text(told)).to_be_visible()
    with page.expect_download() as summary:
        page.get_by_role("link", name="Summary (.pdf)").click()
    assert summary.value.path().read_bytes().startswith(b"%PDF")
    page.goto("/")
    expect(page.get_by_text("matched").first).to_be_visible()
    steps.quiet(page)


def choose(page: Page, box: str, option: str) -> None:
    """Take an option of a list by its name."""
    named = page.get_by_role("combobox", name=box, exact=True)
    named.click()
    named.fill(option)
    expect(page.get_by_role("option", name=option)).to_be_visible()
    named.press("Enter")
    steps.quiet(page)
    expect(named).to_have_value(option)


def test_reversals_inside_one_side(page: Page, tmp_path: Path) -> None:
    """A rule for one side alone is made in the dialog, stands above the others, and its match opens like any other."""
    steps.create_administrator(page)
    steps.start(page, "Returned payments")
    paths = write_files(tmp_path)
    with paths[2].open("a", newline="") as file:
        csv.writer(file).writerows([["BACK", "77.01", "2026-03-05"], ["BACK", "-77.01", "2026-03-06"]])
    upload(page, paths)
    cards = page.locator("[class*=st-key-rule-card-]")
    before = cards.count()
    choose(page, "A rule for", "Bank alone (reversals)")
    steps.quiet(page)
    steps.button(page, "Add rule").click()
    dialog = page.get_by_role("dialog")
    shape = dialog.get_by_role("combobox", name="One match holds")
    expect(shape).to_have_value("Bank records that cancel each other out (reversals)")
    expect(dialog.get_by_text("By evidence learnt from the data")).to_have_count(0)
    dialog.get_by_label("Name").fill("returned")
    dialog.get_by_label("Name").press("Enter")
    steps.quiet(page)
    shot(page, "11-reversal")
    dialog.get_by_role("button", name=re.compile("Save rule$")).click()
    expect(dialog).to_have_count(0)
    expect(cards).to_have_count(before + 1)
    expect(cards.first).to_contain_text("1. returned")
    expect(cards.first.get_by_role("button", name=re.compile("downward"))).to_be_disabled()
    steps.quiet(page)
    cards.first.get_by_role("button", name=re.compile("Edit$")).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Save rule$")).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(cards.first).to_contain_text("Bank records that cancel each other out (reversals)")
    steps.quiet(page)
    shot(page, "12-map")
    steps.button(page, "Continue to run").click()
    steps.button(page, "Run reconciliation").click()
    expect(page.get_by_text("Every row is accounted for")).to_be_visible(timeout=60_000)
    steps.quiet(page)
    expect(page.get_by_text("1 of them inside one side")).to_be_visible()
    shot(page, "13-overview")
    section(page, "Rules")
    shot(page, "14-rules")
    section(page, "Matches")
    choose(page, "Rule", "returned")
    steps.quiet(page)
    expect(page.get_by_text("2 records in matches")).to_be_visible()
    steps.select_row(page, "matches-table", 0)
    expect(page.locator(".st-key-match-detail")).to_contain_text("All its records are on the Bank side")
    shot(page, "15-match")


def test_a_plan_of_three_sides_is_kept_and_used_again(page: Page, tmp_path: Path) -> None:
    """Saved, it brings its third side along; without that side it is kept until a new one is asked for."""
    steps.create_administrator(page)
    steps.start(page, "March")
    paths = write_files(tmp_path)
    upload(page, paths)
    steps.button(page, "Save plan").click()
    steps.button(page, "Save").click()
    expect(page.get_by_text("is saved under Plans")).to_be_visible()
    page.get_by_role("link", name="Plans").first.click()
    expect(page.get_by_text("Orders against Ledger against Bank").first).to_be_visible()
    steps.quiet(page)
    shot(page, "10-plans")
    steps.button(page, "Use").click()
    expect(page.get_by_role("heading", name="Third side")).to_be_visible()
    steps.quiet(page)
    steps.button(page, "Remove side").click()
    expect(page.get_by_role("heading", name="Third side")).to_have_count(0)
    for number, (side, path) in enumerate(zip(SIDES[:2], paths[:2], strict=True), start=1):
        page.locator(f".st-key-upload-{side} input[type=file]").set_input_files(path)
        expect(page.get_by_role("button", name=re.compile("Remove$"))).to_have_count(number)
        steps.quiet(page)
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_text("The plan is for 3 sides, and there are 2 now.")).to_be_visible()
    expect(page.get_by_label("Left side")).to_have_count(0)
    steps.button(page, "Suggest a new plan").click()
    expect(page.get_by_label("Left side")).to_be_visible()
