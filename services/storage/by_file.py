"""What storages that move whole files have in common: streams are collected on disk, reading opens a local copy."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path


class ByFile(ABC):
    """Two methods of an ObjectStorage, made of `put_file` and `local_path`; `scratch` is the folder to collect in."""

    scratch: Path

    @abstractmethod
    def put_file(self, key: str, path: Path) -> None:
        """Store the content of `path`."""

    @abstractmethod
    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """A readable file with the object's content."""

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> int:
        """Store the chunks in order; returns the number of bytes. They are collected on disk first."""
        with tempfile.NamedTemporaryFile(dir=self.scratch) as file:
            size = sum(file.write(chunk) for chunk in chunks)
            file.flush()
            self.put_file(key, Path(file.name))
        return size

    def open(self, key: str) -> BufferedReader:
        """The object's content. It is complete on this machine before its first byte is given."""
        with self.local_path(key) as path:
            return path.open("rb")
