"""The outbox as the application sees it: mails are queued with their cause, and looked after by administrators."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from services.database.models import Mail, new_id
from services.logs import current
from services.mail.message import one_line, valid_address
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

PATIENCE = timedelta(hours=24)
"""How long a mail is tried before it is parked."""
UNSENT = ("queued", "sending", "parked")


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the outbox holds: mails that wait, the age of the oldest of them, mails given up."""

    waiting: int
    oldest_seconds: float
    parked: int


class MailOutbox:
    """Queues mails; a relay sends them. Nothing here talks to a mail server."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def enqueue(self, session: Session, *, key: str, recipient: str, subject: str, body: str) -> bool:
        """Queue a mail in the writing transaction of its cause: it is sent if, and only if, that commits.

        `key` names the event and the kind of mail, such as `reset_password:<id of the link>`; it must hold no secret.
        The same key and recipient queue nothing a second time: then False. Raises Invalid for an address or a
        subject that cannot be sent.
        """
        recipient, subject = valid_address(recipient), one_line(subject, "The subject of a mail")
        digest = hashlib.sha256(f"{key}\n{recipient}".encode()).hexdigest()
        now = self._container.clock.shared(session)  # not this machine's: another may send it
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        adding = insert(Mail).values(
            id=new_id(),
            key=f"{key[:230]}:{digest}",
            message_id=f"<{digest[:40]}@{self._container.settings.mail_sender.rpartition('@')[2]}>",
            recipient=recipient,
            subject=subject,
            body=body,
            status="queued",
            attempts=0,
            next_at=now,
            give_up_at=now + PATIENCE,
            request_id=current("request"),
            created_at=now,
        )
        added = session.execute(adding.on_conflict_do_nothing(index_elements=[Mail.key]).returning(Mail.id))
        return added.one_or_none() is not None

    def backlog(self) -> Backlog:
        """What waits and what is parked, for health and metrics."""
        counted = select(Mail.status, func.count(), func.min(Mail.created_at)).where(Mail.status.in_(UNSENT))
        with self._container.session() as session:
            rows = session.execute(counted.group_by(Mail.status)).all()
            now = self._container.clock.shared(session)
        waiting = [(count, oldest) for status, count, oldest in rows if status != "parked"]
        return Backlog(
            waiting=sum(count for count, _ in waiting),
            oldest_seconds=max((max(0.0, (now - oldest).total_seconds()) for _, oldest in waiting), default=0.0),
            parked=sum(count for status, count, _ in rows if status == "parked"),
        )

    def parked(self, actor: Actor, limit: int = 100) -> Sequence[Mail]:
        """The mails given up, newest first, each with its reason in `error`."""
        check(actor, Action.HEALTH_READ)
        newest = select(Mail).where(Mail.status == "parked").order_by(Mail.next_at.desc()).limit(limit)
        with self._container.session() as session:
            return session.scalars(newest).all()

    def retry_parked(self, actor: Actor) -> int:
        """Try the parked mails again, for another day; returns how many."""
        check(actor, Action.MAIL_RETRY)
        with self._container.transaction() as session:
            now = self._container.clock.shared(session)
            again = update(Mail).where(Mail.status == "parked")
            again = again.values(status="queued", next_at=now, give_up_at=now + PATIENCE)
            retried = len(session.scalars(again.returning(Mail.id)).all())
            self._container.audit.record(session, actor, Action.MAIL_RETRY, "mail", "parked", mails=retried)
        return retried
