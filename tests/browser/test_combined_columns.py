"""A name in one column against two: Map maps what was made of them, and the file can be read so by hand, too."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.unit.test_combined_columns import people


def test_a_name_in_two_columns_is_mapped_and_run(page: Page, tmp_path: Path) -> None:
    """The plan that is suggested fits the files, keeps what is made by hand besides, and its run finds everybody."""
    one, two = people(tmp_path)
    steps.create_administrator(page)
    steps.start(page, "Members")
    for side, path in enumerate((one, two)):
        steps.upload(page, side, path)
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    steps.quiet(page)
    expect(page.get_by_text("In Two, member is made of first and last.")).to_be_visible()
    steps.picture(page, "combined-map")
    steps.button(page, "Back to upload").click()
    page.get_by_text("Read it differently").last.click()
    page.get_by_role("textbox", name="Columns to combine").fill("who = group + last")
    steps.button(page, "Read again").last.click()
    expect(page.get_by_text("combined: who of group and last")).to_be_visible()
    steps.button(page, "Continue to mapping").click()
    for told in ("member is made of first and last.", "who is made of group and last."):
        expect(page.get_by_text(f"In Two, {told}")).to_be_visible()
    steps.button(page, "Continue to run").click()
    steps.button(page, "Run reconciliation").click()
    steps.open_results(page)
    expect(page.get_by_text("400 of 400").or_(page.get_by_text("100%")).first).to_be_visible()


def test_columns_are_combined_by_hand(page: Page, tmp_path: Path) -> None:
    """Under 'Read it differently': the column is in the profile; what cannot be read says how to write it."""
    _, two = people(tmp_path)
    steps.create_administrator(page)
    steps.start(page, "Members")
    steps.upload(page, 0, two)
    page.get_by_text("Read it differently").click()
    lines = page.get_by_role("textbox", name="Columns to combine")
    lines.fill("who = first")
    steps.button(page, "Read again").click()
    expect(page.get_by_text("Write 'who = first' as a name and its columns")).to_be_visible()
    lines.fill("who = last + first")
    steps.button(page, "Read again").click()
    expect(page.get_by_text("combined: who of last and first")).to_be_visible()
    steps.picture(page, "combined-upload")
