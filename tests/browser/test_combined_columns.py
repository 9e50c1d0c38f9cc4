"""A name in one column against two: Map maps what was made of them, and the file can be read so by hand, too."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.unit.test_combined_columns import people


def test_a_name_in_two_columns_is_mapped_and_run(page: Page, tmp_path: Path) -> None:
    """The plan that is suggested fits the files, keeps what is made by hand besides, and its run finds everybody."""
    one, two = people(tmp_path)
    steps.to_map(page, "Members", one, two)
    expect(page.get_by_text("would stay open")).to_be_visible()
    steps.quiet(page)
    expect(page.get_by_text("In Two, member is made of first and last.")).to_be_visible()
    steps.picture(page, "combined-map")
    steps.button(page, "Back to upload").click()
    expect(page.get_by_role("button", name=re.compile("Remove$"))).to_have_count(2)
    steps.quiet(page)
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


def test_columns_are_combined_on_map(page: Page, tmp_path: Path) -> None:
    """Chosen in a dialog, whatever signs are in their names; taken out again as long as no field reads it."""
    one, two = people(tmp_path)
    text = two.read_text()
    two.write_text(text.replace("group", "team + group", 1))
    steps.to_map(page, "Members", one, two)
    expect(page.get_by_text("would stay open")).to_be_visible()
    steps.quiet(page)
    steps.button(page, "Combine columns").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Two", exact=True).click()
    steps.quiet(page)
    for name in ("team + group", "last"):
        dialog.get_by_role("combobox").click()
        page.get_by_role("option", name=name, exact=True).click()
        steps.quiet(page)
    name = dialog.get_by_label("Name of the new column")
    expect(name).to_have_value("team + group last")
    name.fill("first")
    name.press("Tab")
    expect(dialog.get_by_text("Two has a column 'first' already.")).to_be_visible()
    name.fill("who")
    name.press("Tab")
    expect(dialog.get_by_text("already.")).to_have_count(0)
    steps.button(page, "Combine").click()
    expect(page.get_by_text("In Two, who is made of team + group and last.")).to_be_visible()
    expect(page.get_by_text("'who' can be mapped now.")).to_be_visible()
    expect(page.get_by_role("button", name="Take it out"), "what a field reads stays").to_have_count(1)
    page.get_by_role("button", name="Take it out").click()
    expect(page.get_by_text("In Two, who is made of")).to_have_count(0)
    steps.button(page, "Undo").click()
    expect(page.get_by_text("In Two, who is made of")).to_be_visible()
