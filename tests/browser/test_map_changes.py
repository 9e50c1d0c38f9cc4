"""Changes on Map are kept, said and taken back: nothing that a person did goes without a word."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser import steps


def demo(page: Page) -> None:
    """Map of the demo's files, when all is drawn."""
    steps.create_administrator(page)
    steps.button(page, "Try the demo").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    steps.quiet(page)


def rename_field(page: Page, row: int, name: str) -> None:
    """Type another name into the first column of the table of fields."""
    cell = {"x": 80, "y": 33 + 33 * row + 17}
    page.get_by_test_id("stDataFrame").first.dblclick(position=cell)
    typed = page.locator(".gdg-input")
    typed.fill(name)
    page.wait_for_timeout(300)  # what is typed is taken in by the table's own clock
    typed.press("Enter")
    steps.quiet(page)


def undo(page: Page) -> Locator:
    """The button at the foot of Map."""
    return steps.button(page, "Undo")


def test_what_is_not_saved_keeps_from_running(page: Page) -> None:
    """A name that no field may have is marked, and the way on says that it waits for that; mended, it is open."""
    demo(page)
    expect(steps.button(page, "Continue to run")).to_be_enabled()
    onwards = page.get_by_role("link", name=re.compile("Run$"))
    expect(onwards).to_be_visible()
    rename_field(page, 0, "ref no")
    expect(page.get_by_text("'ref no' cannot be a field name")).to_be_visible()
    expect(steps.button(page, "Continue to run")).to_be_disabled()
    expect(page.get_by_text("A change above is not saved yet")).to_be_visible()
    expect(onwards, "the stepper leads no further than the button").to_have_count(0)
    rename_field(page, 0, "ref_no")
    expect(page.get_by_text("The change is saved.")).to_be_visible()
    expect(steps.button(page, "Continue to run")).to_be_enabled()
    expect(onwards).to_be_visible()


def test_what_is_removed_can_be_put_back(page: Page) -> None:
    """A rule on Map, until something else is changed; a file on Upload; a saved plan goes only once it is confirmed."""
    demo(page)
    cards = page.locator("[class*=st-key-rule-card-]")
    before = cards.count()
    page.locator("[class*=st-key-delete-] button").filter(visible=True).last.click()
    expect(page.get_by_text(re.compile("Rule '.*' is removed."))).to_be_visible()
    expect(cards).to_have_count(before - 1)
    undo(page).click()
    expect(cards).to_have_count(before)
    expect(undo(page)).to_have_count(0)
    steps.button(page, "Save plan").click()
    steps.button(page, "Save").click()
    expect(page.get_by_text("is saved under Plans")).to_be_visible()
    steps.button(page, "Back to upload").click()
    gone = page.get_by_role("button", name=re.compile("Remove$"))
    expect(gone).to_have_count(2)
    steps.quiet(page)
    gone.first.click()
    expect(gone).to_have_count(1)
    steps.button(page, "Put it back").click()
    expect(gone).to_have_count(2)
    expect(page.get_by_text("is removed.")).to_have_count(0)
    page.get_by_role("link", name="Plans").first.click()
    expect(steps.button(page, "Use")).to_be_visible()
    page.locator("[class*=st-key-archive-] button").first.click()
    expect(page.get_by_text("and its versions from the list?")).to_be_visible()
    expect(steps.button(page, "Use")).to_be_visible()
    steps.button(page, "Remove plan").click()
    expect(page.get_by_text("No saved plan yet")).to_be_visible()


def test_how_sure_a_suggestion_was_is_not_said_of_what_replaced_it(page: Page) -> None:
    """Confidence and reason stand by what is as suggested, and come back with it."""
    demo(page)
    sure = page.locator(".st-key-rule-card-0").get_by_text(re.compile(r"^\d+% sure$"))
    expect(sure.first).to_be_visible()
    page.get_by_role("button", name=re.compile("Edit$")).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name="Suggested").locator("xpath=ancestor::label").click()
    steps.quiet(page)
    steps.button(page, "Save rule").click()
    expect(dialog).to_be_hidden()
    expect(sure).to_have_count(0)
    undo(page).click()
    expect(sure.first).to_be_visible()


