"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when it is lost.

A code counts once, in its own 30 seconds and the ones before and after. `python -m services.second_factor reset EMAIL`
takes the factor away from someone whom no administrator can help.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from pyotp import TOTP, OTPVerificationError, random_base32
from sqlalchemy import ColumnExpressionArgument, delete, func, select, update
from sqlalchemy.orm import Session

from services.database.models import Account, RecoveryCode, SignInTicket, UserSession
from services.errors import Conflict, Invalid, NotFound, NotSignedIn, ServiceError
from services.limits import Limited
from services.permissions import Action, Actor, Role, check
from services.sealed import Seal

if TYPE_CHECKING:
    from services.container import Container

ISSUER = "Reconciliation"
DIGITS = 6
STEPS_AROUND = 1  # of 30 seconds: a telephone's clock is never quite right
CHALLENGE_LIFETIME = timedelta(minutes=5)
RECOVERY_CODES = 10
RECOVERY_BYTES = 15  # 120 random bits: enough for a plain hash
REFUSED = "This code is not right or was used before. Wait for the next one, or begin again with your password."
NONE = "There is no second factor."
WRONG = "This code is not right or was used before. Wait for the next one."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs to know: the secret to type, or as an address to show as a QR code."""

    secret: str
    address: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Since when someone's factor counts, if there is one, and the recovery codes that are left."""

    since: datetime | None
    codes_left: int


