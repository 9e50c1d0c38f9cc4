"""Copies of stored objects on this machine's disk: bounded, shared by its processes, safe to lose."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from services.storage.base import checked_key
from services.storage.local import files_under, rename_into

IN_USE_SECONDS = 600
"""A copy that was asked for this recently is not removed: somebody may be about to open it."""

_INCOMING = ".incoming"


class ReadCache:
    """Whole objects under their keys. What was not asked for the longest time goes first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder.absolute(), limit_bytes
        self._locks = [threading.Lock() for _ in range(64)]

    def path(self, key: str, fetch: Callable[[Path], None]) -> Path:
        """The copy of an object; `fetch` writes it first when there is none. Two threads never fetch the same."""
        target = self._folder / checked_key(key)
        with self._locks[hash(key) % len(self._locks)]:
            if not _touched(target):
                self._take(target, fetch)
                self._evict()
        return target

    def keep(self, key: str, path: Path) -> None:
        """Take a file that was just stored as the copy: a second name for it, where the disk is the same."""
        target = self._folder / checked_key(key)
        try:
            self._take(target, lambda incoming: os.link(path, incoming))
        except OSError:
            return  # another disk: it is fetched when somebody asks for it
        self._evict()

    def drop(self, key: str) -> None:
        """Forget the copy."""
        (self._folder / checked_key(key)).unlink(missing_ok=True)

    def _take(self, target: Path, fill: Callable[[Path], None]) -> None:
        incoming = self._folder / _INCOMING / uuid.uuid4().hex
        incoming.parent.mkdir(parents=True, exist_ok=True)  # an administrator may empty the cache at any time
        try:
            fill(incoming)
            os.utime(incoming)
            rename_into(incoming, target)
        finally:
            incoming.unlink(missing_ok=True)

    def _evict(self) -> None:
        """Remove the longest unused copies until the rest fits; half-fetched files of killed processes go too."""
        found = []
        for path in files_under(self._folder):
            with suppress(FileNotFoundError):  # another process was faster
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        total = sum(size for _, size, _ in found)
        idle_since = time.time() - IN_USE_SECONDS
        for used, size, path in sorted(found, key=lambda entry: entry[0]):
            left_over = path.parent.name == _INCOMING
            if used > idle_since or (total <= self._limit_bytes and not left_over):
                break
            path.unlink(missing_ok=True)
            total -= size


def _touched(path: Path) -> bool:
    """Whether the file is there; it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
