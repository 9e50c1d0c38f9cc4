"""The server is killed between every two steps; the person goes on where they were, still signed in."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.browser.server import Server


@pytest.mark.timeout(600)
def test_journey_survives_kills(page: Page, server: Server, tmp_path: Path) -> None:
    """`kill -9` after each step loses no file, no mapping, no rule, no run, and no session."""
    ledger, bank = steps.write_files(tmp_path)

    def crash() -> None:
        server.restart()
        page.reload()
        steps.quiet(page)

    steps.create_administrator(page)
    crash()
    steps.start(page, "Survivor")
    crash()
    steps.upload(page, 0, ledger)
    crash()
    expect(page.get_by_text("ledger.csv").first).to_be_visible()
    steps.upload(page, 1, bank)
    crash()
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_role("heading", name="Rules")).to_be_visible(timeout=60_000)
    crash()
    steps.allow_small_difference(page)
    crash()
    expect(page.get_by_text("within ±0.05")).to_be_visible()
    steps.button(page, "Continue to run").click()
    steps.button(page, "Run reconciliation").click()
    expect(page.get_by_role("button", name="Run reconciliation")).to_have_count(0)
    crash()
    results = page.get_by_text("Every row is accounted for")
    steps.open_results(page)
    expect(results).to_be_visible()
    crash()
    expect(results).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("link", name="Survivor")).to_be_visible()
