"""Who sees which page, and what an open page does once its session has ended."""

from __future__ import annotations

import email
import email.policy
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from services.container import Container, build_container
from services.permissions import Actor, Role
from services.settings import load_settings
from tests.browser import steps
from tests.browser.server import REPOSITORY, Server

EVERYONE = frozenset(Role)
# Page -> its heading, and the roles that see it. A page that is not here fails; strangers see none.
PAGES: dict[str, tuple[str, frozenset[Role]]] = {
    "account": ("Your account", EVERYONE),
    "audit": ("Audit", frozenset({Role.ADMIN, Role.AUDITOR})),
    "backups": ("Backups", frozenset({Role.ADMIN, Role.AUDITOR})),
    "health": ("Health", frozenset({Role.ADMIN, Role.AUDITOR})),
    "home": ("Reconciliations", EVERYONE),
    "map": ("", EVERYONE),  # an address without a reconciliation says that none is open
    "plans": ("Plans", EVERYONE),
    "results": ("", EVERYONE),
    "rollout": ("Rollout", frozenset({Role.ADMIN, Role.AUDITOR})),
    "run": ("", EVERYONE),
    "upload": ("", EVERYONE),
    "users": ("Users", frozenset({Role.ADMIN})),
}
NOTICE_SECONDS = 5.0


class House:
    """A running server, its services seen from the test, and its administrator."""

    def __init__(self, server: Server, container: Container) -> None:
        self.server, self.container = server, container
        account = container.accounts.create_first_admin("Ada", steps.EMAIL, steps.PASSWORD)
        self.admin: Actor = container.sessions.resolve(container.sessions.start(account, "127.0.0.1", "test"))

    def person(self, role: Role, name: str) -> tuple[Actor, str]:
        """A person of the role, and the token of a session."""
        account = self.container.accounts.create(self.admin, name, f"{name}@example.org", steps.PASSWORD, role)
        token = self.container.sessions.start(account, "127.0.0.1", "test")
        return self.container.sessions.resolve(token), token

    def page(self, browser: Browser, token: str = "") -> Page:
        """A browser with the session's cookie."""
        context = browser.new_context(base_url=self.server.address, viewport={"width": 1440, "height": 900})
        if token:
            context.add_cookies([{"name": self.container.sessions.cookie, "value": token, "url": self.server.address}])
        opened = context.new_page()
        opened.set_default_timeout(30_000)
        return opened


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The server with one administrator."""
    data = tmp_path_factory.mktemp("identity")
    server = Server(data, RECON_PASSWORD_HASH_ROUNDS="4")
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_DATA_DIR", str(data))
        patch.setenv("RECON_PASSWORD_HASH_ROUNDS", "4")
        container = build_container(load_settings())
    yield House(server, container)
    container.close()
    server.stop()


def test_every_page_is_listed() -> None:
    """A screen that the table above does not know fails here."""
    files = {path.stem for path in Path(REPOSITORY, "pages").glob("*.py")} - {"_router"}
    assert files == set(PAGES)


@pytest.mark.parametrize("role", [None, *Role])
def test_pages_by_role(browser: Browser, house: House, role: Role | None) -> None:
    """Each page shows itself to each role that may see it and to no other; strangers get the sign-in form."""
    token = house.person(role, f"pages-{role}")[1] if role else ""
    page = house.page(browser, token)
    for name, (heading, roles) in PAGES.items():
        page.goto("/" if name == "home" else f"/{name}")
        if role is None:
            expect(steps.button(page, "Sign in")).to_be_visible()
            expect(page.locator(".st-key-navigation")).to_have_count(0)
        elif role in roles:
            wanted = page.get_by_role("heading", name=heading, exact=True) if heading else page.get_by_text("No reconc")
            expect(wanted.first).to_be_visible()
        else:
            expect(page.get_by_role("heading", name="Reconciliations", exact=True)).to_be_visible()
            steps.quiet(page)
            expect(page.get_by_role("heading", name=heading, exact=True)).to_have_count(0)
    page.context.close()


def deactivate(house: House, actor: Actor, _token: str) -> None:
    """An administrator refuses sign-in."""
    house.container.accounts.set_active(house.admin, actor.account_id, False)


def change_role(house: House, actor: Actor, _token: str) -> None:
    """An administrator gives another role."""
    house.container.accounts.set_role(house.admin, actor.account_id, Role.AUDITOR)


def change_password(house: House, actor: Actor, _token: str) -> None:
    """The person changes the password elsewhere."""
    house.container.accounts.change_password(actor, steps.PASSWORD, "heron-lake-green-7")


def sign_out(house: House, _actor: Actor, token: str) -> None:
    """The person signs out elsewhere with the same session."""
    house.container.sessions.end(token)


def end_all(house: House, actor: Actor, _token: str) -> None:
    """An administrator ends every session."""
    house.container.sessions.end_of(house.admin, actor.account_id)


@pytest.mark.parametrize("revoke", [deactivate, change_role, change_password, sign_out, end_all])
def test_open_page_sees_the_end(browser: Browser, house: House, revoke: Callable[[House, Actor, str], None]) -> None:
    """Without a click, an open page gives way to the sign-in form within five seconds of the session's end."""
    actor, token = house.person(Role.ANALYST, revoke.__name__)
    page = house.page(browser, token)
    page.goto("/plans")
    expect(page.get_by_role("heading", name="Plans")).to_be_visible()
    steps.quiet(page)
    revoke(house, actor, token)
    start = time.monotonic()
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    seconds = time.monotonic() - start
    expect(page.get_by_role("heading", name="Plans")).to_have_count(0)
    expect(steps.button(page, "Sign in")).to_be_visible()
    assert seconds < NOTICE_SECONDS
    page.context.close()


