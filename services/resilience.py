"""Calls to outside services: one way to try again, one circuit breaker per service, shared by the whole process.

The order is retry outside, breaker inside, and the driver's own time limit innermost:

    for attempt in breakers.retrying("s3", on=Lost):
        with attempt, breakers.of("s3").guard(failures=Lost):
            client.put_object(...)

Nothing is tried again while the breaker is open. The rules are those of resilience4j; libraries for Python let every
waiting caller through at once when the service may be back, which brings down one that has just recovered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import stamina
import structlog

from services import metrics
from services.errors import Unavailable
from services.settings import Settings

Service = Literal["database", "redis", "s3", "smtp", "secrets"]
State = Literal["closed", "half_open", "open"]
Errors = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Which errors are meant: classes, or a question that says yes or no."""

T = TypeVar("T")
_LEVEL: dict[State, int] = {"closed": 0, "half_open": 1, "open": 2}
_log = structlog.get_logger(__name__)
stamina.instrumentation.set_on_retry_hooks(())  # its own log line quotes the error


class BreakerOpen(Unavailable):
    """A service is known to be away and was not called. `retry_after_seconds` says when it will be tried again."""

    def __init__(self, service: Service, retry_after_seconds: float) -> None:
        super().__init__(Unavailable.__doc__, retry_after_seconds=retry_after_seconds)
        self.service = service


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A breaker as the health page shows it."""

    state: State
    failures: int
    retry_after_seconds: float


class Permit:
    """The right to one call. It is given back exactly once: `succeeded`, `failed`, or `release` (never ran)."""

    __slots__ = ("_breaker", "_generation")

    def __init__(self, breaker: Breaker, generation: int) -> None:
        self._breaker = breaker
        self._generation = generation

    def succeeded(self) -> None:
        """The service answered."""
        self._breaker._leave(self._generation, good=True)  # noqa: SLF001 - the two are one thing

    def failed(self) -> None:
        """The service did not answer, or not in time."""
        self._breaker._leave(self._generation, good=False)  # noqa: SLF001

    def release(self) -> None:
        """The call never ran, or says nothing about the service: counts as neither."""
        self._breaker._leave(self._generation, good=None)  # noqa: SLF001


class Breaker:
    """Closed: calls pass, and `failures` of them failing in a row open it. Open: every call is refused at once for
    `open_seconds`. Then half-open: exactly `trials` calls pass, everyone else is refused; when all of them are in, it
    closes if all were good, else it opens again.

    A call counts only in the state in which it began. Trials that do not come back within `open_seconds` are given up
    and others are let through.
    """

    def __init__(
        self,
        service: Service,
        failures: int = 5,
        open_seconds: float = 60.0,
        trials: int = 3,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service: Service = service
        self._limit, self._open_seconds, self._trials, self._now = failures, open_seconds, trials, now
        self._lock = threading.Lock()
        self._state: State = "closed"
        self._generation = 0  # of the state: a result from an earlier one no longer counts
        self._until = 0.0  # when an open breaker lets trials through, or a half-open one gives its trials up
        self._failed = self._good = self._permits = 0
        metrics.circuit_breaker_state.labels(service).set(_LEVEL["closed"])

    @property
    def state(self) -> State:
        """closed, half_open or open. An open one whose time is over stays open until somebody calls."""
        return self._state

    def view(self) -> BreakerView:
        """The present state, the failures in it, and the time until the next call may pass."""
        with self._lock:
            wait = 0.0 if self._state == "closed" else max(0.0, self._until - self._now())
            return BreakerView(self._state, self._failed, round(wait, 1))

    def call(self, function: Callable[[], T], failures: Errors = Exception) -> T:
        """The function's answer. Raises BreakerOpen without calling it while the service is known to be away."""
        with self.guard(failures):
            return function()

    @contextmanager
    def guard(self, failures: Errors = Exception) -> Iterator[None]:
        """One call to the service. Errors other than `failures` are the caller's: they count as neither."""
        permit = self.acquire()
        try:
            yield
        except BaseException as error:
            if _is(error, failures):
                permit.failed()
            else:
                permit.release()
            raise
        permit.succeeded()

    def acquire(self) -> Permit:
        """The right to one call, for callers that `guard` does not suit. Raises BreakerOpen."""
        with self._lock:
            now = self._now()
            refusing = self._state == "open" or (self._state == "half_open" and self._permits == 0)
            if refusing and now < self._until:
                raise BreakerOpen(self.service, self._until - now)
            if refusing:
                self._enter("half_open")
            if self._state == "half_open":
                self._permits -= 1
            return Permit(self, self._generation)

    def _leave(self, generation: int, *, good: bool | None) -> None:
        with self._lock:
            if generation != self._generation:
                return
            if self._state == "closed":
                if good is not None:
                    self._failed = 0 if good else self._failed + 1
                if self._failed >= self._limit:
                    self._enter("open")
            elif good is None:
                self._permits += 1
            else:
                self._good += good
                self._failed += not good
                if self._good + self._failed == self._trials:
                    self._enter("open" if self._failed else "closed")

    def _enter(self, state: State) -> None:
        before, failed = self._state, self._failed
        self._state = state
        self._generation += 1
        self._until = self._now() + self._open_seconds
        self._failed = self._good = 0
        self._permits = self._trials
        metrics.circuit_breaker_state.labels(self.service).set(_LEVEL[state])
        _log.warning("circuit breaker", service=self.service, before=before, after=state, failures=failed)


