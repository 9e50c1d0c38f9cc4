"""Health: the state of everything this process depends on, answered at once even while a dependency hangs."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import func, select

from services.database.models import Job
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

State = Literal["ok", "degraded", "down"]

FRESH_SECONDS = 2.0
ANSWER_SECONDS = 0.08
QUEUE_PATIENCE = timedelta(seconds=60)
LEAST_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Part:
    """One dependency."""

    state: State
    latency_ms: float
    detail: str


@dataclass(frozen=True, slots=True)
class Health:
    """The whole: down with the database, degraded with anything else."""

    status: State
    parts: dict[str, Part]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class HealthService:
    """Probes the dependencies, each in a thread of its own, and remembers the answers for two seconds."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._probes: dict[str, Callable[[], Part]] = {
            "database": self._database,
            "storage": self._storage,
            "worker": self._worker,
        }
        self._pool = ThreadPoolExecutor(max_workers=len(self._probes), thread_name_prefix="health")
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, Future[Part]]] = {}
        self._known: dict[str, tuple[float, Part]] = {}

    def check(self) -> Health:
        """The present state, within 80 ms: a probe that is still running then counts as down."""
        with self._lock:
            deadline = time.monotonic() + ANSWER_SECONDS
            for name, probe in self._probes.items():
                at, _ = self._known.get(name, (0.0, None))
                if name not in self._running and time.monotonic() - at > FRESH_SECONDS:
                    self._running[name] = (time.monotonic(), self._pool.submit(probe))
            parts = {name: self._answer(name, deadline) for name in self._probes}
        states = {part.state for part in parts.values()}
        if parts["database"].state == "down":
            return Health("down", parts)
        return Health("ok" if states == {"ok"} else "degraded", parts)

    def overview(self, actor: Actor) -> Health:
        """The present state, for the health page."""
        check(actor, Action.HEALTH_READ)
        return self.check()

    def _answer(self, name: str, deadline: float) -> Part:
        if name not in self._running:
            return self._known[name][1]
        started, future = self._running[name]
        try:
            part = future.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            if future.done():  # the probe itself met a timeout
                part = Part("down", _since(started), "did not answer in time")
            else:
                return Part("down", _since(started), "has not answered yet")
        except Exception as error:  # noqa: BLE001  # whatever a dependency does, health reports it
            part = Part("down", _since(started), type(error).__name__)
        del self._running[name]
        self._known[name] = (time.monotonic(), part)
        return part

    def _database(self) -> Part:
        started = time.monotonic()
        with self._container.session() as session:
            session.execute(select(1))
        return Part("ok", _since(started), self._container.engine.dialect.name)

    def _storage(self) -> Part:
        started = time.monotonic()
        self._container.storage.ping()
        free = shutil.disk_usage(self._container.settings.data_dir).free
        detail = f"{free / (1 << 30):.1f} GiB free"
        return Part("ok" if free >= LEAST_FREE_BYTES else "degraded", _since(started), detail)

    def _worker(self) -> Part:
        """A worker shows itself by its work: jobs that nobody takes or keeps alive mean that there is none."""
        started = time.monotonic()
        now = self._container.clock.now()
        with self._container.session() as session:
            queued, oldest = session.execute(
                select(func.count(), func.min(Job.created_at)).where(Job.status == "queued")
            ).one()
            running, lost = session.execute(
                select(func.count(), func.count().filter(Job.lease_until < now - QUEUE_PATIENCE)).where(
                    Job.status.in_(("running", "cancelling"))
                )
            ).one()
        waiting = now - oldest > QUEUE_PATIENCE if queued else False
        detail = f"{queued} queued, {running} running"
        if lost or (waiting and not running):
            return Part("degraded", _since(started), f"{detail}; no worker takes them")
        return Part("ok", _since(started), detail)


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
