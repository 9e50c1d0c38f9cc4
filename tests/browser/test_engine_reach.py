"""What the engine can do is offered and shown: every kind of rule, sets that add up, causes taken into the plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from recon_engine.plan import Plan
from services.container import Container, build_container
from services.database.models import Job
from services.errors import Conflict
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.permissions import Actor
from services.settings import load_settings
from tests import rich
from tests.browser import steps
from tests.browser.server import Server


@dataclass(frozen=True)
class Opened:
    """A signed-in browser window, and what was run before it opened."""

    page: Page
    reconciliation_id: str
    job_id: str

    def plan(self, data: Path) -> Plan:
        """The plan in preparation, as it is kept now."""
        with _services(data) as (container, actor):
            return Plan.build(container.plans.get(actor, self.reconciliation_id).plan_json or {})


@contextmanager
def _services(data: Path) -> Iterator[tuple[Container, Actor]]:
    """The services over the server's own data, and the owner signed in to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_DATA_DIR", str(data))
        container = build_container(load_settings(embedded_worker=False))
    with closing(container):
        token = container.sessions.sign_in(steps.EMAIL, steps.PASSWORD, "127.0.0.1", "test")[0]
        yield container, container.sessions.resolve(token)


def _wait(holds: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not holds():
        assert monotonic() < deadline, "a run of a few rows did not end in a minute"
        sleep(0.1)


@pytest.fixture
def opened(browser: Browser, server: Server, tmp_path: Path) -> Iterator[Opened]:
    """A finished run of a plan with every kind of rule, and its owner signed in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_DATA_DIR", str(tmp_path))
        container = build_container(load_settings(embedded_worker=False))
    admin = container.accounts.create_first_admin("Ada", steps.EMAIL, steps.PASSWORD)
    token = container.sessions.start(admin, "127.0.0.1", "test")
    actor = container.sessions.resolve(token)
    started = container.plans.start(actor, "All kinds")
    pair = [
        container.files.upload(actor, name, [text]).id
        for name, text in zip(("ledger.csv", "bank.csv"), rich.files(3), strict=True)
    ]
    for one in pair:
        container.files.profile(actor, one)
    container.plans.set_files(actor, started.id, *pair)
    container.plans.set_plan(actor, started.id, rich.PLAN)
    job = container.jobs.launch(actor, started.id, rich.PLAN, *pair)
    claimed = Leases(container).claim("test")
    if claimed is not None:  # else the server's own worker was faster
        Run(container, Leases(container), *claimed, tmp_path / "own").execute()
    _wait(lambda: container.jobs.get(actor, job.id).status == "succeeded")
    context = browser.new_context(base_url=server.address, viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "recon_session", "value": token, "url": server.address}])
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield Opened(page, started.id, job.id)
    context.close()
    container.close()


@pytest.mark.timeout(180)
def test_every_kind_of_rule_survives_its_dialog(opened: Opened, tmp_path: Path) -> None:
    """Each rule opened and saved untouched leaves the plan as it was; then a linkage is made with a few clicks."""
    page = opened.page
    page.goto(f"/map?r={opened.reconciliation_id}")
    edit = page.locator("[class*=st-key-rule-card]").get_by_role("button", name="Edit")
    expect(edit).to_have_count(len(rich.PLAN["rules"]))
    for place in range(len(rich.PLAN["rules"])):
        edit.nth(place).click()
        _save(page)
    assert opened.plan(tmp_path).rules == Plan.build(rich.PLAN).rules
    expect(page.get_by_text("Several Ledger records and one Bank record")).to_be_visible()

    steps.button(page, "Add rule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("by evidence")
    dialog.get_by_label("Name").press("Tab")
    dialog.get_by_text("By evidence learnt from the data").click()
    for field in ("who", "city"):
        dialog.get_by_role("button", name=field, exact=True).click()
    _save(page)
    made = opened.plan(tmp_path).rules[-1]
    assert made.link is not None
    assert (made.name, made.link.fields, made.link.probability) == ("by evidence", ("who", "city"), 0.95)


@pytest.mark.timeout(180)
def test_mistakes_are_marked_below_their_widgets(opened: Opened, tmp_path: Path) -> None:
    """What is wrong in a label or a rule is told where it stands, and nothing is saved until it is right."""
    page = opened.page
    page.goto(f"/map?r={opened.reconciliation_id}")
    label = page.get_by_label("Right side")
    label.fill("Ledger")
    label.press("Tab")
    said = page.get_by_text("Left and right need different labels")
    expect(page.get_by_text("Not saved yet: 1 mistake, marked below")).to_be_visible()
    _stands_below(said, label)
    label.fill("The bank")
    label.press("Tab")
    expect(said).to_have_count(0)
    steps.quiet(page)

    page.locator("[class*=st-key-rule-card]").get_by_role("button", name="Edit").first.click()
    dialog = page.get_by_role("dialog")
    choices = dialog.get_by_role("combobox")
    expect(choices).to_have_count(5)
    steps.quiet(page)
    choices.nth(3).click()
    page.get_by_role("option", name="within an amount").click()
    expect(dialog.get_by_label("To", exact=True)).to_be_visible()
    for cell, text in (("To", "abc"), ("Name", "in one sum")):
        dialog.get_by_label(cell, exact=True).fill(text)
        dialog.get_by_label(cell, exact=True).press("Tab")
        steps.quiet(page)
    steps.button(page, "Save rule").click()
    said = dialog.get_by_text("'abc' is no number")
    _stands_below(said, dialog.get_by_label("To", exact=True))
    expect(dialog.get_by_text("Not saved yet: 1 mistake, marked below")).to_be_visible()
    steps.picture(page, "mistake-in-a-rule")
    dialog.get_by_label("To", exact=True).fill("0.05")
    dialog.get_by_label("To", exact=True).press("Tab")
    expect(said).to_have_count(0)
    said = dialog.get_by_text("Rule names must be unique; repeated: in one sum")
    _stands_below(said, dialog.get_by_label("Name"))
    dialog.get_by_label("Name").fill("exact")
    dialog.get_by_label("Name").press("Tab")
    expect(said).to_have_count(0)
    _save(page)
    assert opened.plan(tmp_path).right.label == "The bank"
    assert str(opened.plan(tmp_path).rules[0].on[1].within[1]) == "0.05"  # type: ignore[index]


@pytest.mark.timeout(180)
def test_mistakes_of_a_plan_file_are_told_by_place(opened: Opened, tmp_path: Path) -> None:
    """A file that is no plan is not taken; every mistake is named by its place in it. Nobody leaves it by accident."""
    page = opened.page
    page.goto(f"/map?r={opened.reconciliation_id}")
    page.get_by_role("tab", name="Plan file").click()
    text = page.locator(".st-key-plan-file textarea")
    expect(text).to_be_visible()
    steps.quiet(page)
    text.fill(text.input_value().replace("compare:\n- amount", "compare:\n- due").replace("name: city", "name: who"))
    text.press("Control+Enter")
    apply = page.get_by_role("tabpanel").get_by_role("button", name="Apply")
    expect(apply).to_be_enabled()
    apply.click()
    expect(page.get_by_text(re.compile(r"^Not saved yet: \d mistakes, each marked below"))).to_be_visible()
    expect(page.get_by_text("compare[0]: There is no field 'due'")).to_be_visible()
    expect(page.get_by_text("fields[3].name: Field names must be unique; repeated: who")).to_be_visible()
    assert opened.plan(tmp_path).compare == ("amount",)
    expect(page.get_by_text("The plan file has changes that are not applied")).to_be_visible()
    expect(page.get_by_role("button", name="Continue to run")).to_be_disabled()
    steps.picture(page, "mistakes-in-a-plan-file")
    typed = text.input_value()
    page.get_by_role("tab", name="Fields and rules").click()
    expect(page.get_by_role("heading", name="Rules")).to_be_visible()
    expect(page.get_by_text("The plan file has changes that are not applied")).to_be_visible()
    expect(page.get_by_role("button", name="Continue to run")).to_be_disabled()
    page.get_by_role("tab", name="Plan file").click()
    expect(text).to_have_value(typed)
    steps.button(page, "Discard changes").click()
    expect(page.get_by_text("The plan file has changes that are not applied")).to_have_count(0)
    expect(text).to_have_value(re.compile("compare:\n- amount"))
    expect(page.get_by_role("button", name="Continue to run")).to_be_enabled()


@pytest.mark.timeout(180)
def test_results_tell_sets_and_causes(opened: Opened, tmp_path: Path) -> None:
    """An address opens the matches of one rule; a set shows its sums; a cause goes into the plan with one click."""
    page = opened.page
    page.goto(f"/results?job={opened.job_id}&section=Matches&matches-rule=in+one+sum&matches-side=Bank")
    expect(page.get_by_text("Select a row to see the whole match")).to_be_visible(timeout=60_000)
    expect(_chosen(page, "Bank")).to_be_visible()
    steps.select_row(page, "matches-table", 0)
    detail = page.locator(".st-key-match-detail")
    expect(detail).to_contain_text("The only one of 32 possible sets of 5 candidates that adds up")
    expect(detail.get_by_text("60.06").first).to_be_visible()
    expect(detail).to_contain_text("Difference of the sums")
    steps.picture(page, "match-set")

    steps.section(page, "Rules")
    expect(page.get_by_text("How many matches may be accidents")).to_be_visible()
    expect(page.get_by_text("Matches added by each rule")).to_be_visible()
    steps.picture(page, "rules")
    steps.section(page, "Balance")
    for told in ("What the open items explain", "Money in breaks", "How large the open amounts are"):
        expect(page.get_by_text(told)).to_be_visible()
    steps.picture(page, "balance")

    steps.section(page, "Overview")
    causes = page.locator(".st-key-causes")
    expect(causes).to_contain_text("fee of 0.30")
    steps.picture(page, "causes")
    before = len(opened.plan(tmp_path).rules)
    steps.button(page, "Try this change").click()
    expect(page.get_by_role("heading", name="Rules")).to_be_visible()
    expect(page.get_by_text("less a fee of 0.30")).to_be_visible()
    assert len(opened.plan(tmp_path).rules) == before + 1


@pytest.mark.timeout(180)
def test_a_plan_changed_elsewhere_is_not_overwritten(opened: Opened, tmp_path: Path) -> None:
    """The table of fields of an open window shows what was changed elsewhere meanwhile, and does not put it back."""
    page = opened.page
    page.goto(f"/map?r={opened.reconciliation_id}")
    expect(page.get_by_role("heading", name="Rules")).to_be_visible(timeout=60_000)
    steps.quiet(page)
    fields = [{**field, "clean": ["trim"]} if field["type"] == "text" else field for field in rich.PLAN["fields"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_DATA_DIR", str(tmp_path))
        container = build_container(load_settings(embedded_worker=False))
    signed_in = container.sessions.sign_in(steps.EMAIL, steps.PASSWORD, "127.0.0.1", "test")[0]
    changed = rich.PLAN | {"fields": fields}
    container.plans.set_plan(container.sessions.resolve(signed_in), opened.reconciliation_id, changed)
    container.close()
    edit = page.locator("[class*=st-key-rule-card]").get_by_role("button", name="Edit").first
    edit.click()  # draws the page anew in the same session
    _save(page)
    assert opened.plan(tmp_path).fields == Plan.build(changed).fields


def _save(page: Page) -> None:
    """Save the rule in the dialog, and wait until it has closed."""
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    steps.quiet(page)
    steps.button(page, "Save rule").click()
    expect(dialog).to_be_hidden()
    steps.quiet(page)


def _chosen(page: Page, name: str) -> Locator:
    """The choice of a segmented control, when it is the chosen one."""
    return page.get_by_role("radio", name=name, checked=True)


def _stands_below(mark: Locator, widget: Locator) -> None:
    """The mark is drawn right below the widget."""
    expect(mark).to_be_visible()
    above, here = widget.bounding_box(), mark.bounding_box()
    assert above is not None
    assert here is not None
    assert 0 <= here["y"] - (above["y"] + above["height"]) < 120


@pytest.mark.timeout(180)
def test_results_opened_before_the_run_has_ended_wait_for_it(opened: Opened, tmp_path: Path) -> None:
    """The address of a run that is still under way shows how far it is, and its results as soon as there are any."""
    page = opened.page
    with _services(tmp_path) as (container, actor):
        job = _paused(container, actor, container.jobs.get(actor, opened.job_id))
        page.goto(f"/results?job={job.id}")
        expect(page.get_by_text("Paused by an administrator")).to_be_visible(timeout=60_000)
        expect(page.get_by_role("button", name="Cancel run")).to_be_visible()
        container.jobs.resume(actor, job.id)
        expect(page.get_by_text("Every row is accounted for")).to_be_visible(timeout=60_000)

        job = _paused(container, actor, job)
        page.goto(f"/results?job={job.id}")
        steps.button(page, "Cancel run").click()
        expect(page.get_by_text("The run was cancelled. Nothing of it is kept.")).to_be_visible()
        page.get_by_role("link", name="Back to the run").click()
        expect(page.get_by_role("button", name="Retry")).to_be_visible()


def _paused(container: Container, actor: Actor, like: Job) -> Job:
    """A run like another one, paused before it has ended; the server's own worker may be faster than the pause."""
    assert like.reconciliation_id is not None
    plan = Plan.build(like.plan_json)
    for _ in range(20):
        job = container.jobs.launch(actor, like.reconciliation_id, plan, like.left_file_id, like.right_file_id)
        try:
            return container.jobs.pause(actor, job.id)
        except Conflict:
            continue
    raise AssertionError("no run could be paused")