def test_a_changed_plan_outlives_other_files(page: Page, tmp_path: Path) -> None:
    """Files the other way round are swapped back; where no file fits, the plan is kept until a new one is asked for."""
    demo(page)
    page.get_by_label("Left side").fill("Own books")
    page.get_by_label("Left side").press("Tab")
    expect(page.get_by_text("The change is saved.")).to_be_visible()
    steps.button(page, "Back to upload").click()
    exchange(page, Path("pages/_shared/demo/bank.csv"), Path("pages/_shared/demo/ledger.csv"))
    expect(page.get_by_text("The plan was made for other files, and is kept.")).to_be_visible()
    expect(page.get_by_text("Own books has no column")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("Run$"))).to_have_count(0)
    here = page.url
    page.goto(here.replace("/map", "/run"))
    expect(page.get_by_text("The plan was made for other files: see on Map what does not fit.")).to_be_visible()
    expect(steps.button(page, "Run reconciliation")).to_be_disabled()
    page.goto(here)
    steps.button(page, "Swap the files").click()
    expect(page.get_by_label("Left side")).to_have_value("Own books")
    steps.button(page, "Back to upload").click()
    exchange(page, *steps.write_files(tmp_path))
    expect(page.get_by_text("The plan was made for other files, and is kept.")).to_be_visible()
    expect(steps.button(page, "Swap the files")).to_have_count(0)
    steps.button(page, "Suggest a new plan").click()
    expect(page.get_by_label("Left side")).to_have_value("Ledger")


def test_a_plan_that_nobody_changed_goes_with_its_files(page: Page, tmp_path: Path) -> None:
    """It was only suggested: other files get a suggestion of their own, and nothing is asked."""
    demo(page)
    steps.button(page, "Back to upload").click()
    exchange(page, *steps.write_files(tmp_path))
    expect(page.get_by_text("would stay open")).to_be_visible()
    expect(page.get_by_text("The plan was made for other files")).to_have_count(0)


def exchange(page: Page, left: Path, right: Path) -> None:
    """Other files for both sides, and on to Map."""
    gone = page.get_by_role("button", name=re.compile("Remove$"))
    for number in (2, 1):
        expect(gone).to_have_count(number)
        steps.quiet(page)
        gone.first.click()
    expect(gone).to_have_count(0)
    steps.quiet(page)
    for side, path in enumerate((left, right)):
        steps.upload(page, side, path)
    steps.button(page, "Continue to mapping").click()


def test_what_is_typed_into_the_plan_file_waits_there(page: Page) -> None:
    """Also while another page is looked at; until it is applied or discarded, the plan does not run."""
    demo(page)
    page.get_by_role("tab", name="Plan file").click()
    text = page.get_by_role("textbox", name="Plan")
    text.fill("name: half of it")
    text.press("Control+Enter")
    waits = page.get_by_text("The plan file has changes that are not applied")
    expect(waits).to_be_visible()
    steps.button(page, "Back to upload").click()
    expect(steps.button(page, "Continue to mapping")).to_be_visible()
    steps.quiet(page)
    steps.button(page, "Continue to mapping").click()
    expect(waits).to_be_visible()
    page.get_by_role("tab", name="Plan file").click()
    expect(text).to_have_value("name: half of it")


def test_the_fields_are_seen_whole(page: Page) -> None:
    """On a desk no column of the table is cut off; how values are read is shown on demand."""
    demo(page)
    table = page.locator(".dvn-scroller")
    cut = "one => one.scrollWidth - one.clientWidth"
    assert table.evaluate(cut) == 0
    page.get_by_text("Show cleaning, date formats and digits").click()
    steps.quiet(page)
    page.wait_for_timeout(1000)
    assert table.evaluate(cut) > 0