class SecondFactorService:
    """Sets up, asks for and takes away second factors."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._seal = Seal(container.secrets, "second factor")
        self._resealed_with = ""

    def asked_of(self, role: Role) -> bool:
        """Whether people of this role must have a second factor."""
        rule = self._container.settings.second_factor_rule
        return rule == "everyone" or (rule == "admins" and role is Role.ADMIN)

    def standing(self, actor: Actor) -> Standing:
        """Whether the actor has a second factor."""
        check(actor, Action.SECOND_FACTOR_SET)
        unused = select(func.count()).where(RecoveryCode.account_id == actor.account_id, RecoveryCode.used_at.is_(None))
        with self._container.session() as session:
            account = self._container.accounts.in_workspace(session, actor, actor.account_id)
            return Standing(account.totp_since, session.scalar(unused) or 0)

    def begin(self, actor: Actor, password: str) -> Enrolment:
        """A new secret, given only here, in place of one that was never confirmed. Raises Invalid or Conflict."""
        check(actor, Action.SECOND_FACTOR_SET)
        self._container.accounts.confirm_password(actor, password)
        secret = random_base32()
        with self._container.transaction() as session:
            account = self._without(session, actor)
            account.totp_secret, account.totp_last_step = self._seal.close(secret), 0
        return Enrolment(secret, TOTP(secret).provisioning_uri(name=actor.email, issuer_name=ISSUER))

    def confirm(self, actor: Actor, code: str) -> list[str]:
        """Let the factor count from now on, once a code shows that the app knows the secret; gives the recovery codes.

        Every other session ends. Raises Invalid for a wrong code.
        """
        check(actor, Action.SECOND_FACTOR_SET)
        self._container.limits.hit(Limited.SIGN_IN, actor)
        with self._container.transaction() as session:
            account = self._without(session, actor)
            if not self._accepts(session, account, code):
                raise Invalid(WRONG)
            account.totp_since = self._container.clock.now()
            self._container.sessions.end_all(account.id, session, but=actor.session_id)
            self._mark_sessions(session, account, given=True)
            self._container.audit.record(session, actor, "second_factor.set", "account", account.id)
            self._tell(session, account, "A second factor was set up", "a second factor was set up")
            return self._fresh_codes(session, account)

    def renew_codes(self, actor: Actor, password: str, code: str) -> list[str]:
        """Ten new recovery codes in place of the old ones. Raises Invalid for a wrong password or code."""
        check(actor, Action.SECOND_FACTOR_SET)
        with self._proven(actor, password, code) as (session, account):
            self._container.audit.record(session, actor, "second_factor.codes", "account", account.id)
            return self._fresh_codes(session, account)

    def remove(self, actor: Actor, password: str, code: str) -> None:
        """Take one's own factor away. Where one is demanded, all that may be done then is to set up another."""
        check(actor, Action.SECOND_FACTOR_SET)
        with self._proven(actor, password, code) as (session, account):
            self._take_away(session, account)
            self._container.audit.record(session, actor, "second_factor.remove", "account", account.id)

    def reset(self, actor: Actor, account_id: str) -> None:
        """Take a colleague's lost factor away: the password alone signs in again. Ends the colleague's sessions."""
        check(actor, Action.ACCOUNT_MANAGE)
        if account_id == actor.account_id:
            raise Conflict("Remove your own second factor on the page Your account.")
        with self._container.transaction() as session:
            account = self._container.accounts.in_workspace(session, actor, account_id)
            self._reset(session, account)
            self._container.audit.record(session, actor, "second_factor.reset", "account", account.id)

    def reset_by_hand(self, email: str) -> None:
        """The same for whoever has the server's command line, when no administrator can sign in."""
        with self._container.transaction() as session:
            account = session.scalar(select(Account).where(Account.email == email.strip().lower()))
            if account is None:
                raise NotFound("There is no account with this address.")
            self._reset(session, account)
            self._container.audit.record(
                session, None, "second_factor.reset", "account", account.id,
                workspace_id=account.workspace_id, by="command line",
            )  # fmt: skip

    def challenge(self, account: Account) -> str:
        """A token that says that the password was right, good once, with a code, for five minutes."""
        token = self._container.tokens.issue()
        now = self._container.clock.now()
        with self._container.transaction() as session:
            session.execute(delete(SignInTicket).where(SignInTicket.expires_at < now))
            session.add(
                SignInTicket(
                    token_hash=self._container.tokens.digest(token),
                    account_id=account.id,
                    awaits_code=True,
                    created_at=now,
                    expires_at=now + CHALLENGE_LIFETIME,
                )
            )
        return token

    def answer(self, challenge: str, code: str, address: str) -> Account:
        """The account of the challenge, once the code is right. Raises NotSignedIn, the same whatever is wrong.

        Tries count in the window of sign-in: of the address, and of the account from however many addresses. Only
        someone who has the password can use up the account's.
        """
        self._container.limits.hit(Limited.SIGN_IN, address)
        digest = self._container.tokens.digest(challenge)
        with self._container.session() as session:
            account = self._challenged(session, digest)
        if account is not None:
            self._container.limits.hit(Limited.SIGN_IN, account)
        with self._container.transaction() as session:
            account = self._challenged(session, digest)
            # Both are taken by one statement each: of two with the same code or challenge, one gets a row.
            if account is not None and self._accepts(session, account, code) and self._taken(session, digest):
                return account
            self._container.audit.record(
                session, None, "session.refused", "account", account.id if account else "unknown",
                workspace_id=account.workspace_id if account else None, address=address, factor="second",
            )  # fmt: skip
        raise NotSignedIn(REFUSED)

    def reseal(self) -> None:
        """Seal every secret with the present key: before the next rotation nothing may hang on the one before."""
        present = self._seal.present()
        if present == self._resealed_with:
            return
        with self._container.transaction() as session:
            for account, sealed in session.execute(select(Account.id, Account.totp_secret)).all():
                secret = self._seal.open(sealed) if sealed and not self._seal.is_current(sealed) else None
                if secret is not None:  # and nobody has begun anew meanwhile
                    fresh = update(Account).where(Account.id == account, Account.totp_secret == sealed)
                    session.execute(fresh.values(totp_secret=self._seal.close(secret)))
        self._resealed_with = present

    def _challenged(self, session: Session, digest: str) -> Account | None:
        return session.scalar(
            select(Account)
            .join(SignInTicket, SignInTicket.account_id == Account.id)
            .where(*self._open_challenge(digest), Account.active, Account.totp_since.is_not(None))
        )

    def _taken(self, session: Session, digest: str) -> bool:
        now = self._container.clock.now()
        taking = update(SignInTicket).where(*self._open_challenge(digest)).values(used_at=now)
        return session.scalar(taking.returning(SignInTicket.token_hash)) is not None

    def _open_challenge(self, digest: str) -> tuple[ColumnExpressionArgument[bool], ...]:
        return (
            SignInTicket.token_hash == digest,
            SignInTicket.awaits_code,
            SignInTicket.used_at.is_(None),
            SignInTicket.expires_at > self._container.clock.now(),
        )

    def _accepts(self, session: Session, account: Account, code: str) -> bool:
        """Whether the code is right, and takes it: no code is accepted twice."""
        plain = "".join(character for character in code if character.isalnum()).lower()
        if len(plain) != DIGITS or not plain.isascii() or not plain.isdecimal():
            return self._accepts_recovery(session, account, plain)
        secret = self._seal.open(account.totp_secret or "")
        if secret is None:
            log.error("second_factor.unreadable", account=account.id)  # its key was rotated twice
            return False
        try:
            step = TOTP(secret).verify_and_get_timecode(
                plain, for_time=self._container.clock.now(), valid_window=STEPS_AROUND
            )
        except OTPVerificationError:
            return False
        taking = update(Account).where(Account.id == account.id, Account.totp_last_step < step)
        return session.scalar(taking.values(totp_last_step=step).returning(Account.id)) is not None

    def _accepts_recovery(self, session: Session, account: Account, plain: str) -> bool:
        taking = update(RecoveryCode).where(
            RecoveryCode.code_hash == _hash(plain),
            RecoveryCode.account_id == account.id,
            RecoveryCode.used_at.is_(None),
        )
        taken = session.scalar(taking.values(used_at=self._container.clock.now()).returning(RecoveryCode.code_hash))
        if taken is not None:
            self._tell(session, account, "A recovery code was used", "one of your recovery codes was used")
        return taken is not None

    @contextmanager
    def _proven(self, actor: Actor, password: str, code: str) -> Iterator[tuple[Session, Account]]:
        """A transaction for someone who has given both factors again."""
        self._container.accounts.confirm_password(actor, password)
        self._container.limits.hit(Limited.SIGN_IN, actor)
        with self._container.transaction() as session:
            account = self._container.accounts.in_workspace(session, actor, actor.account_id)
            if account.totp_since is None:
                raise Conflict(NONE)
            if not self._accepts(session, account, code):
                raise Invalid(WRONG)
            yield session, account

    def _without(self, session: Session, actor: Actor) -> Account:
        account = self._container.accounts.in_workspace(session, actor, actor.account_id)
        if account.totp_since is not None:
            raise Conflict("There is a second factor already; remove it first.")
        return account

    def _fresh_codes(self, session: Session, account: Account) -> list[str]:
        session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account.id))
        plain = [base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
        session.add_all(RecoveryCode(code_hash=_hash(code), account_id=account.id) for code in plain)
        return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in plain]

    def _reset(self, session: Session, account: Account) -> None:
        if account.totp_since is None:
            raise Conflict(NONE)
        self._take_away(session, account)
        self._container.sessions.end_all(account.id, session)

    def _take_away(self, session: Session, account: Account) -> None:
        account.totp_secret = account.totp_since = None
        session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account.id))
        self._mark_sessions(session, account, given=False)
        self._tell(session, account, "Your second factor was removed", "your second factor was removed")

    def _mark_sessions(self, session: Session, account: Account, *, given: bool) -> None:
        running = (UserSession.account_id == account.id, UserSession.ended_at.is_(None))
        session.execute(update(UserSession).where(*running).values(second_factor=given))

    def _tell(self, session: Session, account: Account, subject: str, what: str) -> None:
        """Let the owner know, in case it was somebody else."""
        moment = self._container.clock.now()
        self._container.mail.enqueue(
            session,
            key=f"second_factor:{account.id}:{what.replace(' ', '_')}:{moment.timestamp()}",
            recipient=account.email,
            subject=subject,
            body=f"Dear {account.name},\n\n{what} at {moment:%Y-%m-%d %H:%M} UTC.\n\n"
            "If it was not you, tell an administrator at once.\n",
        )


def _hash(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 1 when there was nothing to reset."""
    from services.container import get_container

    parser = argparse.ArgumentParser("python -m services.second_factor", description="Second factors.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("reset", help="take away someone's lost second factor").add_argument("email")
    try:
        get_container().second_factor.reset_by_hand(parser.parse_args(arguments).email)
    except ServiceError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stdout.write("The second factor is taken away and its owner gets a mail.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
