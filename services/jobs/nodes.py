"""The workers that are known to live: a row each, renewed with every heartbeat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from recon_engine.evidence import engine_version
from services.database.models import WorkerNode
from services.leases import over

if TYPE_CHECKING:
    from services.container import Container

SILENCE = timedelta(seconds=60)
"""A worker that has said nothing for this long does not live."""
_KEPT = timedelta(hours=1)  # so that the health page can tell of a worker that has just died


class WorkerNodes:
    """Notes which workers live, by the database's clock."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def beat(self, worker: str, slots: int, busy: int) -> None:
        """Note that the worker lives; forget those that are long dead."""
        with self._container.transaction() as session:
            now = self._container.clock.shared(session)
            session.execute(delete(WorkerNode).where(over(WorkerNode.seen_at, now - _KEPT, 2 * _KEPT)))
            node = session.get(WorkerNode, worker)
            if node is None:
                node = WorkerNode(id=worker, slots=slots, version=engine_version()[:12], started_at=now)
                session.add(node)
            node.busy, node.seen_at = busy, now

    def leave(self, worker: str) -> None:
        """Note that the worker ends in good order."""
        with self._container.transaction() as session:
            session.execute(delete(WorkerNode).where(WorkerNode.id == worker))

    def all(self) -> Sequence[WorkerNode]:
        """The workers of the last hour, the one seen last first: dead ones too."""
        with self._container.session() as session:
            return session.scalars(select(WorkerNode).order_by(WorkerNode.seen_at.desc())).all()

    def alive(self) -> Sequence[WorkerNode]:
        """The workers that live."""
        with self._container.session() as session:
            silent_since = self._container.clock.shared(session) - SILENCE
            return session.scalars(select(WorkerNode).where(WorkerNode.seen_at > silent_since)).all()
