"""The circuit breaker and the retry: what passes, what is refused, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
import stamina

from services import metrics
from services.errors import Unavailable
from services.resilience import Breaker, BreakerOpen, Breakers
from services.settings import load_settings


class Lost(Exception):
    """The service did not answer."""


class Time:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        """The present moment, in seconds."""
        return self.now


@pytest.fixture
def time() -> Time:
    """The breaker's clock."""
    return Time()


@pytest.fixture
def breaker(time: Time) -> Breaker:
    """A breaker with the product's figures."""
    return Breaker("s3", now=time)


@pytest.fixture
def breakers(tmp_path: Path) -> Iterator[Breakers]:
    """The breakers of a process whose retries wait a few milliseconds."""
    settings = load_settings(_env_file=None, data_dir=tmp_path, retry_first_wait_seconds=0.002, retry_attempts=4)
    return Breakers(settings)


def fail(breaker: Breaker, times: int = 1) -> None:
    """Let calls fail."""
    for _ in range(times):
        with pytest.raises(Lost), breaker.guard():
            raise Lost


def opened(breaker: Breaker, time: Time, seconds: float) -> Breaker:
    """The breaker, opened, so many seconds later."""
    fail(breaker, 5)
    time.now += seconds
    return breaker


def gauge() -> float | None:
    """The breaker's state as it is measured."""
    return metrics.REGISTRY.get_sample_value("circuit_breaker_state", {"service": "s3"})


def test_opens_after_five_failures_in_a_row(breaker: Breaker) -> None:
    """A success between failures starts the count again; the fifth in a row opens."""
    fail(breaker, 4)
    breaker.call(lambda: None)
    fail(breaker, 4)
    assert (breaker.state, gauge()) == ("closed", 0)
    fail(breaker)
    assert (breaker.state, gauge()) == ("open", 2)


def test_open_refuses_at_once_and_says_until_when(breaker: Breaker, time: Time) -> None:
    """While open nothing is called; the refusal is the sentence that people see, with the time that remains."""
    opened(breaker, time, 45)
    with pytest.raises(BreakerOpen, match=r"^Service temporarily unavailable\. Please try again in") as refused:
        breaker.call(lambda: pytest.fail("the service was called"))
    assert isinstance(refused.value, Unavailable)
    assert refused.value.retry_after_seconds == pytest.approx(15)


def test_exactly_three_of_a_hundred_pass_when_half_open(breaker: Breaker, time: Time) -> None:
    """Of a hundred threads that call at the same moment, three reach the service and 97 are refused."""
    opened(breaker, time, 60)
    start, answer = threading.Barrier(100), threading.Event()
    refused, called = [], []

    def one(number: int) -> None:
        start.wait()
        try:
            with breaker.guard():
                called.append(number)
                assert answer.wait(10)
        except BreakerOpen:
            refused.append(number)
            if len(refused) == 97:
                answer.set()

    with ThreadPoolExecutor(100) as pool:
        list(pool.map(one, range(100)))
    assert (len(called), len(refused)) == (3, 97)
    assert (breaker.state, gauge()) == ("closed", 0)


def test_verdict_is_given_when_all_trials_are_in(breaker: Breaker, time: Time) -> None:
    """Half-open lasts until the third trial has answered; one bad trial of three opens again."""
    opened(breaker, time, 60)
    first, second, third = (breaker.acquire() for _ in range(3))
    first.failed()
    second.succeeded()
    assert (breaker.state, gauge()) == ("half_open", 1)
    third.succeeded()
    assert breaker.state == "open"
    assert breaker.view().retry_after_seconds == 60


def test_calls_that_never_ran_give_their_permit_back(breaker: Breaker, time: Time) -> None:
    """A released permit, or a caller's own error, counts as neither: another call may be the trial."""
    opened(breaker, time, 60)
    permits = [breaker.acquire() for _ in range(3)]
    with pytest.raises(BreakerOpen):
        breaker.acquire()
    permits[0].release()
    with pytest.raises(KeyError), breaker.guard(failures=Lost):
        raise KeyError
    for permit in (breaker.acquire(), *permits[1:]):
        permit.succeeded()
    assert breaker.state == "closed"


