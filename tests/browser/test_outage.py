"""The database goes away under an open page: the page says so, keeps what was typed, and goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.server import Server
from tests.postgresql_cluster import Server as Database
from tests.postgresql_cluster import running
from tests.servers import postgresql_programs

SENTENCE = "Service temporarily unavailable. Please try again in a few minutes."


@pytest.fixture
def database() -> Iterator[Database]:
    """A PostgreSQL server that the test stops."""
    with running(postgresql_programs()) as started:
        yield started


@pytest.fixture
def server(tmp_path: Path, database: Database) -> Iterator[Server]:
    """The product on that database; the circuit stays open for seconds only."""
    address = f"{database.address}/postgres"
    running_server = Server(tmp_path, DATABASE_URL=address, RECON_BREAKER_OPEN_SECONDS="3")
    running_server.start()
    yield running_server
    running_server.stop()


def test_outage_is_calm_and_passes(page: Page, browser: Browser, server: Server, database: Database) -> None:
    """What was typed stays through an outage, in a form and in a dialog; a page opened meanwhile fills itself."""
    steps.create_administrator(page)
    steps.button(page, "New reconciliation").click()
    page.get_by_label("Name").fill("Typed before the outage")
    stranger = browser.new_context(base_url=server.address).new_page()
    steps.arrive(stranger)
    stranger.get_by_label("Email").fill("typed@example.org")
    database.stop()

    steps.button(page, "Start").click()
    expect(page.get_by_text(SENTENCE).first).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Typed before the outage")
    steps.button(stranger, "Sign in").click()
    expect(stranger.get_by_text(SENTENCE).first).to_be_visible()
    expect(stranger.get_by_label("Email")).to_have_value("typed@example.org")
    late = browser.new_context(base_url=server.address).new_page()
    late.goto("/")
    expect(late.get_by_text(SENTENCE)).to_be_visible()
    for shown in (page, stranger, late):
        expect(shown.get_by_text("Traceback")).to_have_count(0)

    database.start()
    expect(late.get_by_label("Email")).to_be_visible()
    expect(late.get_by_text(SENTENCE)).to_have_count(0)
    expect(stranger.get_by_text(SENTENCE)).to_have_count(0)
    expect(stranger.get_by_label("Email")).to_have_value("typed@example.org")
    expect(page.get_by_text(SENTENCE)).to_have_count(0)
    steps.button(page, "Start").click()
    expect(page.get_by_role("heading", name="Typed before the outage")).to_be_visible()
