"""Accounts: the first administrator, passwords, roles, deactivation."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest
from sqlalchemy import select, update

from services.container import Container
from services.database.models import Account
from services.errors import Conflict, Invalid, NotAllowed, NotFound, NotSignedIn
from services.passwords import COMMON, MARK, MIN_CHARACTERS, check_new_password, hash_password, matches
from services.permissions import Actor, Role
from services.settings import Settings

PASSWORD = "correct horse battery"  # pragma: allowlist secret


def test_first_run_ends_with_the_first_account(container: Container) -> None:
    """A new installation has no account; after the first administrator nobody else can claim it."""
    assert container.accounts.first_run()
    account = container.accounts.create_first_admin("Ada", " Ada@Example.org ", PASSWORD)
    assert (account.email, account.role) == ("ada@example.org", Role.ADMIN)
    assert not container.accounts.first_run()
    with pytest.raises(Conflict, match="ask an administrator"):
        container.accounts.create_first_admin("Eve", "eve@example.org", PASSWORD)


def test_only_one_of_many_becomes_first_admin(container: Container) -> None:
    """Of six visitors who register at the same moment, exactly one becomes the administrator."""

    def register(number: int) -> bool:
        try:
            container.accounts.create_first_admin("Visitor", f"v{number}@example.org", PASSWORD, f"192.0.2.{number}")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(register, range(6))) == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 10"),
        ("Password123!", "first that anyone"),
        ("qwertyuiop", "first that anyone"),
        ("1234567890", "first that anyone"),
        ("aaaaaaaaaaaa", "first that anyone"),
        ("ada.lovelace", "e-mail"),
        ("dragondragon", "first that anyone"),
        ("4815162342", "first that anyone"),
        ("reconciliation-2026", "word of this product"),
        ("abcdefgh" * 26, "longer than 200"),
    ],
)
def test_weak_passwords_are_refused(container: Container, password: str, reason: str) -> None:
    """Short, common, repeated, personal and over-long passwords are refused with the reason."""
    with pytest.raises(Invalid, match=reason):
        container.accounts.create_first_admin("Ada", "ada.lovelace@example.org", password)
    assert container.accounts.first_run()


@pytest.mark.parametrize(
    "password",
    [
        "violet otter river",
        " begins with a space",
        "ends with a space ",
        "nul\0 inside it",
        "ünïcödé 密码 🔑🔑",
        "7" + "dkfj" * 16,
        "a long sentence that goes on and on " * 5,
    ],
)
def test_any_characters_make_a_password(container: Container, password: str) -> None:
    """Spaces, any script and up to 200 characters are taken, and checked exactly as they were typed."""
    container.accounts.create_first_admin("Ada", "ada@example.org", password)
    assert container.accounts.verify("ada@example.org", password) is not None
    for other in (password.swapcase(), password + " ", password[:-1], password.strip()[:72]):
        assert other == password or container.accounts.verify("ada@example.org", other) is None


def test_breached_passwords_are_refused() -> None:
    """The list holds thousands of breached passwords, and its words stay refused with anything around them."""
    long_enough = {word for word in COMMON if len(word) >= MIN_CHARACTERS}
    assert len(COMMON) > 7_500
    assert len(long_enough) > 2_700
    surrounded = {f"{word}12345!" for word in sorted(COMMON)[::50] if word.isalpha()}
    assert len(surrounded) > 90
    for password in [*sorted(long_enough)[::25], *surrounded]:
        with pytest.raises(Invalid, match="would guess"):
            check_new_password(password, "ada@example.org")


def test_old_hashes_are_replaced_at_sign_in(container: Container, admin: Actor, settings: Settings) -> None:
    """A hash of the earlier kind or of another cost still opens, once; then today's kind stands in its place."""

    def kept() -> str:
        with container.session() as session:
            return session.scalars(select(Account.password_hash)).one()

    plain = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    for old in (plain, hash_password(PASSWORD, 5)):
        with container.transaction() as session:
            session.execute(update(Account).values(password_hash=old))
        assert container.accounts.verify(admin.email, "not the password") is None
        assert kept() == old
        assert container.accounts.verify(admin.email, PASSWORD) is not None
        assert kept().startswith(f"{MARK}$2b$04$")
        assert container.accounts.verify(admin.email, PASSWORD) is not None


