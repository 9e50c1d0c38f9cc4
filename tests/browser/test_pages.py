"""Every screen opens for every role, and shows what the role may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from services.container import Container, build_container
from services.permissions import Role
from services.settings import load_settings
from tests.browser import steps
from tests.browser.server import Server
from tests.work import wait_for

OPEN_TO_ALL = ["", "plans", "upload", "map", "run", "results"]
OVERSIGHT = ["health", "users", "backups", "rollout", "audit"]
DEMO = Path("pages/_shared/demo")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Container]]:
    """A server, and its services seen from the test."""
    data = tmp_path_factory.mktemp("pages")
    server = Server(data)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_DATA_DIR", str(data))
        container = build_container(load_settings())
    yield server, container
    container.close()
    server.stop()


@pytest.fixture(scope="module")
def tokens(installation: tuple[Server, Container]) -> dict[Role, str]:
    """A signed-in person of each role."""
    _, container = installation
    admin = container.accounts.create_first_admin("Ada", steps.EMAIL, steps.PASSWORD)
    token = container.sessions.start(admin, "127.0.0.1", "test")
    actor = container.sessions.resolve(token)
    signed_in = {Role.ADMIN: token}
    for role in (Role.ANALYST, Role.REVIEWER, Role.AUDITOR):
        account = container.accounts.create(actor, role, f"{role}@example.org", steps.PASSWORD, role)
        signed_in[role] = container.sessions.start(account, "127.0.0.1", "test")
    files = [container.files.upload(actor, name, DEMO / name).id for name in ("ledger.csv", "bank.csv")]
    for file_id in files:
        container.files.profile(actor, file_id)
    started = container.plans.start(actor, "Seen by all")
    container.plans.set_files(actor, started.id, files[0], files[1])
    return signed_in


@pytest.mark.parametrize("role", list(Role))
def test_every_page_opens(
    browser: Browser, installation: tuple[Server, Container], tokens: dict[Role, str], role: Role
) -> None:
    """No page raises; administration is shown to those who may see it, and hidden from the others."""
    server, container = installation
    page = _page_of(browser, server, tokens[role])
    actor = container.sessions.resolve(tokens[role])
    wanted = container.plans.list(actor)[0].id
    sees_oversight = role in (Role.ADMIN, Role.AUDITOR)
    for name in [*OPEN_TO_ALL, *(OVERSIGHT if sees_oversight else [])]:
        parameter = f"?r={wanted}" if name in ("upload", "map", "run") else ""
        page.goto(f"/{name}{parameter}")
        expect(page.get_by_role("heading").first).to_be_visible()
        steps.quiet(page)
    page.goto("/")
    expect(page.get_by_role("link", name="Audit")).to_have_count(1 if sees_oversight else 0)
    expect(page.get_by_role("link", name="Seen by all")).to_be_visible()
    expect(page.get_by_text("New reconciliation")).to_have_count(0 if role is Role.AUDITOR else 1)
    page.context.close()


def test_what_a_file_holds_is_seen_without_scrolling(
    browser: Browser, installation: tuple[Server, Container], tokens: dict[Role, str]
) -> None:
    """Beside each other on a desk, the tables of both files show every column; only the one that is open is drawn."""
    server, container = installation
    page = _page_of(browser, server, tokens[Role.ANALYST])
    wanted = container.plans.list(container.sessions.resolve(tokens[Role.ANALYST]))[0].id
    page.goto(f"/upload?r={wanted}")
    tables = page.locator(".dvn-scroller")
    for tab in ("Columns", "Ranges"):
        for side in (0, 1):
            page.get_by_role("tab", name=tab).nth(side).click()
            steps.quiet(page)
        expect(tables).to_have_count(2)
        assert tables.evaluate_all("all => all.map(one => one.scrollWidth - one.clientWidth)") == [0, 0], tab
    page.context.close()


def test_the_trail_and_the_invited_are_seen_whole(
    browser: Browser, installation: tuple[Server, Container], tokens: dict[Role, str]
) -> None:
    """On a desk the audit table shows its last column, the hash; who was invited and has not come is told apart."""
    server, container = installation
    actor = container.sessions.resolve(tokens[Role.ADMIN])
    container.registration.invite(actor, "Grace", "grace@example.org", Role.ANALYST)
    page = _page_of(browser, server, tokens[Role.ADMIN])
    page.goto("/audit")
    table = page.locator(".dvn-scroller")
    expect(table).to_be_visible()
    steps.quiet(page)
    assert table.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    page.goto("/users")
    expect(page.get_by_text("the link is good until")).to_have_count(1)
    page.context.close()


def test_after_a_failure_the_way_on_is_to_change_something(
    browser: Browser, installation: tuple[Server, Container], tokens: dict[Role, str]
) -> None:
    """The same run would fail again: first the mapping, then, once something was changed, the retry."""
    server, container = installation
    actor = container.sessions.resolve(tokens[Role.ANALYST])
    seen = container.plans.list(actor)[0]
    files = seen.file_ids("left"), seen.file_ids("right")
    plan = container.files.suggest(actor, *files)["plan"]
    plan["fields"][0]["right"] = "no such column"
    failing = container.plans.start(actor, "Fails")
    container.plans.set_files(actor, failing.id, *files)
    container.plans.set_plan(actor, failing.id, plan)
    wait_for(container, container.jobs.launch(actor, failing.id, plan, *files).id, "failed")
    page = _page_of(browser, server, tokens[Role.ANALYST])
    primary = page.get_by_test_id("stBaseButton-primary")
    page.goto(f"/run?r={failing.id}")
    expect(page.get_by_text("there is no column 'no such column'")).to_be_visible()
    expect(primary).to_have_text(re.compile("Back to mapping"))
    container.plans.set_plan(actor, failing.id, container.files.suggest(actor, *files)["plan"])
    page.reload()
    expect(primary).to_have_text(re.compile("Retry"))
    page.context.close()


def test_unknown_reconciliation_is_explained(
    browser: Browser, installation: tuple[Server, Container], tokens: dict[Role, str]
) -> None:
    """An address with an unknown id says so and leads home."""
    server, _ = installation
    page = _page_of(browser, server, tokens[Role.ANALYST])
    for name in ("upload?r=", "map?r=", "run?r=", "results?job="):
        page.goto(f"/{name}0123")
        expect(page.get_by_text("No reconciliation is open here")).to_be_visible()
    page.get_by_role("link", name="Go to Home").click()
    expect(page.get_by_role("heading", name="Reconciliations")).to_be_visible()
    page.context.close()


def test_wrong_password_is_refused(
    browser: Browser, installation: tuple[Server, Container], tokens: dict[Role, str]
) -> None:
    """A wrong password and an unknown address get the same sentence."""
    server, _ = installation
    page = _page_of(browser, server, "")
    for email in (steps.EMAIL, "nobody@example.org"):
        steps.arrive(page)
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password", exact=True).fill("not the password")
        steps.button(page, "Sign in").click()
        expect(page.get_by_text("This email and password do not belong together")).to_be_visible()
    page.context.close()


def _page_of(browser: Browser, server: Server, token: str) -> Page:
    context = browser.new_context(base_url=server.address, viewport={"width": 1440, "height": 900})
    if token:
        context.add_cookies([{"name": "recon_session", "value": token, "url": server.address}])
    page = context.new_page()
    page.set_default_timeout(20_000)
    return page
