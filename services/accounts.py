"""Accounts: the people who can sign in, and their roles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.database.engine import serialise
from services.database.models import Account, Workspace
from services.errors import Conflict, Invalid, NotFound
from services.passwords import check_new_password, hash_password, matches
from services.permissions import Action, Actor, Role, check

if TYPE_CHECKING:
    from services.container import Container

EMAIL = re.compile(r"[^@\s,;<>\"'()\\]{1,64}@[^@\s,;<>\"'()\\.]+(\.[^@\s,;<>\"'()\\.]+)*")


class AccountService:
    """Creates, changes and checks accounts."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def first_run(self) -> bool:
        """True while there is no account at all: whoever comes first becomes the administrator."""
        with self._container.session() as session:
            return session.scalar(select(Account.id).limit(1)) is None

    def create_first_admin(self, name: str, email: str, password: str, address: str = "") -> Account:
        """Create the workspace and its administrator. Raises Conflict once any account exists."""
        hashed = self._accepted(name, email, password)
        now = self._container.clock.now()
        with self._container.transaction() as session:
            serialise(session, "first admin")
            if session.scalar(select(Account.id).limit(1)) is not None:
                raise Conflict("There are accounts already; ask an administrator for one.")
            workspace = Workspace(name="Workspace", created_at=now)
            session.add(workspace)
            session.flush()
            account = self._insert(session, workspace.id, name, email, Role.ADMIN, hashed)
            self._container.audit.record(
                session, None, "account.create", "account", account.id,
                workspace_id=workspace.id, address=address, role=Role.ADMIN, first=True,
            )  # fmt: skip
        return account

    def create(self, actor: Actor, name: str, email: str, password: str, role: Role) -> Account:
        """Create an account in the actor's workspace. Raises Conflict when the address is taken."""
        check(actor, Action.ACCOUNT_MANAGE)
        hashed = self._accepted(name, email, password)
        with self._container.transaction() as session:
            serialise(session, "accounts")
            if session.scalar(select(Account.id).where(Account.email == _plain(email))) is not None:
                raise Conflict(f"There is an account for {_plain(email)} already.")
            account = self._insert(session, actor.workspace_id, name, email, role, hashed)
            self._container.audit.record(session, actor, "account.create", "account", account.id, role=role)
        return account

    def list(self, actor: Actor) -> Sequence[Account]:
        """The workspace's accounts by name."""
        check(actor, Action.ACCOUNT_READ)
        with self._container.session() as session:
            query = select(Account).where(Account.workspace_id == actor.workspace_id)
            return session.scalars(query.order_by(Account.name, Account.email)).all()

    def set_role(self, actor: Actor, account_id: str, role: Role) -> Account:
        """Give an account another role and end its sessions. The last active administrator keeps the role."""
        check(actor, Action.ACCOUNT_MANAGE)
        with self._container.transaction() as session:
            account = self._get(session, actor, account_id)
            if role is not Role.ADMIN:
                self._keep_an_admin(session, account)
            before, account.role = account.role, role.value
            self._container.sessions.end_all(account.id, session)
            self._container.audit.record(
                session, actor, "account.role", "account", account.id, before=before, after=role
            )
        return account

    def set_active(self, actor: Actor, account_id: str, active: bool) -> Account:
        """Allow or refuse sign-in. Refusing ends the account's sessions; the last active administrator stays."""
        check(actor, Action.ACCOUNT_MANAGE)
        with self._container.transaction() as session:
            account = self._get(session, actor, account_id)
            if not active:
                self._keep_an_admin(session, account)
                self._container.sessions.end_all(account.id, session)
            account.active = active
            self._container.audit.record(session, actor, "account.active", "account", account.id, active=active)
        return account

    def reset_password(self, actor: Actor, account_id: str, new: str) -> None:
        """Give an account a new password and end its sessions."""
        check(actor, Action.ACCOUNT_MANAGE)
        with self._container.transaction() as session:
            account = self._get(session, actor, account_id)
            self._change(session, actor, account, new)

    def change_password(self, actor: Actor, current: str, new: str) -> None:
        """Change one's own password and end all one's sessions. Raises Invalid when `current` is wrong."""
        check(actor, Action.PASSWORD_CHANGE)
        if self.verify(actor.email, current) is None:
            raise Invalid("The current password is not right.")
        with self._container.transaction() as session:
            self._change(session, actor, self._get(session, actor, actor.account_id), new)

    def verify(self, email: str, password: str) -> Account | None:
        """The active account of this address and password, else None; takes as long when there is no such account."""
        with self._container.session() as session:
            account = session.scalar(select(Account).where(Account.email == _plain(email)))
        good = matches(password, account.password_hash if account else self._nobodys_hash)
        return account if account is not None and good and account.active else None

    def find(self, email: str) -> Account | None:
        """The account of this address, for the sign-in form only: whoever asks is not signed in yet."""
        with self._container.session() as session:
            return session.scalar(select(Account).where(Account.email == _plain(email)))

    @cached_property
    def _nobodys_hash(self) -> str:
        return hash_password("nobody has this password", self._container.settings.password_hash_rounds)

    def _accepted(self, name: str, email: str, password: str) -> str:
        """The password's hash, once all three are found good. Hashing is slow: done before any lock is held."""
        if not name.strip() or len(name) > 200:
            raise Invalid("Please give a name of 1 to 200 characters.")
        if not EMAIL.fullmatch(_plain(email)) or len(email) > 254:
            raise Invalid("The e-mail address is not complete; it looks like name@example.org.")
        check_new_password(password, _plain(email))
        return hash_password(password, self._container.settings.password_hash_rounds)

    def _insert(self, session: Session, workspace_id: str, name: str, email: str, role: Role, hashed: str) -> Account:
        account = Account(
            workspace_id=workspace_id,
            name=name.strip(),
            email=_plain(email),
            role=role.value,
            password_hash=hashed,
            active=True,
            created_at=self._container.clock.now(),
        )
        session.add(account)
        session.flush()
        return account

    def _get(self, session: Session, actor: Actor, account_id: str) -> Account:
        query = select(Account).where(Account.id == account_id, Account.workspace_id == actor.workspace_id)
        account = session.scalar(query)
        if account is None:
            raise NotFound("There is no such account in your workspace.")
        return account

    def _keep_an_admin(self, session: Session, account: Account) -> None:
        serialise(session, "admins")  # two administrators demoting each other at once would leave none
        others = session.scalar(
            select(func.count()).where(
                Account.workspace_id == account.workspace_id,
                Account.role == Role.ADMIN,
                Account.active,
                Account.id != account.id,
            )
        )
        if account.role == Role.ADMIN and not others:
            raise Conflict("This is the last active administrator; make someone else administrator first.")

    def _change(self, session: Session, actor: Actor, account: Account, new: str) -> None:
        check_new_password(new, account.email)
        account.password_hash = hash_password(new, self._container.settings.password_hash_rounds)
        self._container.sessions.end_all(account.id, session)
        self._container.audit.record(session, actor, "account.password", "account", account.id)


def _plain(email: str) -> str:
    return email.strip().lower()
