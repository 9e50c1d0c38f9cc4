"""Object storage in a local folder: atomic renames, synced to disk before the caller is told."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from itertools import islice
from pathlib import Path

from services.disk import sync
from services.storage.base import checked_key

_INCOMING = ".incoming"  # no key begins with a dot, so half-written objects are never listed


class LocalStorage:
    """Objects as files under `root`. Several processes may use the same folder."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        (self._root / _INCOMING).mkdir(parents=True, exist_ok=True)

    def put_file(self, key: str, path: Path) -> None:
        """Store the content of `path`: by a hard link on the same disk (no copy), else by copying."""

        def fill(incoming: Path) -> None:
            try:
                os.link(path, incoming)
            except OSError:
                shutil.copyfile(path, incoming)

        self._put(key, fill)

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> int:
        """Store the chunks in order; returns the number of bytes."""
        size = 0

        def fill(incoming: Path) -> None:
            nonlocal size
            with incoming.open("wb") as file:
                for chunk in chunks:
                    size += file.write(chunk)

        self._put(key, fill)
        return size

    def open(self, key: str) -> BufferedReader:
        """The object's content."""
        return self._path(key).open("rb")

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        """The object's own file."""
        path = self._path(key)
        if not path.is_file():
            raise FileNotFoundError(f"no object under {key}")
        yield path

    def size(self, key: str) -> int:
        """The object's size in bytes."""
        return self._path(key).stat().st_size

    def exists(self, key: str) -> bool:
        """True when the key holds an object."""
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        """Remove the object and the folders that it leaves empty."""
        path = self._path(key)
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self._root:
                break
            try:
                folder.rmdir()
            except OSError:  # not empty, or another process was faster
                break

    def list(self, prefix: str, limit: int | None = None) -> Iterator[str]:
        """The keys under the folder `prefix`, sorted; no more than the first `limit`."""
        folder = self._path(prefix.rstrip("/"))
        return (path.relative_to(self._root).as_posix() for path in islice(_sorted_under(folder), limit))

    def list_all(self) -> Iterator[str]:
        """Every key, sorted."""
        found = (path.relative_to(self._root) for path in files_under(self._root))
        return iter(sorted(path.as_posix() for path in found if path.parts[0] != _INCOMING))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The keys under the folder `prefix` with their sizes, sorted."""
        for key in self.list(prefix):
            with suppress(FileNotFoundError):  # removed since it was listed
                yield key, self.size(key)

    def ping(self) -> None:
        """Write and remove a small file."""
        probe = self._root / _INCOMING / uuid.uuid4().hex
        probe.write_bytes(b"ping")
        probe.unlink()

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _put(self, key: str, fill: Callable[[Path], None]) -> None:
        target = self._path(key)
        incoming = self._root / _INCOMING / uuid.uuid4().hex
        try:
            fill(incoming)
            sync(incoming)
            rename_into(incoming, target)
            sync(target.parent)
        finally:
            incoming.unlink(missing_ok=True)


def rename_into(incoming: Path, target: Path) -> None:
    """Rename, making the target's folder; once more if `delete` removed that folder in between."""
    for last in (False, True):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            incoming.replace(target)
            return
        except FileNotFoundError:
            if last:
                raise


def _sorted_under(folder: Path) -> Iterator[Path]:
    """Every file under the folder in the order of their keys. Folders are read no sooner than they are needed."""
    with suppress(FileNotFoundError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name + "/" * entry.is_dir()):
            if entry.is_dir():
                yield from _sorted_under(Path(entry))
            else:
                yield Path(entry)


def files_under(folder: Path) -> Iterator[Path]:
    """Every file under the folder, while others may add and remove some."""
    for parent, _, names in os.walk(folder):  # unlike Path.rglob, it does not mind a folder that vanishes
        yield from (Path(parent, name) for name in names)
