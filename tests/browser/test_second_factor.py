"""A second factor on the screens: set up where it is demanded, asked for at sign-in, reset by a colleague."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pyotp import TOTP

from tests.browser import steps
from tests.browser.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server on which administrators must have a second factor."""
    running = Server(tmp_path, RECON_SECOND_FACTOR="admins", RECON_PASSWORD_HASH_ROUNDS="4")
    running.start()
    yield running
    running.stop()


def pictures(page: Page, name: str) -> None:
    """The same screen in light and in dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two words
        steps.picture(page, f"{name}-{scheme}")
    page.emulate_media(color_scheme="light")


def code_not_before(app: TOTP, used: str) -> str:
    """A code that was not used: the next one counts already, half a minute before its time."""
    code = app.now()
    return code if code != used else app.at(time.time() + app.interval)


def set_up(page: Page, folder: Path) -> tuple[TOTP, str, list[str]]:
    """Set up a factor on the screen: the app, the code that confirmed it, and the recovery codes as downloaded."""
    steps.button(page, "Set up").click()
    page.get_by_label("Your password").fill(steps.PASSWORD)
    steps.button(page, "Go on").click()
    dialog = page.get_by_role("dialog")
    qr = dialog.get_by_test_id("stImage").locator("img")
    expect(qr).to_be_visible()
    assert qr.evaluate("image => image.naturalWidth") > 100, "the policy lets the picture be drawn"
    pictures(page, "second-factor-scan")
    dialog.get_by_text("Or type the key").click()
    app = TOTP(re.sub(r"\s", "", dialog.get_by_test_id("stCode").locator("code").inner_text()))
    dialog.get_by_label("Code that the app shows").fill("000000")
    steps.button(page, "Confirm").click()
    expect(dialog.get_by_text("This code is not right")).to_be_visible()
    used = app.now()
    dialog.get_by_label("Code that the app shows").fill(used)
    steps.button(page, "Confirm").click()
    expect(dialog.get_by_text("Keep these 10 recovery codes")).to_be_visible()
    pictures(page, "second-factor-codes")
    with page.expect_download() as download:
        steps.button(page, "Download").click()
    download.value.save_as(folder / "codes.txt")
    codes = (folder / "codes.txt").read_text().split()
    assert len(codes) == 10
    steps.button(page, "I have kept them").click()
    expect(page.get_by_text("10 recovery codes left")).to_be_visible()
    pictures(page, "second-factor-on")
    return app, used, codes


def test_from_enrolment_to_the_next_sign_in(browser: Browser, page: Page, server: Server, tmp_path: Path) -> None:
    """An administrator must set up a factor first, keeps the codes, and signs in with app and recovery code after."""
    page.goto("/")
    page.get_by_label("Your name").fill("Ada Admin")
    page.get_by_label("Email").fill(steps.EMAIL)
    for field in ("Password", "Password again"):
        page.get_by_label(field, exact=True).fill(steps.PASSWORD)
    steps.button(page, "Create administrator").click()
    expect(page.get_by_text("Your role needs a second factor here")).to_be_visible()
    page.goto("/users")
    expect(page.get_by_text("Your role needs a second factor here")).to_be_visible()
    expect(page.get_by_role("heading", name="Users")).to_have_count(0)
    pictures(page, "second-factor-demanded")

    app, used, codes = set_up(page, tmp_path)
    page.goto("/")
    expect(steps.button(page, "New reconciliation")).to_be_visible()
    for code in (code_not_before(app, used), codes[0]):
        with browser.new_context(base_url=server.address, viewport={"width": 1440, "height": 900}) as context:
            again = context.new_page()
            again.goto("/")
            again.get_by_label("Email").fill(steps.EMAIL)
            again.get_by_label("Password", exact=True).fill(steps.PASSWORD)
            steps.button(again, "Sign in").click()
            field = again.get_by_label("Code", exact=True)
            expect(field).to_have_attribute("autocomplete", "one-time-code")
            field.fill(used)
            steps.button(again, "Sign in").click()
            expect(again.get_by_text("This code is not right or was used before")).to_be_visible()
            if code == codes[0]:
                pictures(again, "second-factor-code")
            field.fill(code)
            steps.button(again, "Sign in").click()
            expect(again.get_by_role("heading", name="Reconciliations")).to_be_visible()
