"""How people get an account: they ask and an administrator decides, or an administrator invites them.

Nobody sets a password before the mail to their address was read: an account cannot be prepared in another's name.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from services.database.engine import serialise
from services.database.models import Account, AccountToken, Workspace
from services.errors import Conflict, NotAllowed
from services.limits import Limited
from services.password_links import Purpose, evenly
from services.permissions import Action, Actor, Role, check

if TYPE_CHECKING:
    from services.container import Container

log = structlog.get_logger()

ASKED = "Thank you. A link to confirm your address is on its way; it is good for 24 hours."
CLOSED = "Accounts are given by an administrator here; ask one for an invitation."
KEPT = timedelta(days=7)  # a request whose address was never confirmed
MOST_WAITING = 200


class RegistrationService:
    """Requests for accounts, and invitations."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def open(self) -> bool:
        """Whether strangers may ask for an account."""
        return self._container.settings.registration != "off"

    def request(self, name: str, email: str, address: str) -> str:
        """Ask for an account; gives the sentence to show, the same whether or not the address has one already."""
        if not self.open():
            raise NotAllowed(CLOSED)
        self._container.limits.hit(Limited.REGISTER, address)
        email = self._container.accounts.accepted_person(name, email)
        with evenly(), self._container.transaction() as session:
            serialise(session, "accounts")
            self._forget_unconfirmed(session)
            account = session.scalar(select(Account).where(Account.email == email))
            if account is None:
                account = self._ask(session, name, email, address)
            elif not account.waiting:
                self._tell_owner(session, account)
            if account is not None and account.waiting and account.email_confirmed_at is None:
                self._send_confirmation(session, account)
        return ASKED

    def invite(self, actor: Actor, name: str, email: str, role: Role) -> str | None:
        """Create a colleague's account and mail them a link to set the password.

        Gives the link to hand over where no mail is sent. Raises Conflict when the address is taken.
        """
        check(actor, Action.ACCOUNT_MANAGE)
        email = self._container.accounts.accepted_person(name, email)
        with self._container.transaction() as session:
            account = self._container.accounts.add(session, actor, name, email, role)
            link, key = self._container.password_links.issue(session, account, Purpose.CONFIRM_EMAIL)
            self._container.mail.enqueue(
                session,
                key=f"invitation:{key}",
                recipient=email,
                subject="Your account for Reconciliation",
                body=f"Dear {account.name},\n\n{actor.name} has made an account for you. Choose your password here, "
                f"within 24 hours:\n\n{link}\n\nThe link works once.\n",
            )
        return self._container.password_links.to_hand_over(link)

    def approve(self, actor: Actor, account_id: str, role: Role = Role.ANALYST) -> None:
        """Let someone in who asked, once the address is confirmed."""
        check(actor, Action.ACCOUNT_MANAGE)
        with self._container.transaction() as session:
            account = self._waiting(session, actor, account_id)
            if account.email_confirmed_at is None:
                raise Conflict("The address is not confirmed yet: anyone could have typed it.")
            account.active, account.waiting, account.role = True, False, role.value
            self._container.audit.record(session, actor, "account.approve", "account", account.id, role=role)
            self._tell_approved(session, account)

    def refuse(self, actor: Actor, account_id: str) -> None:
        """Turn a request down; nothing of it is kept but the audit entry."""
        check(actor, Action.ACCOUNT_MANAGE)
        with self._container.transaction() as session:
            account = self._waiting(session, actor, account_id)
            session.execute(delete(AccountToken).where(AccountToken.account_id == account.id))
            session.delete(account)
            self._container.audit.record(session, actor, "account.refuse", "account", account.id)

    def confirmed(self, session: Session, account: Account) -> None:
        """Someone who asked has set the password: let them in if their domain may, else tell the administrators."""
        domains = {part.strip().lower() for part in self._container.settings.registration_domains.split(",")}
        if account.email.rpartition("@")[2] in domains:
            account.active, account.waiting = True, False
            self._container.audit.record(
                session, None, "account.approve", "account", account.id,
                workspace_id=account.workspace_id, role=account.role, by="domain",
            )  # fmt: skip
            return
        admins = select(Account.email).where(
            Account.workspace_id == account.workspace_id, Account.role == Role.ADMIN, Account.active
        )
        for email in session.scalars(admins).all():
            self._container.mail.enqueue(
                session,
                key=f"account_waiting:{account.id}",
                recipient=email,
                subject="Someone asks for an account",
                body=f"{account.name} ({account.email}) asks for an account and has confirmed the address.\n\n"
                f"Approve or refuse it here: {self._container.settings.public_url.rstrip('/')}/users\n",
            )

    def _ask(self, session: Session, name: str, email: str, address: str) -> Account | None:
        workspace = session.scalar(select(Workspace).order_by(Workspace.created_at).limit(1))
        waiting = session.scalar(select(func.count()).where(Account.waiting)) or 0
        if workspace is None or waiting >= MOST_WAITING:
            log.warning("registration.full", waiting=waiting)
            return None
        account = self._container.accounts.insert(session, workspace.id, name, email, Role.ANALYST)
        account.active, account.waiting = False, True
        self._container.audit.record(
            session, None, "account.ask", "account", account.id, workspace_id=workspace.id, address=address
        )
        return account

    def _send_confirmation(self, session: Session, account: Account) -> None:
        links = self._container.password_links
        if links.recently_sent(session, account, Purpose.CONFIRM_EMAIL):
            return
        link, key = links.issue(session, account, Purpose.CONFIRM_EMAIL)
        self._container.mail.enqueue(
            session,
            key=f"confirm_email:{key}",
            recipient=account.email,
            subject="Confirm your address",
            body=f"Good day,\n\nyou have asked for an account. Confirm your address and choose a password "
            f"here, within 24 hours:\n\n{link}\n\nIf it was not you, do nothing: the request is then forgotten.\n",
        )

    def _tell_owner(self, session: Session, account: Account) -> None:
        """Someone asked for an account with an address that has one: only its owner learns of it, once a day."""
        today = self._container.clock.now().date()
        self._container.mail.enqueue(
            session,
            key=f"account_exists:{account.id}:{today}",
            recipient=account.email,
            subject="You have an account already",
            body="Good day,\n\nsomeone, perhaps you, has asked for an account with your address. You have "
            'one already. If you forgot your password, choose "Forgot password" on the sign-in page.\n',
        )

    def _tell_approved(self, session: Session, account: Account) -> None:
        self._container.mail.enqueue(
            session,
            key=f"account_approved:{account.id}",
            recipient=account.email,
            subject="Your account is ready",
            body=f"Dear {account.name},\n\nan administrator has approved your account. Sign in here: "
            f"{self._container.settings.public_url}\n",
        )

    def _forget_unconfirmed(self, session: Session) -> None:
        stale = select(Account.id).where(
            Account.waiting,
            Account.email_confirmed_at.is_(None),
            Account.created_at < self._container.clock.now() - KEPT,
        )
        gone = session.scalars(stale).all()
        session.execute(delete(AccountToken).where(AccountToken.account_id.in_(gone)))
        session.execute(delete(Account).where(Account.id.in_(gone)))

    def _waiting(self, session: Session, actor: Actor, account_id: str) -> Account:
        account = self._container.accounts.in_workspace(session, actor, account_id)
        if not account.waiting:
            raise Conflict("This request was decided already; reload the page.")
        return account
