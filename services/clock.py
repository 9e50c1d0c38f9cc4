"""The time, as something that can be handed in: services ask the container's clock, tests set it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session


class Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)

    def shared(self, session: Session) -> datetime:
        """The present moment by the database's clock, for leases: the clocks of many machines do not agree.

        A SQLite file has no clock of its own; all who use it run on one machine.
        """
        if session.get_bind().dialect.name == "postgresql":
            moment: datetime = session.scalars(select(func.clock_timestamp())).one()
            return moment.astimezone(UTC)
        return self.now()


class FakeClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        """The moment it was set to."""
        return self._at

    def shared(self, session: Session) -> datetime:  # noqa: ARG002 - stands for every clock
        """The same moment: a test moves the database's clock as well."""
        return self._at

    def advance(self, **delta: float) -> None:
        """Move forward, in the words of timedelta: `advance(minutes=5)`."""
        self._at += timedelta(**delta)
