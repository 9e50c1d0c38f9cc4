"""One leader for a duty among many candidates, on both databases and with clocks that do not agree."""

from __future__ import annotations

import threading
import time

import pytest

from services.clock import FakeClock
from services.container import Container, build_container
from services.leadership import Leadership
from services.settings import Settings
from tests.work import WrongClock


def test_one_of_many_is_the_leader(container: Container) -> None:
    """Eight candidates that ask at the same moment: one leads, and goes on leading while it renews."""
    candidates = [Leadership(container, "backup") for _ in range(8)]
    ready = threading.Barrier(8)

    def ask(candidate: Leadership) -> None:
        ready.wait()
        candidate.renew()

    for _ in range(3):
        threads = [threading.Thread(target=ask, args=(c,)) for c in candidates]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        leaders = [c for c in candidates if c.held]
        assert len(leaders) == 1
    assert not Leadership(container, "backup").renew()
    assert Leadership(container, "spool").renew()


def test_a_silent_leader_is_followed(container: Container, clock: FakeClock) -> None:
    """A leader that does not renew is followed once its lease is over, and cannot come back before its turn."""
    first, second = Leadership(container, "backup"), Leadership(container, "backup")
    assert first.renew()
    clock.advance(seconds=29)
    assert not second.renew()
    clock.advance(seconds=2)
    assert second.renew()
    assert not first.renew()
    assert (first.held, second.held) == (False, True)


def test_a_leader_that_ends_hands_over_at_once(container: Container) -> None:
    """Standing down frees the duty without waiting for the lease."""
    with Leadership(container, "backup") as first:
        _until(lambda: first.held)
    assert not first.held
    assert Leadership(container, "backup").renew()


def test_a_leader_without_database_stops_in_time(settings: Settings) -> None:
    """A leader that cannot renew no longer leads when its lease is over, whatever the database does."""
    container = build_container(settings)
    leader = Leadership(container, "backup", lease_seconds=0.3)
    assert leader.renew()
    _until(lambda: not leader.held, seconds=1)
    container.close()


@pytest.mark.parametrize("hours", [-1, 1])
def test_machines_whose_clocks_do_not_agree(settings: Settings, hours: float) -> None:
    """With one clock an hour wrong, PostgreSQL's own clock decides: a living leader is not followed, a dead one is.

    SQLite has one machine and one clock; when that is set by an hour, a lease from the other time counts as over.
    """
    right, wrong = build_container(settings), build_container(settings, WrongClock(hours))
    try:
        first, second = (Leadership(c, "backup", lease_seconds=1) for c in (right, wrong))
        assert first.renew()
        if settings.database_address.startswith("postgresql"):
            assert not second.renew()
            assert first.renew()
            time.sleep(1.1)
        assert second.renew()
    finally:
        right.close()
        wrong.close()


def _until(condition: object, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
