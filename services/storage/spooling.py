"""A bucket with a spool before it: storing succeeds while the bucket is away, and reading finds what waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from services.storage.base import StorageAway, checked_key
from services.storage.by_file import ByFile
from services.storage.read_cache import ReadCache
from services.storage.s3 import S3Storage
from services.storage.spool import Spool

_log = structlog.get_logger(__name__)
_ELSEWHERE = "This file is still kept on another machine, until the object storage is back. Please try again later."


class SpoolingStorage(ByFile):
    """An ObjectStorage over a bucket and this machine's spool."""

    def __init__(self, remote: S3Storage, spool: Spool, cache: ReadCache) -> None:
        self.remote, self.scratch = remote, remote.scratch
        self._spool, self._cache = spool, cache

    def put_file(self, key: str, path: Path) -> None:
        """Store in the bucket; when that fails after all attempts, keep the object here and warn."""
        checked_key(key)
        try:
            self.remote.put_file(key, path)
        except StorageAway as error:
            self._spool.keep(key, path)
            self._cache.keep(key, path)
            _log.warning("object kept locally", key=key, reason=str(error.__cause__))

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        """A copy of the object on this machine: from the cache, the spool or the bucket."""
        yield self._cache.path(key, lambda path: self._fetch(key, path))

    def size(self, key: str) -> int:
        """The object's size in bytes."""
        try:
            with self._spool.file(key) as path:
                return path.stat().st_size
        except FileNotFoundError:
            return self.remote.size(key)

    def exists(self, key: str) -> bool:
        """True when the key holds an object, here or in the bucket."""
        return self._spool.has(key) or self.remote.exists(key)

    def delete(self, key: str) -> None:
        """Remove the object from the spool and from the bucket."""
        if self._spool.has(key):
            self._spool.forget(key)
        self.remote.delete(key)

    def list(self, prefix: str, limit: int | None = None) -> Iterator[str]:
        """The keys under the folder `prefix`, sorted, waiting ones included; no more than the first `limit`."""
        return iter(sorted({*self.remote.list(prefix, limit), *self._spool.sizes(prefix)})[:limit])

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The keys under the folder `prefix` with their sizes, sorted, waiting ones included."""
        return iter(sorted({**dict(self.remote.sizes(prefix)), **self._spool.sizes(prefix)}.items()))

    def ping(self) -> None:
        """Ask for the bucket, once."""
        self.remote.ping()

    def _fetch(self, key: str, path: Path) -> None:
        try:
            with self._spool.file(key) as kept:
                path.hardlink_to(kept)
                return
        except FileNotFoundError:
            pass
        try:
            self.remote.fetch(key, path)
        except (FileNotFoundError, StorageAway) as error:
            if self._spool.waiting(key):
                raise StorageAway(_ELSEWHERE) from error
            raise
