"""What the browser is told to refuse, and that nothing of ours is refused; limits as a person meets them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.conftest import seen_installation
from tests.browser.server import Server

PAGES = ["", "plans", "upload?r={r}", "map?r={r}", "run?r={r}", "results?job={job}", "health", "users", "audit"]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with one finished run; its ids, and a signed-in administrator's token."""
    yield from seen_installation(tmp_path_factory.mktemp("policy"), RECON_LIMIT_REGISTER="100/hour")


def watched(page: Page, server: Server) -> list[str]:
    """Collects what the browser refuses by policy, and every request that leaves the server."""
    told: list[str] = []
    page.on("console", lambda m: told.append(m.text) if "Content Security Policy" in m.text else None)
    page.on("request", lambda r: told.append(r.url) if _foreign(r.url, server) else None)
    return told


def _foreign(url: str, server: Server) -> bool:
    own = (server.address, server.address.replace("http", "ws"), "data:", "blob:", "about:")
    return not url.startswith(own)


def test_no_page_breaks_the_policy_or_asks_another_site(
    browser: Browser, installation: tuple[Server, dict[str, str]]
) -> None:
    """Every screen and the API's reference page work under the policy, and nothing is loaded from elsewhere."""
    server, known = installation
    context = browser.new_context(base_url=server.address, viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "recon_session", "value": known["token"], "url": server.address}])
    page = context.new_page()
    told = watched(page, server)
    for name in PAGES:
        answer = page.goto("/" + name.format(**known))
        assert answer is not None
        assert "script-src 'self' 'sha256-" in answer.headers["content-security-policy"]
        expect(page.get_by_role("heading").first).to_be_visible()
        steps.quiet(page)
    page.goto("/api/docs")
    expect(page.get_by_role("heading", name="Reconciliation API")).to_be_visible()
    context.close()
    assert told == []


def test_a_script_written_into_the_page_does_not_run(
    browser: Browser, installation: tuple[Server, dict[str, str]]
) -> None:
    """The policy holds: an injected script is refused, and no other page may frame ours."""
    server, _ = installation
    context = browser.new_context(base_url=server.address)
    page = context.new_page()
    told = watched(page, server)
    page.goto("/")
    expect(page.get_by_label("Email")).to_be_visible()
    page.evaluate("document.body.appendChild(document.createElement('script')).textContent = 'window.ran = true'")
    assert page.evaluate("window.ran") is None
    assert len(told) == 1
    assert httpx.get(server.address).headers["x-frame-options"] == "DENY"
    context.close()


def test_signing_in_and_out_works_under_the_policy(
    browser: Browser, installation: tuple[Server, dict[str, str]]
) -> None:
    """The form leads in and the button leads out, and the browser refuses nothing."""
    server, _ = installation
    context = browser.new_context(base_url=server.address)
    page = context.new_page()
    told = watched(page, server)
    steps.arrive(page)
    page.get_by_label("Email").fill(steps.EMAIL)
    page.get_by_label("Password", exact=True).fill(steps.PASSWORD)
    steps.button(page, "Sign in").click()
    expect(page.get_by_role("heading", name="Reconciliations")).to_be_visible()
    steps.button(page, "Sign out").click()
    expect(page.get_by_label("Email")).to_be_visible()
    context.close()
    assert told == []


def test_attempts_over_http_and_on_the_screen_are_counted_together(
    browser: Browser, installation: tuple[Server, dict[str, str]]
) -> None:
    """After too many wrong passwords over HTTP the form refuses too: says when, and keeps what was typed."""
    server, _ = installation
    wrong = {"email": "nobody@example.org", "password": "wrong"}
    codes = [httpx.post(f"{server.address}/api/auth/login", json=wrong, timeout=30).status_code for _ in range(11)]
    assert codes[-1] == 429
    context = browser.new_context(base_url=server.address, timezone_id="Asia/Tokyo")
    page = context.new_page()
    steps.arrive(page)
    # A frame's answer would draw the page anew, and wipe away what is said below.
    expect(page.locator("iframe")).to_have_count(0)
    page.get_by_label("Email").fill(steps.EMAIL)
    page.get_by_label("Password", exact=True).fill(steps.PASSWORD)
    steps.button(page, "Sign in").click()
    sentence = page.get_by_text("Too many attempts to sign in: 10 are allowed within an hour.")
    expect(sentence).to_be_visible()
    expect(sentence).to_contain_text("Please try again at ")
    expect(sentence).not_to_contain_text("UTC")
    expect(page.get_by_label("Email")).to_have_value(steps.EMAIL)
    context.close()
