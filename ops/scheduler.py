"""The schedule: a backup every hour, a prune after it, a drill every day. One instance of many does it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from ops.backup import catalogue
from ops.child import Command, Ended
from services.container import Container
from services.errors import ServiceError
from services.leadership import Leadership

TICK_SECONDS = 60
RETRY_AFTER = timedelta(minutes=5)
DRILL_EVERY = timedelta(hours=24)
DUTY = "schedule"

_log = structlog.get_logger(__name__)


def slot_of(at: datetime) -> str:
    """The slot of a moment: its hour in UTC. The catalogue takes one backup for each."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H}"


class Scheduler:
    """Looks every minute whether something is due. A new instance catches up at once on what is missing.

    Whether or not backups are automated here, it keeps this process's metrics true and the seals of second factors
    fresh. `run` carries a command out; by default as a process of its own.
    """

    def __init__(self, container: Container, *, automated: bool, run: Callable[..., Ended] | None = None) -> None:
        self._container, self._automated = container, automated
        self._run = run or self._run_child
        self._duty = Leadership(container, DUTY)
        self._not_before = datetime.min.replace(tzinfo=UTC)
        self._command: Command | None = None
        self._stopping = threading.Event()
        self._timer = BackgroundScheduler(timezone=UTC)
        self._timer.add_job(
            self.tick,
            "interval",
            seconds=TICK_SECONDS,
            id=DUTY,
            replace_existing=True,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=TICK_SECONDS,
            next_run_time=datetime.now(UTC) + timedelta(seconds=5),
        )

    def start(self) -> None:
        """Begin, in threads of its own."""
        if self._automated:
            self._duty.start()
        self._timer.start()

    def stop(self) -> None:
        """End: a running command is ended too, and another instance takes over at once."""
        self._stopping.set()
        if self._command is not None:
            self._command.stop()
        self._timer.shutdown(wait=True)
        if self._automated:
            self._duty.stop()

    def tick(self) -> None:
        """Do what is due now, if this instance is the one."""
        try:
            catalogue.refresh_metrics(self._container)
            self._container.second_factor.reseal()
            if self._automated and (self._duty.held or self._duty.renew()):
                self._do_what_is_due(self._container.clock.now())
        except ServiceError as error:  # the database is away: the next tick comes in a minute
            _log.warning("schedule skipped", reason=error.message)

    def _do_what_is_due(self, now: datetime) -> None:
        if now < self._not_before:
            return
        slot = slot_of(now)
        if not catalogue.slot_taken(self._container, slot):
            if not self._done("backup", "now", "--slot", slot):
                self._not_before = now + RETRY_AFTER
                return
            self._done("backup", "prune")
        drilled = catalogue.last_drill(self._container)
        if drilled is None or now - drilled.started_at >= DRILL_EVERY:
            self._done("drill")

    def _done(self, *command: str) -> bool:
        if self._stopping.is_set():
            return False
        ended = self._run(*command)
        told = _log.info if ended.code == 0 else _log.error
        told("scheduled", command=" ".join(command), code=ended.code, said=ended.sentence)
        return ended.code == 0

    def _run_child(self, *command: str) -> Ended:
        self._command = Command(*command)
        try:
            return self._command.wait(lambda _: None)
        finally:
            self._command = None
