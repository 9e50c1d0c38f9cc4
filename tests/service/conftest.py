"""Services on real databases: every test that asks for `container` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from services.api import build_api
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.engine import build_engine, migrate
from services.permissions import Actor, Role
from services.settings import Settings, load_settings
from tests.servers import http_server, postgresql, postgresql_programs
from tests.service import queries

queries.listen()

PASSWORD = "correct horse battery"  # pragma: allowlist secret


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the other tests of this folder made the product ask is judged at the end."""
    items.sort(key=lambda item: item.path.name == "test_indexes.py")


def make_settings(data_dir: Path, **given: object) -> Settings:
    """Settings for tests: nothing from the developer's .env, cheap password hashes."""
    return load_settings(
        _env_file=None, **{"data_dir": data_dir, "password_hash_rounds": 4, "embedded_worker": False, **given}
    )


@pytest.fixture(scope="session")
def postgresql_address() -> Iterator[str]:
    """A running PostgreSQL server."""
    with postgresql(postgresql_programs()) as address:
        yield address


@pytest.fixture(scope="session")
def postgresql_template(postgresql_address: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated database from which each test's own is copied."""
    with psycopg.connect(f"{postgresql_address}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE template_recon")
    settings = make_settings(tmp_path_factory.mktemp("pg"), database_url=f"{postgresql_address}/template_recon")
    engine = build_engine(settings)
    migrate(engine)
    engine.dispose()
    return postgresql_address


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file from which each test's own is copied."""
    folder = tmp_path_factory.mktemp("sqlite")
    engine = build_engine(make_settings(folder))
    migrate(engine)
    engine.dispose()
    return folder / "recon.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a fresh, migrated database of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "recon.db")
        yield make_settings(tmp_path)
        return
    address = request.getfixturevalue("postgresql_template")
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_recon")
        yield make_settings(tmp_path, database_url=f"{address}/{name}")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves."""
    return FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.fixture
def container(settings: Settings, clock: FakeClock) -> Iterator[Container]:
    """The services over a fresh database, with a clock that stands still."""
    built = build_container(settings, clock)
    yield built
    built.close()


@pytest.fixture
def admin(container: Container) -> Actor:
    """The first administrator, signed in."""
    container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
    return container.sessions.resolve(container.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")[0])


@pytest.fixture
def actor_of(container: Container, admin: Actor) -> Callable[[Role], Actor]:
    """Makes and signs in a colleague of the given role."""

    def make(role: Role) -> Actor:
        email = f"{role}-{uuid.uuid4().hex[:6]}@example.org"
        container.accounts.create(admin, f"The {role}", email, PASSWORD, role)
        return container.sessions.resolve(container.sessions.sign_in(email, PASSWORD, "127.0.0.1", "test")[0])

    return make


@pytest.fixture
def api(container: Container) -> Iterator[httpx.Client]:
    """A client of the API, served as the product serves it, under /api."""
    with http_server(Starlette(routes=[Mount("/api", build_api(container))])) as client:
        yield client
