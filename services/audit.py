"""The audit trail: who did what, appended in the transaction that did it, each entry chained to the one before.

`python -m services.audit verify` walks the chain of the configured database, compares it with the notes of its end that
are kept outside (services/audit_anchor.py), and tells whether it is whole.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.database.engine import serialise
from services.database.models import AuditEntry
from services.errors import ServiceError
from services.paging import MOST, Part, part_of
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

FIRST_HASH = "0" * 64
PENDING = "audit_pending"


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What walking the chain found. `head` is the newest hash; `anchored` the newest entry that is noted outside."""

    whole: bool
    entries: int
    head: str
    reason: str = ""
    anchored: int | None = None


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
        What a token of the API did is noted with the token's id.
        `detail` holds names, counts and identifiers, never values from people's files and never secrets.
        """
        if actor is not None and actor.scopes is not None:
            detail["token"] = actor.session_id
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
        self, actor: Actor, *, cursor: str | None = None, limit: int = 100, action: str | None = None
    ) -> Part[AuditEntry]:
        """The workspace's entries, newest first; `action` keeps one kind."""
        check(actor, Action.AUDIT_READ)
        query = select(AuditEntry).where(AuditEntry.workspace_id == actor.workspace_id)
        if action:
            query = query.where(AuditEntry.action == action)
        with self._container.session() as session:
            return part_of(session, query, (AuditEntry.id,), min(limit, MOST), cursor)

    def verify(self, actor: Actor) -> AuditCheck:
        """Walk the whole chain for someone who may read it."""
        check(actor, Action.AUDIT_READ)
        return self.examine()

    def examine(self) -> AuditCheck:
        """Walk the whole chain, oldest first, and compare it with the notes outside the database."""
        notes = self._container.audit_anchor.notes()  # read first: the trail only grows meanwhile
        with self._container.session() as session:
            query = select(AuditEntry).order_by(AuditEntry.id).execution_options(yield_per=1000)
            found = verify_chain(session.scalars(query), {entry: note.hash for entry, note in notes.by_entry.items()})
        if found.whole and notes.faults:
            return replace(found, whole=False, reason=notes.faults[0])
        return found


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


def verify_chain(
    entries: Iterable[AuditEntry], noted: Mapping[int, str] | None = None, previous: str = FIRST_HASH
) -> AuditCheck:
    """Check entries in order: each must name the hash before it and carry its own right hash.

    `noted` holds hashes by entry from outside: those entries must be there, as they were; what comes after the last of
    them could be cut off unseen. `previous` is the hash before the first entry given.
    """
    noted = noted or {}
    anchored = max(noted, default=None)
    missing = set(noted)
    count = 0
    for entry in entries:
        if entry.previous_hash != previous:
            return AuditCheck(False, count, previous, f"entry {entry.id} does not follow the entry before it")
        if entry.hash != entry_hash(entry):
            return AuditCheck(False, count, previous, f"entry {entry.id} was changed after it was written")
        if noted.get(entry.id, entry.hash) != entry.hash:
            return AuditCheck(
                False, count, previous, f"entry {entry.id} is not the one that was noted outside the database"
            )
        missing.discard(entry.id)
        count, previous = count + 1, entry.hash
    if missing:
        reason = f"entry {max(missing)} was noted outside the database and is gone: the trail was cut"
        return AuditCheck(False, count, previous, reason)
    return AuditCheck(True, count, previous, anchored=anchored)


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 1 when the trail is broken, 2 when the check could not be made."""
    from services.container import get_container

    parser = argparse.ArgumentParser("python -m services.audit", description="The audit trail.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("verify", help="walk the chain and compare it with the notes outside the database (default)")
    commands.add_parser("anchor", help="note the trail's end outside the database now")
    anew = commands.add_parser("begin-anew", help="after a restore: check the trail from now on as it is now")
    anew.add_argument("reason")
    given = parser.parse_args(arguments)
    try:
        container = get_container()
        if given.command == "anchor":
            container.audit_anchor.note()
        elif given.command == "begin-anew":
            container.audit_anchor.begin_anew(given.reason)
        found = container.audit.examine()
    except ServiceError as error:
        sys.stderr.write(f"the audit trail could not be checked: {error.message}\n")
        return 2
    sys.stdout.write(f"{told(found)}\n")
    return 0 if found.whole else 1


def told(found: AuditCheck) -> str:
    """What was found, in one line."""
    state = "whole" if found.whole else f"BROKEN: {found.reason}"
    outside = f"noted outside up to entry {found.anchored}" if found.anchored else "nothing noted outside"
    return f"audit trail {state}; {found.entries} entries hold, {outside}, newest hash {found.head}"


if __name__ == "__main__":
    raise SystemExit(main())
