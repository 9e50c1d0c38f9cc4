"""The worker: takes jobs, keeps their leases alive, gives them back when it is asked to stop."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
import uuid
from typing import TYPE_CHECKING

import structlog

from services.errors import ServiceError
from services.jobs.leases import Leases
from services.jobs.run import Run

if TYPE_CHECKING:
    from services.container import Container

_DAY_SECONDS = 24 * 3600
_log = structlog.get_logger(__name__)


class Worker:
    """`job_slots` threads that each run one job at a time; the thread in `run` keeps all their leases."""

    def __init__(self, container: Container, poll_seconds: float = 0.5) -> None:
        self.owner = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self._container = container
        self._leases = Leases(container)
        self._poll_seconds = poll_seconds
        self._work = container.settings.data_dir.resolve() / "work"
        self._asked_to_stop = False
        self._stopping = threading.Event()
        self._running: dict[int, Run] = {}

    def stop(self) -> None:
        """Ask the worker to end its children, give its jobs back and return from `run`.

        For signal handlers: it takes no lock, as the thread that it interrupts may hold that very lock.
        """
        self._asked_to_stop = True

    def run(self) -> None:
        """Work until `stop` is called."""
        self._work.mkdir(parents=True, exist_ok=True)
        self._forget_broken_uploads()
        slots = [
            threading.Thread(target=self._slot, args=(number,), name=f"slot-{number}")
            for number in range(self._container.settings.job_slots)
        ]
        _log.info("worker started", owner=self.owner, slots=len(slots))
        for slot in slots:
            slot.start()
        try:
            self._keep_until_stopped()
        finally:  # without a keeper the slots must not go on
            self._stopping.set()
            for run in list(self._running.values()):
                run.interrupt("stop")
            for slot in slots:
                slot.join()
            _log.info("worker stopped", owner=self.owner)

    def _keep_until_stopped(self) -> None:
        next_beat = 0.0
        while not self._asked_to_stop:
            time.sleep(self._poll_seconds)
            due = time.monotonic() >= next_beat
            if due:
                next_beat = time.monotonic() + self._container.settings.job_heartbeat_seconds
            self._keep_leases(due)

    def _keep_leases(self, due: bool) -> None:
        """Extend leases (when due, or when there is news) and pass on cancellations and losses to the runs."""
        try:
            if due:
                self._leases.take_back_expired()
                self._sweep()
            for run in list(self._running.values()):
                news = run.take_news()
                status = self._leases.beat(run.lease, news) if due or news else self._leases.status(run.lease)
                if status is None:
                    run.interrupt("lost")
                elif status == "cancelling":
                    run.interrupt("cancel")
        except ServiceError as error:  # the database is away: the runs go on, the next round tries again
            _log.warning("leases not extended", owner=self.owner, reason=error.message)

    def _slot(self, number: int) -> None:
        while not self._stopping.is_set():
            try:
                claimed = self._leases.claim(self.owner)
            except ServiceError as error:
                _log.warning("no job claimed", owner=self.owner, reason=error.message)
                claimed = None
            if claimed is None:
                self._stopping.wait(self._poll_seconds)
                continue
            lease, job = claimed
            run = Run(self._container, self._leases, lease, job, self._work / f"{lease.id}-{lease.attempt}")
            self._running[number] = run
            if self._stopping.is_set():  # `run` may have looked just before the line above
                run.interrupt("stop")
            try:
                run.execute()
            except Exception:  # noqa: BLE001 - whatever it was, the slot must live on
                _log.exception("run failed", job=lease.id, attempt=lease.attempt)
            finally:
                del self._running[number]

    def _forget_broken_uploads(self) -> None:
        """Remove what killed uploads left behind; no upload takes a day."""
        for path in (self._work.parent / "incoming").glob("*"):
            if time.time() - path.stat().st_mtime > _DAY_SECONDS:
                path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove the folders that killed workers on this machine left behind."""
        for folder in self._work.iterdir():  # listed before the jobs are asked for: a folder is younger than its claim
            job_id, _, attempt = folder.name.partition("-")
            if not attempt.isdecimal() or not self._leases.is_current(job_id, int(attempt)):
                shutil.rmtree(folder, ignore_errors=True)
