"""Backups and drills as people see them. The work is done by an operator that the app registers; see `ops`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.database.models import Backup, Drill
from services.errors import Conflict, Unavailable
from services.paging import part_of
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

Work = Literal["backup", "drill"]
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Activity:
    """What the operator of this process is doing, or how its last work ended."""

    work: Work
    doing: str
    running: bool
    failed: bool = False


class Operator(Protocol):
    """Does the work, outside of this package."""

    removal_after: timedelta
    """Time between the mark and the removal of a backup."""

    def start(self, work: Work) -> bool:
        """Begin in the background; False while earlier work is under way."""

    def activity(self) -> Activity | None:
        """The present or last work of this process."""

    def reasons(self, backups: Sequence[Backup]) -> dict[str, tuple[str, ...]]:
        """Why retention keeps backups, by id; one that is missing is kept by nothing."""


@dataclass(frozen=True, slots=True)
class BackupLine:
    """One backup of the list. Status: running, verified, failed."""

    id: str
    started_at: datetime
    status: str
    size_bytes: int | None
    rows: int | None
    scheduled: bool
    kept_because: tuple[str, ...]
    removal_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class DrillLine:
    """One drill. Status: running, passed, failed."""

    started_at: datetime
    status: str
    detail: str
    backup_id: str | None


@dataclass(frozen=True, slots=True)
class Backups:
    """Everything on the backups page."""

    lines: Sequence[BackupLine]
    drills: Sequence[DrillLine]
    automated: bool
    newest: BackupLine | None
    """The newest verified one of these."""
    next: str | None
    """The cursor of the entries before these."""


class OperationsService:
    """Lists backups and drills, and has them made."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._operator: Operator | None = None

    def register(self, operator: Operator) -> None:
        """The app says who does the work in this process."""
        self._operator = operator

    def backups(self, actor: Actor, limit: int = SHOWN, cursor: str | None = None) -> Backups:
        """The catalogue's newest entries; the store, which is the truth, is brought into it after every change."""
        check(actor, Action.BACKUP_READ)
        with self._container.session() as session:
            query = select(Backup).where(Backup.status != "removed")
            rows = part_of(session, query, (Backup.started_at, Backup.id), limit, cursor)
            drills = session.scalars(select(Drill).order_by(Drill.started_at.desc()).limit(10)).all()
        verified = [row for row in rows if row.status == "verified"]
        reasons = self._operator.reasons(verified) if self._operator else {}
        lines = [self._line(row, reasons.get(row.id, ())) for row in rows]
        return Backups(
            lines=lines,
            drills=[DrillLine(drill.started_at, drill.status, drill.detail or "", drill.backup_id) for drill in drills],
            automated=self._container.settings.automated_backups,
            newest=next((line for line in lines if line.status == "verified"), None),
            next=rows.next,
        )

    def activity(self, actor: Actor) -> Activity | None:
        """What this process is doing."""
        check(actor, Action.BACKUP_READ)
        return self._operator.activity() if self._operator else None

    def back_up(self, actor: Actor) -> None:
        """Make a backup in the background."""
        self._start(actor, "backup")

    def drill(self, actor: Actor) -> None:
        """Restore the newest backup into a scratch database, in the background."""
        self._start(actor, "drill")

    def _start(self, actor: Actor, work: Work) -> None:
        check(actor, Action.BACKUP_RUN)
        if self._operator is None:
            raise Unavailable(f"This process makes no backups; run `python -m ops {work}` on the server.")
        if not self._operator.start(work):
            raise Conflict("A backup or a drill is under way here; wait for it to end.")
        with self._container.transaction() as session:
            self._container.audit.record(session, actor, f"{work}.run", "platform", work)

    def _line(self, row: Backup, reasons: tuple[str, ...]) -> BackupLine:
        facts = row.manifest_json or {}
        wait = self._operator.removal_after if self._operator else None
        return BackupLine(
            id=row.id,
            started_at=row.started_at,
            status=row.status,
            size_bytes=row.size_bytes,
            rows=facts.get("rows"),
            scheduled=bool(facts.get("scheduled", row.slot is not None)),
            kept_because=reasons,
            removal_at=row.marked_at + wait if row.marked_at and wait else None,
            error=row.error,
        )


def newest_verified(session: Session) -> datetime | None:
    """When the newest backup that counts was begun."""
    verified = select(Backup.started_at).where(Backup.status == "verified")
    return session.scalar(verified.order_by(Backup.started_at.desc()).limit(1))
