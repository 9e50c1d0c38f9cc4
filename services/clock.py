"""The time, as something that can be handed in: services ask the container's clock, tests set it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)


class FakeClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        """The moment it was set to."""
        return self._at

    def advance(self, **delta: float) -> None:
        """Move forward, in the words of timedelta: `advance(minutes=5)`."""
        self._at += timedelta(**delta)