def test_other_errors_count_as_neither_when_closed(breaker: Breaker) -> None:
    """A caller's own error neither counts as a failure nor breaks the row of failures."""
    fail(breaker, 4)
    for _ in range(9):
        with pytest.raises(KeyError), breaker.guard(failures=lambda error: isinstance(error, Lost)):
            raise KeyError
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"


def test_late_answers_do_not_count(breaker: Breaker, time: Time) -> None:
    """A call that began before the circuit opened is no trial, whatever it brings."""
    slow = breaker.acquire()
    opened(breaker, time, 60)
    trials = [breaker.acquire() for _ in range(3)]
    slow.failed()
    for trial in trials:
        trial.succeeded()
    assert breaker.state == "closed"


def test_trials_that_never_come_back_are_given_up(breaker: Breaker, time: Time) -> None:
    """A trial that hangs does not keep the circuit half-open for ever."""
    opened(breaker, time, 60)
    lost = [breaker.acquire() for _ in range(3)]
    time.now += 60
    for permit in [breaker.acquire() for _ in range(3)]:
        permit.succeeded()
    lost[0].failed()
    assert breaker.state == "closed"


def test_everybody_shares_one_breaker_per_service(breakers: Breakers) -> None:
    """The same name is the same breaker; all are on the health page from the start."""
    assert breakers.of("redis") is breakers.of("redis")
    fail(breakers.of("redis"), 5)
    states = {service: view.state for service, view in breakers.views().items()}
    assert states == {"database": "closed", "redis": "open", "s3": "closed", "smtp": "closed", "secrets": "closed"}


def insist(attempts: Iterator[stamina.Attempt], error: type[Exception], breaker: Breaker | None = None) -> None:
    """Make the attempts at a call that always ends with this error; the last one's number is its message."""
    for attempt in attempts:
        with attempt, breaker.guard() if breaker else nullcontext():
            raise error(attempt.num)


@pytest.mark.parametrize(("error", "attempts"), [(Lost, "4"), (KeyError, "1")])
def test_retries_what_is_named_and_nothing_else(breakers: Breakers, error: type[Exception], attempts: str) -> None:
    """The error named is tried again up to the last attempt; any other leaves at once."""
    with pytest.raises(error, match=attempts):
        insist(breakers.retrying("s3", on=Lost), error)


def test_waits_double_up_to_the_longest(tmp_path: Path) -> None:
    """1, 2, 4, 8, 16, 30, 30 seconds with the product's figures."""
    breakers = Breakers(load_settings(_env_file=None, data_dir=tmp_path))
    attempt = next(iter(breakers.retrying("s3", on=Lost)))
    assert [attempt._next_wait_fn(number) for number in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_no_attempt_begins_after_the_deadline(breakers: Breakers) -> None:
    """The waits are 2, 4, 8 ms and more: with 5 ms to spend there are two attempts."""
    with pytest.raises(Lost, match="2"):
        insist(breakers.retrying("s3", on=Lost, attempts=9, deadline_seconds=0.005), Lost)


def test_open_breaker_is_not_tried_again(breakers: Breakers) -> None:
    """Attempts stop at the failure that opens the circuit, and do not begin while it is open."""
    with pytest.raises(Lost, match="5"):
        insist(breakers.retrying("s3", on=(Lost, Unavailable), attempts=20), Lost, breakers.of("s3"))
    with pytest.raises(BreakerOpen):
        insist(breakers.retrying("s3", on=(Lost, Unavailable), attempts=20), Lost, breakers.of("s3"))
    assert metrics.REGISTRY.get_sample_value("retries_total", {"service": "s3"}) >= 5
