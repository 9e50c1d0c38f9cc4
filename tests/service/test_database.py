"""The database: migrations, moments in time, transactions, and what happens when it is away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from services.container import Container, build_container
from services.database.engine import migrate
from services.database.models import Account, Base, Workspace
from services.errors import Unavailable
from tests.servers import free_port
from tests.service.conftest import make_settings


def test_models_equal_migrations(container: Container) -> None:
    """The migrated schema is exactly the one the models describe."""
    with container.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_again_changes_nothing(container: Container, admin: object) -> None:
    """Each start migrates; what is there stays."""
    migrate(container.engine)
    assert not container.accounts.first_run()


def test_simultaneous_starts_migrate_once(tmp_path: Path) -> None:
    """Four processes that start at once on an empty database end with one whole schema."""
    containers = [build_container(make_settings(tmp_path)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda c: migrate(c.engine), containers))
    tables = set(inspect(containers[0].engine).get_table_names())
    assert tables == {*Base.metadata.tables, "alembic_version"}
    for container in containers:
        container.close()


def test_the_old_version_starts_on_the_new_schema(container: Container, admin: object) -> None:
    """A revision that a newer version has made stays as it is, and everything works on it."""
    with container.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'of_a_newer_version'"))
    container.migrate()
    with container.session() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "of_a_newer_version"
        assert session.scalar(select(Account.email)) == "ada@example.org"


def test_moments_keep_their_meaning(container: Container) -> None:
    """A moment given in any zone comes back as the same moment in UTC; one without a zone is refused."""
    paris = datetime(2026, 7, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with container.transaction() as session:
        session.add(Workspace(name="w", created_at=paris))
    with container.session() as session:
        kept = session.scalars(select(Workspace.created_at)).one()
    assert (kept, kept.tzinfo) == (paris, UTC)
    with pytest.raises(StatementError, match="time zone"), container.transaction() as session:
        session.add(Workspace(name="w", created_at=datetime(2026, 7, 1)))  # noqa: DTZ001


def test_reading_session_keeps_nothing(container: Container) -> None:
    """What is added in a reading session is not stored."""
    with container.session() as session:
        session.add(Workspace(name="w", created_at=container.clock.now()))
        session.flush()
    with container.session() as session:
        assert session.scalars(select(Workspace)).all() == []


def test_foreign_keys_hold(container: Container) -> None:
    """A row that points nowhere is refused on both databases."""
    account = Account(
        workspace_id="nowhere", email="x@example.org", name="x", role="analyst", password_hash="", active=True,
        created_at=container.clock.now(),
    )  # fmt: skip
    with pytest.raises(IntegrityError), container.transaction() as session:
        session.add(account)


def test_writers_wait_for_each_other(container: Container) -> None:
    """Twelve transactions that read, then write, from six threads all succeed: none is refused as locked."""

    def add(number: int) -> None:
        with container.transaction() as session:
            session.scalars(select(Workspace)).all()
            session.add(Workspace(name=str(number), created_at=container.clock.now()))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(12)))
    with container.session() as session:
        assert len(session.scalars(select(Workspace)).all()) == 12


def test_absent_server_is_unavailable(tmp_path: Path) -> None:
    """When nothing answers at the database's address, people get the sentence, not the driver's error."""
    address = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    container = build_container(make_settings(tmp_path, database_url=address))
    with pytest.raises(Unavailable, match="temporarily unavailable"):
        container.accounts.first_run()
    container.close()
