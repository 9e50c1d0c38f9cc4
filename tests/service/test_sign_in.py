"""Signing in under attack: guesses, probes for accounts, planted tokens, sessions that must end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from services.api import build_api
from services.clock import FakeClock
from services.container import Container, build_container
from services.errors import Invalid, NotAllowed, NotFound, NotSignedIn, TooMany
from services.permissions import Actor, Role
from services.settings import Settings
from services.slow_down import FIRST_SECONDS, LONGEST_SECONDS, SlowDown
from tests.servers import http_server
from tests.service.conftest import PASSWORD

TRIES = 25
CLOSE = 0.05


@pytest.fixture
def busy(settings: Settings) -> Iterator[Container]:
    """Services whose password hashes cost what they cost in production, and whose limits let a test through."""
    wide = {"password_hash_rounds": 9, "sign_in_free_failures": 10_000, "limit_sign_in": "100000/hour"}
    built = build_container(settings.model_copy(update=wide))
    yield built
    built.close()


def compared(known: Callable[[], object], unknown: Callable[[], object]) -> float:
    """How far apart the medians of the two are, as a share; measured in turns, so that load meets both alike."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * TRIES):
        which = turn % 2 == 0
        start = time.perf_counter()
        (known if which else unknown)()
        seconds[which].append(time.perf_counter() - start)
    one, other = statistics.median(seconds[True]), statistics.median(seconds[False])
    return abs(one - other) / max(one, other)


def close(known: Callable[[], object], unknown: Callable[[], object]) -> bool:
    """Whether the two take the same time. A machine that was disturbed is asked again; a difference stays."""
    return any(compared(known, unknown) < CLOSE for _ in range(3))


def test_time_tells_nothing_of_accounts(busy: Container) -> None:
    """Known and unknown addresses are refused in the same time: medians within 5 %, by the service and over HTTP."""
    busy.accounts.create_first_admin("Ada", "ada@example.org", PASSWORD)

    def refused(email: str) -> None:
        with pytest.raises(NotSignedIn):
            busy.sessions.sign_in(email, "not the password", "10.0.0.9", "")

    assert close(lambda: refused("ada@example.org"), lambda: refused("nobody@example.org"))
    with http_server(Starlette(routes=[Mount("/api", build_api(busy))])) as client:

        def post(email: str) -> None:
            answer = client.post("/api/auth/login", json={"email": email, "password": "not the password"})
            assert answer.status_code == 401

        assert close(lambda: post("ada@example.org"), lambda: post("nobody@example.org"))


def test_the_measure_sees_a_missing_hash(busy: Container) -> None:
    """The same measure tells apart an answer that skips the hash: it is no test that cannot fail."""
    busy.accounts.create_first_admin("Ada", "ada@example.org", PASSWORD)
    apart = compared(
        lambda: busy.accounts.verify("ada@example.org", "not the password"), lambda: busy.accounts.find("nobody@e.org")
    )
    assert apart > 2 * CLOSE


def test_guesses_are_slowed_and_nobody_is_locked_out(container: Container, admin: Actor, settings: Settings) -> None:
    """After the free failures every further try on an address waits, known or not; the owner still gets in."""
    few = build_container(settings.model_copy(update={"sign_in_free_failures": 2}), container.clock)
    for email in (admin.email, "nobody@example.org"):
        for _ in range(2):
            assert few.sessions.checked(email, "not the password", "10.0.0.9") is None
    for email, password in ((admin.email, PASSWORD), ("nobody@example.org", PASSWORD)):
        start = time.monotonic()
        assert (few.sessions.checked(email, password, "10.0.0.8") is not None) is (email == admin.email)
        assert FIRST_SECONDS <= time.monotonic() - start < 3
    start = time.monotonic()
    assert few.sessions.checked(admin.email, "not the password", "10.0.0.8") is None, "success forgives"
    assert time.monotonic() - start < FIRST_SECONDS
    few.close()


def test_slowness_grows_and_passes(clock: FakeClock) -> None:
    """The wait doubles up to a bound, holds for one address only, and is over after an hour."""
    slow = SlowDown(free=2)
    waits = []
    for _ in range(8):
        waits.append(slow.seconds("a@b.c", clock.now()))
        slow.failed(" A@b.c", clock.now())
    assert waits == [0, 0, 0.5, 1, 2, 4, LONGEST_SECONDS, LONGEST_SECONDS]
    assert slow.seconds("other@b.c", clock.now()) == 0
    clock.advance(minutes=60)
    assert slow.seconds("a@b.c", clock.now()) == 0


def test_waiting_guesses_do_not_fill_the_server(clock: FakeClock) -> None:
    """Only so many wait at a time; more are told to come back instead of holding the server's threads."""
    slow = SlowDown(free=1)
    slow.failed("a@b.c", clock.now())

    def attempt(_: int) -> bool:
        try:
            slow.wait("a@b.c", clock.now())
        except TooMany:
            return False
        return True

    with ThreadPoolExecutor(40) as pool:
        passed = sum(pool.map(attempt, range(40)))
    assert 16 <= passed < 40


