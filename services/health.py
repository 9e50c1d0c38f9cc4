"""Health: the state of everything this process depends on, answered at once even while a dependency hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
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
"""An answer older than this is asked for anew."""
ANSWER_SECONDS = 0.06
"""The longest that anybody waits for a part of which nothing is known of late."""
HANGING_SECONDS = 1.0
"""A part that has not answered for so long is down."""
WATCH_SECONDS = 5.0
STALE_SECONDS = WATCH_SECONDS + FRESH_SECONDS
"""An answer older than this is nothing to go by: the watcher asks more often, so it is of a time without one."""
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
    """Probes the dependencies, each in a thread of its own, and remembers the answers.

    What was learnt of late is answered at once, and asked anew behind it when it is older than two seconds. After a
    second without an answer the part is down.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._lock = threading.Lock()  # held to look and to note, never while anything is waited for
        self._probes: dict[str, Probe] = {}
        self._running: dict[str, _Run] = {}
        self._known: dict[str, tuple[float, Part]] = {}
        self._need_database: set[str] = set()
        self._watching = False
        self._wanted = threading.Event()
        self._closed = False
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
        self._ask_anew()
        _wait_for(self._awaited())
        return self._told()

    def at_once(self) -> Health | None:
        """The present state when nothing has to be waited for, else None."""
        self._ask_anew()
        return None if self._awaited() else self._told()

    def overview(self, actor: Actor) -> Health:
        """The present state, for the health page."""
        check(actor, Action.HEALTH_READ)
        return self.check()

    def watch(self) -> None:
        """Ask every few seconds from now on, so that metrics and breakers move also while nobody else asks."""

        def watching() -> None:
            while not self._closed:
                self._wanted.clear()
                self._start(self._due())
                _wait_for(self._awaited(known_for=0.0))
                self._told()
                self._wanted.wait(WATCH_SECONDS)

        self._watching = True
        threading.Thread(target=watching, name="health", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._closed, self._watching = True, False
        self._wanted.set()

    def _ask_anew(self) -> None:
        """Have the parts asked that were not asked of late: by the watcher, for to start threads takes its time."""
        if self._watching and not self._due(STALE_SECONDS):
            if self._due():
                self._wanted.set()
        else:
            self._start(self._due())

    def _due(self, known_for: float | None = None) -> list[str]:
        """The parts that nobody asks, and of which nothing is known of late."""
        since = time.monotonic() - (FRESH_SECONDS if known_for is None else known_for)
        with self._lock:
            return [name for name in self._probes if name not in self._running and not self._known_since(name, since)]

    def _start(self, names: list[str]) -> None:
        for name in names:
            with self._lock:
                if name in self._running:  # another caller was faster
                    continue
                run = self._running[name] = _Run(time.monotonic())
            threading.Thread(target=self._probe, args=(name, run), name=f"health-{name}", daemon=True).start()

    def _probe(self, name: str, run: _Run) -> None:
        """One probe in a thread of its own: one that hangs takes no other's place, and keeps no process alive."""
        part = _answer(self._probes[name], run.started)
        with self._lock:
            del self._running[name]
            self._known[name] = (time.monotonic(), part)
        run.done.set()

    def _awaited(self, known_for: float = STALE_SECONDS) -> list[_Run]:
        """The probes under way that are worth waiting for: nothing is known of late, and they may answer soon."""
        now = time.monotonic()
        with self._lock:
            running = [run for name, run in self._running.items() if not self._known_since(name, now - known_for)]
        return [run for run in running if now < run.started + ANSWER_SECONDS]

    def _known_since(self, name: str, since: float) -> bool:
        return name in self._known and self._known[name][0] >= since

    def _told(self) -> Health:
        with self._lock:
            parts = {name: self._part(name) for name in self._probes}
        parts["breakers"] = probes.breakers(self._container)  # nothing has to be asked: always of this moment
        status: State = "ok" if {part.state for part in parts.values()} == {"ok"} else "degraded"
        if parts["database"].state == "down":
            status = "down"
            parts |= dict.fromkeys(self._need_database, NOT_KNOWN)
        for name, part in parts.items():
            metrics.health_check_failing.labels(name).set(part.state == "down")
        return Health(status, parts, self._container.breakers.views())

    def _part(self, name: str) -> Part:
        run = self._running.get(name)
        waited = time.monotonic() - run.started if run is not None else 0.0
        if name in self._known and waited < HANGING_SECONDS:
            return self._known[name][1]
        return Part("down", round(waited * 1000, 1), "has not answered yet")


class _Run:
    """A probe under way."""

    __slots__ = ("done", "started")

    def __init__(self, started: float) -> None:
        self.started, self.done = started, threading.Event()


def _wait_for(runs: list[_Run]) -> None:
    for run in runs:
        run.done.wait(max(0.0, run.started + ANSWER_SECONDS - time.monotonic()))


def _answer(probe: Probe, started: float) -> Part:
    try:
        part = probe()
    except TimeoutError:
        return Part("down", _since(started), "did not answer in time")
    except Unavailable as error:
        return Part("down", _since(started), f"does not answer ({_cause(error)})")
    except Exception as error:  # noqa: BLE001  # whatever a dependency does, health reports it
        return Part("down", _since(started), f"does not answer ({type(error).__name__})")
    return Part(part.state, _since(started), part.detail)


def _cause(error: BaseException) -> str:
    return type(error.__cause__ or error).__name__


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
