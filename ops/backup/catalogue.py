"""The catalogue in the database: for screens, metrics and the slots of the schedule. The store is the truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from ops.backup.manifest import Header
from ops.backup.store import Listing, file_name
from services import metrics
from services.container import Container
from services.database.models import Backup, Drill
from services.operations import newest_verified

INTERRUPTED = "Interrupted: its process ended before the backup was verified."


def begin(container: Container, slot: str | None) -> Backup | None:
    """Enter a backup that begins now; None when the slot has one already."""
    row = Backup(slot=slot, status="running", started_at=container.clock.now())
    try:
        with container.transaction() as session:
            session.add(row)
    except IntegrityError:
        return None
    return row


def verified(container: Container, header: Header) -> None:
    """Enter the success."""
    with container.transaction() as session:
        row = session.get(Backup, header.id) or Backup(id=header.id)
        _fill(row, header)
        row.finished_at = row.verified_at
        session.add(row)
    refresh_metrics(container)


def failed(container: Container, backup_id: str, reason: str) -> None:
    """Enter the failure; the slot is free again."""
    with container.transaction() as session:
        session.execute(
            update(Backup)
            .where(Backup.id == backup_id)
            .values(status="failed", slot=None, error=reason, finished_at=container.clock.now())
        )


def interrupt_running(container: Container) -> None:
    """Backups that say they run while nobody holds the duty were killed."""
    with container.transaction() as session:
        session.execute(
            update(Backup)
            .where(Backup.status == "running")
            .values(status="failed", slot=None, error=INTERRUPTED, finished_at=container.clock.now())
        )


def sync(container: Container, listing: Listing) -> None:
    """Make the catalogue say what the store says: after a prune, and after a restore brought an old catalogue back."""
    known = {header.id: header for header in listing.backups}
    with container.transaction() as session:
        rows = {row.id: row for row in session.scalars(select(Backup))}
        for header in known.values():
            row = rows.get(header.id) or Backup(id=header.id)
            _fill(row, header)
            row.finished_at = row.finished_at or header.verified_at
            row.marked_at = listing.marked.get(header.id)
            session.add(row)
        for row in rows.values():
            if row.status == "verified" and row.id not in known:
                row.status = "removed"
    refresh_metrics(container)


def known(container: Container, ids: Iterable[str]) -> set[str]:
    """Those of the ids that are in the catalogue, whatever became of them."""
    with container.session() as session:
        return set(session.scalars(select(Backup.id).where(Backup.id.in_(list(ids)))))


def slot_taken(container: Container, slot: str) -> bool:
    """Whether the slot has a backup that counts: one that says it runs may have been killed."""
    counts = select(Backup.id).where(Backup.slot == slot, Backup.status == "verified")
    with container.session() as session:
        return session.scalar(counts) is not None


def last_drill(container: Container, status: str | None = None) -> Drill | None:
    """The last drill, or the last with a status."""
    query = select(Drill).order_by(Drill.started_at.desc()).limit(1)
    with container.session() as session:
        return session.scalar(query.where(Drill.status == status) if status else query)


def recent(container: Container, limit: int = 200) -> Sequence[Backup]:
    """The newest entries that are not removed."""
    query = select(Backup).where(Backup.status != "removed").order_by(Backup.started_at.desc()).limit(limit)
    with container.session() as session:
        return session.scalars(query).all()


def refresh_metrics(container: Container) -> None:
    """Set the gauges from the catalogue: whichever process made the backup, every process tells its age."""
    drilled = select(Drill.finished_at).where(Drill.status == "passed").order_by(Drill.started_at.desc()).limit(1)
    with container.session() as session:
        _set(metrics.backup_last_success_timestamp_seconds.set, newest_verified(session))
        _set(metrics.backup_last_drill_timestamp_seconds.set, session.scalar(drilled))


def _set(setter: object, at: datetime | None) -> None:
    if at is not None and callable(setter):
        setter(at.timestamp())


def _fill(row: Backup, header: Header) -> None:
    row.status = "verified"
    row.location = file_name(header.id, header.started_at)
    row.sha256, row.size_bytes = header.sha256, header.size_bytes
    row.manifest_json = header.model_dump(mode="json", exclude={"signature"})
    row.started_at, row.verified_at = header.started_at, header.verified_at
    row.error = None
