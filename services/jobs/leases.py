"""The queue as workers see it: claim, beat, end. A job belongs to a worker while its lease lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from services import logs
from services.database.models import Account, Job, Reconciliation
from services.leases import Lease, LeasedRows, over

if TYPE_CHECKING:
    from services.container import Container

ACTIVE = ("running", "cancelling")
LONG = timedelta(minutes=5)
"""Who waits longer for the end of a run, since it was asked for, is told of it by mail."""
ENDED = {"succeeded": "is done", "failed": "failed"}
"""How the mail to whoever started a long run puts it."""


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
        span = timedelta(seconds=container.settings.job_lease_seconds)
        self._rows = LeasedRows(container, Job, ACTIVE, span)

    def claim(self, owner: str) -> tuple[Lease, Job] | None:
        """Take the most urgent, oldest waiting job; None when nothing waits."""
        order = (Job.priority.desc(), Job.created_at, Job.id)
        return self._rows.claim(owner, self._waiting, order, _started)

    def _waiting(self, now: datetime) -> ColumnElement[bool]:
        may_begin = or_(Job.lease_until.is_(None), over(Job.lease_until, now, 2 * self._rows.span))
        return and_(Job.status == "queued", may_begin)

    def beat(self, lease: Lease, progress: dict[str, Any] | None) -> str | None:
        """Extend the lease and record the progress. Returns the job's status; None: the job is no longer yours."""
        with self._container.transaction() as session:
            job = self._rows.held(session, lease)
            if job is None:
                return None
            now = self._rows.now(session)
            job.heartbeat_at, job.lease_until = now, now + self._rows.span
            if progress is not None:
                job.progress_json = progress
            return job.status

    def status(self, lease: Lease) -> str | None:
        """The job's status without touching it; None: the job is no longer yours."""
        with self._container.session() as session:
            return session.scalar(select(Job.status).where(self._rows.is_held(lease)))

    def finish(self, lease: Lease, outcome: Outcome) -> str | None:
        """End the job, with its result, in one transaction. A job that was being cancelled ends cancelled.

        Returns the final status; None: the job is no longer yours, and nothing was changed.
        """
        now = self._container.clock.now()
        with self._container.transaction() as session:
            job = self._rows.held(session, lease)
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

    def release(self, lease: Lease, wait_seconds: int = 0) -> None:
        """Give the job back unfinished, at no cost: its worker stops, or what it needs is away for a while."""
        with self._container.transaction() as session:
            job = self._rows.held(session, lease)
            if job is not None:
                job.max_attempts += 1
                self._retry(session, job, "the worker was stopped", wait_seconds)

    def retry(self, lease: Lease, reason: str) -> bool:
        """Give the job back after a failure that may not repeat; it fails for good at its last attempt.

        Returns False when the job is no longer yours; nothing was changed then.
        """
        with self._container.transaction() as session:
            job = self._rows.held(session, lease)
            if job is not None:
                self._retry(session, job, reason, wait_seconds=2 * job.attempts)
            return job is not None

    def take_back_expired(self) -> int:
        """Take jobs back from workers that no longer beat; returns how many."""
        with self._container.session() as session:
            if session.scalar(select(Job.id).where(self._rows.lapsed(self._rows.now(session))).limit(1)) is None:
                return 0
        with self._container.transaction() as session:
            lapsed = self._rows.lapsed(self._rows.now(session))
            jobs = session.scalars(select(Job).where(lapsed).with_for_update(skip_locked=True)).all()
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
            job.lease_until = self._rows.now(session) + timedelta(seconds=wait_seconds)

    def _end(self, session: Session, job: Job, status: str, error: str | None = None) -> None:
        job.status, job.error, job.finished_at = status, error, self._container.clock.now()
        job.owner = job.lease_until = None
        self._container.audit.record(
            session, None, f"job.{status}", "job", job.id, workspace_id=job.workspace_id, attempt=job.attempts
        )
        if status != "cancelled" and job.finished_at - job.created_at >= LONG:
            self._tell(session, job)

    def _tell(self, session: Session, job: Job) -> None:
        """Mail whoever started the run and has long closed the page; it belongs to the click that asked for the run."""
        owner = session.get(Account, job.created_by)
        if owner is None or not owner.active:
            return
        name, ended = str(job.plan_json["name"]), ENDED[job.status]
        address = f"{self._container.settings.public_url.rstrip('/')}/results?job={job.id}"
        with logs.unit(request=job.request_id):
            self._container.mail.enqueue(
                session,
                key=f"job:{job.id}:{job.status}",
                recipient=owner.email,
                subject=f"Your run {ended}: {' '.join(name.split())[:100]}",
                body=f"Dear {owner.name},\n\nthe run of {name} that you started at {job.created_at:%Y-%m-%d %H:%M} UTC "
                f"{ended}. See it here:\n\n{address}\n",
            )


def _started(now: datetime) -> dict[str, Any]:
    return {"status": "running", "heartbeat_at": now, "started_at": now, "progress_json": None}
