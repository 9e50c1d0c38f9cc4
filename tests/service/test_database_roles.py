"""On a real PostgreSQL: the app works as a role that owns no table, and can change or destroy none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import text

from ops.__main__ import main
from ops.backup.drill import drill
from ops.backup.make import back_up
from ops.backup.restore import restore_in_place
from ops.backup.site import site_of
from ops.errors import Refused
from services.container import Container, build_container
from services.database.models import Base
from services.errors import ConfigurationError
from services.jobs.worker import Worker
from services.permissions import Actor
from tests.servers import free_port
from tests.service.conftest import PASSWORD, make_settings
from tests.work import launch

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "docs/how-to/run-on-postgresql.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class House:
    """A database with two roles: one owns its tables, the app is the other."""

    server: str
    name: str
    folder: Path

    @property
    def owner(self) -> str:
        """The role that owns the tables."""
        return f"{self.name}_owner"

    def address(self, role: str) -> str:
        """The database as a role reaches it."""
        return f"postgresql://{role}@{self.server.rpartition('@')[2]}/{self.name}"

    @contextmanager
    def services(self, role: str) -> Iterator[Container]:
        """The services of the product, as that role."""
        settings = make_settings(self.folder, database_url=self.address(role), database_app_role=self.name)
        built = build_container(settings)
        yield built
        built.close()


@pytest.fixture
def house(postgresql_address: str, tmp_path: Path) -> Iterator[House]:
    """Made by the SQL of the how-to, with names of the test's own."""
    made = House(postgresql_address, f"roles_{uuid.uuid4().hex[:12]}", tmp_path)
    shown = RECIPE.partition("```sql\n")[2].partition("```")[0]
    with psycopg.connect(f"{postgresql_address}/postgres", autocommit=True) as connection:
        for statement in filter(None, map(str.strip, shown.replace("recon", made.name).split(";"))):
            connection.execute(statement.encode())
        yield made
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(made.name)))


@pytest.fixture
def app(house: House) -> Iterator[Container]:
    """The services as the app's role, on tables that the owner has made with the command of operations."""
    with house.services(house.owner) as owner:
        assert main(["migrate"], owner) == 0
    with house.services(house.name) as built:
        yield built


@pytest.fixture
def admin(app: Container) -> Actor:
    """The first administrator, signed in."""
    app.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
    return app.sessions.resolve(app.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")[0])


def test_the_app_does_its_work(app: Container, admin: Actor) -> None:
    """It starts, takes files, runs, keeps its trail, backs up and proves the backup in a drill."""
    app.migrate()
    assert main(["migrate"], app) == 0
    job = launch(app, admin)
    worker = Worker(app, poll_seconds=0.02)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        while (now := app.jobs.get(admin, job.id)).status in ("queued", "running"):
            thread.join(0.05)
    finally:
        worker.stop()
        thread.join()
    assert (now.status, now.error) == ("succeeded", None)
    assert app.audit.examine().whole
    header = back_up(site_of(app))
    assert header is not None
    assert drill(site_of(app), header).header == header


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE account",
        "DROP TRIGGER audit_append_only ON audit",
        "ALTER TABLE account ADD COLUMN x int",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "ALTER TABLE account OWNER TO CURRENT_USER",
        "TRUNCATE account CASCADE",
        "CREATE TABLE mine (x int)",
        "CREATE INDEX ON account (name)",
        "CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "UPDATE audit SET action = 'nothing'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "UPDATE alembic_version SET version_num = '0001'",
        "DROP SCHEMA public CASCADE",
        "ALTER DATABASE {database} RENAME TO other",
        "CREATE ROLE another",
        "SET ROLE {owner}",
        "COPY account TO PROGRAM 'cat'",
    ],
)
def test_the_app_cannot_change_or_destroy(app: Container, admin: Actor, house: House, statement: str) -> None:
    """Tables, trail, schema, roles: PostgreSQL itself refuses, whatever somebody makes the app say."""
    command = statement.format(database=house.name, owner=house.owner)
    with psycopg.connect(house.address(house.name), autocommit=True) as me, pytest.raises(InsufficientPrivilege):
        me.execute(command.encode())


def test_the_app_owns_nothing(app: Container, house: House) -> None:
    """Not one relation, function or schema is its own, and every table is there for it to read."""
    owned = """SELECT relname FROM pg_class WHERE relowner = CURRENT_USER::regrole
        UNION ALL SELECT proname FROM pg_proc WHERE proowner = CURRENT_USER::regrole
        UNION ALL SELECT nspname FROM pg_namespace WHERE nspowner = CURRENT_USER::regrole
        UNION ALL SELECT datname FROM pg_database WHERE datdba = CURRENT_USER::regrole"""
    with app.engine.connect() as connection:
        assert connection.execute(text(owned)).all() == []
        for table in Base.metadata.tables:
            connection.execute(text(f'SELECT 1 FROM "{table}" LIMIT 1'))


def test_older_tables_stop_the_app_with_a_sentence(house: House) -> None:
    """The app's role does not migrate: on tables that are older it says who must."""
    with house.services(house.name) as app:
        with pytest.raises(ConfigurationError, match="run python -m ops migrate as the role that owns them"):
            app.migrate()
        assert main(["migrate"], app) == 2


@pytest.mark.parametrize("command", [["streamlit", "run", "app.py"], ["services.jobs"]], ids=["app", "worker"])
def test_a_process_ends_on_older_tables(house: House, command: list[str]) -> None:
    """It does not wait for somebody to notice: it ends, and the sentence stands in its log."""
    given = {
        "DATABASE_URL": house.address(house.name),
        "RECON_DATABASE_APP_ROLE": house.name,
        "RECON_DATA_DIR": str(house.folder),
        "STREAMLIT_SERVER_PORT": str(free_port()),
    }
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT, env={**os.environ, **given}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "run python -m ops migrate as the role that owns them" in ended.stdout + ended.stderr


def test_a_restore_is_the_owners(app: Container, admin: Actor, house: House) -> None:
    """The app cannot replace its database and says so; the owner can once the app is stopped, and the app works on."""
    header = back_up(site_of(app))
    assert header is not None
    with app.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        with house.services(house.owner) as owner, pytest.raises(Refused, match=r"has \d connections; stop the app"):
            restore_in_place(site_of(owner), header)
    app.engine.dispose()
    with pytest.raises(Refused, match="restore as the role that owns it"):
        restore_in_place(site_of(app), header)
    app.engine.dispose()
    with house.services(house.owner) as owner:
        kept = restore_in_place(site_of(owner), header).database.previous
    app.migrate()
    assert app.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")
    with psycopg.connect(house.address(house.name)) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("DELETE FROM audit")
    with psycopg.connect(f"{house.server}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(kept)))
