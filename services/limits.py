"""Limits on what one person, or one address, may do in a while: one limiter for the screens and the API.

The use cases ask it themselves (`hit`), so it counts whoever calls. The window slides: at no moment have more calls
passed in the last hour than the limit says. Every process keeps its own windows; with Redis the windows there are
shared by all processes and decide as well. While Redis is away the own windows decide alone: a limit is then kept per
process, and it never opens.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from limits import RateLimitItem, parse
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

from services import metrics
from services.clock import Clock
from services.database.models import Account
from services.errors import TooMany
from services.permissions import Actor
from services.redis_link import RedisAway

if TYPE_CHECKING:
    from services.container import Container

LOOPBACK = "127.0.0.1"
SWEEP_EVERY = 1024  # hits


class Limited(StrEnum):
    """Everything that is limited. The limit of each is the setting `limit_<name>`."""

    SIGN_IN = "sign_in"
    REGISTER = "register"
    RESET = "reset"
    JOB_START = "job_start"
    UPLOAD = "upload"
    LIST_USERS = "list_users"
    ANALYTICS = "analytics"
    FEEDBACK = "feedback"
    OTHER = "other"


WORDS: dict[Limited, str] = {
    Limited.SIGN_IN: "attempts to sign in",
    Limited.REGISTER: "registrations",
    Limited.RESET: "requests for a new password",
    Limited.JOB_START: "runs started",
    Limited.UPLOAD: "uploads",
    Limited.LIST_USERS: "readings of the accounts",
    Limited.ANALYTICS: "readings of the dashboard",
    Limited.FEEDBACK: "words of feedback",
    Limited.OTHER: "calls",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a limit said about one call. `resets_in` is the time, in whole seconds, after which one more passes."""

    action: Limited
    passed: bool
    limit: int
    window_seconds: int
    remaining: int
    resets_in: int


_watched: ContextVar[list[Decision] | None] = ContextVar("decisions", default=None)


@contextmanager
def watched() -> Iterator[list[Decision]]:
    """Collects the decisions taken inside, also in threads started from it: the API tells them to its callers."""
    decisions: list[Decision] = []
    token = _watched.set(decisions)
    try:
        yield decisions
    finally:
        _watched.reset(token)


class Limits:
    """Counts and decides."""

    def __init__(self, container: Container) -> None:
        self._clock = container.clock
        self._items = {action: parse(getattr(container.settings, f"limit_{action}")) for action in Limited}
        self._own = MovingWindowRateLimiter(OwnWindows(container.clock))
        self._redis = container.redis
        self._shared = MovingWindowRateLimiter(self._redis.windows) if self._redis else None

    def hit(self, action: Limited, who: Actor | Account | str | None) -> None:
        """Count one call by a person, or from an address. Raises TooMany when the limit is reached.

        A refused call is not counted: waiting as long as `retry_after_seconds` says is always enough.
        """
        item, key = self._items[action], key_of(who)
        passed = self._hit_shared(item, action, key) and self._own.hit(item, action, key)
        metrics.rate_limit_decisions.labels(action, "passed" if passed else "refused").inc()
        watching = _watched.get()
        if passed and watching is None:
            return
        decision = self._described(item, action, key, passed)
        if watching is not None:
            watching.append(decision)
        if not passed:
            metrics.rate_limit_rejections.labels(action).inc()
            raise self._refusal(decision)

    def _hit_shared(self, item: RateLimitItem, action: Limited, key: str) -> bool:
        if self._redis is None or self._shared is None:
            return True
        shared = self._shared
        try:
            return self._redis.call(lambda: shared.hit(item, action, key))
        except RedisAway:
            metrics.rate_limit_fallbacks.inc()
            return True

    def _described(self, item: RateLimitItem, action: Limited, key: str, passed: bool) -> Decision:
        stats = [self._own.get_window_stats(item, action, key)]
        if self._redis is not None and self._shared is not None:
            shared = self._shared
            with suppress(RedisAway):
                stats.append(self._redis.call(lambda: shared.get_window_stats(item, action, key)))
        full = [window for window in stats if window.remaining <= 0]
        wait = max(window.reset_time for window in full or stats) - self._clock.now().timestamp()
        seconds = max(1, math.floor(wait) + 1)  # a call at the very moment of the reset is still refused
        remaining = max(0, min(window.remaining for window in stats)) if passed else 0
        return Decision(action, passed, item.amount, item.get_expiry(), remaining, seconds)

    def _refusal(self, decision: Decision) -> TooMany:
        window = span(decision.window_seconds)
        return TooMany(
            f"Too many {WORDS[decision.action]}: {decision.limit} are allowed within {window}.",
            decision.resets_in,
            decision.action,
            self._clock.now() + timedelta(seconds=decision.resets_in),
        )


class OwnWindows(Storage, MovingWindowSupport):
    """Windows in this process, as `limits` wants them. Its own storage in memory drops the lock of a key while others
    wait for it, looks at every key a hundred times a second, and never forgets one.
    """

    STORAGE_SCHEME = ("recon-own",)  # type: ignore[assignment]

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: dict[str, deque[float]] = {}
        self._until: dict[str, float] = {}
        self._hits = 0

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` calls unless that would make more than `limit` in the last `expiry` seconds."""
        now = self._clock.now().timestamp()
        with self._lock:
            self._hits += 1
            if self._hits % SWEEP_EVERY == 0:
                self._sweep(now)
            calls = self._calls.setdefault(key, deque())
            while calls and calls[0] < now - expiry:
                calls.popleft()
            if len(calls) + amount > limit:
                return False
            calls.extend([now] * amount)
            self._until[key] = now + expiry
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002 - as the base
        """The oldest call in the window, and how many there are."""
        now = self._clock.now().timestamp()
        with self._lock:
            inside = [at for at in self._calls.get(key, ()) if at >= now - expiry]
        return (inside[0], len(inside)) if inside else (now, 0)

    def _sweep(self, now: float) -> None:
        for key in [key for key in self._calls if self._until.get(key, 0.0) < now]:
            del self._calls[key]
            self._until.pop(key, None)

    @property
    def base_exceptions(self) -> type[Exception]:
        """None is expected."""
        return ValueError

    def clear(self, key: str) -> None:
        """Forget one key."""
        with self._lock:
            self._calls.pop(key, None)

    def reset(self) -> int:
        """Forget everything."""
        with self._lock:
            count = len(self._calls)
            self._calls.clear()
            return count

    def check(self) -> bool:
        """Always there."""
        return True

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Fixed windows are not kept here."""
        raise NotImplementedError

    def get(self, key: str) -> int:
        """Fixed windows are not kept here."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """Fixed windows are not kept here."""
        raise NotImplementedError


def key_of(who: Actor | Account | str | None) -> str:
    """Whose window: the person's, else the address's. An IPv6 network of /64 is one caller: it has one owner."""
    if isinstance(who, Actor):
        return f"user:{who.account_id}"
    if isinstance(who, Account):
        return f"user:{who.id}"
    try:
        address = ip_address(who or LOOPBACK)  # the screens give no address for this machine itself
    except ValueError:
        return "address:unknown"  # one window for all that a trusted proxy names oddly
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return f"address:{LOOPBACK}"
    if isinstance(address, IPv6Address):
        return f"address:{ip_network((address, 64), strict=False)}"
    return f"address:{address}"


def span(seconds: int) -> str:
    """A window in words."""
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            number = seconds // size
            return f"{'an' if word == 'hour' else 'a'} {word}" if number == 1 else f"{number} {word}s"
    return f"{seconds} seconds"
