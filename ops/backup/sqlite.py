"""SQLite: snapshots by the online backup API, restores by a new file and one rename."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ops.backup.digests import compare, sqlite_digests
from ops.backup.engines import Restored, Snapshot
from ops.backup.manifest import Engine, Manifest, TableDigest
from ops.errors import Damaged, Refused
from services.disk import sync

FIRST_ENTRY = "SELECT hash FROM audit ORDER BY id LIMIT 1"  # the audit trail only grows
REVISION = "SELECT version_num FROM alembic_version"
END_SESSIONS = "UPDATE session SET ended_at = CURRENT_TIMESTAMP WHERE ended_at IS NULL"
_BESIDE = ("-wal", "-shm", "-journal")


class SqliteDatabase:
    """A SQLite file."""

    kind: Engine = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    def database_id(self) -> str:
        """The hash of the audit trail's first entry."""
        if not self._path.is_file():
            return ""
        try:
            with closing(sqlite3.connect(self._path)) as live:
                return _scalar(live, FIRST_ENTRY)
        except sqlite3.DatabaseError:  # damaged: what a restore is for
            return ""

    def snapshot(self, folder: Path) -> Snapshot:
        """Copy in one step, in one read transaction: in WAL mode writers go on meanwhile."""
        if not self._path.is_file():
            raise Refused(f"There is no database at {self._path}; start the app once, or restore one.")
        file = folder / "database.sqlite"
        file.touch(mode=0o600)
        with closing(sqlite3.connect(self._path)) as live, closing(sqlite3.connect(file)) as copy:
            live.backup(copy)
        with _frozen(file) as copy:
            return Snapshot(
                file=file,
                tables=sqlite_digests(copy),
                server_version=sqlite3.sqlite_version,
                schema_revision=_scalar(copy, REVISION),
                database_id=_scalar(copy, FIRST_ENTRY),
            )

    @contextmanager
    def scratch(self, file: Path, folder: Path) -> Iterator[dict[str, TableDigest]]:
        """A file of its own, opened as the app would open it."""
        scratch = folder / "scratch.sqlite"
        shutil.copyfile(file, scratch)
        with closing(sqlite3.connect(scratch)) as copy:
            if _scalar(copy, "PRAGMA integrity_check") != "ok":
                raise Damaged("The restored database fails SQLite's integrity check.")
            yield sqlite_digests(copy)

    def restore(self, file: Path, manifest: Manifest, *, replace: bool) -> Restored:
        """Write a new file beside the old one, check it, and rename it into place."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for left_over in self._path.parent.glob(f".{self._path.name}.restoring-*"):
            left_over.unlink()
        new = self._path.with_name(f".{self._path.name}.restoring-{manifest.backup_id}")
        try:
            shutil.copyfile(file, new)
            new.chmod(0o600)
            check(new, manifest)
            with closing(sqlite3.connect(new, isolation_level=None)) as opened:
                if replace:
                    opened.execute(END_SESSIONS)
                opened.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
            sync(new)
            previous = self._swap(new, manifest.backup_id, replace=replace)
            sync(self._path.parent)
        finally:
            for beside in ("", *_BESIDE):
                new.with_name(new.name + beside).unlink(missing_ok=True)
        return Restored(str(self._path), previous)

    def _swap(self, new: Path, backup_id: str, *, replace: bool) -> str:
        if not self._path.exists():
            new.replace(self._path)
            return ""
        now = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
        before = self._path.with_name(f"{self._path.name}.before-{backup_id[:8]}-{now}")
        with closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as live:
            try:
                # Leaving WAL needs the file for oneself: it fails while any other process has the database open.
                live.execute("PRAGMA journal_mode=DELETE")
                live.execute("BEGIN EXCLUSIVE")
                empty = _scalar(live, "SELECT count(*) FROM sqlite_master") == "0"
            except sqlite3.OperationalError as error:
                raise Refused(
                    f"The database {self._path} is in use; stop the app and its workers, then restore."
                ) from error
            except sqlite3.DatabaseError:
                empty = False  # damaged beyond reading: it is kept, and replaced
            if not empty and not replace:
                raise Refused(f"{self._path} is not empty; --into takes a new or empty database.")
            if not empty:
                for beside in ("", *_BESIDE):  # a journal of the old file would ruin the new one
                    old = self._path.with_name(self._path.name + beside)
                    if old.exists():
                        os.link(old, before.with_name(before.name + beside))
                        if beside:
                            old.unlink()
            new.replace(self._path)
        return "" if empty else str(before)


def check(file: Path, manifest: Manifest) -> None:
    """SQLite's own integrity check, and the digests. Raises Damaged."""
    try:
        with _frozen(file) as copy:
            problem = _scalar(copy, "PRAGMA integrity_check")
            found = sqlite_digests(copy) if problem == "ok" else {}
    except sqlite3.DatabaseError as error:
        raise Damaged(f"Backup {manifest.backup_id} holds a file that is no SQLite database.") from error
    if problem != "ok":
        raise Damaged(f"Backup {manifest.backup_id} holds a database that fails SQLite's integrity check.")
    compare(manifest.tables, found, f"Backup {manifest.backup_id}")


@contextmanager
def _frozen(file: Path) -> Iterator[sqlite3.Connection]:
    """A file that nobody writes, read without leaving a trace in it."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        yield connection


def _scalar(connection: sqlite3.Connection, query: str) -> str:
    try:
        row = connection.execute(query).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return ""
        raise
    return str(row[0]) if row else ""
