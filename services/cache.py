"""The cache: values that may be computed again, kept in this process and in Redis.

Values are bytes (JSON or Arrow, never pickle: Redis may hold what somebody else wrote). Whoever asks has checked
before whether the person may see the value: the cache knows nobody.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from services import metrics
from services.redis_link import RedisAway, RedisLink

if TYPE_CHECKING:
    from services.container import Container

PREFIX = "recon:cache:1:"  # raise the number when the form of the values changes


class Cache:
    """Two levels before the work itself. Losing either costs time, never an answer."""

    def __init__(self, container: Container) -> None:
        self._near = Memory(container.settings.cache_memory_mb << 20)
        self._redis: RedisLink | None = container.redis

    def get(self, key: tuple[Any, ...], seconds: int, make: Callable[[], bytes]) -> bytes:
        """The value of the key, made anew when it is older than `seconds` or unknown."""
        name = _name(key)
        value = self._near.get(name)
        if value is not None:
            metrics.cache_hits.labels("memory").inc()
            return value
        value, left = self._far(name, seconds)
        if value is not None:
            metrics.cache_hits.labels("redis").inc()
            self._near.put(name, value, left)
            return value
        metrics.cache_misses.inc()
        value = make()
        self._near.put(name, value, seconds)
        self._put_far(name, value, seconds)
        return value

    def get_json(self, key: tuple[Any, ...], seconds: int, make: Callable[[], Any]) -> Any:
        """The same for plain data, as JSON gives it back."""
        return json.loads(self.get(key, seconds, lambda: json.dumps(make()).encode()))

    def _far(self, name: str, seconds: int) -> tuple[bytes | None, float]:
        """The value in Redis, and for how long it is still good."""
        if self._redis is None:
            return None, 0.0
        client = self._redis.client
        try:
            value, left_ms = self._redis.call(lambda: client.pipeline(transaction=False).get(name).pttl(name).execute())
        except RedisAway:
            return None, 0.0
        return value, min(seconds, max(0, left_ms) / 1000)

    def _put_far(self, name: str, value: bytes, seconds: int) -> None:
        if self._redis is None:
            return
        client = self._redis.client
        try:
            self._redis.call(lambda: client.set(name, value, ex=seconds))
        except RedisAway:
            return


class Memory:
    """Values in this process, up to a number of bytes; the longest unused go first."""

    def __init__(self, limit_bytes: int, now: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._now = limit_bytes, now
        self._lock = threading.Lock()
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self.size_bytes = 0

    def get(self, name: str) -> bytes | None:
        """The value, unless it is too old."""
        with self._lock:
            until, value = self._values.get(name, (0.0, b""))
            if until <= self._now():
                self._drop(name)
                return None
            self._values.move_to_end(name)
            return value

    def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keep the value for so long. One that would fill a quarter of the room is not kept."""
        if len(value) * 4 > self._limit:
            return
        with self._lock:
            self._drop(name)
            self._values[name] = (self._now() + seconds, value)
            self.size_bytes += len(value)
            while self.size_bytes > self._limit:
                self._drop(next(iter(self._values)))

    def _drop(self, name: str) -> None:
        _, value = self._values.pop(name, (0.0, b""))
        self.size_bytes -= len(value)


def _name(key: tuple[Any, ...]) -> str:
    return PREFIX + hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
