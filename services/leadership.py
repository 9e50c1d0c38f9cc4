"""Duties that only one of many instances may do at a time, such as the backup schedule: a lease, renewed while held."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import structlog
from sqlalchemy import delete, or_, update

from services.database.engine import serialise
from services.database.models import Leader
from services.errors import ServiceError

if TYPE_CHECKING:
    from services.container import Container

LEASE_SECONDS = 30.0
_log = structlog.get_logger(__name__)


def process_name() -> str:
    """A name for this process that no other process, here or on another machine, ever has."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


class Leadership:
    """One candidate for one duty. Start it, and do the duty only while `held` is true.

    with Leadership(container, "backup") as leader:
        ...
        if leader.held:
            back_up()

    A leader that is killed is followed within `lease_seconds` and a third; one that ends hands over at once. `held`
    turns false before another candidate can take over: a leader that cannot renew, or was paused, stops by itself.
    """

    def __init__(self, container: Container, duty: str, lease_seconds: float = LEASE_SECONDS) -> None:
        self.owner = process_name()
        self.duty = duty
        self._container = container
        self._span = timedelta(seconds=lease_seconds)
        self._every = lease_seconds / 3
        self._held_until = 0.0  # on this machine's monotonic clock, which no one can set
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._stand, name=f"leader-{duty}", daemon=True)

    @property
    def held(self) -> bool:
        """True while this candidate is the leader."""
        return time.monotonic() < self._held_until

    def start(self) -> None:
        """Stand for the duty in the background until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stand down; another candidate can take over at once."""
        self._stopping.set()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def renew(self) -> bool:
        """Take the duty when it is free, or hold it for another while. True when this candidate is the leader now."""
        asked = time.monotonic()  # before the database counts: our idea of the end is always the earlier one
        with self._container.transaction() as session:
            serialise(session, f"leader:{self.duty}")
            now = self._container.clock.shared(session)
            free = or_(Leader.owner == self.owner, Leader.lease_until < now, Leader.lease_until > now + 2 * self._span)
            mine = {"owner": self.owner, "lease_until": now + self._span}
            taken = session.scalar(
                update(Leader).where(Leader.duty == self.duty, free).values(mine).returning(Leader.owner)
            )
            if taken is None and session.get(Leader, self.duty) is None:
                session.add(Leader(duty=self.duty, **mine))
                taken = self.owner
        self._held_until = asked + self._span.total_seconds() if taken else 0.0
        return taken is not None

    def resign(self) -> None:
        """Give the duty up."""
        self._held_until = 0.0
        with self._container.transaction() as session:
            session.execute(delete(Leader).where(Leader.duty == self.duty, Leader.owner == self.owner))

    def _stand(self) -> None:
        while not self._stopping.is_set():
            before = self.held
            try:
                if self.renew() != before:
                    _log.info("leader", duty=self.duty, owner=self.owner, held=self.held)
            except ServiceError as error:  # the database is away: `held` runs out by itself
                _log.warning("duty not renewed", duty=self.duty, reason=error.message)
            self._stopping.wait(self._every)
        try:
            self.resign()
        except ServiceError:
            _log.warning("duty not given up; its lease runs out", duty=self.duty)