class Breakers:
    """The breakers of one process, one per service, and the retry that goes with them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._breakers: dict[str, Breaker] = {
            service: Breaker(
                service, settings.breaker_failures, open_seconds(service, settings), settings.breaker_trials
            )
            for service in get_args(Service)
        }

    def of(self, service: Service) -> Breaker:
        """The breaker that everybody who calls this service shares."""
        return self._breakers[service]

    def views(self) -> dict[str, BreakerView]:
        """Every breaker's state, by service."""
        return {service: breaker.view() for service, breaker in self._breakers.items()}

    def retrying(
        self, service: Service, on: Errors, attempts: int | None = None, deadline_seconds: float | None = None
    ) -> Iterator[stamina.Attempt]:
        """Attempts for a `for` loop: the block is tried again after the errors named, 1, 2, 4, 8 ... seconds later.

        Ends with the last error after `attempts` (the settings' when None), or when the next attempt would begin
        after `deadline_seconds`. Only for calls that may be repeated. An open breaker ends it at once.
        """
        started = time.monotonic()

        def goes_on(error: Exception, wait: float) -> bool:
            late = deadline_seconds is not None and time.monotonic() - started + wait > deadline_seconds
            known_away = isinstance(error, BreakerOpen) or self.of(service).state == "open"
            return not late and not known_away and _is(error, on)

        return self._attempts(service, goes_on, attempts or self._settings.retry_attempts)

    def waiting_for(self, service: Service, on: Errors) -> Iterator[stamina.Attempt]:
        """As `retrying`, without an end: for a process that can do nothing else until the service is there."""
        return self._attempts(service, lambda error, _wait: _is(error, on), None)

    def _attempts(
        self, service: Service, goes_on: Callable[[Exception, float], bool], attempts: int | None
    ) -> Iterator[stamina.Attempt]:
        wait = 0.0

        def again(error: Exception) -> bool:
            if not goes_on(error, wait):
                return False
            # the error's own text may hold data
            _log.warning("tried again", service=service, error=type(error).__name__, wait_seconds=wait)
            return True

        for attempt in stamina.retry_context(
            on=again,
            attempts=attempts,
            timeout=None,
            wait_initial=self._settings.retry_first_wait_seconds,
            wait_max=self._settings.retry_longest_wait_seconds,
            wait_jitter=0,
        ):
            wait = attempt.next_wait
            if attempt.num > 1:
                metrics.retries.labels(service).inc()
            yield attempt


def open_seconds(service: str, settings: Settings) -> float:
    """How long a service is left alone. Redis is tried again sooner: nobody waits for it meanwhile."""
    return settings.redis_reconnect_seconds if service == "redis" else settings.breaker_open_seconds


def _is(error: BaseException, errors: Errors) -> bool:
    if isinstance(errors, (type, tuple)):
        return isinstance(error, errors)
    return errors(error)
