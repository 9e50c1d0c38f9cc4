"""The database engine: SQLite (WAL) or PostgreSQL behind one interface, and the migrations."""

from __future__ import annotations

import sqlite3
import time
import zlib
from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from services.database import postgresql
from services.errors import ConfigurationError
from services.settings import Settings

WRITE = "recon_write"  # execution option: this transaction will write
SQLITE_BUSY_TIMEOUT_MS = 15_000
MIGRATIONS = Path(__file__).parent / "migrations"
_log = structlog.get_logger(__name__)


def build_engine(settings: Settings, connect: postgresql.Connect = postgresql.plainly) -> Engine:
    """The engine for the settings' database. Connects on first use only."""
    url = postgresql.parse_address(settings.database_address)
    pool: dict[str, Any] = {
        "pool_size": settings.database_pool_size,
        "max_overflow": settings.database_pool_overflow,
        "pool_timeout": settings.database_pool_timeout_seconds,
        "pool_recycle": settings.database_pool_recycle_seconds,
    }
    if url.get_backend_name() == "sqlite":
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"check_same_thread": False}, **pool)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    arguments = postgresql.connect_arguments(settings, url)
    engine = create_engine(url, pool_pre_ping=True, connect_args=arguments, **pool)
    postgresql.bound(engine, settings, connect)
    return engine


def connections_in_use(engine: Engine) -> int:
    """How many connections are lent out at this moment."""
    return engine.pool.checkedout() if isinstance(engine.pool, QueuePool) else 0


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own; _begin_sqlite does
    connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
    _write_ahead(connection)
    for pragma in (
        "synchronous=FULL",  # a committed upload or job survives a power cut
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: Any) -> None:
    """Switch to write-ahead logging. SQLite does not wait here while another process does the same to a new file."""
    give_up = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail at the upgrade; writers take the lock at once.
    writes = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def serialise(session: Session | Connection, name: str) -> None:
    """Let only one transaction at a time pass this point under `name`; the next waits until this one ends.

    On SQLite a writing transaction is alone already.
    """
    bind = session.get_bind() if isinstance(session, Session) else session
    if bind.dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": zlib.crc32(name.encode())})


def migrate(engine: Engine, app_role: str | None = None) -> None:
    """Bring the schema up to date. Safe when several processes start at once: all or nothing, one at a time.

    A newer version's schema is left as it is: migrations only add, and the old version serves on beside the new one.
    With an `app_role` the tables are another role's: it lets the app's work on them, and the app's itself changes none.
    Raises ConfigurationError when the app's finds an older schema.
    """
    with engine.execution_options(**{WRITE: True}).begin() as connection:
        if engine.dialect.name == "postgresql":
            postgresql.unhurried(connection)
        serialise(connection, "migrations")
        config = alembic_config(connection)
        scripts = ScriptDirectory.from_config(config)
        known = {revision.revision for revision in scripts.walk_revisions()}
        present = set(MigrationContext.configure(connection).get_current_heads())
        if not present <= known:
            _log.warning("the schema is a newer version's", revision=", ".join(sorted(present)))
        elif app_role is None:
            command.upgrade(config, "head")
        elif not postgresql.acts_as(connection, app_role):
            command.upgrade(config, "head")
            postgresql.let_work(connection, app_role)
        elif present != set(scripts.get_heads()):
            raise ConfigurationError(
                "The tables are older than this version, and the app's own role does not change them: "
                "run python -m ops migrate as the role that owns them."
            )


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration, working on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
