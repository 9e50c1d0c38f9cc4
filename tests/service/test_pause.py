"""Paused jobs: nobody takes them, a running one is taken from its worker, and they go on when they are resumed."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from services.container import Container
from services.database.models import AuditEntry
from services.errors import Conflict
from services.jobs.leases import Leases, Outcome
from services.permissions import Actor
from tests import work


def test_a_waiting_job_is_held(container: Container, admin: Actor) -> None:
    """No worker takes a paused job; resumed it keeps its place before younger ones."""
    pair = work.upload_pair(container, admin)
    first, second = (work.launch(container, admin, pair) for _ in range(2))
    container.jobs.pause(admin, first.id)
    leases = Leases(container)
    taken = leases.claim("worker")
    assert taken is not None
    assert (taken[1].id, leases.claim("worker")) == (second.id, None)
    assert [job.status for job in container.jobs.under_way(admin)] == ["paused", "running"]
    container.jobs.resume(admin, first.id)
    taken = leases.claim("worker")
    assert taken is not None
    assert taken[1].id == first.id


def test_a_running_job_is_taken_from_its_worker(container: Container, admin: Actor) -> None:
    """The worker's lease is over at once: it can neither go on nor finish. The attempt does not count."""
    job = work.launch(container, admin)
    leases = Leases(container)
    taken = leases.claim("worker")
    assert taken is not None
    container.jobs.pause(admin, job.id)
    assert leases.beat(taken[0], None) is None
    assert leases.finish(taken[0], Outcome("succeeded", 0)) is None
    container.jobs.resume(admin, job.id)
    again = leases.claim("another")
    assert again is not None
    assert again[0].attempt == 2
    assert again[1].max_attempts == container.settings.job_max_attempts + 1


def test_pausing_is_audited_and_only_for_what_goes_on(container: Container, admin: Actor) -> None:
    """Both decisions are in the audit trail; what has ended can be neither paused nor resumed."""
    job = work.launch(container, admin)
    container.jobs.pause(admin, job.id)
    with pytest.raises(Conflict):
        container.jobs.pause(admin, job.id)
    container.jobs.resume(admin, job.id)
    container.jobs.pause(admin, job.id)
    assert container.jobs.cancel(admin, job.id).status == "cancelled"
    for refused in (container.jobs.pause, container.jobs.resume):
        with pytest.raises(Conflict):
            refused(admin, job.id)
    with container.session() as session:
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.target_id == job.id)).all()
    assert actions == ["job.launch", "job.pause", "job.resume", "job.pause", "job.cancel"]
