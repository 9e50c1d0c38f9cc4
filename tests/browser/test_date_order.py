"""Dates that can be read in two ways are asked about on Map, whatever the number of sides, and the answer is kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import steps

SIDES = ("left", "right", "side_3")


def mapped(page: Page, folder: Path, sides: int, *, alike: bool) -> None:
    """Map of so many files, of which the first has dates in an open order, and the others the same or any."""
    steps.create_administrator(page)
    steps.start(page, "Dates")
    if sides > 2:
        steps.button(page, "Add another side").click()
        expect(page.get_by_role("heading", name="Third side")).to_be_visible()
    for number, side in enumerate(SIDES[:sides]):
        form = "{m:02d}/{d:02d}/2026" if number == 0 else "2026-{m:02d}-{d:02d}"
        step = 1 if number == 0 or alike else 5
        rows = [f"R{k:03d},{k}.50,{form.format(m=1 + step * k % 9, d=1 + step * k % 11)}" for k in range(1, 60)]
        path = folder / f"{('orders', 'ledger', 'bank')[number]}.csv"
        path.write_text("\n".join(["ref,amount,day", *rows]) + "\n")
        page.locator(f".st-key-upload-{side} input[type=file]").set_input_files(path)
        expect(page.get_by_role("button", name=re.compile("Remove$"))).to_have_count(number + 1)
    steps.button(page, "Continue to mapping").click()


@pytest.mark.parametrize("sides", [2, 3])
def test_an_open_order_of_dates_is_asked_and_the_answer_kept(page: Page, tmp_path: Path, sides: int) -> None:
    """The way on waits for the answer, and says so; the question goes once it is answered."""
    mapped(page, tmp_path, sides, alike=False)
    asked = page.get_by_text("fits more than one date order")
    waits = page.get_by_text("In which order some dates are written is open")
    expect(asked).to_have_count(1)
    steps.quiet(page)
    expect(steps.button(page, "Continue to run")).to_be_disabled()
    expect(waits).to_be_visible()
    page.get_by_role("radio", name="%m").first.click()
    expect(asked).to_have_count(0)
    expect(waits).to_have_count(0)
    expect(steps.button(page, "Continue to run")).to_be_enabled()


def test_a_run_that_would_fail_by_open_dates_cannot_be_started(page: Page, tmp_path: Path) -> None:
    """Whoever comes to Run by its address is told what to say on Map first."""
    mapped(page, tmp_path, 2, alike=False)
    expect(page.get_by_text("fits more than one date order")).to_have_count(1)
    page.goto(page.url.replace("/map", "/run"))
    expect(page.get_by_text("Say on Map in which order the dates of day are written.")).to_be_visible()
    expect(steps.button(page, "Run reconciliation")).to_be_disabled()


@pytest.mark.parametrize("sides", [2, 3])
def test_an_order_of_dates_that_the_records_decide_is_told(page: Page, tmp_path: Path, sides: int) -> None:
    """Read as the plan does, all records agree: nothing is asked, and what was decided can be checked."""
    mapped(page, tmp_path, sides, alike=True)
    expect(page.get_by_text("the plan reads it as %m/%d/%Y, by which records agree")).to_be_visible()
    expect(page.get_by_text("fits more than one date order")).to_have_count(0)