def test_why_fields_were_suggested_is_read_whole(page: Page) -> None:
    """Beside the other tools of the table, in one line; the field that is least sure is named with its reason."""
    demo(page)
    tools = [page.get_by_text("Show cleaning, date formats and digits")]
    tools += [steps.button(page, name) for name in ("Why suggested", "Combine columns")]
    boxes = [tool.bounding_box() for tool in tools]
    middles = [box["y"] + box["height"] / 2 for box in boxes if box]
    assert len(middles) == len(tools)
    assert max(middles) - min(middles) < 10
    expect(page.get_by_text("Look at currency first: 59% sure")).to_be_visible()
    expect(page.get_by_text(re.compile("Look at .* first"))).to_have_count(1)
    tools[1].click()
    reason = page.get_by_text(re.compile(r"reference, 95% sure: .* that are the same by other columns\.$"))
    expect(reason).to_be_visible()
    assert reason.evaluate("one => one.scrollWidth <= one.clientWidth")
    page.reload()
    expect(page.get_by_text("would stay open")).to_be_visible()
    steps.quiet(page)
    rename_field(page, 4, "ccy")
    expect(page.get_by_text("The change is saved.")).to_be_visible()
    expect(page.get_by_text("Look at"), "said of another field, it would be about something else").to_have_count(0)


def test_the_total_at_the_end_is_left_out_with_one_press(page: Page, tmp_path: Path) -> None:
    """The row is told as rejected, with its text, and the plan reads the file so, too; every row is accounted for."""
    steps.create_administrator(page)
    steps.start(page, "With a total")
    left, right = steps.write_files(tmp_path)
    total = sum(Decimal(row[2]) for row in steps.LEDGER[1:])
    left.write_text(left.read_text() + f"Total,,{total},\n")
    steps.upload(page, 0, left)
    steps.upload(page, 1, right)
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    steps.button(page, "Continue to run").click()
    before_it_runs = page.get_by_text("The last row of ledger.csv looks like a total")
    expect(before_it_runs).to_be_visible()
    steps.button(page, "Back to mapping").click()
    steps.button(page, "Back to upload").click()
    expect(page.get_by_text("looks like the total of those above it")).to_be_visible()
    steps.button(page, "Leave it out").click()
    expect(page.get_by_text("1 row will be rejected: line 42: left out by footer_rows")).to_be_visible()
    expect(page.get_by_text("looks like the total of those above it")).to_have_count(0)
    steps.button(page, "Continue to mapping").click()
    expect(page.get_by_text("Tried on all 40 Ledger rows")).to_be_visible()
    steps.button(page, "Continue to run").click()
    expect(steps.button(page, "Run reconciliation")).to_be_enabled()
    expect(before_it_runs).to_have_count(0)
    steps.button(page, "Run reconciliation").click()
    steps.open_results(page)
    expect(page.get_by_text(re.compile(r"41 rows read = .* \+ 1 rejected"))).to_be_visible()
    steps.section(page, "Rejected")
    expect(page.get_by_text("1 rejected row", exact=True)).to_be_visible()


def test_what_is_there_twice_is_told_before_anyone_asks(page: Page, tmp_path: Path) -> None:
    """Map counts the records that equal an earlier one; the search for them begins with every field."""
    steps.create_administrator(page)
    steps.start(page, "Twice")
    left, right = steps.write_files(tmp_path)
    left.write_text(left.read_text() + ",".join(steps.LEDGER[3]) + "\n")
    steps.upload(page, 0, left)
    steps.upload(page, 1, right)
    steps.button(page, "Continue to mapping").click()
    ours, theirs = page.locator(".st-key-duplicates-left"), page.locator(".st-key-duplicates-right")
    expect(ours.get_by_text("1 record equals an earlier one in every field.")).to_be_visible()
    expect(theirs.get_by_text("No record equals another one in every field.")).to_be_visible()
    ours.get_by_role("button", name=re.compile("Search$")).click()
    steps.quiet(page)
    steps.button(page, "Save").click()
    expect(ours.get_by_text("The same thing twice")).to_be_visible()
    expect(ours.get_by_text("1 record equals")).to_have_count(0)


def test_the_way_back_from_the_results_leads_to_their_run(page: Page) -> None:
    """Whatever the browser's address says then: the run of that result, not an empty page."""
    demo(page)
    steps.button(page, "Continue to run").click()
    steps.button(page, "Run reconciliation").click()
    steps.open_results(page)
    expect(page.get_by_text("Every row is accounted for")).to_be_visible()
    steps.section(page, "Breaks")
    page.go_back()
    expect(steps.button(page, "Open results")).to_be_visible()
    expect(page.get_by_text("No reconciliation is open here")).to_have_count(0)
