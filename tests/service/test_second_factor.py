"""The second factor: enrolment, codes that count once, recovery codes, who must have one, and how it is taken away."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from pyotp import TOTP
from sqlalchemy import select

from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import Account, Mail, RecoveryCode, SignInTicket
from services.errors import Conflict, Invalid, NotAllowed, NotFound, NotSignedIn, SecondFactorNeeded, TooMany
from services.permissions import Actor, Role
from services.second_factor import REFUSED, WRONG
from services.settings import Settings
from tests.service.conftest import PASSWORD

ADDRESS = "10.0.0.9"


@dataclass
class App:
    """An authenticator app that knows one secret."""

    secret: str
    clock: FakeClock

    def code(self, steps: int = 0) -> str:
        """The code of the present time step, or of one so many later."""
        return TOTP(self.secret).at(self.clock.now(), counter_offset=steps)

    def next(self) -> str:
        """A code that was not shown before: half a minute later."""
        self.clock.advance(seconds=30)
        return self.code()


def enrolled(container: Container, clock: FakeClock, actor: Actor) -> tuple[App, list[str]]:
    """The actor's app and recovery codes, set up."""
    app = App(container.second_factor.begin(actor, PASSWORD).secret, clock)
    return app, container.second_factor.confirm(actor, app.code())


def challenge(container: Container, email: str, address: str = ADDRESS) -> str:
    """What a right password gives."""
    with pytest.raises(SecondFactorNeeded) as caught:
        container.sessions.sign_in(email, PASSWORD, address, "")
    return caught.value.challenge


def signed_in(container: Container, email: str, code: str) -> Actor:
    """Both steps of signing in."""
    account = container.second_factor.answer(challenge(container, email), code, ADDRESS)
    return container.sessions.resolve(container.sessions.start(account, ADDRESS, "", second_factor=True))


def refused(container: Container, token: str, code: str, address: str = ADDRESS) -> str:
    """The sentence with which a code is refused."""
    with pytest.raises(NotSignedIn) as caught:
        container.second_factor.answer(token, code, address)
    return caught.value.message


@pytest.fixture
def wide(settings: Settings, clock: FakeClock) -> Callable[..., Container]:
    """Makes services on the same database with other settings."""
    return lambda **given: build_container(settings.model_copy(update=given), clock)


