"""The worker: takes jobs, keeps their leases alive, gives them back when it is asked to stop."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING

import structlog

from services import logs
from services.errors import ServiceError
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.leadership import process_name

if TYPE_CHECKING:
    from services.container import Container

_DAY_SECONDS = 24 * 3600
_log = structlog.get_logger(__name__)


class Worker:
    """`job_slots` threads that each run one job at a time; the thread in `run` keeps all their leases."""

    def __init__(self, container: Container, poll_seconds: float = 0.5) -> None:
        self.owner = process_name()
        self._container = container
        self._leases = Leases(container)
        self._nodes = container.workers
        self._poll_seconds = poll_seconds
        self._work = container.settings.data_dir.resolve() / "work"
        self._asked_to_stop = self._in_haste = False
        self._next_beat = 0.0
        self._stopping = threading.Event()
        self._running: dict[int, Run] = {}

    def stop(self, *, in_haste: bool = False) -> None:
        """Ask the worker to take no more jobs and to return from `run`.

        Running jobs have `job_drain_seconds` to end (none in haste); then their children are ended and they are given
        back, to be taken by another worker. For signal handlers: it takes no lock, as the thread that it interrupts
        may hold that very lock.
        """
        self._in_haste = self._in_haste or in_haste
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
            while not self._asked_to_stop:
                self._keep()
            self._drain(slots)
        finally:  # without a keeper the slots must not go on
            self._stopping.set()
            for run in list(self._running.values()):
                run.interrupt("stop")
            for slot in slots:
                slot.join()
            self._say_goodbye()
            _log.info("worker stopped", owner=self.owner)

    def _drain(self, slots: list[threading.Thread]) -> None:
        """Take no more jobs, and keep the leases of those that run while they may end."""
        self._stopping.set()
        until = time.monotonic() + self._container.settings.job_drain_seconds
        _log.info("worker drains", owner=self.owner, running=len(self._running))
        while any(slot.is_alive() for slot in slots) and time.monotonic() < until and not self._in_haste:
            self._keep()

    def _keep(self) -> None:
        """Wait a moment; then extend the leases, when that is due, and pass on cancellations and losses to the runs."""
        time.sleep(self._poll_seconds)
        due = time.monotonic() >= self._next_beat
        if due:
            self._next_beat = time.monotonic() + self._container.settings.job_heartbeat_seconds
        try:
            if due:
                self._nodes.beat(self.owner, self._container.settings.job_slots, len(self._running))
                self._leases.take_back_expired()
                self._sweep()
            for run in list(self._running.values()):
                run.hear(self._leases.beat(run.lease, None) if due else self._leases.status(run.lease))
        except (ServiceError, OSError) as error:  # the database or the disk is away: the next round tries again
            _log.warning("leases not extended", owner=self.owner, reason=_told(error))

    def _say_goodbye(self) -> None:
        try:
            self._nodes.leave(self.owner)
        except ServiceError as error:
            _log.warning("worker not signed off", owner=self.owner, reason=error.message)

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
            with logs.unit(request=job.request_id, user=job.created_by, job=job.id):
                try:
                    run.execute()
                except Exception:  # noqa: BLE001 - whatever it was, the slot must live on
                    _log.exception("run failed", attempt=lease.attempt)
                finally:
                    del self._running[number]

    def _forget_broken_uploads(self) -> None:
        """Remove what killed uploads left behind; no upload takes a day."""
        for path in (self._work.parent / "incoming").glob("*"):
            if time.time() - path.stat().st_mtime > _DAY_SECONDS:
                shutil.rmtree(path, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove the folders that killed workers on this machine left behind."""
        for folder in self._work.iterdir():  # listed before the jobs are asked for: a folder is younger than its claim
            job_id, _, attempt = folder.name.partition("-")
            if not attempt.isdecimal() or not self._leases.is_current(job_id, int(attempt)):
                shutil.rmtree(folder, ignore_errors=True)


def _told(error: ServiceError | OSError) -> str:
    return error.message if isinstance(error, ServiceError) else str(error.strerror)
