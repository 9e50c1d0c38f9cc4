"""A browser and a server for the journeys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from services.container import build_container
from services.settings import load_settings
from tests.browser import steps
from tests.browser.server import Server
from tests.work import wait_for

DEMO = Path("pages/_shared/demo")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's chromium, without a window."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("The browser tests need chromium: apt-get install chromium")
    expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server with an empty data folder."""
    running = Server(tmp_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A fresh browser window at the server's address."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=server.address)
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    yield opened
    context.close()


def seen_installation(data: Path, **given: str) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with one finished run and one empty draft; their ids, and a signed-in administrator's token."""
    server = Server(data, RECON_PASSWORD_HASH_ROUNDS="4", **given)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_DATA_DIR", str(data))
        container = build_container(load_settings(password_hash_rounds=4))
    account = container.accounts.create_first_admin("Ada", steps.EMAIL, steps.PASSWORD)
    token = container.sessions.start(account, "127.0.0.1", "test")
    actor = container.sessions.resolve(token)
    files = [container.files.upload(actor, name, DEMO / name).id for name in ("ledger.csv", "bank.csv")]
    for file_id in files:
        container.files.profile(actor, file_id)
    empty, started = (container.plans.start(actor, name) for name in ("Empty", "Seen"))
    container.plans.set_files(actor, started.id, *files)
    plan = container.files.suggest(actor, *files)["plan"]
    job = container.jobs.launch(actor, started.id, plan, *files)
    wait_for(container, job.id, "succeeded")
    yield server, {"r": started.id, "empty": empty.id, "job": job.id, "token": token}
    container.close()
    server.stop()
