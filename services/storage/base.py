"""What every object storage can do, and the rule for keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from services.errors import Unavailable

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


def checked_key(key: str) -> str:
    """The key itself, when it is a plain relative path. Raises ValueError for anything that could leave the storage."""
    if not _KEY.fullmatch(key) or len(key) > 500:
        raise ValueError(f"not a storage key: {key!r}")
    return key


class StorageAway(Unavailable):
    """The stored files cannot be reached just now. Please try again in a few minutes."""


class ObjectStorage(Protocol):
    """Whole objects under keys such as `uploads/ab/abcd…`.

    An object is visible only when it is complete and durable. A key is written once: its content never changes, so
    readers may keep copies; storing the same content again is harmless. Reading a key that is not there raises
    FileNotFoundError; every method raises StorageAway while the storage does not answer.
    """

    def put_file(self, key: str, path: Path) -> None:
        """Store the content of `path`. The file stays where it is and must not be written to afterwards."""

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> int:
        """Store the chunks in order; returns the number of bytes."""

    def open(self, key: str) -> BufferedReader:
        """The object's content, to be closed by the caller."""

    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """A readable file with the object's content, valid inside the `with` block. Never write to it."""

    def size(self, key: str) -> int:
        """The object's size in bytes."""

    def exists(self, key: str) -> bool:
        """True when the key holds an object."""

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when it is not there."""

    def list(self, prefix: str, limit: int | None = None) -> Iterator[str]:
        """The keys that lie under the folder `prefix`, sorted; no more than the first `limit`."""

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The keys that lie under the folder `prefix` with their sizes, sorted."""

    def ping(self) -> None:
        """Raises OSError or StorageAway when the storage cannot be used."""