def test_hashes_at_once_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sign in at once, no more hashes are computed at a time than there are places."""
    now, most, lock = [0], [0], threading.Lock()
    real = bcrypt.checkpw

    def counted(password: bytes, kept: bytes) -> bool:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        try:
            return real(password, kept)
        finally:
            with lock:
                now[0] -= 1

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    kept = hash_password(PASSWORD, 6)
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: matches(PASSWORD, kept), range(48)))
    assert 1 <= most[0] <= max(2, os.cpu_count() or 2)


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@example.org", "a b@example.org", "ada@exa<mple.org"])
def test_incomplete_addresses_are_refused(container: Container, email: str) -> None:
    """An e-mail address that cannot be one is refused."""
    with pytest.raises(Invalid, match="e-mail"):
        container.accounts.create_first_admin("Ada", email, PASSWORD)


@pytest.mark.parametrize("password", ["wrong password", "", "x" * 100, "with\0nul", PASSWORD + " "])
def test_wrong_password_is_no_account(container: Container, admin: Actor, password: str) -> None:
    """Neither a wrong password nor an unknown address gives an account, whatever the text."""
    assert container.accounts.verify(admin.email, password) is None
    assert container.accounts.verify("nobody@example.org", password) is None
    assert container.accounts.verify(admin.email.upper(), PASSWORD) is not None


def test_unknown_address_costs_a_hash_too(container: Container, admin: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password is hashed whether or not the account exists, so time tells nothing."""
    checked: list[str] = []
    monkeypatch.setattr("services.accounts.matches", lambda _password, held: bool(checked.append(held)))
    container.accounts.verify(admin.email, PASSWORD)
    container.accounts.verify("nobody@example.org", PASSWORD)
    assert len(checked) == 2
    assert all(held.startswith(f"{MARK}$2b$04$") for held in checked)


def test_addresses_are_unique(container: Container, admin: Actor) -> None:
    """A second account for an address is refused, in any letter case."""
    with pytest.raises(Conflict, match="already"):
        container.accounts.create(admin, "Ada two", "ADA@example.org", PASSWORD, Role.ANALYST)


def test_role_change_ends_sessions(container: Container, admin: Actor) -> None:
    """Whoever gets another role has to sign in again, and then has it."""
    account = container.accounts.create(admin, "Ben", "ben@example.org", PASSWORD, Role.ANALYST)
    token, _ = container.sessions.sign_in("ben@example.org", PASSWORD, "", "")
    container.accounts.set_role(admin, account.id, Role.AUDITOR)
    with pytest.raises(NotSignedIn, match="ended"):
        container.sessions.resolve(token)
    token, _ = container.sessions.sign_in("ben@example.org", PASSWORD, "", "")
    assert container.sessions.resolve(token).role is Role.AUDITOR


def test_deactivated_account_is_out_at_once(container: Container, admin: Actor) -> None:
    """Deactivation ends sessions and open tickets and refuses the password; reactivation brings it back."""
    account = container.accounts.create(admin, "Ben", "ben@example.org", PASSWORD, Role.ANALYST)
    token, _ = container.sessions.sign_in("ben@example.org", PASSWORD, "", "")
    ticket = container.sessions.issue_ticket(account.id)
    container.accounts.set_active(admin, account.id, False)
    for attempt in (
        lambda: container.sessions.resolve(token),
        lambda: container.sessions.redeem_ticket(ticket, "", ""),
        lambda: container.sessions.sign_in("ben@example.org", PASSWORD, "", ""),
    ):
        with pytest.raises(NotSignedIn):
            attempt()
    container.accounts.set_active(admin, account.id, True)
    assert container.sessions.sign_in("ben@example.org", PASSWORD, "", "")


def test_last_admin_stays(container: Container, admin: Actor) -> None:
    """The last active administrator can be neither demoted nor deactivated."""
    with pytest.raises(Conflict, match="last active administrator"):
        container.accounts.set_role(admin, admin.account_id, Role.ANALYST)
    with pytest.raises(Conflict, match="last active administrator"):
        container.accounts.set_active(admin, admin.account_id, False)


def test_password_change_ends_sessions(container: Container, admin: Actor) -> None:
    """One's own password changes only with the present one, and every session ends."""
    token, _ = container.sessions.sign_in(admin.email, PASSWORD, "", "")
    with pytest.raises(Invalid, match="current password"):
        container.accounts.change_password(admin, "not it at all", "a much better one")
    container.accounts.change_password(admin, PASSWORD, "a much better one")
    with pytest.raises(NotSignedIn):
        container.sessions.resolve(token)
    assert container.accounts.verify(admin.email, PASSWORD) is None
    assert container.accounts.verify(admin.email, "a much better one") is not None


def test_only_admins_manage(container: Container, admin: Actor, actor_of: Callable[[Role], Actor]) -> None:
    """Analysts, reviewers and auditors can change no account; unknown accounts are not found."""
    for role in (Role.ANALYST, Role.REVIEWER, Role.AUDITOR):
        other = actor_of(role)
        with pytest.raises(NotAllowed, match=role):
            container.accounts.set_role(other, admin.account_id, Role.ANALYST)
    with pytest.raises(NotFound):
        container.accounts.set_role(admin, "0" * 32, Role.ANALYST)


def test_formats_are_kept_with_the_account(container: Container, admin: Actor) -> None:
    """How numbers and dates are shown is found again at every sign-in; what does not exist is refused."""
    container.accounts.set_formats(admin, "1'234.56", "24.11.2026")
    token, _ = container.sessions.sign_in(admin.email, PASSWORD, "127.0.0.1", "test")
    again = container.sessions.resolve(token)
    assert (again.number_format, again.date_format) == ("1'234.56", "24.11.2026")
    with pytest.raises(Invalid, match="Numbers can look like"):
        container.accounts.set_formats(again, "1234", "")
    container.accounts.set_formats(again, "", "")
    assert container.sessions.resolve(token).number_format == "", "left to the browser"
