"""Tokens of the API: a program calls with one for its owner, and may do what the token's scopes and the owner's role
both allow.

A token is 256 random bits, shown once; the database holds its hash. It does not depend on `jwt_secret`: a rotation ends
no token. What ends every session of an account ends its tokens as well.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from services import logs
from services.database.engine import serialise
from services.database.models import Account, ApiToken
from services.errors import Conflict, Invalid, NotFound, NotSignedIn
from services.permissions import Action, Actor, Role, Scope, check, refusal
from services.sessions import actor_of

if TYPE_CHECKING:
    from services.container import Container

PREFIX = "r378_"  # by which scanners for secrets find one that has leaked
USUAL_DAYS, MOST_DAYS = 90, 365
MOST_TOKENS = 20  # of one person
LONGEST_NAME = 100
TOUCH_INTERVAL = timedelta(minutes=1)
ENDED = "This token was revoked or has expired; make another on the page Your account."


class ApiTokens:
    """Makes, lists, revokes and recognises tokens."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def create(
        self, actor: Actor, name: str, scopes: Collection[Scope], password: str, days: int = USUAL_DAYS
    ) -> tuple[str, ApiToken]:
        """A new token of one's own: itself, given only here, and what is kept of it. Raises Invalid or Conflict.

        The password is asked for: a token outlives the session in which it is made.
        """
        check(actor, Action.TOKEN_MANAGE)
        name = " ".join(name.split())
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise Invalid(f"Please give a name of 1 to {LONGEST_NAME} characters, such as the program that calls.")
        if not scopes:
            raise Invalid(f"Choose at least one of the scopes {', '.join(Scope)}.")
        if not 1 <= days <= MOST_DAYS:
            raise Invalid(f"A token is good for 1 to {MOST_DAYS} days.")
        self._container.accounts.confirm_password(actor, password)
        token, now = PREFIX + secrets.token_urlsafe(32), self._container.clock.now()
        with self._container.transaction() as session:
            serialise(session, f"tokens of {actor.account_id}")
            living = (ApiToken.account_id == actor.account_id, ApiToken.revoked_at.is_(None), ApiToken.expires_at > now)
            if (session.scalar(select(func.count()).where(*living)) or 0) >= MOST_TOKENS:
                raise Conflict(f"One person may have {MOST_TOKENS} tokens; revoke one that is no longer used.")
            held = ApiToken(
                token_hash=_digest(token),
                account_id=actor.account_id,
                name=name,
                scopes=" ".join(scope for scope in Scope if scope in scopes),
                created_at=now,
                expires_at=now + timedelta(days=days),
            )
            session.add(held)
            session.flush()
            self._container.audit.record(
                session, actor, "token.create", "token", held.id, name=name, scopes=held.scopes, days=days
            )
            self._tell(session, actor, held)
        return token, held

    def list(self, actor: Actor, account_id: str | None = None) -> Sequence[ApiToken]:
        """One's own tokens, or a colleague's, that can still be used, the newest first."""
        check(actor, Action.TOKEN_MANAGE)
        if account_id not in (None, actor.account_id):
            check(actor, Action.ACCOUNT_READ)
        with self._container.session() as session:
            owner = self._container.accounts.in_workspace(session, actor, account_id or actor.account_id)
            query = select(ApiToken).where(
                ApiToken.account_id == owner.id,
                ApiToken.revoked_at.is_(None),
                ApiToken.expires_at > self._container.clock.now(),
            )
            return session.scalars(query.order_by(ApiToken.created_at.desc(), ApiToken.id.desc())).all()

    def revoke(self, actor: Actor, token_id: str) -> None:
        """End a token at once: one's own, or a colleague's by an administrator. Raises NotFound."""
        check(actor, Action.TOKEN_MANAGE)
        with self._container.transaction() as session:
            held = session.get(ApiToken, token_id)
            owner = session.get(Account, held.account_id) if held else None
            mine = owner is not None and owner.id == actor.account_id
            near = owner is not None and owner.workspace_id == actor.workspace_id
            near = near and refusal(actor, Action.ACCOUNT_MANAGE) is None
            if held is None or held.revoked_at is not None or not (mine or near):
                raise NotFound("There is no such token.")
            held.revoked_at = self._container.clock.now()
            self._container.audit.record(
                session, actor, "token.revoke", "token", held.id, name=held.name, owner=held.account_id
            )

    def end_all(self, account_id: str, session: Session) -> None:
        """End every token of an account in the caller's transaction."""
        mine = (ApiToken.account_id == account_id, ApiToken.revoked_at.is_(None))
        session.execute(update(ApiToken).where(*mine).values(revoked_at=self._container.clock.now()))

    def resolve(self, token: str, address: str) -> Actor:
        """On whose behalf the holder of this token acts, and how far. Raises NotSignedIn."""
        with self._container.session() as session:
            found = session.execute(
                select(ApiToken, Account)
                .join(Account, Account.id == ApiToken.account_id)
                .where(ApiToken.token_hash == _digest(token))
            ).one_or_none()
        if found is None:
            raise NotSignedIn("There is no such token.")
        held, account = found
        now = self._container.clock.now()
        if held.revoked_at is not None or now >= held.expires_at or not account.active:
            raise NotSignedIn(ENDED)
        self._touch(held)
        logs.note(user=account.id, session=held.id)
        asked = account.totp_since is None and self._container.second_factor.asked_of(Role(account.role))
        scopes = frozenset(map(Scope, held.scopes.split()))
        return actor_of(account, held.id, address, must_enrol=asked, scopes=scopes)

    def _touch(self, held: ApiToken) -> None:
        """Note that the token was used, now and then: of many calls at once, one does."""
        now = self._container.clock.now()
        long_ago = now - TOUCH_INTERVAL
        if held.last_used_at is None or held.last_used_at <= long_ago:
            unused = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= long_ago)
            with self._container.transaction() as session:
                session.execute(update(ApiToken).where(ApiToken.id == held.id, unused).values(last_used_at=now))

    def _tell(self, session: Session, actor: Actor, held: ApiToken) -> None:
        """Let the owner know, in case it was somebody else."""
        self._container.mail.enqueue(
            session,
            key=f"token:{held.id}",
            recipient=actor.email,
            subject="A token of the API was made",
            body=f"Dear {actor.name},\n\nthe token '{held.name}' was made for your account at "
            f"{held.created_at:%Y-%m-%d %H:%M} UTC. With it a program can call the API for you ({held.scopes}) until "
            f"{held.expires_at:%Y-%m-%d}.\n\nIf it was not you, tell an administrator at once.\n",
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
