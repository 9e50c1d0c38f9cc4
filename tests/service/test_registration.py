"""How people get an account: requests, confirmation, approval, invitations; and links for forgotten passwords."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select

from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import Account, AccountToken, Mail
from services.errors import Conflict, Invalid, NotAllowed, NotFound, NotSignedIn
from services.password_links import EVEN_SECONDS, SENT
from services.permissions import Actor, Role
from services.registration import ASKED
from services.settings import Settings
from tests.service.conftest import PASSWORD

BEN = "ben@example.org"
NEW = "a much better one"


def mails(container: Container, subject: str = "") -> list[Mail]:
    """What is in the outbox, oldest first."""
    with container.session() as session:
        query = select(Mail).where(Mail.subject.startswith(subject)).order_by(Mail.created_at, Mail.id)
        return list(session.scalars(query))


def token_in(mail: Mail) -> str:
    """The token of the link in a mail."""
    found = re.search(r"http://localhost:2000/\?link=([\w.-]+)\s", mail.body)
    assert found, mail.body
    return found[1]


def ask(container: Container, email: str = BEN) -> str:
    """Ask for an account and give the token that was mailed."""
    assert container.registration.request("Ben", email, "10.0.0.7") == ASKED
    return token_in([mail for mail in mails(container, "Confirm") if mail.recipient == email][-1])


def account(container: Container, email: str = BEN) -> Account:
    """The account of an address."""
    found = container.accounts.find(email)
    assert found is not None
    return found


def test_from_request_to_first_sign_in(container: Container, admin: Actor) -> None:
    """Asked, confirmed, approved: only then does the password open, and the newcomer is an analyst."""
    token = ask(container)
    waiting = account(container)
    assert (waiting.active, waiting.waiting, waiting.email_confirmed_at) == (False, True, None)
    with pytest.raises(Conflict, match="not confirmed"):
        container.registration.approve(admin, waiting.id)
    assert container.password_links.look(token).email == BEN
    assert container.password_links.redeem(token, NEW, "10.0.0.7") is False
    assert [mail.recipient for mail in mails(container, "Someone asks")] == [admin.email]
    with pytest.raises(NotSignedIn):
        container.sessions.sign_in(BEN, NEW, "10.0.0.7", "")
    container.registration.approve(admin, waiting.id)
    assert [mail.recipient for mail in mails(container, "Your account is ready")] == [BEN]
    actor = container.sessions.resolve(container.sessions.sign_in(BEN, NEW, "10.0.0.7", "")[0])
    assert (actor.role, actor.workspace_id) == (Role.ANALYST, admin.workspace_id)
    with pytest.raises(Conflict, match="decided already"):
        container.registration.refuse(admin, waiting.id)
    actions = {entry.action for entry in container.audit.entries(admin)}
    assert {"account.ask", "account.password", "account.approve"} <= actions


def test_a_request_changes_no_account(container: Container, admin: Actor, clock: FakeClock) -> None:
    """An address that has an account gets the same answer; only its owner is told, once a day."""
    for _ in range(3):
        assert container.registration.request("Eve", f" {admin.email.upper()} ", "10.0.0.7") == ASKED
    assert [mail.recipient for mail in mails(container)] == [admin.email]
    assert mails(container)[0].subject == "You have an account already"
    assert account(container, admin.email).name == "Ada Admin"
    assert container.accounts.verify(admin.email, PASSWORD) is not None


def test_asking_again_sends_no_flood(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A second request within five minutes sends nothing; a later one sends a link that replaces the first."""
    first = ask(container)
    container.registration.request("Ben", BEN, "10.0.0.8")
    assert len(mails(container, "Confirm")) == 1
    clock.advance(minutes=6)
    second = ask(container)
    assert len(mails(container, "Confirm")) == 2
    with pytest.raises(NotFound):
        container.password_links.look(first)
    assert container.password_links.look(second).name == "Ben"


