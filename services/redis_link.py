"""The one door to Redis: short time limits, the shared breaker, and a plain "away" instead of the driver's errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import redis
import structlog
from limits.errors import StorageError
from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.retry import Retry

from services.errors import ConfigurationError, Unavailable
from services.resilience import Breakers
from services.secrets import Secrets
from services.settings import Settings

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class RedisAway(Unavailable):
    """Redis does not answer; go on without it."""


class RedisLink:
    """Connections to Redis. What is done with `client` or `windows` is done inside `call`, by callers that can go on
    without it. New connections follow the address and its password as they are rotated.
    """

    def __init__(self, settings: Settings, breakers: Breakers, secrets: Secrets) -> None:
        self._patience, self._secrets, self._breaker = settings.redis_timeout_seconds, secrets, breakers.of("redis")
        self._address = settings.redis_url.get_secret_value()
        self._following = threading.Lock()
        try:
            self._pool = self._pool_at(self._address)
        except ValueError as error:
            raise ConfigurationError("REDIS_URL is no Redis address; it looks like redis://HOST:6379/0.") from error
        self.client: Any = redis.Redis(connection_pool=self._pool)
        self.windows = RedisStorage(
            self._address, connection_pool=self._pool, key_prefix="recon:limit", wrap_exceptions=True
        )

    def call(self, function: Callable[[], T]) -> T:
        """The function's answer. Raises RedisAway, at once while Redis is known to be away."""
        try:
            self._follow()
            return self._breaker.call(function, failures=(redis.RedisError, StorageError))
        except (redis.RedisError, StorageError, Unavailable) as error:
            self._ask_anew_when_refused(error)
            raise RedisAway from error

    def ping(self) -> None:
        """Raise RedisAway unless Redis answers. Asks even while the breaker is open: health must see it come back."""
        try:
            self._follow()
            self.client.ping()
        except (redis.RedisError, Unavailable) as error:
            self._ask_anew_when_refused(error)
            raise RedisAway from error

    def _follow(self) -> None:
        """Let go of the connections to an address that is no longer the present one."""
        address = self._secrets.get("redis_url").get_secret_value()
        if not address or address == self._address:
            return
        with self._following:
            if address != self._address:
                try:
                    now = self._pool_at(address)
                except ValueError:
                    _log.error("redis_url is no Redis address", kept="the one before")
                else:
                    self._pool.disconnect(inuse_connections=False)
                    self._pool.connection_class, self._pool.connection_kwargs = (
                        now.connection_class,
                        now.connection_kwargs,
                    )
                    self._pool.reset()
                self._address = address

    def _ask_anew_when_refused(self, error: Exception) -> None:
        """A password that is refused may have been rotated since we asked. Nobody waits for the answer."""
        if isinstance(error, redis.AuthenticationError) or isinstance(error.__cause__, redis.AuthenticationError):
            threading.Thread(target=self._secrets.refresh, args=("redis_url",), name="redis-url", daemon=True).start()

    def _pool_at(self, address: str) -> redis.ConnectionPool:
        # Once more, and at once: a connection that was idle while Redis restarted is no sign that it is away.
        again = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        return redis.ConnectionPool.from_url(
            address, socket_timeout=self._patience, socket_connect_timeout=self._patience, retry=again
        )

    def close(self) -> None:
        """Give the connections back."""
        self._pool.disconnect()
