"""One click on a page: a face and a sentence, which administrators read beside the go / no-go board."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from services.container import build_container
from services.settings import load_settings
from tests.browser import steps


def test_feedback_is_given_and_read(page: Page, tmp_path: Path) -> None:
    """What is said on a page stands on the page Rollout, with the page's name, and the form is empty again."""
    steps.create_administrator(page)
    expect(page.get_by_role("heading", name="Reconciliations")).to_be_visible()
    page.get_by_role("button", name="Feedback").click()
    page.get_by_role("radio", name="Satisfied", exact=True).click()
    page.get_by_role("textbox", name="A sentence, if you like").fill("Very calm.")
    steps.button(page, "Send").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    page.get_by_role("link", name="Rollout").click()
    expect(page.get_by_role("heading", name="Rollout", exact=True)).to_be_visible()
    expect(page.get_by_text("Not clearly go")).to_be_visible()
    steps.quiet(page)
    container = build_container(load_settings(_env_file=None, data_dir=tmp_path))
    admin = container.accounts.find(steps.EMAIL)
    assert admin is not None
    (word,) = container.feedback.list(container.sessions.resolve(container.sessions.start(admin, "", "")))
    container.close()
    assert (word.rating, word.sentence, word.page, word.version) == (4, "Very calm.", "home", "development")
    steps.SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=steps.SCREENSHOTS / "rollout.png", full_page=True)
