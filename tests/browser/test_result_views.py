"""What a person looks at in one run's results is not carried into another's, and a bar opens just its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Browser, Page, expect

from services.container import build_container
from services.settings import load_settings
from tests.browser import steps
from tests.browser.server import Server
from tests.work import wait_for

PLAN = {
    "name": "views",
    "left": {"label": "Ledger"},
    "right": {"label": "Bank"},
    "fields": [
        {"name": "reference", "left": "ref", "right": "bank_reference"},
        {"name": "amount", "left": "amount", "right": "value", "type": "decimal", "scale": 2},
    ],
    "rules": [
        {"name": "exact", "on": ["reference", "amount"]},
        {"name": "same reference", "on": ["reference"], "outcome": "suggested"},
    ],
    "compare": ["amount"],
}
NAMES = ("August", "September")


@dataclass(frozen=True)
class Seen:
    """A signed-in window, and the runs that it may look at."""

    page: Page
    jobs: list[str]


@pytest.fixture
def seen(browser: Browser, server: Server, tmp_path: Path) -> Iterator[Seen]:
    """Two finished runs, each of 37 exact and 2 suggested matches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_DATA_DIR", str(tmp_path))
        container = build_container(load_settings(embedded_worker=False))
    account = container.accounts.create_first_admin("Ada", steps.EMAIL, steps.PASSWORD)
    token = container.sessions.start(account, "127.0.0.1", "test")
    actor = container.sessions.resolve(token)
    (folder := tmp_path / "given").mkdir()
    files = [container.files.upload(actor, path.name, path).id for path in steps.write_files(folder)]
    for one in files:
        container.files.profile(actor, one)
    jobs = []
    for name in NAMES:
        started = container.plans.start(actor, name)
        container.plans.set_files(actor, started.id, *files)
        container.plans.set_plan(actor, started.id, PLAN)
        jobs.append(wait_for(container, container.jobs.launch(actor, started.id, PLAN, *files).id, "succeeded").id)
    context = browser.new_context(base_url=server.address, viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "recon_session", "value": token, "url": server.address}])
    page = context.new_page()
    yield Seen(page, jobs)
    context.close()
    container.close()


@pytest.mark.timeout(180)
def test_results_of_another_run_begin_at_their_overview(seen: Seen) -> None:
    """Section and filters of one run hold for it alone; its address keeps them."""
    page = seen.page
    page.goto(f"/results?job={seen.jobs[0]}")
    steps.section(page, "Breaks")
    page.get_by_role("radio", name="Bank", exact=True).click()
    steps.quiet(page)
    kept = page.url
    page.get_by_role("link", name="Home").last.click()
    page.get_by_role("link", name=NAMES[1]).first.click()
    expect(page.get_by_role("heading", name=NAMES[1])).to_be_visible()
    expect(page.get_by_role("radio", name="Overview")).to_be_checked()
    steps.section(page, "Breaks")
    expect(page.get_by_role("radio", name="Both sides")).to_be_checked()
    page.goto(kept)
    expect(page.get_by_role("radio", name="Breaks")).to_be_checked()
    expect(page.get_by_role("radio", name="Bank", exact=True)).to_be_checked()


@pytest.mark.timeout(180)
def test_what_is_only_suggested_is_a_step_to_take(seen: Seen) -> None:
    """Home says how many are suggested, the overview leads to them: of both sides, and no confirmed one among them."""
    page = seen.page
    page.goto("/")
    expect(page.get_by_text("2 suggested matches", exact=True)).to_have_count(len(seen.jobs))
    page.goto(f"/results?job={seen.jobs[0]}")
    steps.button(page, "Check the 2 suggested matches").click()
    expect(page.get_by_role("radio", name="Suggested")).to_be_checked()
    expect(page.get_by_text("4 records in matches")).to_be_visible()


@pytest.mark.timeout(180)
def test_a_table_says_its_direction_and_is_saved_as_a_spreadsheet(seen: Seen) -> None:
    """Differences and balance go the same way; what is filtered is saved as it is filtered, as CSV or as .xlsx."""
    page = seen.page
    page.goto(f"/results?job={seen.jobs[0]}")
    steps.section(page, "Differences")
    expect(page.get_by_text("Differences are Bank less Ledger, as tolerances are.")).to_be_visible()
    steps.section(page, "Balance")
    expect(page.get_by_text("Bank less Ledger")).to_be_visible()
    steps.section(page, "Matches")
    expect(page.get_by_text("1 to 50 of 78 records in matches")).to_be_visible()
    page.get_by_role("radio", name="Suggested").click()
    expect(page.get_by_text("4 records in matches", exact=True)).to_be_visible()
    steps.quiet(page)
    for name, read in (("All of these (.xlsx)", xlsx_rows), ("All of these (.csv)", csv_rows)):
        address = page.get_by_role("link", name=name).get_attribute("href")
        assert len(read(page.request.get(f"{address}").body())) == 1 + 4
    with page.expect_download() as saved:
        page.get_by_role("link", name="Workbook (.xlsx)").click()
    book = load_workbook(BytesIO(saved.value.path().read_bytes()), read_only=True)
    assert book.sheetnames[:3] == ["summary", "matches", "breaks"]


