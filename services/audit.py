"""The audit trail: who did what, appended in the transaction that did it, each entry chained to the one before.

`python -m services.audit` walks the chain of the configured database and tells whether it is whole.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.database.engine import serialise
from services.database.models import AuditEntry
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

FIRST_HASH = "0" * 64
MAX_ENTRIES = 500
PENDING = "audit_pending"


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What walking the chain found. `head` is the newest hash: noted elsewhere, it also proves the trail's length."""

    whole: bool
    entries: int
    head: str
    reason: str = ""


class AuditTrail:
    """Records and reads the trail."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def record(
        self,
        session: Session,
        actor: Actor | None,
        action: str,
        target_type: str,
        target_id: str,
        *,
        workspace_id: str | None = None,
        address: str = "",
        **detail: Any,
    ) -> None:
        """Note an action in the writing transaction of `session`; it is chained when that transaction commits.

        Without an actor (the worker, a refused sign-in) give `workspace_id` and `address` where they are known.
        `detail` holds names, counts and identifiers, never values from people's files and never secrets.
        """
        entry = AuditEntry(
            at=self._container.clock.now(),
            account_id=actor.account_id if actor else None,
            workspace_id=actor.workspace_id if actor else workspace_id,
            action=str(action),
            target_type=target_type,
            target_id=target_id,
            detail_json=json.loads(json.dumps(detail, default=str)),
            address=(actor.address if actor else address)[:64],
        )
        session.info.setdefault(PENDING, []).append(entry)

    def entries(
        self, actor: Actor, *, before_id: int | None = None, limit: int = 100, action: str | None = None
    ) -> Sequence[AuditEntry]:
        """The workspace's entries, newest first; `before_id` turns the page, `action` keeps one kind."""
        check(actor, Action.AUDIT_READ)
        query = select(AuditEntry).where(AuditEntry.workspace_id == actor.workspace_id)
        if before_id is not None:
            query = query.where(AuditEntry.id < before_id)
        if action:
            query = query.where(AuditEntry.action == action)
        with self._container.session() as session:
            return session.scalars(query.order_by(AuditEntry.id.desc()).limit(min(limit, MAX_ENTRIES))).all()

    def verify(self) -> AuditCheck:
        """Walk the whole chain, oldest first."""
        with self._container.session() as session:
            query = select(AuditEntry).order_by(AuditEntry.id).execution_options(yield_per=1000)
            return verify_chain(session.scalars(query))


def append_pending(session: Session) -> None:
    """Chain and insert the noted entries, at the very end of the transaction.

    So late because the chain lets one transaction pass at a time: taken last and held briefly, its lock can neither
    slow other work nor meet another lock in the opposite order.
    """
    pending: list[AuditEntry] = session.info.pop(PENDING, [])
    if not pending:
        return
    session.flush()
    serialise(session, "audit")
    previous = session.scalar(select(AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)) or FIRST_HASH
    for entry in pending:
        entry.previous_hash = previous
        entry.hash = previous = entry_hash(entry)
        session.add(entry)
        session.flush()


def forget_pending(session: Session) -> None:
    """Drop the noted entries of a transaction that is rolled back."""
    session.info.pop(PENDING, None)


def entry_hash(entry: AuditEntry) -> str:
    """SHA-256 over the entry before and every fact of this one."""
    facts = [
        entry.previous_hash,
        _moment(entry.at),
        entry.account_id,
        entry.workspace_id,
        entry.action,
        entry.target_type,
        entry.target_id,
        entry.detail_json,
        entry.address,
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def verify_chain(entries: Iterable[AuditEntry]) -> AuditCheck:
    """Check entries in order: each must name the hash before it and carry its own right hash."""
    count, previous = 0, FIRST_HASH
    for entry in entries:
        if entry.previous_hash != previous:
            return AuditCheck(False, count, previous, f"entry {entry.id} does not follow the entry before it")
        if entry.hash != entry_hash(entry):
            return AuditCheck(False, count, previous, f"entry {entry.id} was changed after it was written")
        count, previous = count + 1, entry.hash
    return AuditCheck(True, count, previous)


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def main() -> int:
    """Verify the trail of the configured database; exit status 1 when it is broken."""
    from services.container import get_container

    found = get_container().audit.verify()
    state = "whole" if found.whole else f"BROKEN: {found.reason}"
    sys.stdout.write(f"audit trail {state}; {found.entries} entries hold, newest hash {found.head}\n")
    return 0 if found.whole else 1


if __name__ == "__main__":
    raise SystemExit(main())