def test_click_after_the_end_does_nothing(browser: Browser, house: House) -> None:
    """A dialog that was open when the session ended carries nothing out, though its connection is still there."""
    _, token = house.person(Role.ANALYST, "late-click")
    page = house.page(browser, token)
    page.goto("/")
    steps.button(page, "New reconciliation").click()
    page.get_by_label("Name").fill("Written too late")
    steps.quiet(page)
    house.container.sessions.end(token)
    steps.button(page, "Start").click()
    expect(page.get_by_text("Your session has ended").first).to_be_visible()
    assert "Written too late" not in {plan.name for plan in house.container.plans.list(house.admin)}
    page.context.close()


def test_from_asking_to_the_first_page(browser: Browser, house: House, tmp_path: Path) -> None:
    """A stranger asks, confirms by the mailed link, is let in on the users page, and signs in."""
    stranger = house.page(browser)
    stranger.goto("/")
    stranger.get_by_role("button", name="Create an account").click()
    stranger.get_by_label("Your name").fill("Nina Newcomer")
    stranger.get_by_label("Email").fill("nina@example.org")
    steps.button(stranger, "Ask for an account").click()
    expect(stranger.get_by_text("A link to confirm your address is on its way")).to_be_visible()

    stranger.goto(f"/?link={_mailed_token(house, 'nina@example.org')}")
    expect(stranger.get_by_role("heading", name="Choose your password")).to_be_visible()
    for field in ("New password", "New password again"):
        stranger.get_by_label(field, exact=True).fill("green-heron-lake-9")
    steps.button(stranger, "Set password").click()
    expect(stranger.get_by_text("Your address is confirmed")).to_be_visible()

    account = house.container.accounts.find(steps.EMAIL)
    assert account is not None
    admin = house.page(browser, house.container.sessions.start(account, "127.0.0.1", "test"))
    admin.goto("/users")
    admin.get_by_role("button", name=re.compile("Approve$")).click()
    admin.get_by_role("button", name="Let in").click()
    expect(admin.get_by_text("Waiting for you")).to_have_count(0)

    steps.sign_in(stranger, "nina@example.org", "green-heron-lake-9")
    stranger.goto("/account")
    expect(stranger.get_by_text("this one")).to_be_visible()
    for opened in (stranger, admin):
        opened.context.close()


def _mailed_token(house: House, recipient: str) -> str:
    """The token of the newest link mailed to someone; without a mail server mails are files."""
    folder = house.container.settings.data_dir / "mail"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for mail in sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime, reverse=True):
            message = email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)
            found = re.search(r"\?link=(\S+)", message.get_content())
            if message["To"] == recipient and found:
                return found[1]
        time.sleep(0.2)
    pytest.fail(f"no link was mailed to {recipient}")


def test_a_token_is_made_shown_once_and_revoked(house: House, browser: Browser) -> None:
    """What the dialog shows calls the API, for what was chosen; once revoked it is refused. The page has it no more."""
    _, session = house.person(Role.ANALYST, "tess")
    page = house.page(browser, session)
    page.goto("/account")
    steps.button(page, "Make a token").click()
    page.get_by_label("Name", exact=True).fill("month end")
    steps.quiet(page)
    page.get_by_label("Your password").fill("not the password")
    steps.button(page, "Make it").click()
    expect(page.get_by_test_id("stAlert")).to_be_visible()
    page.get_by_label("Your password").fill(steps.PASSWORD)
    steps.button(page, "Make it").click()
    token = page.get_by_role("dialog").get_by_test_id("stCode").locator("code").inner_text().strip()
    steps.picture(page, "token-made")
    call = {"headers": {"Authorization": f"Bearer {token}"}, "timeout": 30}
    assert httpx.get(f"{house.server.address}/api/files", **call).status_code == 200
    assert httpx.post(f"{house.server.address}/api/files/upload", params={"name": "a.csv"}, **call).status_code == 403
    page.keyboard.press("Escape")
    expect(page.get_by_text("month end")).to_be_visible()
    assert token not in page.content()
    steps.button(page, "Revoke").click()
    steps.button(page, "Revoke it").click()
    expect(page.get_by_text("month end is revoked")).to_be_visible()
    assert httpx.get(f"{house.server.address}/api/files", **call).status_code == 401
    page.context.close()
