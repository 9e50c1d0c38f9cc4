"""One-time links sent by mail, with which people set their password: a new account's first, or a forgotten one.

Only the hash of a link's token is kept. Whoever asks learns nothing about who has an account: same answer, same time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.orm import Session

from services.database.models import Account, AccountToken
from services.errors import Conflict, NotFound
from services.limits import Limited
from services.passwords import check_new_password, hash_password
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

UNUSABLE = "This link was used or is too old; ask for a new one."
SENT = "If there is an account for this address, a link to set a new password is on its way. It is good for 30 minutes."
PAUSE = timedelta(minutes=5)  # between two mails to the same person
EVEN_SECONDS = 0.3  # longer than either answer takes


class Purpose(StrEnum):
    """What a link is for."""

    CONFIRM_EMAIL = "confirm_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105  # pragma: allowlist secret


LIFETIMES = {Purpose.CONFIRM_EMAIL: timedelta(hours=24), Purpose.RESET_PASSWORD: timedelta(minutes=30)}


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link that can still be used."""

    purpose: Purpose
    name: str
    email: str


class PasswordLinks:
    """Issues and redeems the links."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def forgot(self, email: str, address: str) -> str:
        """Mail a link to the address if it has an account; gives the sentence to show either way."""
        self._container.limits.hit(Limited.RESET, address)
        with evenly(), self._container.transaction() as session:
            account = session.scalar(select(Account).where(Account.email == email.strip().lower(), Account.active))
            self._container.audit.record(
                session, None, "account.forgot", "account", account.id if account else "unknown",
                workspace_id=account.workspace_id if account else None, address=address,
            )  # fmt: skip
            if account is not None and not self.recently_sent(session, account, Purpose.RESET_PASSWORD):
                self._send_reset(session, account)
        return SENT

    def send_reset(self, actor: Actor, account_id: str) -> str | None:
        """Mail a colleague a link to set a new password; gives the link to hand over where no mail is sent."""
        check(actor, Action.ACCOUNT_MANAGE)
        with self._container.transaction() as session:
            account = self._container.accounts.in_workspace(session, actor, account_id)
            if not account.active:
                raise Conflict("This person may not sign in; allow it first.")
            link = self._send_reset(session, account)
            self._container.audit.record(session, actor, "account.reset", "account", account.id)
        return self.to_hand_over(link)

    def invited(self, actor: Actor) -> dict[str, datetime | None]:
        """Who has set no password yet, by account: until when their link is good, None when there is none any more."""
        check(actor, Action.ACCOUNT_READ)
        now = self._container.clock.now()
        links = (AccountToken.account_id == Account.id, AccountToken.used_at.is_(None), AccountToken.expires_at > now)
        query = (
            select(Account.id, func.max(AccountToken.expires_at).label("until"))
            .outerjoin(AccountToken, and_(*links))
            .where(Account.workspace_id == actor.workspace_id, Account.active, Account.password_hash == "")
            .group_by(Account.id)
        )
        with self._container.session() as session:
            return {row.id: row.until for row in session.execute(query)}

    def look(self, token: str) -> OpenLink:
        """Whose link this is and what for. Raises NotFound when it is unknown, used or too old."""
        with self._container.session() as session:
            held, account = self._open(session, token)
            return OpenLink(Purpose(held.purpose), account.name, account.email)

    def redeem(self, token: str, new: str, address: str) -> bool:
        """Set the password, once, and end every session of the account; gives whether its owner may sign in now."""
        with self._container.session() as session:
            _, account = self._open(session, token)
        check_new_password(new, account.email)
        hashed = hash_password(new, self._container.settings.password_hash_rounds)
        now = self._container.clock.now()
        with self._container.transaction() as session:
            used = update(AccountToken).where(
                AccountToken.token_hash == self._container.tokens.digest(token),
                AccountToken.used_at.is_(None),
                AccountToken.expires_at > now,
            )
            # One statement: of two who hold the link, one gets a row.
            purpose = session.scalar(used.values(used_at=now).returning(AccountToken.purpose))
            account = session.get_one(Account, account.id)
            if purpose is None or not (account.active or account.waiting):
                raise NotFound(UNUSABLE)
            account.password_hash = hashed
            confirmed, account.email_confirmed_at = account.email_confirmed_at, now
            self._container.sessions.end_all(account.id, session)
            session.execute(
                delete(AccountToken).where(AccountToken.account_id == account.id, AccountToken.used_at.is_(None))
            )
            self._container.audit.record(
                session, None, "account.password", "account", account.id,
                workspace_id=account.workspace_id, address=address, by=purpose,
            )  # fmt: skip
            if account.waiting and confirmed is None:
                self._container.registration.confirmed(session, account)
            if purpose == Purpose.RESET_PASSWORD:
                self.tell_changed(session, account)
            return account.active

    def issue(self, session: Session, account: Account, purpose: Purpose) -> tuple[str, str]:
        """A fresh link in place of the account's earlier ones: its address, and an id for its mail's key."""
        token = self._container.tokens.issue()
        digest = self._container.tokens.digest(token)
        now = self._container.clock.now()
        earlier = (AccountToken.account_id == account.id, AccountToken.purpose == purpose)
        session.execute(delete(AccountToken).where(*earlier))
        session.add(
            AccountToken(
                token_hash=digest,
                account_id=account.id,
                purpose=purpose,
                created_at=now,
                expires_at=now + LIFETIMES[purpose],
            )
        )
        return f"{self._container.settings.public_url.rstrip('/')}/?link={token}", digest[:32]

    def recently_sent(self, session: Session, account: Account, purpose: Purpose) -> bool:
        """Whether a link went out minutes ago: nobody's mailbox is filled by strangers."""
        since: datetime = self._container.clock.now() - PAUSE
        return session.scalar(
            select(AccountToken.token_hash).where(
                AccountToken.account_id == account.id,
                AccountToken.purpose == purpose,
                AccountToken.created_at > since,
            )
        ) is not None  # fmt: skip

    def to_hand_over(self, link: str) -> str | None:
        """The link itself when this installation sends no mail: an administrator then hands it over."""
        return None if self._container.settings.smtp_url.get_secret_value() else link

    def tell_changed(self, session: Session, account: Account) -> None:
        """Let the owner know, in case it was somebody else."""
        moment = self._container.clock.now()
        self._container.mail.enqueue(
            session,
            key=f"password_changed:{account.id}:{moment.timestamp()}",
            recipient=account.email,
            subject="Your password was changed",
            body=f"Dear {account.name},\n\nyour password was changed at {moment:%Y-%m-%d %H:%M} UTC, and every session "
            "of your account was ended.\n\nIf it was not you, tell an administrator at once.\n",
        )

    def _send_reset(self, session: Session, account: Account) -> str:
        link, key = self.issue(session, account, Purpose.RESET_PASSWORD)
        self._container.mail.enqueue(
            session,
            key=f"reset_password:{key}",
            recipient=account.email,
            subject="Set a new password",
            body=f"Dear {account.name},\n\nset a new password here, within 30 minutes:\n\n{link}\n\nIt works "
            "once. If you did not ask for it, nothing has changed and there is nothing to do.\n",
        )
        return link

    def _open(self, session: Session, token: str) -> tuple[AccountToken, Account]:
        found = session.execute(
            select(AccountToken, Account)
            .join(Account, Account.id == AccountToken.account_id)
            .where(
                AccountToken.token_hash == self._container.tokens.digest(token),
                AccountToken.used_at.is_(None),
                AccountToken.expires_at > self._container.clock.now(),
            )
        ).one_or_none()
        if found is None or not (found[1].active or found[1].waiting):
            raise NotFound(UNUSABLE)
        return found[0], found[1]


@contextmanager
def evenly() -> Iterator[None]:
    """Take the same time whatever is found inside: how long an answer takes must not tell who has an account."""
    until = time.monotonic() + EVEN_SECONDS
    try:
        yield
    finally:
        time.sleep(max(0.0, until - time.monotonic()))