def test_refused_and_forgotten_requests_leave_nothing(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A refused request is gone and its link is dead; one never confirmed is forgotten after a week."""
    token = ask(container)
    container.registration.refuse(admin, account(container).id)
    assert container.accounts.find(BEN) is None
    with pytest.raises(NotFound):
        container.password_links.redeem(token, NEW, "")
    ask(container, "cy@example.org")
    clock.advance(days=8)
    ask(container, "dee@example.org")
    assert container.accounts.find("cy@example.org") is None


def test_no_more_requests_wait_than_people_can_read(
    container: Container, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When too many requests wait, a further one gets the same answer and leaves nothing."""
    monkeypatch.setattr("services.registration.MOST_WAITING", 1)
    ask(container)
    assert container.registration.request("Cy", "cy@example.org", "10.0.0.7") == ASKED
    assert container.accounts.find("cy@example.org") is None


def test_known_domains_need_no_approval(container: Container, admin: Actor, settings: Settings) -> None:
    """With registration_domains, a confirmed address of a named domain may sign in at once; a longer name may not."""
    built = build_container(
        settings.model_copy(update={"registration_domains": "corp.example, Example.org"}), container.clock
    )
    assert built.password_links.redeem(ask(built), NEW, "") is True
    assert built.accounts.verify(BEN, NEW) is not None
    assert built.password_links.redeem(ask(built, "eve@evil-example.org"), NEW, "") is False
    built.close()


def test_registration_can_be_closed(container: Container, admin: Actor, settings: Settings) -> None:
    """With registration off nobody can ask, whoever they are."""
    built = build_container(settings.model_copy(update={"registration": "off"}), container.clock)
    with pytest.raises(NotAllowed, match="administrator"):
        built.registration.request("Ben", BEN, "")
    assert mails(built) == []
    built.close()


def test_invitation(container: Container, admin: Actor) -> None:
    """An invited colleague chooses the password by a mailed link; until then nothing opens the account."""
    link = container.registration.invite(admin, "Ben", BEN, Role.REVIEWER)
    token = token_in(mails(container, "Your account")[0])
    assert link is not None, "without a mail server the administrator hands the link over"
    assert link.endswith(token)
    for guess in ("", " ", PASSWORD):
        assert container.accounts.verify(BEN, guess) is None
    assert container.password_links.redeem(token, NEW, "") is True
    assert container.sessions.sign_in(BEN, NEW, "", "")[1].role == Role.REVIEWER
    with pytest.raises(Conflict, match="already"):
        container.registration.invite(admin, "Ben", BEN, Role.ANALYST)


def test_who_was_invited_and_has_not_come_is_told(container: Container, admin: Actor, clock: FakeClock) -> None:
    """Until the password is set; with the end of the link, as long as it is good."""
    container.registration.invite(admin, "Ben", BEN, Role.REVIEWER)
    ask(container, "somebody.else@example.org")
    ben = account(container).id
    until = clock.now() + timedelta(hours=24)
    assert container.password_links.invited(admin) == {ben: until}
    clock.advance(hours=24)
    assert container.password_links.invited(admin) == {ben: None}
    container.password_links.send_reset(admin, ben)
    assert container.password_links.invited(admin) == {ben: clock.now() + timedelta(minutes=30)}
    container.password_links.redeem(token_in(mails(container, "Set a new password")[0]), NEW, "")
    assert container.password_links.invited(admin) == {}


def test_link_is_shown_only_where_no_mail_is_sent(container: Container, admin: Actor, settings: Settings) -> None:
    """With a mail server no administrator sees a colleague's link."""
    built = build_container(
        settings.model_copy(update={"smtp_url": type(settings.smtp_url)("smtp://127.0.0.1:2525")}), container.clock
    )
    assert built.registration.invite(admin, "Ben", BEN, Role.REVIEWER) is None
    assert built.password_links.send_reset(admin, account(built).id) is None
    built.close()


def test_forgotten_password(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A mailed link sets a new password once; every session and every other link of the account ends."""
    token, _ = container.sessions.sign_in(admin.email, PASSWORD, "10.0.0.9", "")
    assert container.password_links.forgot(f" {admin.email.upper()}", "10.0.0.9") == SENT
    link = token_in(mails(container, "Set a new")[0])
    with pytest.raises(Invalid, match="at least 10"):
        container.password_links.redeem(link, "short", "")
    container.password_links.redeem(link, NEW, "10.0.0.9")
    with pytest.raises(NotSignedIn, match="ended"):
        container.sessions.resolve(token)
    assert container.accounts.verify(admin.email, PASSWORD) is None
    assert container.accounts.verify(admin.email, NEW) is not None
    for use in (container.password_links.look, lambda one: container.password_links.redeem(one, PASSWORD, "")):
        with pytest.raises(NotFound, match="used or is too old"):
            use(link)
    assert [mail.recipient for mail in mails(container, "Your password was changed")] == [admin.email]


def test_link_lasts_thirty_minutes(container: Container, admin: Actor, clock: FakeClock) -> None:
    """Half an hour after it was asked for, a link is worthless."""
    container.password_links.forgot(admin.email, "")
    link = token_in(mails(container, "Set a new")[0])
    clock.advance(minutes=29, seconds=59)
    assert container.password_links.look(link).email == admin.email
    clock.advance(seconds=1)
    with pytest.raises(NotFound):
        container.password_links.redeem(link, NEW, "")


def test_link_works_once_for_many(container: Container, admin: Actor) -> None:
    """Of six who use the same link at the same moment, exactly one sets the password."""
    container.password_links.forgot(admin.email, "")
    link = token_in(mails(container, "Set a new")[0])

    def use(number: int) -> bool:
        try:
            container.password_links.redeem(link, f"{NEW} {number}", "")
        except NotFound:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(use, range(6))) == [False] * 5 + [True]


def test_database_holds_no_token(container: Container, admin: Actor) -> None:
    """Only the hash of a link's token is in the table of links."""
    link = ask(container)
    with container.session() as session:
        rows = session.execute(select(AccountToken.__table__)).all()
    assert len(rows) == 1
    assert link not in str(rows)


def test_nobody_learns_who_has_an_account(
    container: Container, admin: Actor, api: httpx.Client, clock: FakeClock
) -> None:
    """Known, unknown and inactive addresses get the same status and body, in the same time."""
    out = container.accounts.create(admin, "Cy", "cy@example.org", PASSWORD, Role.ANALYST)
    container.accounts.set_active(admin, out.id, False)
    for path, more in (("password/forgot", {}), ("register", {"name": "Someone"})):
        answers: set[tuple[object, ...]] = set()
        quickest: dict[str, float] = {}  # of several tries: a busy machine delays some
        for email in 3 * (admin.email, "nobody@example.org", "cy@example.org"):
            clock.advance(hours=1)  # past the limits
            start = time.monotonic()
            answer = api.post(f"/api/auth/{path}", json={"email": email, **more})
            quickest[email] = min(quickest.get(email, 60.0), time.monotonic() - start)
            answers.add((answer.status_code, answer.text, *sorted(set(answer.headers) - {"date"})))
        assert len(answers) == 1, path
        assert answer.status_code == 202
        assert min(quickest.values()) >= EVEN_SECONDS
        assert max(quickest.values()) - min(quickest.values()) < 0.15
    assert {mail.recipient for mail in mails(container, "Set a new")} == {admin.email}


def test_reset_over_http(container: Container, admin: Actor, api: httpx.Client) -> None:
    """The whole way by the API: forgot, reset, sign in, change; wrong tokens are 404 and say nothing more."""
    api.post("/api/auth/password/forgot", json={"email": admin.email})
    link = token_in(mails(container, "Set a new")[0])
    assert api.post("/api/auth/password/reset", json={"token": "x" * 43, "password": NEW}).status_code == 404
    assert api.post("/api/auth/password/reset", json={"token": link, "password": "password123"}).status_code == 422
    assert api.post("/api/auth/password/reset", json={"token": link, "password": NEW}).status_code == 204
    assert api.post("/api/auth/login", json={"email": admin.email, "password": PASSWORD}).status_code == 401
    assert api.post("/api/auth/login", json={"email": admin.email, "password": NEW}).status_code == 200
    changed = api.post("/api/auth/password/change", json={"current": NEW, "new": PASSWORD})
    assert changed.status_code == 204
    assert api.get("/api/users").status_code == 401


def test_administrators_send_links(container: Container, admin: Actor, actor_of: Callable[[Role], Actor]) -> None:
    """An administrator has a link mailed to a colleague, and never to somebody deactivated."""
    ben = actor_of(Role.ANALYST)
    container.password_links.send_reset(admin, ben.account_id)
    assert [mail.recipient for mail in mails(container, "Set a new")] == [ben.email]
    container.accounts.set_active(admin, ben.account_id, False)
    with pytest.raises(Conflict, match="may not sign in"):
        container.password_links.send_reset(admin, ben.account_id)
    with pytest.raises(NotFound):
        container.password_links.redeem(token_in(mails(container, "Set a new")[0]), NEW, "")


def test_rolled_back_requests_send_nothing(container: Container, admin: Actor) -> None:
    """The mail is queued in the transaction of its cause: a name that is refused queues none."""
    with pytest.raises(Invalid):
        container.registration.request("Ben\r\nBcc: eve@example.org", BEN, "")
    with pytest.raises(Invalid):
        container.registration.request("Ben", "ben@example.org\r\nBcc: eve@example.org", "")
    with container.session() as session:
        assert session.scalar(select(func.count()).select_from(Mail)) == 0
