"""The spool: objects kept on this machine's disk while the object storage is away, each with a row in the database."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from recon_engine.hashing import hash_file
from services import metrics
from services.database.models import SpooledObject
from services.once import made_once
from services.storage.local import LocalStorage

if TYPE_CHECKING:
    from services.container import Container

_FORGOTTEN_SECONDS = 3600


class Spool:
    """Keeps objects until they are moved. Processes with the same data folder share one spool, and are one node."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._folder = container.settings.data_dir.resolve() / "spool"
        self._files = LocalStorage(self._folder / "objects")
        self.node = made_once(self._folder / "node")
        """Names this folder in the rows: the name of a container's host would not outlive the container."""

    def keep(self, key: str, path: Path) -> None:
        """Keep the content of `path`: when this returns, the file is on the disk and its row is committed."""
        sha256 = hash_file(path)
        with self.locked():
            self._files.put_file(key, path)
            with self._container.transaction() as session:
                session.merge(
                    SpooledObject(
                        key=key,
                        node=self.node,
                        sha256=sha256,
                        size_bytes=path.stat().st_size,
                        attempts=0,
                        next_at=self._container.clock.now(),
                        created_at=self._container.clock.now(),
                    )
                )
        metrics.storage_fallbacks.inc()

    @contextmanager
    def file(self, key: str) -> Iterator[Path]:
        """The kept object's own file. Raises FileNotFoundError when this machine does not keep it."""
        with self._files.local_path(key) as path:
            yield path

    def has(self, key: str) -> bool:
        """Whether this machine keeps the object."""
        return self._files.exists(key)

    def sizes(self, prefix: str) -> dict[str, int]:
        """The objects under the folder `prefix` that any machine keeps, with their sizes."""
        folder = prefix.rstrip("/") + "/"
        columns = (SpooledObject.key, SpooledObject.size_bytes)
        under = select(*columns).where(SpooledObject.key.startswith(folder, autoescape=True))
        with self._container.session() as session:
            return dict(session.execute(under).all())

    def waiting(self, key: str) -> bool:
        """Whether any machine keeps the object and has not moved it yet."""
        with self._container.session() as session:
            return session.scalar(select(SpooledObject.key).where(SpooledObject.key == key).limit(1)) is not None

    def count(self, node: str | None = None) -> int:
        """How many objects wait to be moved: all, or those of one node."""
        counting = select(func.count()).select_from(SpooledObject)
        with self._container.session() as session:
            return session.scalar(counting if node is None else counting.where(SpooledObject.node == node)) or 0

    def forget(self, key: str, sha256: str | None = None) -> None:
        """Drop the row, then the file. With `sha256`, only if the row is still that of this content."""
        mine = delete(SpooledObject).where(SpooledObject.key == key, SpooledObject.node == self.node)
        if sha256 is not None:
            mine = mine.where(SpooledObject.sha256 == sha256)
        with self.locked():
            with self._container.transaction() as session:
                gone = session.scalars(mine.returning(SpooledObject.key)).all()
            if gone or sha256 is None:
                self._drop_file(key)

    def _drop_file(self, key: str) -> None:
        self._files.delete(key)

    def sweep(self) -> None:
        """Remove files without a row: what a killed process had not told anybody of, or had already moved."""
        with self._container.session() as session:
            known = set(session.scalars(select(SpooledObject.key).where(SpooledObject.node == self.node)))
        for key in self._files.list_all():
            with suppress(FileNotFoundError), self._files.local_path(key) as path:
                old = time.time() - path.stat().st_ctime > _FORGOTTEN_SECONDS
                if old and key not in known:
                    self._files.delete(key)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone on this node: a file and its row change together."""
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def moving(self) -> Iterator[bool]:
        """True for one process of this node at a time, which may move objects; False for the others."""
        with (self._folder / "mover").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
