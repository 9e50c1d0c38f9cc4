"""One attempt at one job: the engine's command line in a child process, its result put into the storage."""

from __future__ import annotations

import errno
import json
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog

from recon_engine.nway.any_plan import build_plan
from services.crash_points import reach
from services.database.models import Job, StoredFile
from services.errors import ServiceError
from services.files import link_object, places
from services.jobs.child import Child, Ended, Limits
from services.jobs.leases import Leases, Outcome
from services.jobs.progress import Progress
from services.leases import Lease
from services.result_shown import OWN, SUGGESTED, prepare
from services.sides import with_files
from services.storage.base import StorageAway

if TYPE_CHECKING:
    from services.container import Container

Interruption = Literal["cancel", "lost", "stop"]
_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 0.2
_NEWS_SECONDS = 1.0  # between two notes of the same step's progress; another step is noted at once
_PARTITIONS = 16  # measured: carries twice the rows that fit whole
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
_DISK_FULL = "the server's disk is full or cannot be written"
_STORAGE_WAIT_SECONDS = 30
_INTERNAL = "The run failed inside the product; please give an administrator its number, {}."


class Run:
    """Runs the job of one lease. `execute` belongs to one thread; the other methods may be called from any."""

    def __init__(self, container: Container, leases: Leases, lease: Lease, job: Job, folder: Path) -> None:
        self.lease = lease
        self._container = container
        self._leases = leases
        self._job = job
        self._folder = folder
        self._limits = Limits(container.settings.job_memory_mb, container.settings.job_cpu_seconds)
        self._prefix = f"results/{lease.id}/{lease.attempt}"
        self._progress = Progress()
        self._noted: tuple[Any, ...] = ()
        self._noted_at = 0.0
        self._lock = threading.Lock()
        self._interruption: Interruption | None = None

    def interrupt(self, why: Interruption) -> None:
        """Have the run end soon; the first reason counts, except that a lost lease overrides."""
        with self._lock:
            if self._interruption is None or why == "lost":
                self._interruption = why

    def hear(self, status: str | None) -> None:
        """Take notice of what the queue says of the job: cancelled, or no longer ours."""
        if status is None:
            self.interrupt("lost")
        elif status == "cancelling":
            self.interrupt("cancel")

    def execute(self) -> None:
        """Run the job to its end, or to an interruption, and say so in the queue."""
        try:
            reach("job claimed")
            self._prepare()
            reach("job prepared")
            ended = self._supervise()
            if ended is not None and ended.out_of_memory:
                _log.info("run again in partitions", attempt=self.lease.attempt)
                ended = self._supervise(partitions=_PARTITIONS)
            if ended is None:
                self._give_up()
            else:
                self._conclude(ended)
        except StorageAway:  # the files cannot be had just now: that is no failure of the job
            _log.warning("run put off", job=self.lease.id, attempt=self.lease.attempt, why="storage")
            self._leases.release(self.lease, _STORAGE_WAIT_SECONDS)
        except Exception as error:
            no_room = isinstance(error, OSError) and error.errno in _DISK_ERRORS
            reason = _DISK_FULL if no_room else f"it could not be carried out ({type(error).__name__})"
            if self._leases.retry(self.lease, reason):
                raise
            self._interruption = "lost"  # others have taken the job, and its folder with it
            self._give_up()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _prepare(self) -> None:
        """Lay out the files and the plan in the run's folder."""
        self._folder.mkdir(parents=True)
        with self._container.session() as session:
            sides = {
                side: places(side, [session.get_one(StoredFile, one) for one in ids])
                for side, ids in self._job.side_file_ids.items()
            }
        for placed in sides.values():
            for name, file in placed.items():
                link_object(self._container, file.storage_key, self._folder / name)
        plan = with_files(build_plan(self._job.plan_json), {side: list(placed) for side, placed in sides.items()})
        (self._folder / "plan.yaml").write_text(plan.to_yaml(), encoding="utf-8")

    def _supervise(self, partitions: int | None = None) -> Ended | None:
        """Start the engine and wait for it; None when it was interrupted. The engine chooses its partitions by the
        memory that it may take, unless they are given.
        """
        for left_over in self._folder.glob("result*"):  # by an engine that was ended before it could tidy up
            shutil.rmtree(left_over)
        command = ["run", "plan.yaml", "--out", "result", "--portable", "--progress", "ndjson"]
        command += ["--partitions", str(partitions)] if partitions else []
        child = Child(command, self._folder, self._limits)
        reach("job started")
        try:
            while not child.wait(_LOOK_SECONDS):
                self._note_progress(child)
                if self._interruption is not None:
                    break
        finally:
            child.end()
        ended = child.result()
        reach("job computed")
        return None if self._interruption is not None else ended

    def _note_progress(self, child: Child) -> None:
        """Write the progress down: at once when another step began, else at most once a second."""
        self._progress.add(child.new_lines())
        told = self._progress.as_dict()
        now = (told.get("stage"), told.get("rule"), told.get("done"))
        since = time.monotonic() - self._noted_at
        if now == self._noted or (now[:2] == self._noted[:2] and since < _NEWS_SECONDS):
            return
        try:
            self.hear(self._leases.beat(self.lease, told))
        except ServiceError:  # the database is away: the run goes on, the next look tries again
            return
        self._noted, self._noted_at = now, time.monotonic()

    def _give_up(self) -> None:
        if self._interruption == "cancel":
            self._leases.finish(self.lease, Outcome("failed"))  # a job that is being cancelled ends cancelled
        elif self._interruption == "stop":
            self._leases.release(self.lease)
        _log.info("run interrupted", attempt=self.lease.attempt, why=self._interruption)

    def _conclude(self, ended: Ended) -> None:
        if ended.code < 0 and not ended.out_of_time and not ended.out_of_memory:
            self._leases.retry(self.lease, f"its process was ended by signal {-ended.code}")
            return
        if ended.out_of_disk:
            _log.error("disk full", attempt=self.lease.attempt)
            self._leases.retry(self.lease, _DISK_FULL)
            return
        result = self._folder / "result"
        if ended.code not in (0, 1) or not result.is_dir():  # Python itself ends with 1 when it cannot even start
            if ended.code != 2:
                _log.error("engine failed", attempt=self.lease.attempt, code=ended.code)
            self._end(Outcome("failed", ended.code, self._failure(ended)))
            return
        summary = json.loads((result / "summary.json").read_text(encoding="utf-8"))
        self._remove_results(range(1, self.lease.attempt))
        self._show(result, summary)
        for path in sorted(p for p in result.iterdir() if p.is_file()):
            self._container.storage.put_file(f"{self._prefix}/{path.name}", path)
            reach("job half stored")
        reach("job stored")
        self._end(Outcome("succeeded", ended.code, None, summary, self._prefix))

    def _failure(self, ended: Ended) -> str:
        exceeded = ended.exceeded(self._limits)
        if exceeded:
            return f"The run {exceeded}"
        return ended.sentence if ended.code == 2 and ended.sentence else _INTERNAL.format(self.lease.id)

    def _show(self, result: Path, summary: dict[str, Any]) -> None:
        """Prepare what the screens ask for over and over. Without it a result is whole, only slower to look at."""
        try:
            summary[SUGGESTED] = prepare(result, build_plan(self._job.plan_json), summary["totals"])
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise  # there is no room for the result either
            _log.warning("nothing prepared for the screens", attempt=self.lease.attempt, why=type(error).__name__)
            for path in result.glob(f"{OWN}*"):
                path.unlink()

    def _end(self, outcome: Outcome) -> None:
        final = self._leases.finish(self.lease, outcome)
        reach("job finished")
        if final != "succeeded":
            self._remove_results(range(self.lease.attempt, self.lease.attempt + 1))
        _log.info("run ended", attempt=self.lease.attempt, status=final or "refused")

    def _remove_results(self, attempts: range) -> None:
        """Remove what these attempts at the job have stored. Never a later attempt's: its result may be the job's."""
        for attempt in attempts:
            try:
                for key in list(self._container.storage.list(f"results/{self.lease.id}/{attempt}")):
                    self._container.storage.delete(key)
            except StorageAway:  # nobody refers to them: they only take room
                _log.warning("results not removed", job=self.lease.id, attempt=attempt)
