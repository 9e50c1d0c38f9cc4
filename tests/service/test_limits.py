"""Limits: exact under threads and processes, honest about when they open, in Redis and without it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.clock import FakeClock
from services.container import Container, build_container
from services.errors import ConfigurationError, TooMany
from services.limits import Limited, key_of, watched
from services.settings import Settings
from tests.limit_racer import race
from tests.servers import RedisServer, redis_server
from tests.service.conftest import make_settings

ROOT = Path(__file__).parents[2]
TABLE = {
    "sign_in": "10/hour",
    "register": "5/hour",
    "job_start": "50/hour",
    "upload": "100/hour",
    "list_users": "1000/hour",
    "analytics": "500/hour",
    "other": "1000/hour",
}
ROUNDS = int(os.environ.get("RECON_FAULT_ROUNDS", "10"))


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis server of the test's own."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Container]:
    """Services with small limits, in process and with Redis, by the real clock."""
    given = {"limit_upload": "5/hour", "limit_sign_in": "2/2 seconds"}
    if request.param == "redis":
        given["redis_url"] = request.getfixturevalue("redis").address
    container = build_container(make_settings(tmp_path, **given))
    yield container
    container.close()


def passes(container: Container, action: Limited, who: str) -> bool:
    """Whether one more call passes."""
    try:
        container.limits.hit(action, who)
    except TooMany:
        return False
    return True


def test_defaults_are_the_promised_table() -> None:
    """Each limit is a setting, and its default is what was promised."""
    defaults = {name: Settings.model_fields[f"limit_{name}"].default for name in TABLE}
    assert defaults == TABLE
    assert {action.value for action in Limited} >= set(TABLE)


@pytest.mark.parametrize("rate", ["ten/hour", "10", "10/fortnight", ""])
def test_a_wrong_rate_is_named_at_start(tmp_path: Path, rate: str) -> None:
    """A limit that is none stops the start with the name of its variable."""
    with pytest.raises(ConfigurationError, match="RECON_LIMIT_SIGN_IN"):
        make_settings(tmp_path, limit_sign_in=rate)


def test_exactly_the_limit_passes_among_threads(tmp_path: Path) -> None:
    """Of 100 threads that ask at once at a limit of 5, exactly 5 pass, every time."""
    container = build_container(make_settings(tmp_path, limit_upload="5/hour"))
    assert [race(container.limits, f"10.1.0.{n}", 100) for n in range(ROUNDS)] == [5] * ROUNDS
    container.close()


def test_exactly_the_limit_passes_among_processes(redis: RedisServer) -> None:
    """Of 100 threads in two processes at a limit of 5 in Redis, exactly 5 pass, every time."""
    start = time.time() + 4
    command = [sys.executable, "-m", "tests.limit_racer", redis.address, "5", "50", str(ROUNDS), str(start)]
    racing = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [[int(n) for n in process.communicate(timeout=100)[0].split()] for process in racing]
    assert [one + other for one, other in zip(*counts, strict=True)] == [5] * ROUNDS


def test_waiting_as_told_is_enough_and_a_second_less_is_not(limited: Container) -> None:
    """The time in the refusal is honoured: then a call passes; a second earlier it is refused."""
    for n in range(3):
        who = f"10.2.0.{n}"
        assert passes(limited, Limited.SIGN_IN, who)
        assert passes(limited, Limited.SIGN_IN, who)
        with pytest.raises(TooMany) as refused:
            limited.limits.hit(Limited.SIGN_IN, who)
        told, at = refused.value.retry_after_seconds, time.monotonic()
        assert told is not None
        assert 1 <= told <= 3
        time.sleep(max(0.0, at + told - 1 - time.monotonic()))
        early = time.monotonic()
        if early < at + told - 0.9:  # else the machine slept too long to say anything
            assert not passes(limited, Limited.SIGN_IN, who)
        time.sleep(max(0.0, at + told - time.monotonic()))
        assert passes(limited, Limited.SIGN_IN, who)


def test_the_window_slides(tmp_path: Path) -> None:
    """There is no hour's edge at which two full quotas pass: a call counts for exactly one hour."""
    clock = FakeClock(datetime(2026, 3, 2, 9, 59, tzinfo=UTC))
    container = build_container(make_settings(tmp_path, limit_upload="2/hour"), clock)
    assert passes(container, Limited.UPLOAD, "10.0.0.1")
    clock.advance(minutes=30)
    assert passes(container, Limited.UPLOAD, "10.0.0.1")
    assert not passes(container, Limited.UPLOAD, "10.0.0.1")
    clock.advance(minutes=30)
    assert not passes(container, Limited.UPLOAD, "10.0.0.1")
    clock.advance(seconds=1)
    assert passes(container, Limited.UPLOAD, "10.0.0.1")
    assert not passes(container, Limited.UPLOAD, "10.0.0.1")
    container.close()


