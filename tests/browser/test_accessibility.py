"""Every page follows the accessibility rules of axe-core (WCAG 2.2 A and AA), in light and in dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.conftest import seen_installation
from tests.browser.server import REPOSITORY, Server

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
FADING = (
    "document.getAnimations().some(one => one.playState == 'running' && isFinite(one.effect.getTiming().iterations))"
)
SECTIONS = ["Overview", "Breaks", "Matches", "Differences", "Duplicates", "Rejected", "Balance", "Rules"]
PAGES = [
    "", "plans", "upload?r={empty}", "upload?r={r}", "map?r={r}", "run?r={r}",
    *(f"results?job={{job}}&section={section}" for section in SECTIONS),
    "account", "health", "users", "backups", "rollout", "audit",
]  # fmt: skip


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with one finished run and one empty draft; their ids, and a signed-in administrator's token."""
    yield from seen_installation(tmp_path_factory.mktemp("accessibility"))


def test_no_page_is_forgotten() -> None:
    """A page that is not listed above fails here."""
    files = {path.stem for path in Path(REPOSITORY, "pages").glob("*.py")} - {"_router", "home"}
    assert {name.split("?")[0] for name in PAGES} - {""} == files


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_follows_the_rules(
    browser: Browser, installation: tuple[Server, dict[str, str]], scheme: str
) -> None:
    """No page has a serious or critical violation; of the results, each section; of breaks, one opened."""
    server, known = installation
    context = browser.new_context(base_url=server.address, viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_label("Email")).to_be_visible()
    steps.quiet(page)
    found = violations(page, "sign in")
    context.add_cookies([{"name": "recon_session", "value": known["token"], "url": server.address}])
    for name in PAGES:
        page.goto("/" + name.format(**known))
        expect(page.get_by_role("heading").first).to_be_visible()
        steps.quiet(page)
        if not name:
            page.get_by_text("By day, age, plan and person").click()
            expect(page.get_by_text("Rows by day")).to_be_visible()
            steps.quiet(page)
        if name.endswith("Breaks"):
            steps.select_row(page, "breaks-table", 0)
            expect(page.locator(".st-key-break-detail")).to_be_visible()
        found += violations(page, name)
    context.close()
    assert not found, "\n".join(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_start_follows_the_rules(browser: Browser, server: Server, scheme: str) -> None:
    """The form that creates the first account."""
    context = browser.new_context(base_url=server.address, color_scheme=scheme)
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_label("Your name")).to_be_visible()
    steps.quiet(page)
    found = violations(page, "first start")
    assert not found, "\n".join(found)
    context.close()


def violations(page: Page, name: str) -> list[str]:
    """The serious and critical violations on the page as it is, once everything has faded in."""
    while page.evaluate(FADING):
        page.wait_for_timeout(50)
    told = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{name}: {rule['id']} ({rule['impact']}) {node['target']} {node['html'][:200]}: {_why(node)}"
        for rule in told
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def _why(node: dict[str, Any]) -> str:
    return "; ".join(check["message"] for check in [*node["any"], *node["all"], *node["none"]])