def xlsx_rows(content: bytes) -> list[Any]:
    """The rows of a spreadsheet, its header too."""
    return list(load_workbook(BytesIO(content), read_only=True).active.iter_rows(values_only=True))


def csv_rows(content: bytes) -> list[Any]:
    """The lines of a text."""
    return content.decode().splitlines()


@pytest.mark.timeout(180)
def test_a_suggested_match_is_decided_where_it_is_seen(seen: Seen) -> None:
    """Confirmed with a note, saved as a file, and decided again; the result's own figures stay."""
    page = seen.page
    page.goto(f"/results?job={seen.jobs[0]}&section=Matches&matches-outcome=Suggested")
    expect(page.get_by_text("Suggested matches decided: none yet")).to_be_visible()
    expect(page.get_by_text("4 records in matches", exact=True)).to_be_visible()
    steps.quiet(page)
    steps.select_row(page, "matches-table", 0)
    page.get_by_label("Note").fill("seen on the receipt")
    page.get_by_label("Note").press("Tab")
    steps.quiet(page)
    steps.button(page, "Confirm").click()
    expect(page.get_by_text("Suggested matches decided: 1 confirmed.")).to_be_visible()
    expect(page.get_by_text("seen on the receipt")).to_be_visible()
    expect(page.get_by_text("confirmed by a person, suggested by the run")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Decisions (.csv)").click()
    told = Path(saved.value.path()).read_text(encoding="utf-8").splitlines()
    assert told[0] == "match_id,verdict,note,person,at"
    assert [line.split(",")[1:4] for line in told[1:]] == [["confirmed", "seen on the receipt", "Ada"]]
    steps.button(page, "Decide again").click()
    expect(page.get_by_text("Suggested matches decided: none yet")).to_be_visible()
    steps.section(page, "Overview")
    expect(page.get_by_text("+ 2 suggested +").first).to_be_visible()


@pytest.mark.timeout(180)
def test_all_suggested_matches_in_view_are_decided_at_once(seen: Seen) -> None:
    """Offered while some wait and suggested ones are shown; asked once more with their number, and one note for all."""
    page = seen.page
    page.goto(f"/results?job={seen.jobs[0]}&section=Matches")
    expect(page.get_by_text("Suggested matches decided: none yet. 2 wait.")).to_be_visible()
    confirm = page.get_by_role("button", name=re.compile("Confirm all suggested$"))
    expect(confirm).to_be_visible()
    page.get_by_role("radio", name="Confirmed").click()
    expect(page.get_by_text("74 records in matches")).to_be_visible()
    expect(confirm).to_have_count(0)
    page.get_by_role("radio", name="Suggested").click()
    expect(page.get_by_text("4 records in matches", exact=True)).to_be_visible()
    steps.button(page, "Reject all suggested").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("2 matches in this view, on all of its pages, wait for a decision")).to_be_visible()
    dialog.get_by_label("Note").fill("the bank corrects them")
    dialog.get_by_label("Note").press("Tab")
    steps.quiet(page)
    steps.button(page, "Reject 2 matches").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("Suggested matches decided: 2 rejected. Decisions are kept")).to_be_visible()
    expect(confirm, "nothing waits").to_have_count(0)
    steps.section(page, "Overview")
    expect(page.get_by_text("Suggested matches decided: 2 rejected.")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Check the"))).to_have_count(0)
    page.goto("/")
    expect(page.get_by_text("2 suggested, all decided", exact=True)).to_have_count(1)
    expect(page.get_by_text("2 suggested matches", exact=True)).to_have_count(len(seen.jobs) - 1)


@pytest.mark.timeout(180)
def test_the_bar_of_what_is_suggested_opens_just_that(seen: Seen) -> None:
    """The suggested matches of one side, and no confirmed one among them."""
    page = seen.page
    page.goto(f"/results?job={seen.jobs[0]}")
    expect(page.get_by_text("Every row is accounted for")).to_be_visible()
    steps.quiet(page)
    steps.press_bar(page, "outcome", 3)  # two bars a part, the left side's second; suggested is the second part
    expect(page.get_by_role("radio", name="Suggested")).to_be_checked()
    expect(page.get_by_role("radio", name="Ledger")).to_be_checked()
    expect(page.get_by_text("2 records in matches")).to_be_visible()
    page.get_by_role("radio", name="Confirmed").click()
    expect(page.get_by_text("37 records in matches")).to_be_visible()