def test_idle_callers_are_forgotten(tmp_path: Path, clock: FakeClock) -> None:
    """Windows that have run out take no memory."""
    container = build_container(make_settings(tmp_path), clock)
    own = container.limits._own.storage
    for n in range(2000):
        container.limits.hit(Limited.OTHER, f"10.3.{n // 250}.{n % 250}")
    clock.advance(hours=2)
    for _ in range(1100):
        passes(container, Limited.LIST_USERS, "10.3.0.1")
    assert len(own._calls) == 1  # type: ignore[attr-defined]
    container.close()


@pytest.mark.parametrize(
    ("address", "key"),
    [
        (None, "address:127.0.0.1"),
        ("", "address:127.0.0.1"),
        ("127.0.0.1", "address:127.0.0.1"),
        ("::1", "address:127.0.0.1"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "address:2001:db8:1:3::/64"),
        ("_hidden; DROP", "address:unknown"),
    ],
)
def test_one_caller_has_one_window(address: str | None, key: str) -> None:
    """This machine is one caller however it is named; an IPv6 network has one owner, who has all its addresses."""
    assert key_of(address) == key


def test_every_decision_is_told_and_counted(limited: Container) -> None:
    """Whoever watches learns what is left; the metrics count passed and refused calls."""
    from services.metrics import REGISTRY

    def counted(decision: str) -> float:
        labels = {"action": "upload", "decision": decision}
        return REGISTRY.get_sample_value("rate_limit_decisions_total", labels) or 0.0

    before = counted("passed"), counted("refused")
    with watched() as decisions:
        outcomes = [passes(limited, Limited.UPLOAD, "10.4.0.1") for _ in range(7)]
    assert outcomes == [True] * 5 + [False] * 2
    assert [d.remaining for d in decisions] == [4, 3, 2, 1, 0, 0, 0]
    assert all(3590 <= d.resets_in <= 3601 for d in decisions)
    assert (counted("passed") - before[0], counted("refused") - before[1]) == (5, 2)


def test_without_redis_the_limits_hold(redis: RedisServer, tmp_path: Path) -> None:
    """Redis killed, or stopped with open connections: nobody meets an error, and no limit opens.

    What passed through Redis counts in process too, so its loss gives nobody a second quota.
    """
    for number, lose in enumerate((redis.kill, redis.pause)):
        container = build_container(
            make_settings(
                tmp_path, redis_url=redis.address, limit_sign_in="10/hour", redis_timeout_seconds=0.2,
                redis_reconnect_seconds=1, breaker_failures=2,
            )
        )  # fmt: skip
        who = f"10.5.0.{number}"
        assert [passes(container, Limited.SIGN_IN, who) for _ in range(6)] == [True] * 6
        lose()
        outcomes = [passes(container, Limited.SIGN_IN, who) for _ in range(8)]
        assert outcomes == [True] * 4 + [False] * 4
        started = time.monotonic()
        assert not passes(container, Limited.SIGN_IN, who)
        assert time.monotonic() - started < 0.1  # known to be away: not waited for
        if lose == redis.kill:
            redis.start()
        else:
            redis.resume()
        assert not passes(container, Limited.SIGN_IN, who)
        assert back(container, within=5)
        assert not passes(container, Limited.SIGN_IN, who)  # an empty Redis opens nothing
        container.close()


def back(container: Container, within: float) -> bool:
    """Whether the limits use Redis again in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        passes(container, Limited.OTHER, "10.6.0.1")
        if container.breakers.of("redis").state == "closed":
            return True
        time.sleep(0.05)
    return False


def test_redis_lost_and_found_under_load(redis: RedisServer, tmp_path: Path) -> None:
    """While callers keep calling, Redis is killed, paused and brought back: not one of them meets an error."""
    container = build_container(
        make_settings(
            tmp_path, redis_url=redis.address, limit_other="1000000/hour", redis_timeout_seconds=0.2,
            redis_reconnect_seconds=1, breaker_failures=3,
        )
    )  # fmt: skip
    ended, errors, calls = threading.Event(), [], [0] * 8

    def keep_calling(number: int) -> None:
        while not ended.is_set():
            try:
                container.limits.hit(Limited.OTHER, f"10.7.0.{number}")
                container.cache.get(("k", calls[number] % 7), 60, lambda: b"value")
            except Exception as error:  # noqa: BLE001
                errors.append(repr(error))
            calls[number] += 1

    callers = [threading.Thread(target=keep_calling, args=(n,)) for n in range(8)]
    for caller in callers:
        caller.start()
    for lose, find in ((redis.kill, redis.start), (redis.pause, redis.resume)):
        time.sleep(0.5)
        lose()
        time.sleep(1)
        find()
        assert back(container, within=5)
    ended.set()
    for caller in callers:
        caller.join()
    assert errors == []
    assert min(calls) > 20
    container.close()


def test_an_address_that_is_no_redis_is_named(tmp_path: Path) -> None:
    """A wrong REDIS_URL stops the start with its name, and without its value."""
    container = build_container(make_settings(tmp_path, redis_url="http://user:hidden@h"))
    with pytest.raises(ConfigurationError, match="REDIS_URL") as refused:
        _ = container.limits
    assert "hidden" not in str(refused.value)