def test_from_enrolment_to_sign_in(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A factor counts once a code has confirmed it; from then on the password alone gives only a challenge."""
    other, _ = container.sessions.sign_in(admin.email, PASSWORD, ADDRESS, "elsewhere")
    given = container.second_factor.begin(admin, PASSWORD)
    assert given.secret in given.address
    assert "ada%40example.org" in given.address
    assert container.sessions.prove(admin.email, PASSWORD, ADDRESS).id == admin.account_id, "not confirmed: not asked"
    assert container.second_factor.standing(admin).since is None
    app = App(given.secret, clock)
    with pytest.raises(Invalid, match="not right"):
        container.second_factor.confirm(admin, app.code(steps=5))
    codes = container.second_factor.confirm(admin, app.code())
    assert len(set(codes)) == 10
    standing = container.second_factor.standing(admin)
    assert (standing.since, standing.codes_left) == (clock.now(), 10)
    with pytest.raises(NotSignedIn, match="ended"):
        container.sessions.resolve(other)
    assert signed_in(container, admin.email, app.next()).account_id == admin.account_id
    assert [entry.action for entry in container.audit.entries(admin)][:2] == ["session.start", "second_factor.set"]
    with container.session() as session:
        assert session.scalars(select(Mail.subject)).all() == ["A second factor was set up"]


def test_enrolment_asks_for_the_password(container: Container, admin: Actor) -> None:
    """An open session alone sets up nothing."""
    with pytest.raises(Invalid, match="current password"):
        container.second_factor.begin(admin, "not the password")


def test_a_code_is_accepted_once(container: Container, admin: Actor, clock: FakeClock) -> None:
    """The code that confirmed, one that signed in, and one older than that are refused; the next one is right."""
    app, _ = enrolled(container, clock, admin)
    assert refused(container, challenge(container, admin.email), app.code()) == REFUSED
    clock.advance(seconds=60)
    used = app.code()
    signed_in(container, admin.email, used)
    token = challenge(container, admin.email)
    for code in (used, app.code(steps=-1)):
        assert refused(container, token, code) == REFUSED
    assert container.second_factor.answer(token, app.code(steps=1), ADDRESS).id == admin.account_id


@pytest.mark.parametrize(("steps", "right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_clocks_may_differ_by_a_step(
    container: Container, admin: Actor, clock: FakeClock, steps: int, right: bool
) -> None:
    """A telephone may be one step of 30 seconds before or behind, not two."""
    app, _ = enrolled(container, clock, admin)
    clock.advance(minutes=10)
    token = challenge(container, admin.email)
    if right:
        assert container.second_factor.answer(token, app.code(steps), ADDRESS).id == admin.account_id
    else:
        assert refused(container, token, app.code(steps)) == REFUSED


def test_one_of_many_with_the_same_code(container: Container, admin: Actor, clock: FakeClock) -> None:
    """Of eight who send the same code at once, each with a challenge of its own, one is let in."""
    app, _ = enrolled(container, clock, admin)
    account = container.accounts.find(admin.email)
    assert account is not None
    tokens, code = [container.second_factor.challenge(account) for _ in range(8)], app.next()

    def attempt(token: str) -> bool:
        try:
            container.second_factor.answer(token, code, ADDRESS)
        except NotSignedIn:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, tokens)) == [False] * 7 + [True]


def test_challenge_has_one_purpose(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A challenge works once, for five minutes, with a code, and ends with the sessions; refusals are alike."""
    app, _ = enrolled(container, clock, admin)
    token = challenge(container, admin.email)
    for use in (container.sessions.resolve, lambda t: container.sessions.redeem_ticket(t, "", "")):
        with pytest.raises(NotSignedIn):
            use(token)
    with pytest.raises(NotFound):
        container.password_links.redeem(token, "a fine new password", ADDRESS)
    account = container.second_factor.answer(token, app.next(), ADDRESS)
    old, ticket = challenge(container, admin.email), container.sessions.issue_ticket(account.id, second_factor=True)
    told = {refused(container, wrong, app.next()) for wrong in (token, ticket, "made up")}
    clock.advance(minutes=5)
    told.add(refused(container, old, app.code()))
    ended = challenge(container, admin.email)
    with container.transaction() as session:
        container.sessions.end_all(account.id, session)
    told.add(refused(container, ended, app.next()))
    assert told == {REFUSED}


def test_no_session_without_the_factor(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A session or ticket that was begun with the password alone before the factor counted is worth nothing after."""
    account = container.accounts.find(admin.email)
    assert account is not None
    enrolled(container, clock, admin)
    late = container.sessions.start(account, ADDRESS, "")
    with pytest.raises(NotSignedIn):
        container.sessions.resolve(late)
    assert container.sessions.resolve(container.sessions.start(account, ADDRESS, "", second_factor=True))


def test_recovery_codes_work_once(container: Container, admin: Actor, clock: FakeClock) -> None:
    """Each recovery code signs in once, however it is typed, and its owner gets a mail; new ones replace the old."""
    app, codes = enrolled(container, clock, admin)
    signed_in(container, admin.email, codes[0])
    signed_in(container, admin.email, f" {codes[1].upper().replace('-', ' ')} ")
    assert refused(container, challenge(container, admin.email), codes[0]) == REFUSED
    assert container.second_factor.standing(admin).codes_left == 8
    with container.session() as session:
        assert "A recovery code was used" in session.scalars(select(Mail.subject)).all()
    clock.advance(hours=1)
    admin = signed_in(container, admin.email, app.next())
    fresh = container.second_factor.renew_codes(admin, PASSWORD, app.next())
    assert not set(fresh) & set(codes)
    assert refused(container, challenge(container, admin.email), codes[2]) == REFUSED
    signed_in(container, admin.email, fresh[2])


def test_guesses_are_limited(container: Container, admin: Actor, clock: FakeClock) -> None:
    """Codes count in the window of sign-in: of the address with the passwords, of the account from everywhere."""
    app, _ = enrolled(container, clock, admin)
    clock.advance(hours=1, seconds=1)  # what was tried so far is forgotten
    token = challenge(container, admin.email, "10.9.9.9")
    for _ in range(9):
        refused(container, token, "000000", "10.9.9.9")
    with pytest.raises(TooMany, match="attempts to sign in"):
        container.second_factor.answer(token, app.code(), "10.9.9.9")
    with pytest.raises(TooMany, match="attempts to sign in"):
        container.sessions.prove(admin.email, PASSWORD, "10.9.9.9")
    refused(container, token, "000000", "10.9.9.1")
    with pytest.raises(TooMany):
        container.second_factor.answer(token, app.code(), "10.9.9.2")
    entries = container.audit.entries(admin, action="session.refused")
    assert [entry.detail_json for entry in entries] == [{"factor": "second"}] * 10


def test_database_tells_no_secret(container: Container, admin: Actor, clock: FakeClock) -> None:
    """Kept are the secret sealed, the recovery codes and challenges as hashes: a stolen database signs nobody in."""
    app, codes = enrolled(container, clock, admin)
    token = challenge(container, admin.email)
    with container.session() as session:
        sealed = session.scalars(select(Account.totp_secret)).one()
        hashes = set(session.scalars(select(RecoveryCode.code_hash))) | set(
            session.scalars(select(SignInTicket.token_hash))
        )
    assert sealed is not None
    assert app.secret not in sealed
    assert len(hashes) == 11
    assert not hashes & {token, *codes, *(code.replace("-", "") for code in codes)}


def test_keys_may_rotate(
    container: Container, admin: Actor, clock: FakeClock, tmp_path: object, wide: Callable[..., Container]
) -> None:
    """Secrets are sealed anew after a rotation, and so outlive the next one; without that a code is refused."""
    key = container.settings.data_dir / "jwt_secret"
    keys = [f"{n}-0123456789-abcdefghijklmnop-rstuvw" for n in range(3)]

    def rotated(current: str, previous: str = "") -> Container:
        key.write_text(current)
        if previous:
            key.with_name("jwt_secret.previous").write_text(previous)
        return wide(jwt_secret_file=key)

    first = rotated(keys[0])
    actor = first.sessions.resolve(first.sessions.sign_in(admin.email, PASSWORD, ADDRESS, "")[0])
    app, _ = enrolled(first, clock, actor)
    second = rotated(keys[1], keys[0])
    signed_in(second, admin.email, app.next())
    forgetful = rotated(keys[2], keys[1])
    assert refused(forgetful, challenge(forgetful, admin.email), app.next()) == REFUSED
    again = rotated(keys[1], keys[0])
    again.second_factor.reseal()
    third = rotated(keys[2], keys[1])
    signed_in(third, admin.email, app.next())
    for each in (first, second, forgetful, again, third):
        each.close()


def test_own_factor_is_removed_with_both(container: Container, admin: Actor, clock: FakeClock) -> None:
    """Password and code take one's factor away; wrong ones do not, and there is nothing to remove twice."""
    app, _ = enrolled(container, clock, admin)
    with pytest.raises(Invalid, match="current password"):
        container.second_factor.remove(admin, "not the password", app.next())
    with pytest.raises(Invalid) as caught:
        container.second_factor.remove(admin, PASSWORD, "000000")
    assert caught.value.message == WRONG
    with pytest.raises(Conflict, match="already"):
        container.second_factor.begin(admin, PASSWORD)
    container.second_factor.remove(admin, PASSWORD, app.next())
    assert container.second_factor.standing(admin).codes_left == 0
    assert container.sessions.prove(admin.email, PASSWORD, ADDRESS).id == admin.account_id
    with pytest.raises(Conflict, match="no second factor"):
        container.second_factor.remove(admin, PASSWORD, app.next())


def test_administrators_reset_a_lost_factor(
    container: Container, admin: Actor, clock: FakeClock, actor_of: Callable[[Role], Actor]
) -> None:
    """A reset ends the colleague's sessions, is on the audit trail, and its owner gets a mail."""
    ben = actor_of(Role.ANALYST)
    app, _ = enrolled(container, clock, ben)
    inside = signed_in(container, ben.email, app.next())
    with pytest.raises(NotAllowed):
        container.second_factor.reset(inside, admin.account_id)
    with pytest.raises(Conflict, match="Your account"):
        container.second_factor.reset(admin, admin.account_id)
    container.second_factor.reset(admin, ben.account_id)
    assert not container.sessions.own(ben)
    newest = container.audit.entries(admin)[0]
    assert (newest.action, newest.account_id, newest.target_id) == (
        "second_factor.reset", admin.account_id, ben.account_id,
    )  # fmt: skip
    with container.session() as session:
        told = session.scalars(select(Mail.recipient).where(Mail.subject == "Your second factor was removed")).all()
    assert told == [ben.email]
    assert container.sessions.prove(ben.email, PASSWORD, ADDRESS).id == ben.account_id
    with pytest.raises(Conflict, match="no second factor"):
        container.second_factor.reset(admin, ben.account_id)


def test_reset_from_the_command_line(container: Container, admin: Actor, clock: FakeClock) -> None:
    """The only administrator, without telephone and codes, is let in again by whoever has the server."""
    enrolled(container, clock, admin)
    with pytest.raises(NotFound):
        container.second_factor.reset_by_hand("nobody@example.org")
    container.second_factor.reset_by_hand("Ada@example.org ")
    token, _ = container.sessions.sign_in(admin.email, PASSWORD, ADDRESS, "")
    entry = container.audit.entries(container.sessions.resolve(token), action="second_factor.reset")[0]
    assert (entry.account_id, entry.detail_json) == (None, {"by": "command line"})


@pytest.mark.parametrize(
    ("rule", "demanded"),
    [("optional", set()), ("admins", {Role.ADMIN}), ("everyone", set(Role)), (None, set())],
)
def test_who_must_have_one(
    container: Container,
    actor_of: Callable[[Role], Actor],
    wide: Callable[..., Container],
    rule: str,
    demanded: set[Role],
) -> None:
    """Whoever must have a second factor and has none may only set one up; everyone else works as ever."""
    actor = {role: actor_of(role) for role in Role}
    strict = wide(second_factor=rule)
    for role in Role:
        person = strict.sessions.resolve(
            strict.sessions.sign_in(actor[role].email, PASSWORD, f"10.1.1.{len(role)}", "")[0]
        )
        assert person.must_enrol is (role in demanded)
        if role in demanded:
            with pytest.raises(NotAllowed, match="second factor is needed"):
                strict.plans.list(person)
        else:
            strict.plans.list(person)
        assert strict.second_factor.standing(person).since is None
    strict.close()


def test_production_asks_administrators(settings: Settings) -> None:
    """Unless it is said otherwise, administrators must have one in production, and nobody in development."""
    assert settings.second_factor_rule == "optional"
    assert settings.model_copy(update={"app_env": "production"}).second_factor_rule == "everyone"


def test_demanded_factor_opens_the_door(admin: Actor, clock: FakeClock, wide: Callable[..., Container]) -> None:
    """Setting it up lifts the bar for this session; removing it puts the bar back."""
    strict = wide(second_factor="everyone")
    token, _ = strict.sessions.sign_in(admin.email, PASSWORD, ADDRESS, "")
    app, _ = enrolled(strict, clock, strict.sessions.resolve(token))
    person = strict.sessions.resolve(token)
    assert strict.plans.list(person) == []
    strict.second_factor.remove(person, PASSWORD, app.next())
    with pytest.raises(NotAllowed, match="second factor is needed"):
        strict.plans.list(strict.sessions.resolve(token))
    strict.close()


def test_two_calls_sign_in_over_http(container: Container, admin: Actor, clock: FakeClock, api: httpx.Client) -> None:
    """The first call answers 401 with a challenge and no cookie, the second signs in; what is wrong is a problem."""
    app, codes = enrolled(container, clock, admin)
    answer = api.post("/api/auth/login", json={"email": admin.email, "password": PASSWORD})
    told = answer.json()
    assert (answer.status_code, told["type"], told["title"]) == (401, "second-factor-needed", "Second factor needed")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answer.headers
    wrong = api.post("/api/auth/login", json={"challenge": told["challenge"], "code": "000000"})
    assert (wrong.status_code, wrong.json()["type"], wrong.json()["detail"]) == (401, "about:blank", REFUSED)
    right = api.post("/api/auth/login", json={"challenge": told["challenge"], "code": app.next()})
    assert right.status_code == 200
    assert "HttpOnly" in right.headers["set-cookie"]
    bearer = {"Authorization": f"Bearer {right.json()['token']}"}
    assert api.get("/api/users", headers=bearer).status_code == 200
    secrets = (app.secret, told["challenge"], *codes, PASSWORD)
    missing = api.post("/api/auth/login", json={"challenge": told["challenge"]})
    assert (missing.status_code, "code" in missing.json()["detail"]) == (422, True)
    assert not any(secret in answer.text for secret in secrets for answer in (wrong, right, missing))
