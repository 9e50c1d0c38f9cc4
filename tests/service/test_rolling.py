"""The last 24 hours in numbers: counted from the metrics, kept over restarts, the sum of all instances."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from services import metrics
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import RollingSample
from services.errors import Unavailable
from services.rolling import EDGES, KEPT, Figures, Rolling

FIVE_MINUTES, HOUR, DAY = timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24)


def serve(good: int, bad: int = 0, seconds: float = 0.02, endpoint: str = "/api/users") -> None:
    """Count requests as the middleware does."""
    for status, number in (("200", good), ("503", bad)):
        metrics.http_requests.labels("GET", endpoint, status).inc(number)
        for _ in range(number):
            metrics.http_request_seconds.labels("GET", endpoint).observe(seconds)


@pytest.fixture
def rolling(container: Container) -> Rolling:
    """The store, beginning now."""
    return container.rolling


def test_spans_are_told_apart(rolling: Rolling, clock: FakeClock) -> None:
    """What happened 10 minutes ago is in the hour and not in the five minutes; parts add up to the whole."""
    serve(90, bad=10)
    rolling.count()
    clock.advance(minutes=10)
    serve(300)
    recent, hour = rolling.window(FIVE_MINUTES, timedelta(seconds=30)), rolling.window(HOUR, timedelta(minutes=1))
    assert (recent.whole.requests, recent.whole.error_rate, recent.whole.crash_free) == (300, 0.0, 1.0)
    assert (hour.whole.requests, hour.whole.error_rate, hour.whole.crash_free) == (400, 0.025, 0.975)
    assert (len(recent.parts), len(hour.parts)) == (10, 60)
    assert [part.requests for _, part in hour.parts if part.requests] == [100, 300]
    assert hour.parts[-1][0] == clock.now().replace(second=0)


def test_what_monitors_ask_is_not_counted(rolling: Rolling) -> None:
    """Health checks that answer 503 and scrapes change neither the crash-free rate nor the P95."""
    serve(10)
    for probe in metrics.PROBES:
        serve(0, bad=100, seconds=9, endpoint=probe)
    serve(5, seconds=9, endpoint="/api/files/upload")
    figures = rolling.window(FIVE_MINUTES).whole
    assert (figures.requests, figures.crash_free) == (15, 1.0)
    assert figures.api_p95_seconds is not None
    assert figures.api_p95_seconds < 0.025


def test_the_worse_surface_counts(rolling: Rolling) -> None:
    """The crash-free rate is the smaller one of requests and browser sessions; nothing happened: no rate."""
    assert rolling.window(FIVE_MINUTES).whole.crash_free is None
    serve(100)
    metrics.ui_sessions.inc(20)
    metrics.ui_sessions_crashed.inc()
    assert rolling.window(FIVE_MINUTES).whole.crash_free == 0.95


def test_quantile_is_that_of_prometheus() -> None:
    """Linear inside the bucket, from its lower edge; the last edge for what lies beyond all."""
    bucket = EDGES.index(0.5)
    assert Figures(Counter({f"api:{bucket}": 100})).api_p95_seconds == pytest.approx(0.4875)
    assert Figures(Counter({f"api:{len(EDGES) - 1}": 1})).api_p95_seconds == 10.0
    assert Figures(Counter()).api_p95_seconds is None


def test_a_restart_keeps_what_was_counted(container: Container, rolling: Rolling, clock: FakeClock) -> None:
    """A second process reads what the first wrote when it ended, and does not count it twice."""
    serve(50, bad=1)
    rolling.count()
    rolling.exchange(last=True)
    clock.advance(minutes=2)
    after = build_container(container.settings, clock)
    after.rolling.exchange()
    serve(9)
    figures = after.rolling.window(FIVE_MINUTES).whole
    assert (figures.requests, figures.counts["errors"]) == (60, 1)
    after.close()


def test_two_instances_show_the_sum(container: Container, rolling: Rolling, clock: FakeClock) -> None:
    """Counts of instances are added, once each, however often they are exchanged; depths of queues are not."""
    rolling.exchange()
    with container.transaction() as session:
        counts = {"requests": 7, "mails": 3}
        session.add(RollingSample(at=clock.now(), instance="b" * 32, counts_json=counts))
        session.add(RollingSample(at=clock.now(), instance="c" * 32, counts_json=counts))
    serve(1)
    for _ in range(3):
        clock.advance(seconds=30)
        rolling.count()
        rolling.exchange()
    whole = rolling.window(FIVE_MINUTES).whole
    assert (whole.requests, whole.counts["mails"]) == (15, 3)


def test_an_outage_loses_nothing(
    container: Container, rolling: Rolling, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is away the steps wait; afterwards they are written with their own times."""
    with monkeypatch.context() as away:
        away.setattr(container, "transaction", lambda: (_ for _ in ()).throw(Unavailable()))
        for _ in range(4):
            serve(5)
            rolling._look()
            clock.advance(seconds=30)
        assert rolling.window(FIVE_MINUTES).whole.requests == 20
    rolling._look()
    with container.session() as session:
        rows = session.query(RollingSample).order_by(RollingSample.at).all()
    assert [row.counts_json.get("requests", 0) for row in rows] == [5, 5, 5, 5]


def test_a_day_is_kept(container: Container, rolling: Rolling, clock: FakeClock) -> None:
    """Steps older than 24 hours go, from memory and from the table."""
    for _ in range(26):
        serve(1)
        rolling.count()
        clock.advance(hours=1)
        rolling.exchange()
    assert rolling.window(DAY).whole.requests == 24
    with container.session() as session:
        assert min(row.at for row in session.query(RollingSample)) >= clock.now() - KEPT - timedelta(minutes=1)
