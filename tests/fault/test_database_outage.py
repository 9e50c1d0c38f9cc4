"""PostgreSQL stops, pauses, vanishes and fails over: what people see, how long it takes, how it heals by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select, text
from starlette.applications import Starlette
from starlette.routing import Mount

from services import metrics
from services.api import build_api
from services.container import Container, build_container
from services.database.models import Workspace
from services.errors import Unavailable, Unclear
from services.resilience import BreakerOpen
from tests.cutting_proxy import CuttingProxy
from tests.postgresql_cluster import Server, primary_and_standby, running
from tests.servers import http_server, postgresql_programs
from tests.service.conftest import make_settings

SENTENCE = "Service temporarily unavailable. Please try again in a few minutes."
# Longer than the calls that open a circuit may take: what comes after them finds it open.
OPEN_SECONDS = 8.0
# The product's limits, shortened where a test would only wait.
SHORT = {"database_statement_timeout_seconds": 1, "breaker_open_seconds": OPEN_SECONDS, "database_retry_seconds": 0.5}


@pytest.fixture(scope="module")
def programs() -> Path:
    """The server's programs."""
    return postgresql_programs()


@pytest.fixture(scope="module")
def server(programs: Path) -> Iterator[Server]:
    """A server for this file, with the product's schema."""
    with running(programs) as started:
        yield started


@pytest.fixture
def proxy(server: Server) -> Iterator[CuttingProxy]:
    """The network between the product and the server."""
    with CuttingProxy(server.port) as between:
        yield between


@pytest.fixture
def container(server: Server, proxy: CuttingProxy, tmp_path: Path) -> Iterator[Container]:
    """The services, reaching the server through the proxy."""
    address = f"postgresql://recon@127.0.0.1:{proxy.port}/postgres"
    built = build_container(make_settings(tmp_path, database_url=address, **SHORT))
    built.migrate()
    yield built
    proxy.close()
    built.close()


@pytest.fixture
def api(container: Container) -> Iterator[httpx.Client]:
    """A client of the API."""
    with http_server(Starlette(routes=[Mount("/api", build_api(container))])) as client:
        yield client


def ask(api: httpx.Client) -> httpx.Response:
    """A request that needs the database and nothing else."""
    return api.get("/api/users", headers={"Authorization": "Bearer nobody"})


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """How long the call took, and what it gave or raised."""
    started = time.monotonic()
    try:
        answer = call()
    except Unavailable as error:
        answer = error
    return time.monotonic() - started, answer


def opened(container: Container, call: Callable[[], Any], longest: float) -> None:
    """Six people call at the same time, and again, until the circuit opens; each call ends within `longest` seconds."""
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            assert max(seconds for seconds, _ in pool.map(lambda _: timed(call), range(6))) < longest
            if container.breakers.of("database").state == "open":
                return
    pytest.fail("the circuit did not open")