def test_planted_tokens_are_never_taken(container: Container, admin: Actor, api: httpx.Client) -> None:
    """Whatever token a browser brings along, sign-in gives a fresh one and ends the one before."""
    name = container.sessions.cookie
    planted = "planted-by-an-attacker-planted-by-an-attacker"
    api.cookies.set(name, planted, domain="127.0.0.1", path="/")
    credentials = {"email": admin.email, "password": PASSWORD}
    first = api.post("/api/auth/login", json=credentials).json()["token"]
    assert first != planted
    for _ in range(2):
        api.cookies.clear()
        api.cookies.set(name, first, domain="127.0.0.1", path="/")
        second = api.post("/api/auth/login", json=credentials).json()["token"]
        assert second != first
        with pytest.raises(NotSignedIn):
            container.sessions.resolve(first)
        first = second
    with pytest.raises(NotSignedIn):
        container.sessions.resolve(planted)


def test_ticket_ends_the_session_before(container: Container, admin: Actor, api: httpx.Client) -> None:
    """Signing in on the screens gives a new token, too, and the browser's earlier session ends."""
    account = container.accounts.find(admin.email)
    assert account is not None
    before = container.sessions.start(account, "", "")
    api.cookies.set(container.sessions.cookie, before, domain="127.0.0.1", path="/")
    ticket = container.sessions.issue_ticket(account.id)
    answer = api.get("/api/auth/enter", params={"ticket": ticket}, follow_redirects=False)
    assert answer.status_code == 303
    assert before not in answer.headers["set-cookie"]
    with pytest.raises(NotSignedIn):
        container.sessions.resolve(before)


def test_cookie_of_production(
    container: Container, admin: Actor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In production the cookie is bound to this host and to HTTPS; the plain name is not looked at there."""
    production = {"app_env": "production", "second_factor": "optional"}
    monkeypatch.setattr(container, "settings", settings.model_copy(update=production))
    with http_server(Starlette(routes=[Mount("/api", build_api(container))])) as client:
        answer = client.post("/api/auth/login", json={"email": admin.email, "password": PASSWORD})
        parts = [part.strip() for part in answer.headers["set-cookie"].split(";")]
        assert parts[0].startswith("__Host-recon_session=")
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(parts)
        assert not any(part.lower().startswith("domain") for part in parts)
        token = answer.json()["token"]
        for cookie, status in ((f"recon_session={token}", 401), (f"__Host-recon_session={token}", 200)):
            assert client.get("/api/users", headers={"Cookie": cookie}).status_code == status


def test_polls_let_a_session_idle(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A page that refreshes itself does not keep its session alive; a person's request does."""
    token, _ = container.sessions.sign_in(admin.email, PASSWORD, "", "")
    for _ in range(29):
        clock.advance(minutes=1)
        container.sessions.resolve(token, poll=True)
    container.sessions.resolve(token)
    for _ in range(29):
        clock.advance(minutes=1)
        container.sessions.resolve(token, poll=True)
    clock.advance(minutes=1)
    with pytest.raises(NotSignedIn, match="expired"):
        container.sessions.resolve(token, poll=True)


def test_own_sessions(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A person sees the running sessions and ends the others with the password; idle and ended ones are not shown."""
    clock.advance(minutes=31)
    tokens = [container.sessions.sign_in(admin.email, PASSWORD, f"10.0.0.{n}", "browser")[0] for n in range(3)]
    here = container.sessions.resolve(tokens[0])
    assert sorted(held.address for held in container.sessions.own(here)) == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    with pytest.raises(Invalid, match="current password"):
        container.sessions.end_others(here, "not the password")
    assert container.sessions.end_others(here, PASSWORD) >= 2
    assert [held.id for held in container.sessions.own(here)] == [here.session_id]
    assert container.sessions.resolve(tokens[0]) == here
    for token in tokens[1:]:
        with pytest.raises(NotSignedIn, match="ended"):
            container.sessions.resolve(token)


def test_administrators_end_sessions(container: Container, admin: Actor, actor_of: Callable[[Role], Actor]) -> None:
    """An administrator ends every session of a colleague; nobody else may."""
    ben = actor_of(Role.ANALYST)
    token, _ = container.sessions.sign_in(ben.email, PASSWORD, "", "")
    with pytest.raises(NotAllowed):
        container.sessions.end_of(ben, admin.account_id)
    with pytest.raises(NotFound):
        container.sessions.end_of(admin, "0" * 32)
    container.sessions.end_of(admin, ben.account_id)
    with pytest.raises(NotSignedIn, match="ended"):
        container.sessions.resolve(token)
    assert container.audit.entries(admin)[0].action == "session.end_all"
