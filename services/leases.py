"""Rows that workers take in turn: jobs and mails. A row belongs to a worker while its lease lasts.

Every change by a worker is fenced: it names the owner and the attempt that it was given, and is refused once the row
has gone to another attempt. `attempts` only grows, so an attempt's number is never given twice. Leases are measured by
the database's clock, on which all machines agree. One code path serves SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from services.database.models import Job, Mail

if TYPE_CHECKING:
    from services.container import Container

Row = TypeVar("Row", Job, Mail)


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to a row: the fencing token."""

    id: str
    owner: str
    attempt: int


class LeasedRows(Generic[Row]):
    """The rows of one table as workers see them. `active` are the statuses of a row that a worker holds."""

    def __init__(self, container: Container, table: type[Row], active: tuple[str, ...], span: timedelta) -> None:
        self._container = container
        self._table: type[Row] = table
        self._active = active
        self.span = span

    def claim(
        self,
        owner: str,
        due: Callable[[datetime], ColumnElement[bool]],
        order: Sequence[Any],
        values: Callable[[datetime], dict[str, Any]],
    ) -> tuple[Lease, Row] | None:
        """Take the first row that is due, in the given order; None when there is none. `values` are set with it."""
        table = self._table
        with self._container.session() as session:  # a look without the writer's lock, as workers ask all the time
            if session.scalar(select(table.id).where(due(self.now(session))).limit(1)) is None:
                return None
        with self._container.transaction() as session:
            now = self.now(session)
            first = select(table.id).where(due(now)).order_by(*order).limit(1).with_for_update(skip_locked=True)
            taking = (
                update(table)
                .where(table.id == first.scalar_subquery(), due(now))
                .values(owner=owner, attempts=table.attempts + 1, lease_until=now + self.span, **values(now))
                .returning(table)
                .execution_options(synchronize_session=False)
            )
            row = session.scalars(taking).one_or_none()
        return None if row is None else (Lease(row.id, owner, row.attempts), row)

    def now(self, session: Session) -> datetime:
        """The present moment by the clock that leases are measured by."""
        return self._container.clock.shared(session)

    def is_held(self, lease: Lease) -> ColumnElement[bool]:
        """The row of this lease, while it lasts."""
        table = self._table
        return and_(
            table.id == lease.id,
            table.owner == lease.owner,
            table.attempts == lease.attempt,
            table.status.in_(self._active),
        )

    def held(self, session: Session, lease: Lease) -> Row | None:
        """The lease's row, locked until the transaction ends; None when the lease is over."""
        return session.scalars(select(self._table).where(self.is_held(lease)).with_for_update()).one_or_none()

    def lapsed(self, now: datetime) -> ColumnElement[bool]:
        """Rows in the hands of a worker that no longer answers."""
        return and_(self._table.status.in_(self._active), over(self._table.lease_until, now, 2 * self.span))


def over(moment: InstrumentedAttribute[Any], now: datetime, longest: timedelta) -> ColumnElement[bool]:
    """The moment has come; or it lies further off than any that is ever set, because the clock was set back since."""
    return or_(moment <= now, moment > now + longest)
