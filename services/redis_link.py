"""The one door to Redis: short time limits, the shared breaker, and a plain "away" instead of the driver's errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import redis
from limits.errors import StorageError
from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.retry import Retry

from services.errors import ConfigurationError, Unavailable
from services.resilience import Breakers
from services.settings import Settings

T = TypeVar("T")


class RedisAway(Unavailable):
    """Redis does not answer; go on without it."""


class RedisLink:
    """Connections to Redis. What is done with `client` or `windows` is done inside `call`, by callers that can go on
    without it.
    """

    def __init__(self, settings: Settings, breakers: Breakers) -> None:
        address = settings.redis_url.get_secret_value()
        self._breaker = breakers.of("redis")
        # Once more, and at once: a connection that was idle while Redis restarted is no sign that it is away.
        again = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        patience = settings.redis_timeout_seconds
        try:
            self._pool = redis.ConnectionPool.from_url(
                address, socket_timeout=patience, socket_connect_timeout=patience, retry=again
            )
        except ValueError as error:
            raise ConfigurationError("REDIS_URL is no Redis address; it looks like redis://HOST:6379/0.") from error
        self.client: Any = redis.Redis(connection_pool=self._pool)
        self.windows = RedisStorage(address, connection_pool=self._pool, key_prefix="recon:limit", wrap_exceptions=True)

    def call(self, function: Callable[[], T]) -> T:
        """The function's answer. Raises RedisAway, at once while Redis is known to be away."""
        try:
            return self._breaker.call(function, failures=(redis.RedisError, StorageError))
        except (redis.RedisError, StorageError, Unavailable) as error:
            raise RedisAway from error

    def ping(self) -> None:
        """Raise RedisAway unless Redis answers. Asks even while the breaker is open: health must see it come back."""
        try:
            self.client.ping()
        except redis.RedisError as error:
            raise RedisAway from error

    def close(self) -> None:
        """Give the connections back."""
        self._pool.disconnect()
