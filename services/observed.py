"""The numbers that many processes share, read from the database when Prometheus asks.

Workers and relays may run on other machines: what they did is in the database, not in this process. Counters start
with this process and count what has ended since, whoever did it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.database.models import Backup, Job, Mail

if TYPE_CHECKING:
    from services.container import Container

FRESH_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
OVERLAP = timedelta(minutes=2)  # a job's end may be committed a little after the moment it names
BUCKETS_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
STATUSES = ("succeeded", "failed", "cancelled")


class Ended:
    """Jobs ended since this process began."""

    def __init__(self, since: datetime) -> None:
        self._since = since
        self._known: dict[str, datetime] = {}
        self.count = dict.fromkeys(STATUSES, 0)
        self.rows = 0
        self.seconds = 0.0
        self.within = dict.fromkeys((*BUCKETS_SECONDS, float("inf")), 0)

    def read(self, session: Session, now: datetime) -> None:
        """Add what has ended since the last reading."""
        rows = [Job.summary_json["rows"][side]["read"].as_integer() for side in ("left", "right")]
        query = select(Job.id, Job.status, Job.started_at, Job.finished_at, *rows).where(Job.finished_at >= self._since)
        for job_id, status, started, finished, left, right in session.execute(query).all():
            if job_id in self._known:
                continue
            self._known[job_id] = finished
            self.count[status] = self.count.get(status, 0) + 1
            self.rows += (left or 0) + (right or 0)
            if started is not None:
                self._took((finished - started).total_seconds())
        self._since = max(self._since, now - OVERLAP)
        self._known = {job_id: at for job_id, at in self._known.items() if at >= self._since}

    def _took(self, seconds: float) -> None:
        self.seconds += seconds
        for edge in self.within:
            self.within[edge] += seconds <= edge


class Happened:
    """How often something has happened since this process began, by the ids of its rows."""

    def __init__(self) -> None:
        self._known: set[str] | None = None
        self.count = 0

    def read(self, ids: Iterable[str]) -> None:
        """Add the rows that were not there at the last reading, of all those of late."""
        now = set(ids)
        self.count += len(now - self._known) if self._known is not None else 0
        self._known = now


class Observed(Collector):
    """Jobs, mail and workers as the database knows them; kept for some seconds, and never waited for longer."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="observed")
        self._lock = threading.Lock()
        self._reading: Future[list[Metric]] | None = None
        self._known: list[Metric] = []
        self._at = float("-inf")
        self._ended = Ended(container.clock.now())
        self._sent, self._failed = Happened(), Happened()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The newest numbers; none at all while the database does not answer, for old ones would lie."""
        with self._lock:
            if self._reading is None and time.monotonic() - self._at > FRESH_SECONDS:
                self._reading = self._pool.submit(self._read)
            if self._reading is not None:
                try:
                    self._known = self._reading.result(PATIENCE_SECONDS)
                    self._at, self._reading = time.monotonic(), None
                except TooSlow:
                    self._known = []
                except Exception:  # noqa: BLE001  # whatever the database does, the other metrics are served
                    self._known, self._reading = [], None
            known = self._known
        yield GaugeMetricFamily("observed_ok", "1 when the numbers from the database are there.", float(bool(known)))
        yield from known

    def close(self) -> None:
        """End the reading thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self) -> list[Metric]:
        mail, alive = self._container.mail.backlog(), self._container.workers.alive()
        with self._container.session() as session:
            now = self._container.clock.shared(session)
            jobs = {
                status: (count, oldest)
                for status, count, oldest in session.execute(
                    select(Job.status, func.count(), func.min(Job.created_at))
                    .where(Job.status.in_(("queued", "running", "cancelling")))
                    .group_by(Job.status)
                )
            }
            self._ended.read(session, now)
            # due, or begun, within a day: what is older has long been counted
            of_late = now - timedelta(days=1)
            self._sent.read(session.scalars(select(Mail.id).where(Mail.status == "sent", Mail.next_at > of_late)))
            failed = select(Backup.id).where(Backup.status == "failed", Backup.started_at > of_late)
            self._failed.read(session.scalars(failed))
        queued, oldest_job = jobs.get("queued", (0, None))
        running = sum(jobs[status][0] for status in ("running", "cancelling") if status in jobs)
        gauges = (
            ("job_queued", "Jobs waiting for a worker.", queued),
            ("job_running", "Jobs being run.", running),
            ("job_oldest_queued_seconds", "Age of the oldest job waiting for a worker.", _age(oldest_job, now)),
            ("workers_alive", "Job workers seen in the last minute.", len(alive)),
            ("email_queue_depth", "Mails waiting to be sent.", mail.waiting),
            ("email_oldest_seconds", "Age of the oldest mail waiting to be sent.", mail.oldest_seconds),
            ("email_parked", "Mails given up after a day.", mail.parked),
        )
        return [*(GaugeMetricFamily(name, text, value) for name, text, value in gauges), *self._ended_metrics()]

    def _ended_metrics(self) -> Iterator[Metric]:
        ended = self._ended
        finished = CounterMetricFamily("job_finished", "Jobs ended.", labels=("status",))
        for status, count in ended.count.items():
            finished.add_metric((status,), count)
        yield finished
        yield CounterMetricFamily("emails_sent", "Mails accepted by the server.", self._sent.count)
        yield CounterMetricFamily("backup_failures", "Backups that failed.", self._failed.count)
        yield CounterMetricFamily("job_rows", "Input rows of the jobs that ended well.", ended.rows)
        buckets = [("+Inf" if edge == float("inf") else str(edge), count) for edge, count in ended.within.items()]
        yield HistogramMetricFamily("job_seconds", "Time from start to end of a job.", buckets, ended.seconds)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
