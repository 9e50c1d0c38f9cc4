"""The queue as workers see it: claim, beat, end. A job belongs to a worker while its lease lasts.

Every change by a worker is fenced: it names the owner and the attempt that it was given, and is refused once the job
has gone to another attempt. `attempts` only grows, so an attempt's number is never given twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from services.database.models import Job, Reconciliation

if TYPE_CHECKING:
    from services.container import Container

ACTIVE = ("running", "cancelling")


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to a job: the fencing token."""

    job_id: str
    owner: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. `result_prefix` is where its result lies in the storage."""

    status: Literal["succeeded", "failed"]
    exit_code: int | None = None
    error: str | None = None
    summary: dict[str, Any] | None = None
    result_prefix: str | None = None


class Leases:
    """Gives jobs to workers and takes them back from dead ones. One code path for SQLite and PostgreSQL."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._span = timedelta(seconds=container.settings.job_lease_seconds)

    def claim(self, owner: str) -> tuple[Lease, Job] | None:
        """Take the most urgent, oldest waiting job; None when nothing waits."""
        now = self._container.clock.now()
        due = and_(Job.status == "queued", or_(Job.lease_until.is_(None), Job.lease_until <= now))
        with self._container.session() as session:  # a look without the writer's lock, as workers ask all the time
            if session.scalar(select(Job.id).where(due).limit(1)) is None:
                return None
        first = select(Job.id).where(due).order_by(Job.priority.desc(), Job.created_at, Job.id).limit(1)
        taking = (
            update(Job)
            .where(Job.id == first.with_for_update(skip_locked=True).scalar_subquery(), Job.status == "queued")
            .values(
                status="running",
                owner=owner,
                attempts=Job.attempts + 1,
                lease_until=now + self._span,
                heartbeat_at=now,
                started_at=now,
                progress_json=None,
            )
            .returning(Job)
            .execution_options(synchronize_session=False)
        )
        with self._container.transaction() as session:
            job = session.scalars(taking).one_or_none()
        return None if job is None else (Lease(job.id, owner, job.attempts), job)

    def beat(self, lease: Lease, progress: dict[str, Any] | None) -> str | None:
        """Extend the lease and record the progress. Returns the job's status; None: the job is no longer yours."""
        now = self._container.clock.now()
        with self._container.transaction() as session:
            job = _held(session, lease)
            if job is None:
                return None
            job.heartbeat_at, job.lease_until = now, now + self._span
            if progress is not None:
                job.progress_json = progress
            return job.status

    def status(self, lease: Lease) -> str | None:
        """The job's status without touching it; None: the job is no longer yours."""
        with self._container.session() as session:
            return session.scalar(select(Job.status).where(_is_held(lease)))

    def finish(self, lease: Lease, outcome: Outcome) -> str | None:
        """End the job, with its result, in one transaction. A job that was being cancelled ends cancelled.

        Returns the final status; None: the job is no longer yours, and nothing was changed.
        """
        now = self._container.clock.now()
        with self._container.transaction() as session:
            job = _held(session, lease)
            if job is None:
                return None
            if job.status == "cancelling":
                self._end(session, job, "cancelled")
                return "cancelled"
            job.exit_code, job.summary_json = outcome.exit_code, outcome.summary
            job.result_prefix = outcome.result_prefix
            self._end(session, job, outcome.status, outcome.error)
            if outcome.status == "succeeded" and job.reconciliation_id is not None:
                reconciliation = session.get(Reconciliation, job.reconciliation_id)
                if reconciliation is not None and reconciliation.current_job_id == job.id:
                    reconciliation.step, reconciliation.updated_at = "results", now
            return outcome.status

    def release(self, lease: Lease) -> None:
        """Give the job back unfinished, because the worker is stopping: another takes it at once, at no cost."""
        with self._container.transaction() as session:
            job = _held(session, lease)
            if job is not None:
                job.max_attempts += 1
                self._retry(session, job, "the worker was stopped", wait_seconds=0)

    def retry(self, lease: Lease, reason: str) -> bool:
        """Give the job back after a failure that may not repeat; it fails for good at its last attempt.

        Returns False when the job is no longer yours; nothing was changed then.
        """
        with self._container.transaction() as session:
            job = _held(session, lease)
            if job is not None:
                self._retry(session, job, reason, wait_seconds=2 * job.attempts)
            return job is not None

    def take_back_expired(self) -> int:
        """Take jobs back from workers that no longer beat; returns how many."""
        expired = and_(Job.status.in_(ACTIVE), Job.lease_until < self._container.clock.now())
        with self._container.session() as session:
            if session.scalar(select(Job.id).where(expired).limit(1)) is None:
                return 0
        with self._container.transaction() as session:
            jobs = session.scalars(select(Job).where(expired).with_for_update(skip_locked=True)).all()
            for job in jobs:
                self._retry(session, job, "its worker stopped answering", wait_seconds=0)
            return len(jobs)

    def is_current(self, job_id: str, attempt: int) -> bool:
        """True while this attempt at the job is under way."""
        mine = and_(Job.id == job_id, Job.attempts == attempt, Job.status.in_(ACTIVE))
        with self._container.session() as session:
            return session.scalar(select(Job.id).where(mine)) is not None

    def _retry(self, session: Session, job: Job, reason: str, wait_seconds: int) -> None:
        if job.status == "cancelling":
            self._end(session, job, "cancelled")
        elif job.attempts >= job.max_attempts:
            given_up = f"The run was given up after {job.attempts} attempts: {reason}."
            self._end(session, job, "failed", f"{given_up} Launch it again or ask an administrator.")
        else:
            job.status, job.owner = "queued", None
            job.lease_until = self._container.clock.now() + timedelta(seconds=wait_seconds)

    def _end(self, session: Session, job: Job, status: str, error: str | None = None) -> None:
        job.status, job.error, job.finished_at = status, error, self._container.clock.now()
        job.owner = job.lease_until = None
        self._container.audit.record(
            session, None, f"job.{status}", "job", job.id, workspace_id=job.workspace_id, attempt=job.attempts
        )


def _is_held(lease: Lease) -> ColumnElement[bool]:
    return and_(
        Job.id == lease.job_id,
        Job.owner == lease.owner,
        Job.attempts == lease.attempt,
        Job.status.in_(ACTIVE),
    )


def _held(session: Session, lease: Lease) -> Job | None:
    """The lease's job, locked until the transaction ends; None when the lease is over."""
    return session.scalars(select(Job).where(_is_held(lease)).with_for_update()).one_or_none()
