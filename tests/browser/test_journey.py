"""The whole way: first administrator, two files, the suggested plan, one rule changed, run, evidence, sign out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.server import Server


@pytest.mark.timeout(240)
def test_from_first_visit_to_evidence(page: Page, tmp_path: Path) -> None:
    """Two files with planted breaks are reconciled with the suggested plan and one changed rule."""
    ledger, bank = steps.write_files(tmp_path)
    steps.create_administrator(page)
    steps.start(page, "Octobre")
    steps.button(page, "Rename").click()
    page.get_by_role("dialog").get_by_label("Name").fill("October")
    steps.button(page, "Save name").click()
    expect(page.get_by_role("heading", name="October")).to_be_visible()
    steps.picture(page, "upload-empty")
    steps.upload(page, 0, ledger)
    steps.upload(page, 1, bank)
    steps.picture(page, "upload")

    expect(steps.button(page, "Continue to mapping"), "the next step is in view").to_be_in_viewport(ratio=1)
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_role("heading", name="Rules")).to_be_visible()
    steps.picture(page, "map")
    steps.allow_small_difference(page)

    expect(steps.button(page, "Continue to run"), "the next step is in view").to_be_in_viewport(ratio=1)
    steps.button(page, "Continue to run").click()
    steps.button(page, "Run reconciliation").click()
    expect(page.get_by_text("Every row is accounted for")).to_be_visible(timeout=60_000)
    steps.picture(page, "results")

    for bar, category in ((-1, "Value mismatch"), (0, "No counterpart")):
        steps.press_bar(page, "categories", bar)
        expect(page.get_by_text("2 breaks", exact=True), "a bar opens the rows that it stands for").to_be_visible()
        page.reload()
        expect(page.get_by_text("2 breaks", exact=True), "the address keeps them").to_be_visible()
        expect(page.get_by_role("radio", name=category)).to_be_checked()
        page.get_by_role("radio", name="Ledger").click()
        expect(page.get_by_text("1 break", exact=True), "the next bar is of both sides again").to_be_visible()
        steps.section(page, "Overview")
    steps.section(page, "Breaks")
    steps.select_row(page, "breaks-table", 0)
    expect(page.locator(".st-key-break-detail")).to_be_visible()
    steps.picture(page, "breaks")
    steps.section(page, "Matches")
    steps.select_row(page, "matches-table", 0)
    expect(page.locator(".st-key-match-detail"), "a selection is seen to open something").to_be_in_viewport()
    steps.section(page, "Differences")
    steps.picture(page, "differences")

    with page.expect_download() as download:
        page.get_by_text("Evidence (.zip)").click()
    evidence = zipfile.ZipFile(download.value.path())
    summary = json.loads(evidence.read(next(name for name in evidence.namelist() if name.endswith("summary.json"))))
    assert summary["conserved"] is True
    assert summary["rows"]["left"]["breaks"] == 2, "one amount is far off, one reference is missing in the bank"
    assert summary["rows"]["right"]["breaks"] == 2, "one amount is far off, one fee is only in the bank"

    steps.button(page, "Sign out").click()
    expect(page.get_by_label("Email")).to_be_visible()
    page.goto("/audit")
    expect(steps.button(page, "Sign in")).to_be_visible()


@pytest.mark.timeout(240)
def test_demo_in_dark(browser: Browser, server: Server) -> None:
    """The demo runs from one click to its result, and every screen of it can be read in the dark theme."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=server.address, color_scheme="dark")
    page = context.new_page()
    page.set_default_timeout(20_000)
    steps.create_administrator(page)
    steps.button(page, "Try the demo").click()
    expect(page.get_by_role("heading", name="Rules")).to_be_visible(timeout=60_000)
    steps.picture(page, "dark-map")
    steps.button(page, "Continue to run").click()
    steps.button(page, "Run reconciliation").click()
    expect(page.get_by_text("Every row is accounted for")).to_be_visible(timeout=60_000)
    steps.picture(page, "dark-results")
    page.goto("/")
    expect(page.get_by_text("Demo: ledger and bank")).to_be_visible()
    steps.picture(page, "dark-home")
    context.close()
