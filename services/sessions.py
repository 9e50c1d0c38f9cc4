"""Sessions: who is signed in. The server decides; the browser holds a random token, the database only its hash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from services import logs
from services.database.models import Account, SignInTicket, UserSession
from services.errors import NotSignedIn, SecondFactorNeeded
from services.limits import Limited
from services.permissions import Action, Actor, Role, Scope, check
from services.slow_down import SlowDown

if TYPE_CHECKING:
    from services.container import Container

COOKIE = "recon_session"
TICKET_LIFETIME = timedelta(seconds=60)
TOUCH_INTERVAL = timedelta(seconds=30)
WRONG = "This email and password do not belong together. Try again."


class SessionService:
    """Starts, resolves and ends sessions."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._slow_down = SlowDown(container.settings.sign_in_free_failures)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie. With `__Host-`, browsers take it only from this very host, over HTTPS."""
        return f"__Host-{COOKIE}" if self._container.settings.is_production else COOKIE

    def sign_in(self, email: str, password: str, address: str, agent: str) -> tuple[str, Account]:
        """Check the password and start a session: its token, and the account. Raises what `prove` raises."""
        account = self.prove(email, password, address)
        return self.start(account, address, agent), account

    def prove(self, email: str, password: str, address: str) -> Account:
        """The account of this address and password, if that is all it needs.

        Raises NotSignedIn, TooMany when tried too often, or SecondFactorNeeded.
        """
        account = self.checked(email, password, address)
        if account is None:
            raise NotSignedIn(WRONG)
        if account.totp_since is not None:
            raise SecondFactorNeeded(self._container.second_factor.challenge(account))
        return account

    def checked(self, email: str, password: str, address: str) -> Account | None:
        """The account of this address and password, else None. Tries are limited, slowed, and refusals audited."""
        self._container.limits.hit(Limited.SIGN_IN, address)
        self._slow_down.wait(email, self._container.clock.now())
        account = self._container.accounts.verify(email, password)
        if account is None:
            self._slow_down.failed(email, self._container.clock.now())
            self._refused(email, address)
        else:
            self._slow_down.succeeded(email)
        return account

    def _refused(self, email: str, address: str) -> None:
        """Put a wrong password on the audit trail. Only addresses of known accounts are named."""
        account = self._container.accounts.find(email)
        with self._container.transaction() as session:
            self._container.audit.record(
                session, None, "session.refused", "account", account.id if account else "unknown",
                workspace_id=account.workspace_id if account else None, address=address,
            )  # fmt: skip

    def start(self, account: Account, address: str, agent: str, *, second_factor: bool = False) -> str:
        """Start a session for an account that was just proven; returns the token for its cookie."""
        with self._container.transaction() as session:
            return self._start(session, account, address, agent, second_factor)

    def resolve(self, token: str | None, *, poll: bool = False) -> Actor:
        """Who holds this token. Raises NotSignedIn when it is unknown, ended, idle too long or too old.

        A `poll` is asked by the page and not by the person: it does not keep an idle session alive.
        """
        if not token:
            raise NotSignedIn
        now = self._container.clock.now()
        with self._container.session() as session:
            found = session.execute(
                select(UserSession, Account)
                .join(Account, Account.id == UserSession.account_id)
                .where(UserSession.token_hash == self._container.tokens.digest(token))
            ).one_or_none()
        if found is None:
            raise NotSignedIn
        held, account = found
        idle = timedelta(minutes=self._container.settings.session_idle_minutes)
        if held.ended_at is not None or not account.active or (account.totp_since and not held.second_factor):
            raise NotSignedIn("This session was ended; please sign in again.")
        if now >= held.expires_at or now - held.last_seen_at >= idle:
            raise NotSignedIn("This session has expired; please sign in again.")
        if not poll and now - held.last_seen_at >= TOUCH_INTERVAL:
            with self._container.transaction() as session:
                session.execute(update(UserSession).where(UserSession.id == held.id).values(last_seen_at=now))
        logs.note(user=account.id, session=held.id)
        return self._actor(held, account)

    def end(self, token: str | None) -> None:
        """Sign out. Nothing happens when the token is not of a running session."""
        if not token:
            return
        with self._container.transaction() as session:
            found = session.execute(
                select(UserSession, Account)
                .join(Account, Account.id == UserSession.account_id)
                .where(UserSession.token_hash == self._container.tokens.digest(token), UserSession.ended_at.is_(None))
            ).one_or_none()
            if found is None:
                return
            held, account = found
            held.ended_at = self._container.clock.now()
            self._container.audit.record(session, self._actor(held, account), "session.end", "session", held.id)

    def end_all(self, account_id: str, session: Session, *, but: str = "") -> None:
        """End every session, but one if named, every open ticket and every API token of an account, in the caller's
        transaction.
        """
        now = self._container.clock.now()
        running = (UserSession.account_id == account_id, UserSession.ended_at.is_(None), UserSession.id != but)
        session.execute(update(UserSession).where(*running).values(ended_at=now))
        session.execute(delete(SignInTicket).where(SignInTicket.account_id == account_id))
        self._container.api_tokens.end_all(account_id, session)

    def own(self, actor: Actor) -> Sequence[UserSession]:
        """The actor's running sessions, the one used last first."""
        check(actor, Action.PASSWORD_CHANGE)
        now = self._container.clock.now()
        idle = now - timedelta(minutes=self._container.settings.session_idle_minutes)
        query = select(UserSession).where(
            UserSession.account_id == actor.account_id,
            UserSession.ended_at.is_(None),
            UserSession.expires_at > now,
            UserSession.last_seen_at > idle,
        )
        with self._container.session() as session:
            return session.scalars(query.order_by(UserSession.last_seen_at.desc())).all()

    def end_others(self, actor: Actor, password: str) -> int:
        """End the actor's other sessions, once the password is confirmed; gives how many. Raises Invalid."""
        self._container.accounts.confirm_password(actor, password)
        with self._container.transaction() as session:
            ended = session.scalars(
                update(UserSession)
                .where(
                    UserSession.account_id == actor.account_id,
                    UserSession.id != actor.session_id,
                    UserSession.ended_at.is_(None),
                )
                .values(ended_at=self._container.clock.now())
                .returning(UserSession.id)
            ).all()
            session.execute(delete(SignInTicket).where(SignInTicket.account_id == actor.account_id))
            self._container.audit.record(
                session, actor, "session.end_others", "account", actor.account_id, count=len(ended)
            )
        return len(ended)

    def end_of(self, actor: Actor, account_id: str) -> None:
        """End every session of a colleague."""
        check(actor, Action.ACCOUNT_MANAGE)
        with self._container.transaction() as session:
            account = self._container.accounts.in_workspace(session, actor, account_id)
            self.end_all(account.id, session)
            self._container.audit.record(session, actor, "session.end_all", "account", account.id)

    def issue_ticket(self, account_id: str, *, second_factor: bool = False) -> str:
        """A one-time ticket for an account that was just proven, good for a minute.

        The sign-in form runs over a WebSocket, where no cookie can be set: the browser takes the ticket to
        /api/auth/enter, which sets it.
        """
        ticket = self._container.tokens.issue()
        now = self._container.clock.now()
        with self._container.transaction() as session:
            session.execute(delete(SignInTicket).where(SignInTicket.expires_at < now))
            session.add(
                SignInTicket(
                    token_hash=self._container.tokens.digest(ticket),
                    account_id=account_id,
                    second_factor=second_factor,
                    created_at=now,
                    expires_at=now + TICKET_LIFETIME,
                )
            )
        return ticket

    def redeem_ticket(self, ticket: str, address: str, agent: str) -> str:
        """Exchange a ticket for a session token, once. Raises NotSignedIn when it is unknown, used or too old."""
        now = self._container.clock.now()
        with self._container.transaction() as session:
            # One statement: of two browsers with the same ticket, one gets a row.
            used = session.execute(
                update(SignInTicket)
                .where(
                    SignInTicket.token_hash == self._container.tokens.digest(ticket),
                    ~SignInTicket.awaits_code,
                    SignInTicket.used_at.is_(None),
                    SignInTicket.expires_at > now,
                )
                .values(used_at=now)
                .returning(SignInTicket.account_id, SignInTicket.second_factor)
            ).one_or_none()
            account = session.get(Account, used.account_id) if used else None
            if used is None or account is None or not account.active:
                raise NotSignedIn("This sign-in link was used or is too old; please sign in again.")
            return self._start(session, account, address, agent, used.second_factor)

    def _start(self, session: Session, account: Account, address: str, agent: str, second_factor: bool) -> str:
        token = self._container.tokens.issue()
        now = self._container.clock.now()
        held = UserSession(
            token_hash=self._container.tokens.digest(token),
            account_id=account.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + timedelta(hours=self._container.settings.session_absolute_hours),
            address=address[:64],
            agent=agent[:300],
            second_factor=second_factor,
        )
        session.add(held)
        session.flush()
        self._container.audit.record(
            session, self._actor(held, account), "session.start", "session", held.id, second_factor=second_factor
        )
        return token

    def _actor(self, held: UserSession, account: Account) -> Actor:
        asked = not held.second_factor and self._container.second_factor.asked_of(Role(account.role))
        return actor_of(account, held.id, held.address, must_enrol=asked)


def actor_of(
    account: Account, session_id: str, address: str, *, must_enrol: bool, scopes: frozenset[Scope] | None = None
) -> Actor:
    """The person of the account, as who acts now: in a session, or through a token with these scopes."""
    return Actor(
        account_id=account.id,
        workspace_id=account.workspace_id,
        email=account.email,
        name=account.name,
        role=Role(account.role),
        session_id=session_id,
        address=address,
        must_enrol=must_enrol,
        number_format=account.number_format,
        date_format=account.date_format,
        scopes=scopes,
    )
