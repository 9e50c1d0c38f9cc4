"""Requests that have their effect once, however often they are sent: the header Idempotency-Key of the API.

A key is taken by a row, before anything is done; the row chooses the id of what the request will make. Whoever carries
it out, a second attempt after a crash or a first one that was only slow, makes that same thing, and the table of things
lets one in. So the lease decides only who is told to wait, never how often the effect happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.database.engine import serialise
from services.database.models import IdempotencyKey, new_id
from services.errors import Conflict, Invalid, ServiceError, Unclear
from services.leases import over
from services.limits import Limited
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=30)


class KeyReused(Invalid):
    """This Idempotency-Key was used for another request; send this one under a key of its own."""

    title = "Key used for another request"


class StillRunning(Conflict):
    """The request with this Idempotency-Key is still being carried out; ask again in a moment."""

    title = "Still being carried out"


@dataclass
class Attempt:
    """One attempt at a request: the id of what it makes, and the answer if an earlier attempt has given it."""

    account_id: str
    key: str
    number: int
    target_id: str
    made: bool
    """Whether the thing may be there already: an earlier attempt was begun, or this one has come that far."""
    answer: dict[str, Any] | None
    renewed_at: datetime


class Idempotency:
    """Takes keys, keeps answers."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def once(self, actor: Actor, action: Action, key: str, request_hash: str) -> AbstractContextManager[Attempt]:
        """Carry a request out under its key, or know the answer it had. A request that is refused leaves no trace.

        Raises KeyReused when the key stands for another request, StillRunning while another attempt is under way.
        """
        check(actor, action)
        return self._once(actor, key, request_hash)

    @contextmanager
    def _once(self, actor: Actor, key: str, request_hash: str) -> Iterator[Attempt]:
        self._container.limits.hit(Limited.OTHER, actor)  # an answer that is given again is a call as well
        attempt = self._take(actor, key, request_hash)
        try:
            yield attempt
        except ServiceError as error:
            self._give_back(attempt, forget=not (attempt.made or isinstance(error, Unclear)))
            raise
        except IntegrityError as error:  # two attempts at the same moment: the other one made it
            self._give_back(attempt, forget=False)
            raise StillRunning(retry_after_seconds=1.0) from error
        except BaseException:
            self._give_back(attempt, forget=False)
            raise

    def finish(self, attempt: Attempt, answer: dict[str, Any]) -> None:
        """Keep the answer, for everyone who asks again."""
        with self._container.transaction() as session:
            session.execute(self._mine(attempt).values(answer_json=answer))

    def renew(self, attempt: Attempt) -> None:
        """Say that the attempt is still under way; it may be called often."""
        now = self._container.clock.now()
        if now - attempt.renewed_at < LEASE / 3:
            return
        attempt.renewed_at = now
        with self._container.transaction() as session:
            until = self._container.clock.shared(session) + LEASE
            session.execute(self._mine(attempt).values(lease_until=until))

    def _take(self, actor: Actor, key: str, request_hash: str) -> Attempt:
        with self._container.transaction() as session:
            serialise(session, f"key {actor.account_id} {key}")
            now = self._container.clock.shared(session)
            session.execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at < now))
            held = session.get(IdempotencyKey, (actor.account_id, key))
            if held is None:
                held = IdempotencyKey(
                    account_id=actor.account_id,
                    key=key,
                    request_hash=request_hash,
                    target_id=new_id(),
                    attempts=1,
                    lease_until=now + LEASE,
                    expires_at=now + KEPT,
                )
                session.add(held)
            else:
                self._take_over(session, held, request_hash, now)
            return Attempt(
                account_id=held.account_id,
                key=held.key,
                number=held.attempts,
                target_id=held.target_id,
                made=held.attempts > 1 or held.answer_json is not None,
                answer=held.answer_json,
                renewed_at=self._container.clock.now(),
            )

    def _take_over(self, session: Session, held: IdempotencyKey, request_hash: str, now: datetime) -> None:
        if held.request_hash != request_hash:
            raise KeyReused
        if held.answer_json is not None:
            return
        lapsed = over(IdempotencyKey.lease_until, now, 2 * LEASE)
        mine = (IdempotencyKey.account_id == held.account_id, IdempotencyKey.key == held.key)
        taken = update(IdempotencyKey).where(*mine, lapsed).returning(IdempotencyKey.attempts)
        number = session.scalar(taken.values(attempts=IdempotencyKey.attempts + 1, lease_until=now + LEASE))
        if number is None:
            raise StillRunning(retry_after_seconds=max(1.0, (held.lease_until - now).total_seconds()))
        session.refresh(held)

    def _give_back(self, attempt: Attempt, *, forget: bool) -> None:
        """Let another attempt begin at once; `forget` the key when nothing can have been made under it."""
        with self._container.transaction() as session:
            mine = (
                IdempotencyKey.account_id == attempt.account_id,
                IdempotencyKey.key == attempt.key,
                IdempotencyKey.attempts == attempt.number,
                IdempotencyKey.answer_json.is_(None),
            )
            if forget:
                session.execute(delete(IdempotencyKey).where(*mine))
            else:
                now = self._container.clock.shared(session)
                session.execute(update(IdempotencyKey).where(*mine).values(lease_until=now))

    def _mine(self, attempt: Attempt) -> Any:
        return update(IdempotencyKey).where(
            IdempotencyKey.account_id == attempt.account_id,
            IdempotencyKey.key == attempt.key,
            IdempotencyKey.attempts == attempt.number,
        )
