"""Accounts: the people who can sign in, and their roles."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from services.database.engine import serialise
from services.database.models import Account, Workspace
from services.errors import Conflict, Invalid, NotFound
from services.formats import DATES, NUMBERS
from services.limits import Limited
from services.mail.message import valid_address
from services.paging import Part, part_of
from services.passwords import check_new_password, hash_password, matches, outdated
from services.permissions import Action, Actor, Role, check

if TYPE_CHECKING:
    from services.container import Container

NO_PASSWORD = ""  # of an account whose owner has not set one yet


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
        self._container.limits.hit(Limited.REGISTER, address)
        hashed = self._accepted(name, email, password)
        now = self._container.clock.now()
        with self._container.transaction() as session:
            serialise(session, "first admin")
            if session.scalar(select(Account.id).limit(1)) is not None:
                raise Conflict("There are accounts already; ask an administrator for one.")
            workspace = Workspace(name="Workspace", created_at=now)
            session.add(workspace)
            session.flush()
            account = self.insert(session, workspace.id, name, email, Role.ADMIN, hashed)
            self._container.audit.record(
                session, None, "account.create", "account", account.id,
                workspace_id=workspace.id, address=address, role=Role.ADMIN, first=True,
            )  # fmt: skip
        return account

    def create(self, actor: Actor, name: str, email: str, password: str, role: Role) -> Account:
        """Create an account with a password in the actor's workspace, for scripts; on the screens people are invited.

        Raises Conflict when the address is taken.
        """
        check(actor, Action.ACCOUNT_MANAGE)
        hashed = self._accepted(name, email, password)
        with self._container.transaction() as session:
            return self.add(session, actor, name, email, role, hashed)

    def add(
        self, session: Session, actor: Actor, name: str, email: str, role: Role, hashed: str = NO_PASSWORD
    ) -> Account:
        """Create an account in the actor's workspace within the caller's transaction. Raises Conflict."""
        serialise(session, "accounts")
        if session.scalar(select(Account.id).where(Account.email == _plain(email))) is not None:
            raise Conflict(f"There is an account or a request for {_plain(email)} already.")
        account = self.insert(session, actor.workspace_id, name, email, role, hashed)
        self._container.audit.record(session, actor, "account.create", "account", account.id, role=role)
        return account

    def list(self, actor: Actor, limit: int | None = None, cursor: str | None = None) -> Part[Account]:
        """The workspace's accounts by name, all of them if there is no limit."""
        check(actor, Action.ACCOUNT_READ)
        self._container.limits.hit(Limited.LIST_USERS, actor)
        with self._container.session() as session:
            own = select(Account).where(Account.workspace_id == actor.workspace_id)
            return part_of(session, own, (Account.name, Account.email), limit, cursor, newest_first=False)

    def set_role(self, actor: Actor, account_id: str, role: Role) -> Account:
        """Give an account another role and end its sessions. The last active administrator keeps the role."""
        check(actor, Action.ACCOUNT_MANAGE)
        with self._container.transaction() as session:
            account = self.in_workspace(session, actor, account_id)
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
            account = self.in_workspace(session, actor, account_id)
            if account.waiting:
                raise Conflict("This person has asked for an account: approve or refuse the request.")
            if not active:
                self._keep_an_admin(session, account)
                self._container.sessions.end_all(account.id, session)
            account.active = active
            self._container.audit.record(session, actor, "account.active", "account", account.id, active=active)
        return account

    def set_formats(self, actor: Actor, number_format: str, date_format: str) -> None:
        """Choose how numbers and dates look to oneself: keys of services/formats.py; empty leaves it to the browser."""
        check(actor, Action.FORMATS_SET)
        if number_format not in ("", *NUMBERS) or date_format not in ("", *DATES):
            raise Invalid(f"Numbers can look like {', '.join(NUMBERS)}; dates like {', '.join(DATES)}.")
        with self._container.transaction() as session:
            account = self.in_workspace(session, actor, actor.account_id)
            account.number_format, account.date_format = number_format, date_format
            self._container.audit.record(
                session, actor, Action.FORMATS_SET, "account", account.id, number=number_format, date=date_format
            )

    def change_password(self, actor: Actor, current: str, new: str) -> None:
        """Change one's own password and end all one's sessions. Raises Invalid when `current` is wrong."""
        check(actor, Action.PASSWORD_CHANGE)
        self.confirm_password(actor, current)
        check_new_password(new, actor.email)
        hashed = hash_password(new, self._container.settings.password_hash_rounds)
        with self._container.transaction() as session:
            account = self.in_workspace(session, actor, actor.account_id)
            account.password_hash = hashed
            self._container.sessions.end_all(account.id, session)
            self._container.audit.record(session, actor, "account.password", "account", account.id, by="owner")
            self._container.password_links.tell_changed(session, account)

    def confirm_password(self, actor: Actor, current: str) -> None:
        """Raise Invalid unless this is the actor's own password; guesses are limited and slowed as at sign-in."""
        check(actor, Action.PASSWORD_CHANGE)
        if self._container.sessions.checked(actor.email, current, actor.address) is None:
            raise Invalid("The current password is not right.")

    def verify(self, email: str, password: str) -> Account | None:
        """The active account of this address and password, else None; takes as long when there is no such account.

        It limits and notes nothing: sign-in asks `sessions.prove`.
        """
        nobodys = self._nobodys_hash  # made before anything is looked up: its first use must not tell
        with self._container.session() as session:
            account = session.scalar(select(Account).where(Account.email == _plain(email)))
        kept = account.password_hash if account else NO_PASSWORD
        good = matches(password, kept or nobodys) and kept != NO_PASSWORD
        if account is None or not good or not account.active:
            return None
        if outdated(kept, self._container.settings.password_hash_rounds):
            self._rehash(account, password)
        return account

    def find(self, email: str) -> Account | None:
        """The account of this address, for the sign-in form only: whoever asks is not signed in yet."""
        with self._container.session() as session:
            return session.scalar(select(Account).where(Account.email == _plain(email)))

    @cached_property
    def _nobodys_hash(self) -> str:
        return hash_password("nobody has this password", self._container.settings.password_hash_rounds)

    def _accepted(self, name: str, email: str, password: str) -> str:
        """The password's hash, once all three are found good. Hashing is slow: done before any lock is held."""
        check_new_password(password, self.accepted_person(name, email))
        return hash_password(password, self._container.settings.password_hash_rounds)

    def accepted_person(self, name: str, email: str) -> str:
        """The address as it is kept, once it and the name are found good. Raises Invalid."""
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise Invalid("Please give a name of 1 to 200 characters.")
        try:
            return valid_address(_plain(email))
        except Invalid as error:
            raise Invalid("The e-mail address is not complete; it looks like name@example.org.") from error

    def insert(
        self, session: Session, workspace_id: str, name: str, email: str, role: Role, hashed: str = NO_PASSWORD
    ) -> Account:
        """A new account within the caller's transaction, which has checked what is to be checked."""
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

    def in_workspace(self, session: Session, actor: Actor, account_id: str) -> Account:
        """The account of this id among the actor's colleagues. Raises NotFound."""
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

    def _rehash(self, account: Account, password: str) -> None:
        """Keep the password in today's way, unless it was changed meanwhile."""
        hashed = hash_password(password, self._container.settings.password_hash_rounds)
        same = (Account.id == account.id, Account.password_hash == account.password_hash)
        with self._container.transaction() as session:
            session.execute(update(Account).where(*same).values(password_hash=hashed))


def _plain(email: str) -> str:
    return email.strip().lower()