def healed(container: Container, within: float) -> None:
    """Health, asked as a load balancer asks, closes the circuit by itself."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        container.health._known.clear()
        well = container.health.check().parts["database"].state == "ok"
        if well and container.breakers.of("database").state == "closed":
            return
        time.sleep(0.05)
    pytest.fail(f"not healed within {within} seconds")


@pytest.mark.parametrize("fault", ["stopped", "paused", "black hole", "reset"])
def test_outage_from_begin_to_end(
    fault: str, server: Server, proxy: CuttingProxy, container: Container, api: httpx.Client
) -> None:
    """503 with the sentence in seconds, then in milliseconds, one question more, and all is well without a hand."""
    begin, end = {
        "stopped": (server.stop, server.start),
        "paused": (server.pause, server.resume),
        "black hole": (proxy.black_hole, proxy.heal),
        "reset": (proxy.reset, proxy.heal),
    }[fault]
    assert ask(api).status_code == 401
    begin()
    try:
        # the longest: a ping that is not answered (2 s), and a connection that does not come about (3 s),
        # on a busy machine
        opened(container, lambda: ask(api), longest=7)
        assert metrics.REGISTRY.get_sample_value("circuit_breaker_state", {"service": "database"}) == 2
        refused = [timed(container.accounts.first_run) for _ in range(200)]
        assert all(isinstance(answer, BreakerOpen) for _, answer in refused)
        assert sorted(seconds for seconds, _ in refused)[197] < 0.05
        answers = [timed(lambda: ask(api)) for _ in range(20)]
        assert {answer.status_code for _, answer in answers} == {503}
        idle = sorted(timed(lambda: api.get("/api/health/live"))[0] for _ in range(20))
        assert sorted(seconds for seconds, _ in answers)[10] < idle[10] + 0.05  # the machine may be busy
        answer = answers[0][1]
        assert (answer.json()["detail"], answer.json()["status"]) == (SENTENCE, 503)
        assert 1 <= int(answer.headers["Retry-After"]) <= OPEN_SECONDS
        health = api.get("/api/health")
        assert (health.status_code, health.json()["parts"]["database"]["state"]) == (503, "down")
        assert health.json()["breakers"]["database"]["state"] != "closed"
        assert timed(container.health.check)[0] < 0.1
    finally:
        end()
    healed(container, within=OPEN_SECONDS + 4)
    assert ask(api).status_code == 401
    assert metrics.REGISTRY.get_sample_value("circuit_breaker_state", {"service": "database"}) == 0


def test_three_calls_try_whether_it_is_back(proxy: CuttingProxy, container: Container) -> None:
    """Of a hundred callers at the moment of the trial, three reach the network, and 97 are told at once."""
    proxy.refuse()
    opened(container, container.accounts.first_run, longest=3)
    proxy.heal()
    proxy.black_hole()
    before, start = proxy.connections, threading.Barrier(100)
    time.sleep(OPEN_SECONDS)

    def one(_number: int) -> tuple[float, Any]:
        start.wait()
        return timed(container.accounts.first_run)

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(one, range(100)))
    assert proxy.connections - before == 3
    refused = sorted(seconds for seconds, answer in answers if isinstance(answer, BreakerOpen))
    assert len(refused) == 97
    assert refused[-1] < 1  # a hundred threads on a small machine
    assert container.breakers.of("database").state == "open"


def test_statement_under_way_is_given_up(proxy: CuttingProxy, container: Container) -> None:
    """A connection that dies silently in the middle of a statement is given up, and no other statement uses it."""

    def ask_into_nothing() -> None:
        with container.session() as session:
            proxy.black_hole()
            session.execute(text("SELECT 1"))

    seconds, answer = timed(ask_into_nothing)
    assert isinstance(answer, Unavailable)
    assert seconds < 4  # statement limit 1 s, and 2 s of patience
    proxy.heal()
    assert container.accounts.first_run()


def test_commit_without_an_answer_is_told_as_such(proxy: CuttingProxy, container: Container) -> None:
    """A connection that dies in the commit leaves it open whether it was carried out, and that is what people hear."""

    def write() -> None:
        with container.transaction() as session:
            session.add(Workspace(name="perhaps", created_at=container.clock.now()))

    event.listen(container.engine, "commit", lambda _: proxy.black_hole(), once=True)
    seconds, answer = timed(write)
    assert isinstance(answer, Unclear)
    assert seconds < 4
    assert container.breakers.of("database").view().failures == 1
    proxy.heal()  # the commit goes on its way: this time it was carried out after all
    until = time.monotonic() + 10
    while True:
        with container.session() as session:
            if "perhaps" in session.scalars(select(Workspace.name)).all():
                return
        assert time.monotonic() < until
        time.sleep(0.05)


def test_slow_statement_and_lock_end(container: Container) -> None:
    """The server ends a statement that takes too long; the connection stays good, and one is no outage."""
    with pytest.raises(Unavailable), container.session() as session:
        session.execute(text("SELECT pg_sleep(30)"))
    with container.session() as session:
        assert session.scalar(text("SELECT 1")) == 1
    assert container.breakers.of("database").state == "closed"


def test_short_outage_is_not_seen(proxy: CuttingProxy, container: Container) -> None:
    """A server that refuses for less than the time to try again costs a request a second, and no error."""
    patient = build_container(container.settings.model_copy(update={"database_retry_seconds": 4.0}))
    proxy.refuse()
    healing = threading.Timer(0.5, proxy.heal)
    healing.start()
    seconds, answer = timed(patient.accounts.first_run)
    healing.join()
    patient.close()
    assert answer is True
    assert 0.9 < seconds < 2


def test_failover_follows_the_primary(programs: Path, tmp_path: Path) -> None:
    """The primary dies while people write; the standby is promoted: writing goes on, and nothing confirmed is lost."""
    with primary_and_standby(programs) as (primary, standby):
        hosts = f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}"
        address = f"postgresql://recon@{hosts}/postgres?target_session_attrs=read-write"
        container = build_container(make_settings(tmp_path, database_url=address, **SHORT))
        container.migrate()
        confirmed, moments, stop = [], [], threading.Event()

        def write(writer: int) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    with container.transaction() as session:
                        session.add(Workspace(name=f"{writer}-{number}", created_at=container.clock.now()))
                except Unavailable:
                    time.sleep(0.05)
                else:
                    confirmed.append(f"{writer}-{number}")
                    moments.append(time.monotonic())

        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for writer in writers:
            writer.start()
        time.sleep(1)
        primary.stop()
        lost = time.monotonic()
        time.sleep(1)
        standby.promote()
        promoted = time.monotonic()
        until = promoted + OPEN_SECONDS + 5
        while not (moments and moments[-1] > promoted + 0.2) and time.monotonic() < until:
            time.sleep(0.05)
        stop.set()
        for writer in writers:
            writer.join(20)
        back = min(moment for moment in moments if moment > lost + 0.5)
        assert back - promoted < OPEN_SECONDS + 1
        with container.session() as session:
            kept = set(session.scalars(select(Workspace.name)))
            assert session.scalar(text("SELECT inet_server_port()")) == standby.port
        container.close()
        assert len(confirmed) > 20
        assert set(confirmed) <= kept
