"""Health: ok, degraded, down, and quick even when something hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest

from services import metrics
from services.clock import FakeClock
from services.container import Container
from services.database.models import Job, StoredFile
from services.errors import Unavailable
from services.health import Health
from services.jobs.nodes import WorkerNodes
from services.permissions import Actor
from services.probes import Part


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
    assert set(found.parts) == {"database", "storage", "worker", "redis", "mail", "breakers"}
    assert {view.state for view in found.breakers.values()} == {"closed"}


def test_lost_database_is_down(container: Container, api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the database health is down, and the API answers 503 while /live still answers 200."""

    def lost(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(container.engine, "connect", lost)
    found = settled(container)
    assert (found.status, found.parts["database"].state) == ("down", "down")
    assert found.parts["worker"].detail == found.parts["mail"].detail == "not known while the database is away"
    assert metrics.REGISTRY.get_sample_value("health_check_failing", {"dependency": "database"}) == 1
    assert api.get("/api/health").status_code == 503
    assert api.get("/api/health/live").json() == {"status": "ok"}


def at_once(container: Container) -> Health:
    """The health, asked in another thread, which must not be made to wait."""
    found: list[Health] = []
    asking = threading.Thread(target=lambda: found.append(container.health.check()), daemon=True)
    asking.start()
    asking.join(30)
    assert found, "it waits"
    return found[0]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for an answer at all waits for minutes, so that it shows; every answer is asked for anew."""
    monkeypatch.setattr("services.health.ANSWER_SECONDS", 300.0)
    monkeypatch.setattr("services.health.FRESH_SECONDS", 0.0)


@pytest.fixture
def release(container: Container) -> Iterator[threading.Event]:
    """Ends the hanging of probes."""
    event = threading.Event()
    yield event
    event.set()


def hang(container: Container, release: threading.Event, *names: str) -> None:
    """Let these parts' probes hang."""
    for name in names:
        container.health.register(name, lambda: (release.wait(300), Part("ok", 0, ""))[1])


def test_everything_may_hang(container: Container, patient: None, release: threading.Event) -> None:
    """While every probe hangs nobody waits: what is known of late stands for a second, then the parts are down."""
    assert settled(container).status == "ok"
    hang(container, release, *container.health._probes)
    assert at_once(container).status == "ok"
    deadline = time.monotonic() + 60
    while (found := at_once(container)).status != "down":
        assert time.monotonic() < deadline
    for run in container.health._running.values():
        run.started -= 10
    assert {part.detail for name, part in at_once(container).parts.items() if name != "breakers"} == {
        "has not answered yet",
        "not known while the database is away",
    }
    assert found.parts["database"].state == "down"
    release.set()
    assert settled(container).status == "ok"


def test_a_part_that_is_known_to_hang_costs_nothing(
    container: Container, patient: None, release: threading.Event
) -> None:
    """A part that never answered is waited for once, not by everybody who asks later."""
    settled(container)
    hang(container, release, "spool")
    first = threading.Thread(target=container.health.check, daemon=True)
    first.start()
    while "spool" not in container.health._running:
        time.sleep(0.01)
    container.health.register("other", lambda: Part("ok", 0, ""))  # who waits holds up nobody
    container.health._running["spool"].started -= 301
    found = at_once(container)
    assert (found.parts["spool"].state, found.parts["spool"].detail) == ("down", "has not answered yet")


def test_a_probe_may_meet_a_timeout_of_its_own(container: Container) -> None:
    """What the probe raises is told as what it is."""

    def late() -> Part:
        raise TimeoutError

    container.health.register("spool", late)
    assert settled(container).parts["spool"].detail == "did not answer in time"


def test_while_it_is_watched_nobody_waits(container: Container, patient: None, release: threading.Event) -> None:
    """Known answers are given at once, without a thread; that they are old is the watcher's work."""
    settled(container)
    container.health.watch()
    asked = threading.Event()
    container.health.register("storage", lambda: (asked.set(), release.wait(300), Part("ok", 0, ""))[2])
    found = container.health.at_once()
    assert found is not None
    assert found.parts["storage"].state == "ok"
    assert asked.wait(30)


def test_others_add_their_parts(container: Container) -> None:
    """A part that was registered is probed like every other; its failure degrades the whole."""

    def broken() -> Part:
        raise OSError

    container.health.register("spool", broken)
    found = settled(container)
    assert (found.status, found.parts["spool"].state, found.parts["spool"].detail) == (
        "degraded",
        "down",
        "does not answer (OSError)",
    )


def test_watching_needs_no_caller(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics move while nobody asks for the health, until the process closes."""
    monkeypatch.setattr("services.health.WATCH_SECONDS", 0.01)
    checked = threading.Event()
    container.health.register("spool", lambda: (checked.set(), Part("ok", 0, ""))[1])
    container.health.watch()
    assert checked.wait(5)


def test_open_breaker_degrades(container: Container) -> None:
    """A service that is not called just now shows by name."""
    settled(container)
    for _ in range(5):
        container.breakers.of("redis").acquire().failed()
    found = container.health.check()  # of this moment, whatever was asked before
    assert (found.status, found.parts["breakers"].detail) == ("degraded", "redis open")
    assert found.breakers["redis"].state == "open"


def test_workers_show_that_they_live(container: Container, clock: FakeClock) -> None:
    """Workers are counted by their heartbeats; a platform whose only worker fell silent is degraded."""
    nodes = WorkerNodes(container)
    nodes.beat("one", 2, 1)
    assert settled(container).parts["worker"].detail == "1 alive, 1 of 2 slots busy; 0 queued, 0 running"
    clock.advance(minutes=2)
    container.health._known.clear()
    assert settled(container).parts["worker"].state == "degraded"


def test_mail_that_waits_degrades(container: Container, clock: FakeClock) -> None:
    """Mails that wait for more than ten minutes show."""
    with container.transaction() as session:
        container.mail.enqueue(session, key="test:1", recipient="a@example.org", subject="s", body="b")
    assert settled(container).parts["mail"].detail == "1 waiting, 0 given up"
    clock.advance(minutes=11)
    container.health._known.clear()
    assert settled(container).parts["mail"].state == "degraded"


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
    monkeypatch.setattr(container.engine, "connect", None)
    assert settled(container).status == "ok"
