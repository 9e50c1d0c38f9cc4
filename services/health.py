"""Health: the state of everything this process depends on, answered at once even while a dependency hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from services import metrics, probes
from services.errors import Unavailable
from services.permissions import Action, Actor, check
from services.probes import Part, State
from services.resilience import BreakerView

if TYPE_CHECKING:
    from services.container import Container

Probe = Callable[[], Part]

FRESH_SECONDS = 2.0
ANSWER_SECONDS = 0.06
HANGING_SECONDS = 1.0
WATCH_SECONDS = 5.0
NOT_KNOWN = Part("degraded", 0.0, "not known while the database is away")


@dataclass(frozen=True, slots=True)
class Health:
    """The whole: down with the database, degraded with anything else."""

    status: State
    parts: dict[str, Part]
    breakers: dict[str, BreakerView]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class HealthService:
    """Probes the dependencies, each in a thread of its own, and remembers the answers for two seconds.

    While a probe is under way its last answer stands; after a second without an answer the part is down.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._lock = threading.Lock()
        self._probes: dict[str, Probe] = {}
        self._running: dict[str, tuple[float, Future[Part]]] = {}
        self._known: dict[str, tuple[float, Part]] = {}
        self._need_database: set[str] = set()
        self._closed = threading.Event()
        for name, probe in probes.STANDARD.items():
            self.register(name, partial(probe, container), needs_database=name in probes.NEED_DATABASE)

    def register(self, name: str, probe: Probe, *, needs_database: bool = False) -> None:
        """Add a part. The probe returns its state, or raises when the dependency is down; it may hang.

        A part that `needs_database` is not down, but not known, while the database is.
        """
        with self._lock:
            self._probes[name] = probe
            if needs_database:
                self._need_database.add(name)

    def check(self) -> Health:
        """The present state, in well under 100 ms."""
        with self._lock:
            deadline = time.monotonic() + ANSWER_SECONDS
            for name, probe in self._probes.items():
                at, _ = self._known.get(name, (float("-inf"), None))
                if name not in self._running and time.monotonic() - at > FRESH_SECONDS:
                    self._running[name] = (time.monotonic(), _started(name, probe))
            parts = {name: self._answer(name, deadline) for name in self._probes}
        status: State = "ok" if {part.state for part in parts.values()} == {"ok"} else "degraded"
        if parts["database"].state == "down":
            status = "down"
            parts |= dict.fromkeys(self._need_database, NOT_KNOWN)
        for name, part in parts.items():
            metrics.health_check_failing.labels(name).set(part.state == "down")
        return Health(status, parts, self._container.breakers.views())

    def overview(self, actor: Actor) -> Health:
        """The present state, for the health page."""
        check(actor, Action.HEALTH_READ)
        return self.check()

    def watch(self) -> None:
        """Check every few seconds from now on, so that metrics and breakers move also while nobody asks."""

        def checking() -> None:
            while not self._closed.wait(WATCH_SECONDS):
                self.check()

        threading.Thread(target=checking, name="health", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _answer(self, name: str, deadline: float) -> Part:
        if name not in self._running:
            return self._known[name][1]
        started, future = self._running[name]
        try:
            part = future.result(timeout=max(0.0, deadline - time.monotonic()))
        except TooSlow:
            if not future.done():
                waited = time.monotonic() - started
                if name in self._known and waited < HANGING_SECONDS:
                    return self._known[name][1]
                return Part("down", round(waited * 1000, 1), "has not answered yet")
            part = Part("down", _since(started), "did not answer in time")  # the probe itself met a timeout
        except Unavailable as error:
            part = Part("down", _since(started), f"not available: {_cause(error)}")
        except Exception as error:  # noqa: BLE001  # whatever a dependency does, health reports it
            part = Part("down", _since(started), type(error).__name__)
        del self._running[name]
        self._known[name] = (time.monotonic(), part)
        return part


def _started(name: str, probe: Probe) -> Future[Part]:
    """The probe in a thread of its own: one that hangs takes no other's place, and does not keep the process alive."""
    future: Future[Part] = Future()

    def run() -> None:
        started = time.monotonic()
        try:
            part = probe()
            future.set_result(Part(part.state, _since(started), part.detail))
        except BaseException as error:  # noqa: BLE001  # it belongs to whoever waits for the answer
            future.set_exception(error)

    threading.Thread(target=run, name=f"health-{name}", daemon=True).start()
    return future


def _cause(error: BaseException) -> str:
    return type(error.__cause__ or error).__name__


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
