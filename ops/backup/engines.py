"""What a backup needs of a database, whichever it is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ops.backup.manifest import Engine, Manifest, TableDigest
from ops.errors import Refused
from services.database.postgresql import parse_address


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database at one moment, as a file, with what that file holds."""

    file: Path
    tables: dict[str, TableDigest]
    server_version: str
    schema_revision: str
    database_id: str


@dataclass(frozen=True, slots=True)
class Restored:
    """Where the data are now, and where what was there before is kept (empty: nothing was there)."""

    place: str
    previous: str = ""


class Database(Protocol):
    """One database at one address."""

    kind: Engine

    @property
    def name(self) -> str:
        """The database's own name: a file's path, or a name on its server."""

    def database_id(self) -> str:
        """The identity that a database keeps through backup and restore; empty when it holds nothing or is lost."""

    def snapshot(self, folder: Path) -> Snapshot:
        """Write the database's present state to a file in `folder`, without stopping those who write."""

    def scratch(self, file: Path, folder: Path) -> AbstractContextManager[dict[str, TableDigest]]:
        """Restore into a scratch database, which is gone at the end; gives what it then holds."""

    def restore(self, file: Path, manifest: Manifest, *, replace: bool) -> Restored:
        """Put the backup here. What is here is kept beside it if `replace`, else must be empty."""


def database_at(address: str) -> Database:
    """The database at an address, of which a PostgreSQL may have several hosts."""
    url = parse_address(address)
    kind = url.get_backend_name()
    if kind == "sqlite":
        from ops.backup.sqlite import SqliteDatabase

        if not url.database or url.database == ":memory:":
            raise Refused("A database in memory can neither be backed up nor restored into.")
        return SqliteDatabase(Path(url.database))
    if kind == "postgresql":
        from ops.backup.postgresql import PostgresqlDatabase

        return PostgresqlDatabase(url.set(drivername="postgresql+psycopg"))
    raise Refused(f"Databases of the kind {kind} are not known; use sqlite:/// or postgresql://.")


def check(file: Path, manifest: Manifest) -> None:
    """Raise Damaged unless the database in a backup can be restored, as far as can be told without restoring it."""
    if manifest.engine == "sqlite":
        from ops.backup.sqlite import check as check_file
    else:
        from ops.backup.postgresql import check as check_file
    check_file(file, manifest)
