"""The steps that the journeys share, in the words of the screens."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.server import REPOSITORY

SCREENSHOTS = REPOSITORY / "build" / "screenshots"

EMAIL, PASSWORD = "ada@example.org", "violet-otter-42"  # pragma: allowlist secret
LEDGER = [["ref", "posting_date", "amount", "counterparty"]] + [
    [f"INV-{number}", f"2026-10-{number % 28 + 1:02d}", f"{number * 37}.50", f"Customer {number}"]
    for number in range(100, 140)
]
SMALL_DIFFERENCE, LARGE_DIFFERENCE, MISSING_IN_BANK, ONLY_IN_BANK = "INV-105", "INV-110", "INV-120", "FEE-1"


def bank_rows() -> list[list[str]]:
    """The ledger as the bank saw it, with planted breaks: two amounts differ, one is missing, one is new."""
    rows = [["booked", "bank_reference", "value", "narrative"]]
    for reference, date, amount, who in LEDGER[1:]:
        value = {SMALL_DIFFERENCE: amount.replace(".50", ".52"), LARGE_DIFFERENCE: "9999.00"}.get(reference, amount)
        if reference != MISSING_IN_BANK:
            rows.append([date, reference, value, who.upper()])
    return [*rows, ["2026-10-31", ONLY_IN_BANK, "-12.00", "MONTHLY FEE"]]


def write_files(folder: Path) -> tuple[Path, Path]:
    """The two files of the journey."""
    paths = folder / "ledger.csv", folder / "bank.csv"
    for path, rows in zip(paths, (LEDGER, bank_rows()), strict=True):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return paths


def quiet(page: Page) -> None:
    """Wait until the page has been drawn and shows no exception."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stException")).to_have_count(0)


def button(page: Page, name: str) -> Locator:
    """A button by the text on it; its icon is part of the name that browsers compute."""
    return page.get_by_role("button", name=re.compile(rf"{re.escape(name)}$")).first


def create_administrator(page: Page) -> None:
    """The first visit."""
    arrive(page)
    page.get_by_label("Your name").fill("Ada Admin")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    button(page, "Create administrator").click()
    expect(button(page, "New reconciliation")).to_be_visible()


def arrive(page: Page) -> None:
    """Open the first form, and wait until it is drawn for good: what is typed or clicked before is lost."""
    page.goto("/")
    expect(page.get_by_label("Email")).to_be_visible()
    quiet(page)


def sign_in(page: Page, email: str = EMAIL, password: str = PASSWORD) -> None:
    """A later visit."""
    arrive(page)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    button(page, "Sign in").click()
    expect(page.get_by_role("heading", name="Reconciliations")).to_be_visible()


def start(page: Page, name: str) -> None:
    """Begin a reconciliation from Home."""
    button(page, "New reconciliation").click()
    page.get_by_label("Name").fill(name)
    button(page, "Start").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def upload(page: Page, side: int, path: Path) -> None:
    """Give one side its file and wait for its profile."""
    page.locator(f".st-key-upload-{('left', 'right')[side]} input[type=file]").set_input_files(path)
    expect(page.get_by_text(path.name).first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Remove$"))).to_have_count(side + 1)
    quiet(page)


def to_map(page: Page, name: str, left: Path, right: Path) -> None:
    """As the first person there is, from nothing to the mapping of two files."""
    create_administrator(page)
    start(page, name)
    upload(page, 0, left)
    upload(page, 1, right)
    button(page, "Continue to mapping").click()


def allow_small_difference(page: Page) -> None:
    """Change the last rule, suggested as "the same reference": the amount may then be at most 0.05 off."""
    page.get_by_role("button", name=re.compile("Edit$")).last.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("small difference")
    choices = dialog.get_by_role("combobox")
    expect(choices).to_have_count(3)
    button(page, "Add condition").click()
    expect(choices).to_have_count(5)
    choices.nth(2).click()
    page.get_by_role("option", name="amount", exact=True).click()
    choices.nth(3).click()
    page.get_by_role("option", name="within an amount").click()
    for end, value in (("From", "-0.05"), ("To", "0.05")):
        dialog.get_by_label(end, exact=True).fill(value)
        dialog.get_by_label(end, exact=True).press("Tab")
        quiet(page)
        expect(dialog.get_by_label(end, exact=True), "what was typed stays").to_have_value(value)
    button(page, "Save rule").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("within ±0.05")).to_be_visible()


def section(page: Page, name: str) -> None:
    """Open a section of the results."""
    page.get_by_role("radio", name=name).click()
    quiet(page)


def select_row(page: Page, table: str, row: int) -> None:
    """Select a row of a table by its box at the left: tables are drawn on a canvas, row by row below the heading."""
    place = {"x": 16, "y": 33 + 33 * row + 17}
    page.locator(f".st-key-{table} [data-testid=stDataFrame]").click(position=place)
    quiet(page)


def press_bar(page: Page, chart: str, bar: int) -> None:
    """Press a bar of a chart: what is above it takes the press for all bars."""
    place = page.locator(f".st-key-{chart} .barlayer .point path").nth(bar)
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def picture(page: Page, name: str) -> None:
    """Keep how the whole page looks, for people to judge."""
    quiet(page)
    for unfinished in ("stSpinner", "stSkeleton"):
        expect(page.get_by_test_id(unfinished)).to_have_count(0)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": 1440, "height": max(900, min(height, 2600))})
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    page.set_viewport_size({"width": 1440, "height": 900})


def open_results(page: Page) -> None:
    """Wait for the run to end; open its results unless the page did so itself."""
    finished = page.get_by_text("Every row is accounted for")
    by_hand = button(page, "Open results")
    expect(finished.or_(by_hand)).to_be_visible(timeout=90_000)
    if by_hand.is_visible():
        by_hand.click()
