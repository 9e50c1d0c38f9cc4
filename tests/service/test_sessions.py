"""Sessions and tickets: lifetimes, one use, ending on the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from services.clock import FakeClock
from services.container import Container
from services.database.models import SignInTicket, UserSession
from services.errors import NotSignedIn
from services.permissions import Actor, Role
from tests.service.conftest import PASSWORD


def sign_in(container: Container) -> str:
    """A token of the administrator."""
    return container.sessions.sign_in("ada@example.org", PASSWORD, "10.0.0.9", "browser")[0]


def test_resolve_gives_the_person(container: Container, admin: Actor) -> None:
    """A token resolves to the person, the role and the address that signed in."""
    actor = container.sessions.resolve(sign_in(container))
    assert (actor.email, actor.role, actor.address) == ("ada@example.org", Role.ADMIN, "10.0.0.9")


@pytest.mark.parametrize("token", [None, "", "made up"])
def test_unknown_token(container: Container, admin: Actor, token: str | None) -> None:
    """No token, or one nobody was given, is nobody."""
    with pytest.raises(NotSignedIn):
        container.sessions.resolve(token)


def test_token_is_not_stored(container: Container, admin: Actor) -> None:
    """The database holds no token or ticket, only hashes: a stolen backup signs nobody in."""
    token, ticket = sign_in(container), container.sessions.issue_ticket(admin.account_id)
    with container.session() as session:
        kept = {row.token_hash for row in session.scalars(select(UserSession))}
        kept |= {row.token_hash for row in session.scalars(select(SignInTicket))}
    assert len(kept) == 3
    assert not kept & {token, ticket}


def test_idle_session_expires(container: Container, admin: Actor, clock: FakeClock) -> None:
    """Thirty minutes without a request end a session; each request within them keeps it."""
    token = sign_in(container)
    for _ in range(3):
        clock.advance(minutes=29)
        container.sessions.resolve(token)
    clock.advance(minutes=30)
    with pytest.raises(NotSignedIn, match="expired"):
        container.sessions.resolve(token)


def test_session_has_an_absolute_end(container: Container, admin: Actor, clock: FakeClock) -> None:
    """After twelve hours a session ends even while it is used."""
    token = sign_in(container)
    for _ in range(12 * 3 - 1):
        clock.advance(minutes=20)
        container.sessions.resolve(token)
    clock.advance(minutes=20)
    with pytest.raises(NotSignedIn, match="expired"):
        container.sessions.resolve(token)


def test_last_seen_is_written_sparingly(container: Container, admin: Actor, clock: FakeClock) -> None:
    """The last request's time is written at most every 30 seconds: reruns are many, writes are not."""
    token = sign_in(container)

    def seen() -> object:
        with container.session() as session:
            return session.scalars(select(UserSession.last_seen_at).order_by(UserSession.last_seen_at.desc())).first()

    start = seen()
    clock.advance(seconds=29)
    container.sessions.resolve(token)
    assert seen() == start
    clock.advance(seconds=1)
    container.sessions.resolve(token)
    assert seen() == clock.now()


def test_sign_out_ends_on_the_server(container: Container, admin: Actor) -> None:
    """After signing out the token is worthless, and other sessions of the person go on."""
    token, other = sign_in(container), sign_in(container)
    container.sessions.end(token)
    container.sessions.end(token)
    with pytest.raises(NotSignedIn, match="ended"):
        container.sessions.resolve(token)
    assert container.sessions.resolve(other).account_id == admin.account_id


def test_ticket_works_once(container: Container, admin: Actor) -> None:
    """Of eight browsers with the same ticket, exactly one is signed in."""
    ticket = container.sessions.issue_ticket(admin.account_id)

    def redeem(_: int) -> bool:
        try:
            container.sessions.redeem_ticket(ticket, "", "")
        except NotSignedIn:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(redeem, range(8))) == [False] * 7 + [True]


def test_ticket_lasts_a_minute(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A ticket that was not redeemed within a minute is worthless."""
    ticket = container.sessions.issue_ticket(admin.account_id)
    clock.advance(seconds=60)
    with pytest.raises(NotSignedIn, match="too old"):
        container.sessions.redeem_ticket(ticket, "", "")


def test_failed_sign_in_says_nothing_more(container: Container, admin: Actor) -> None:
    """A wrong password and an unknown address give the same sentence, and both are on the audit trail."""
    sentences = set()
    for email in (admin.email, "nobody@example.org"):
        with pytest.raises(NotSignedIn) as caught:
            container.sessions.sign_in(email, "wrong password", "10.0.0.9", "")
        sentences.add(caught.value.message)
    assert len(sentences) == 1
    assert [e.target_id for e in container.audit.entries(admin, action="session.refused")] == [admin.account_id]
    assert container.audit.examine().entries == 4
