"""How each part of the platform shows that it is well. What a probe raises means that its part is down."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from sqlalchemy import func, select

from services.database.models import Job
from services.database.outages import is_outage
from services.jobs.nodes import SILENCE, WorkerNodes

if TYPE_CHECKING:
    from services.container import Container

State = Literal["ok", "degraded", "down"]

QUEUE_PATIENCE = timedelta(seconds=60)
MAIL_PATIENCE_SECONDS = 600
LEAST_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Part:
    """One dependency. A probe may leave the latency out: it is measured around it."""

    state: State
    latency_ms: float
    detail: str


Probe = Callable[["Container"], Part]


def database(container: Container) -> Part:
    """One question and its answer, through the breaker: this is also how it learns that the database is back."""
    with container.breakers.of("database").guard(failures=is_outage), container.engine.connect() as connection:
        connection.execute(select(1))
    return _part("ok", container.engine.dialect.name)


def storage(container: Container) -> Part:
    """The storage of uploads and results, and the space on this machine."""
    container.storage.ping()
    free = shutil.disk_usage(container.settings.data_dir).free
    return _part("ok" if free >= LEAST_FREE_BYTES else "degraded", f"{free / (1 << 30):.1f} GiB free on this machine")


def redis(container: Container) -> Part:
    """Redis, when it is configured."""
    if container.redis is None:
        return _part("ok", "in process; no Redis is configured")
    container.redis.ping()
    return _part("ok", "answers")


def worker(container: Container) -> Part:
    """Workers that say they live; and jobs that nobody takes or keeps alive, which mean that there is none."""
    now = container.clock.now()
    nodes = WorkerNodes(container)
    alive = nodes.alive()
    with container.session() as session:
        queued, oldest = session.execute(
            select(func.count(), func.min(Job.created_at)).where(Job.status == "queued")
        ).one()
        running, lost = session.execute(
            select(func.count(), func.count().filter(Job.lease_until < now - QUEUE_PATIENCE)).where(
                Job.status.in_(("running", "cancelling"))
            )
        ).one()
    waiting = now - oldest > QUEUE_PATIENCE if queued else False
    slots, busy = sum(node.slots for node in alive), sum(node.busy for node in alive)
    detail = f"{len(alive)} alive, {busy} of {slots} slots busy; {queued} queued, {running} running"
    if lost or (waiting and not running):
        return _part("degraded", f"{detail}; no worker takes them")
    if not alive and nodes.all():
        return _part("degraded", f"{detail}; none seen for {SILENCE.seconds} seconds")
    return _part("ok", detail)


def mail(container: Container) -> Part:
    """Mails that wait."""
    backlog = container.mail.backlog()
    detail = f"{backlog.waiting} waiting, {backlog.parked} given up"
    if backlog.oldest_seconds > MAIL_PATIENCE_SECONDS:
        return _part("degraded", f"{detail}; the oldest for {backlog.oldest_seconds / 60:.0f} minutes")
    return _part("ok", detail)


def breakers(container: Container) -> Part:
    """Services that are not called just now, or only on trial."""
    states = {service: view.state for service, view in container.breakers.views().items()}
    disturbed = [f"{service} {state.replace('_', '-')}" for service, state in states.items() if state != "closed"]
    return _part("degraded", ", ".join(disturbed)) if disturbed else _part("ok", "all closed")


STANDARD: dict[str, Probe] = {
    "database": database,
    "storage": storage,
    "worker": worker,
    "redis": redis,
    "mail": mail,
}
"""The parts that every installation has, besides the breakers, which need no probe."""


NEED_DATABASE = frozenset({"worker", "mail"})
"""Parts whose state only the database knows: without it they are not known, which is no second outage."""


def _part(state: State, detail: str) -> Part:
    return Part(state, 0.0, detail)
