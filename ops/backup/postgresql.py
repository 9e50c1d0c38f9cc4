"""PostgreSQL: pg_dump and digests in one exported snapshot, pg_restore into a new database, and two renames."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from ops.backup.digests import compare, postgresql_digests
from ops.backup.engines import Restored, Snapshot
from ops.backup.manifest import Engine, Manifest, TableDigest
from ops.errors import Damaged, Refused
from services.errors import Unavailable

DEBIAN = Path("/usr/lib/postgresql")
_MAINTENANCE = "postgres"
_LONGEST_NAME = 63
_END_SESSIONS = "UPDATE session SET ended_at = now() WHERE ended_at IS NULL"
_FIRST_ENTRY = "SELECT hash FROM audit ORDER BY id LIMIT 1"  # the audit trail only grows
_REVISION = "SELECT version_num FROM alembic_version"
# Nothing is lost by it: the rename that ends a restore is committed to disk, and everything before it.
_QUICKLY = "-c maintenance_work_mem=256MB -c synchronous_commit=off"
_TABLE_COUNT = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


class PostgresqlDatabase:
    """A database of a PostgreSQL server."""

    kind: Engine = "postgresql"

    def __init__(self, url: URL) -> None:
        self._url = url
        self.name = str(url.database)

    def database_id(self) -> str:
        """The hash of the audit trail's first entry."""
        if not self._exists():
            return ""
        with self._connection() as connection:
            return _scalar(connection, _FIRST_ENTRY, table="audit")

    def snapshot(self, folder: Path) -> Snapshot:
        """Dump and count what one repeatable-read transaction sees; writers go on meanwhile."""
        file = folder / "database.dump"
        with self._connection(isolation="REPEATABLE READ") as connection:
            version = _server_version(connection)
            exported = connection.scalars(text("SELECT pg_export_snapshot()")).one()
            self._run("pg_dump", version, f"--snapshot={exported}", "--lock-wait-timeout=30s", f"--file={file}")
            return Snapshot(
                file=file,
                tables=postgresql_digests(connection),
                server_version=version,
                schema_revision=_scalar(connection, _REVISION, table="alembic_version"),
                database_id=_scalar(connection, _FIRST_ENTRY, table="audit"),
            )

    @contextmanager
    def scratch(self, file: Path, folder: Path) -> Iterator[dict[str, TableDigest]]:  # noqa: ARG002 - SQLite needs it
        """A database of its own on the same server, dropped at the end."""
        self._drop_leftovers("drill")
        with self._new_database("drill") as scratch:
            scratch.load(file)
            yield scratch.tables()

    def restore(self, file: Path, manifest: Manifest, *, replace: bool) -> Restored:
        """Restore into a new database, compare, and rename: the old one keeps its content under another name."""
        there = self._exists()
        empty = not there or self._empty()
        if not empty and not replace:
            raise Refused(f"The database {self.name} is not empty; --into takes a new or empty database.")
        if there:
            self._refuse_when_used()
        self._drop_leftovers("restoring")
        with self._new_database("restoring") as new:
            new.load(file)
            compare(manifest.tables, new.tables(), f"The restored database {new.name}")
            if replace:
                with new._connection() as connection:  # noqa: SLF001 - another of this class
                    connection.execute(text(_END_SESSIONS))
            previous = _fitting(self.name, f"before_{manifest.backup_id[:8]}_{uuid.uuid4().hex[:4]}") if there else ""
            self._swap(new.name, previous)
        if empty and previous:
            self._drop(previous)
        return Restored(self.name, "" if empty else previous)

    def tables(self) -> dict[str, TableDigest]:
        """What the database holds."""
        with self._connection(isolation="REPEATABLE READ") as connection:
            return postgresql_digests(connection)

    def load(self, file: Path) -> None:
        """Fill this new database from a dump. It is of no use unless this succeeds."""
        with self._connection() as connection:
            version = _server_version(connection)
        self._run("pg_restore", version, "--exit-on-error", "--jobs=2", str(file))

    @contextmanager
    def _new_database(self, purpose: str) -> Iterator[PostgresqlDatabase]:
        """A new empty database, dropped at the end unless it was renamed."""
        name = _fitting(self.name, f"{purpose}_{uuid.uuid4().hex[:8]}")
        with self._maintenance() as connection:
            try:
                connection.execute(text(f"CREATE DATABASE {_quoted(name)} TEMPLATE template0"))
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", "") == "42501":
                    raise Refused(
                        "The database role may not create databases: a restore and a drill need one of their own. "
                        "Give the role CREATEDB (ALTER ROLE ... CREATEDB)."
                    ) from error
                raise
        try:
            yield PostgresqlDatabase(self._url.set(database=name))
        finally:
            self._drop(name)

    def _swap(self, new: str, previous: str) -> None:
        """Both renames or none."""
        with self._maintenance(isolation="READ COMMITTED") as connection:
            try:
                if previous:
                    connection.execute(text(f"ALTER DATABASE {_quoted(self.name)} RENAME TO {_quoted(previous)}"))
                connection.execute(text(f"ALTER DATABASE {_quoted(new)} RENAME TO {_quoted(self.name)}"))
                connection.commit()
            except DBAPIError as error:
                state = getattr(error.orig, "sqlstate", "")
                if state == "55006":
                    self._refuse_when_used()
                if state == "42501":
                    raise Refused(
                        f"The database role may not replace {self.name}: restore as the role that owns it."
                    ) from error
                raise

    def _refuse_when_used(self) -> None:
        with self._maintenance() as connection:
            # The server ends its own vacuum workers, which are nobody's, when a database is renamed: they use nothing.
            query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND usesysid IS NOT NULL")
            used = connection.scalars(query, {"name": self.name}).one()
        if used:
            raise Refused(
                f"The database {self.name} has {used} connections; stop the app and its workers, then restore."
            )

    def _exists(self) -> bool:
        with self._maintenance() as connection:
            query = text("SELECT count(*) FROM pg_database WHERE datname = :name")
            return bool(connection.scalars(query, {"name": self.name}).one())

    def _empty(self) -> bool:
        with self._connection() as connection:
            return not connection.scalars(text(_TABLE_COUNT)).one()

    def _drop(self, name: str) -> None:
        with self._maintenance() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)"))

    def _drop_leftovers(self, purpose: str) -> None:
        """Databases that a killed drill or restore left: nobody is connected to them."""
        start = _fitting(self.name, f"{purpose}_{'x' * 8}")[:-8]
        with self._maintenance() as connection:
            query = text(
                "SELECT datname FROM pg_database d WHERE starts_with(datname, :start) AND length(datname) = :length"
                " AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datid = d.oid)"
            )
            names = connection.scalars(query, {"start": start, "length": len(start) + 8}).all()
        for name in names:
            self._drop(name)

    @contextmanager
    def _connection(self, isolation: str = "AUTOCOMMIT", database: str | None = None) -> Iterator[Connection]:
        url = self._url.set(database=database or self.name)
        engine = create_engine(url, poolclass=NullPool, isolation_level=isolation, connect_args={"connect_timeout": 10})
        try:
            with engine.connect() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            if getattr(error.orig, "sqlstate", None) in {None, "57P03", "08006", "08001"}:
                raise Unavailable(f"The database server of {self.name} cannot be reached; start it first.") from error
            raise

    def _maintenance(self, isolation: str = "AUTOCOMMIT") -> AbstractContextManager[Connection]:
        # From another database than this one: it is renamed.
        return self._connection(isolation, "template1" if self.name == _MAINTENANCE else _MAINTENANCE)

    def _run(self, program: str, version: str, *arguments: str) -> None:
        """pg_dump or pg_restore on this database. The password travels in the environment, never in the arguments."""
        given = self._url.get_dialect()().create_connect_args(self._url)[1]
        password = given.pop("password", None)
        environment = {**os.environ, "PGOPTIONS": _QUICKLY, **({"PGPASSWORD": str(password)} if password else {})}
        address = " ".join(f"{name}='{_escaped(value)}'" for name, value in given.items())
        form = ["--format=custom", "--no-owner", "--no-privileges", f"--dbname={address}"]
        if program == "pg_dump":
            form.append("--compress=0")  # zstd does that, better
        command = [_program(program, version), *form, *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            errors = [line for line in ended.stderr.splitlines() if "error:" in line] or ["no reason given"]
            # What the server quotes may come from people's data.
            reason = re.sub(r"\"[^\"]*\"|'[^']*'|\([^)]*\)", "…", errors[0].partition("error: ")[2] or errors[0])
            raise Refused(f"{program} of the database {self.name} failed: {reason}")


def check(file: Path, manifest: Manifest) -> None:
    """Read the dump's table of contents: the data of every table of the manifest must be in it. Raises Damaged."""
    command = [_program("pg_restore", manifest.server_version), "--list", str(file)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    found = set(re.findall(r" TABLE DATA (\S+ \S+) ", listed.stdout)) if listed.returncode == 0 else set()
    expected = {" ".join(("public." + name).split(".")[-2:]) for name in manifest.tables}
    if listed.returncode != 0 or found != expected:
        raise Damaged(f"Backup {manifest.backup_id} holds a dump that pg_restore does not accept.")


def _program(name: str, server_version: str) -> str:
    """The program of the server's own major version, else of the next newer one: an older one would lose things."""
    wanted = int(server_version.split(".", maxsplit=1)[0])
    found: dict[int, str] = {}
    for candidate in [*DEBIAN.glob(f"*/bin/{name}"), shutil.which(name)]:
        if candidate is not None:
            told = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
            if major := re.search(r"(\d+)", told):
                found.setdefault(int(major[1]), str(candidate))
    fitting = [major for major in sorted(found) if major >= wanted]
    if not fitting:
        have = f"only {max(found)} was found" if found else "none was found"
        raise Refused(f"{name} {wanted} or newer is needed, {have}: install postgresql-client-{wanted}.")
    return found[fitting[0]]


def _server_version(connection: Connection) -> str:
    return str(connection.scalars(text("SHOW server_version")).one()).split(" ", maxsplit=1)[0]


def _scalar(connection: Connection, query: str, *, table: str) -> str:
    if connection.scalars(text("SELECT to_regclass(:table) IS NULL"), {"table": table}).one():
        return ""
    return str(connection.scalars(text(query)).first() or "")


def _fitting(name: str, ending: str) -> str:
    """A name that begins like the database's and is no longer than PostgreSQL allows."""
    return f"{name[: _LONGEST_NAME - len(ending) - 1]}_{ending}"


def _quoted(name: str) -> str:
    return ('"' + name.replace('"', '""') + '"').replace(":", "\\:")


def _escaped(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("'", "\\'")
