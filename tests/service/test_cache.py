"""The cache: two levels, bounded, safe values, and no error when Redis is away; what uses it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from services.cache import Memory
from services.container import Container, build_container
from services.errors import NotFound
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.metrics import REGISTRY
from services.permissions import Actor, Role
from tests.servers import RedisServer, redis_server
from tests.service.conftest import PASSWORD, make_settings
from tests.work import launch


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis server."""
    with redis_server() as server:
        yield server


@pytest.fixture
def pair(sqlite_template: Path, tmp_path: Path, redis: RedisServer) -> Iterator[tuple[Container, Container]]:
    """Two processes' services on one database and one Redis."""
    shutil.copy(sqlite_template, tmp_path / "recon.db")
    settings = make_settings(tmp_path, redis_url=redis.address, redis_timeout_seconds=1)
    both = build_container(settings), build_container(settings)
    yield both
    for container in both:
        container.close()


def counted(name: str, **labels: str) -> float:
    """A counter's present value."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_value_is_made_once_for_all_processes(pair: tuple[Container, Container]) -> None:
    """The second process finds in Redis what the first made; the first finds its own in memory."""
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"n": len(made)}

    before = [counted("cache_hits_total", level="memory"), counted("cache_hits_total", level="redis")]
    missed = counted("cache_misses_total")
    found = [pair[n].cache.get_json(("a", "once"), 60, make) for n in (0, 0, 1, 1)]
    assert found == [{"n": 1}] * 4
    after = [counted("cache_hits_total", level="memory"), counted("cache_hits_total", level="redis")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 1]
    assert counted("cache_misses_total") - missed == 1


def test_values_grow_old_on_both_levels(pair: tuple[Container, Container]) -> None:
    """A value found in Redis is not kept longer than Redis would have kept it."""
    first, second = pair
    assert first.cache.get(("old",), 1, lambda: b"1") == b"1"
    time.sleep(0.6)
    assert second.cache.get(("old",), 1, lambda: b"2") == b"1"
    time.sleep(0.6)
    assert second.cache.get(("old",), 1, lambda: b"3") == b"3"


def test_memory_is_bounded() -> None:
    """The longest unused values go; one that is too large for the room is not kept; old ones are gone."""
    now = [0.0]
    memory = Memory(100, lambda: now[0])
    for name in "abcd":
        memory.put(name, b"x" * 25, 10)
    assert memory.get("a") is not None
    memory.put("e", b"x" * 25, 10)
    assert [memory.get(name) is not None for name in "abcde"] == [True, False, True, True, True]
    memory.put("f", b"x" * 26, 10)
    assert memory.get("f") is None
    assert memory.size_bytes == 100
    now[0] = 10.0
    assert memory.get("a") is None
    assert memory.size_bytes == 75


def test_without_redis_everything_goes_on(tmp_path: Path) -> None:
    """Redis killed, then paused under load: each value is right, no call meets an error, none waits long."""
    with redis_server() as server:
        settings = make_settings(tmp_path, redis_url=server.address, redis_timeout_seconds=0.2, breaker_failures=2)
        container = build_container(settings)
        errors: list[str] = []

        def ask(number: int) -> None:
            for n in range(30):
                key = ("load", number, n)
                try:
                    found = container.cache.get_json(key, 60, lambda n=n: n)
                    errors.extend([f"{found} for {n}"] if found != n else [])
                except Exception as error:  # noqa: BLE001
                    errors.append(repr(error))

        asking = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        started = time.monotonic()
        for number, thread in enumerate(asking):
            thread.start()
            if number == 3:
                server.pause()
        for thread in asking:
            thread.join()
        assert errors == []
        assert time.monotonic() - started < 5
        server.resume()
        container.close()


@pytest.fixture
def ran(pair: tuple[Container, Container]) -> tuple[Actor, str]:
    """A run that has ended, and who launched it."""
    container = pair[0]
    container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
    actor = container.sessions.resolve(container.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")[0])
    job_id = launch(container, actor).id
    leases = Leases(container)
    claimed = leases.claim("w1")
    assert claimed is not None
    Run(container, leases, *claimed, container.settings.data_dir / "work" / "job").execute()
    return actor, job_id


def test_pages_of_results_are_read_once(
    pair: tuple[Container, Container], ran: tuple[Actor, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page comes the same from the file, from memory and from Redis; another question is another page."""
    actor, job_id = ran
    scanned: list[str] = []
    scan = pl.scan_parquet
    monkeypatch.setattr(pl, "scan_parquet", lambda path: scanned.append(str(path)) or scan(path))
    pages = [pair[n].results.page(actor, job_id, "breaks", sort="row") for n in (0, 0, 1)]
    assert pages[0] == pages[1] == pages[2]
    assert [type(value) for value in pages[2].rows[0].values()] == [type(value) for value in pages[0].rows[0].values()]
    read = len(scanned)
    assert read > 0
    assert pair[1].results.page(actor, job_id, "breaks", filters={"side": "left"}).total == 1
    assert len(scanned) > read


def test_what_is_cached_is_still_guarded(pair: tuple[Container, Container], ran: tuple[Actor, str]) -> None:
    """A page in the cache is no page for strangers: the cache is asked after the permission."""
    actor, job_id = ran
    pair[0].results.page(actor, job_id, "breaks")
    stranger = Actor("0" * 32, "1" * 32, "eve@example.org", "Eve", Role.ADMIN, "s", "127.0.0.1")
    with pytest.raises(NotFound):
        pair[0].results.page(stranger, job_id, "breaks")
