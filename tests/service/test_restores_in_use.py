"""A restore in place while something is connected to the database: people hold it up, the server itself does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from ops.backup.restore import restore_in_place
from ops.errors import Refused
from services.container import Container, build_container
from services.database.engine import migrate
from services.database.models import Workspace
from services.permissions import Actor
from tests.postgresql_cluster import running
from tests.servers import postgresql_programs
from tests.service.backups import Site, contents, fill, forget, made, site_of, work_files
from tests.service.conftest import make_settings

_VACUUMING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'autovacuum worker'"
)


@pytest.fixture
def site(container: Container, admin: Actor) -> Site:
    """An installation with an administrator."""
    return site_of(container)


def test_a_database_in_use_is_not_replaced(site: Site) -> None:
    """While anybody is connected a restore in place refuses, and changes nothing."""
    header = made(site)
    site.container.engine.dispose()
    with site.container.engine.connect() as connection:
        connection.execute(select(Workspace.id)).all()
        connection.rollback()
        before = contents(site.database, site)
        with pytest.raises(Refused, match="stop the app"):
            restore_in_place(site, header)
        assert contents(site.database, site) == before
    assert work_files(site) == []


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_the_servers_own_vacuum_holds_up_no_restore(site: Site) -> None:
    """A large database is vacuumed soon after it was filled: nobody has to wait for that, or to stop anything."""
    header = made(site)
    fill(site.container, 20_000)
    with site.container.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        slow = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"
        soon = "autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0"
        connection.execute(text(f"ALTER TABLE workspace SET ({slow}, {soon})"))
        connection.execute(text("DELETE FROM workspace WHERE name LIKE 'Ünï%'"))
        _vacuum_every(connection, "'1s'")
        try:
            until = time.monotonic() + 30
            while not connection.scalars(text(_VACUUMING)).one():
                assert time.monotonic() < until, "the server began no vacuum"
                time.sleep(0.1)
        finally:
            _vacuum_every(connection, "DEFAULT")
    site.container.engine.dispose()
    outcome = restore_in_place(site, header)
    with site.container.session() as session:
        assert len(session.scalars(select(Workspace)).all()) == 1
    forget(site.container, outcome.database.previous)


def test_the_servers_first_database_is_replaced(tmp_path: Path) -> None:
    """Managed servers come with a database `postgres`, and people use it: it is restored from another one."""
    with running(postgresql_programs()) as server:
        container = build_container(make_settings(tmp_path, database_url=f"{server.address}/postgres"))
        migrate(container.engine)
        site = site_of(container)
        header = made(site)
        fill(container, 5)
        container.engine.dispose()
        outcome = restore_in_place(site, header)
        assert outcome.database.previous.startswith("postgres_")
        with container.session() as session:
            assert session.scalars(select(Workspace)).all() == []
        container.close()


def _vacuum_every(connection: Connection, seconds: str) -> None:
    connection.execute(text(f"ALTER SYSTEM SET autovacuum_naptime = {seconds}"))
    connection.execute(text("SELECT pg_reload_conf()"))
