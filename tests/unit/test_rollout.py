"""The go / no-go board and the triggers, as pure functions of what was counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.rollout.board import BY_NAME, Verdict, board
from services.rollout.counts import Counts
from services.rollout.history import History, Patience, Reading, fired

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FAST = {0.1: 1.0, 0.5: 1.0, 1.0: 1.0, 2.5: 1.0, float("inf"): 1.0}
SLOW = {0.1: 0.0, 0.5: 0.0, 1.0: 0.0, 2.5: 1.0, float("inf"): 1.0}


def counts(requests: float, errors: float = 0, within: dict[float, float] = FAST) -> Counts:
    """So many requests, all of one speed."""
    return Counts(requests, errors, within={edge: share * requests for edge, share in within.items()})


def history(minutes: int, errors_of_100: float, within: dict[float, float] = FAST, good_from: int = 0) -> History:
    """A hundred requests a minute for both; the new one, green, is bad but for the minutes since `good_from`."""
    readings, green, blue = [], Counts(), Counts()
    for minute in range(minutes + 1):
        readings.append(Reading(START + timedelta(minutes=minute), {"green": {"g": green}, "blue": {"b": blue}}))
        good = good_from and minute >= good_from
        green += counts(100, 0 if good else errors_of_100, FAST if good else within)
        blue += counts(100)
    return History(readings)


@pytest.mark.parametrize(
    ("name", "go", "between", "no_go"),
    [
        ("crash_free", [1.0, 0.998], [0.9979, 0.995], [0.9949, 0.0]),
        ("p95", [0.0, 0.4999], [0.5, 1.0], [1.0001, 10.0]),
        ("error_rate", [0.0, 0.00099], [0.001, 0.01], [0.0101, 1.0]),
        ("database_cpu", [0.0, 0.7999], [0.8, 0.9], [0.9001, 1.0]),
        ("backup_age", [0.0, 3599], [3600, 7200], [7201, 1e9]),
    ],
)
def test_thresholds(name: str, go: list[float], between: list[float], no_go: list[float]) -> None:
    """Each measure is judged as promised, also at the very edge; what is not known is neither."""
    judge = BY_NAME[name].judge
    assert {judge(value) for value in go} == {Verdict.GO}
    assert {judge(value) for value in between} == {Verdict.WATCH}
    assert {judge(value) for value in no_go} == {Verdict.NO_GO}
    assert judge(None) is Verdict.UNKNOWN


def test_the_board_is_as_good_as_its_worst_measure() -> None:
    """No-go beats not known, which beats between, which beats go; only the middle two may be accepted by name."""
    good = board(counts(1000), database_cpu=0.5, backup_age_seconds=60)
    assert (good.verdict, good.hindrances()) == (Verdict.GO, [])
    unknown = board(counts(1000), database_cpu=None, backup_age_seconds=5000)
    assert unknown.verdict is Verdict.UNKNOWN
    assert [line.measure.name for line in unknown.hindrances(["database_cpu"])] == ["backup_age"]
    assert unknown.hindrances(["database_cpu", "backup_age"]) == []
    bad = board(counts(1000, 20), database_cpu=None, backup_age_seconds=60)
    assert bad.verdict is Verdict.NO_GO
    assert {line.measure.name for line in bad.hindrances(BY_NAME)} == {"crash_free", "error_rate"}
    nothing = board(Counts(), database_cpu=None, backup_age_seconds=None)
    assert {line.verdict for line in nothing.lines} == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("calls", "within", "verdict"),
    [(99, SLOW, Verdict.UNKNOWN), (100, SLOW, Verdict.NO_GO), (3, FAST, Verdict.GO), (0, FAST, Verdict.UNKNOWN)],
)
def test_few_calls_call_nothing_slow(calls: int, within: dict[float, float], verdict: Verdict) -> None:
    """A P95 of fewer than a hundred calls is at worst not known: then it may be accepted by name."""
    (line,) = (
        line
        for line in board(counts(calls, 0, within), database_cpu=0.5, backup_age_seconds=60).lines
        if line.measure.name == "p95"
    )
    assert line.verdict is verdict
    assert line.bounds == "go < 500 ms, no-go > 1,000 ms of 100 calls or more"


def test_rates_come_from_the_series() -> None:
    """Failures are answers of 5xx; what monitors ask is left out; long transfers say nothing of speed."""
    samples = [
        ("http_requests_total", {"endpoint": "/screens", "status_code": "200"}, 98.0),
        ("http_requests_total", {"endpoint": "/api/users", "status_code": "404"}, 1.0),
        ("http_requests_total", {"endpoint": "/api/users", "status_code": "503"}, 1.0),
        ("http_requests_total", {"endpoint": "/api/health", "status_code": "503"}, 900.0),
        ("http_request_duration_seconds_bucket", {"endpoint": "/screens", "le": "0.1"}, 90.0),
        ("http_request_duration_seconds_bucket", {"endpoint": "/screens", "le": "0.5"}, 100.0),
        ("http_request_duration_seconds_bucket", {"endpoint": "/screens", "le": "+Inf"}, 100.0),
        ("http_request_duration_seconds_bucket", {"endpoint": "/api/files/upload", "le": "+Inf"}, 500.0),
        ("ui_sessions_total", {}, 50.0),
        ("ui_sessions_crashed_total", {}, 2.0),
        ("something_else", {}, 7.0),
    ]
    found = Counts.of(samples)
    assert found.error_rate == 0.01
    assert found.crash_free == 0.96  # the screens are worse than the API here
    assert found.p95_seconds == pytest.approx(0.3)  # half of the way from 0.1 to 0.5
    assert Counts.from_json(found.as_json()) == found


def test_a_process_that_begins_anew_counts_from_zero() -> None:
    """A restart is no negative growth, and a process that comes up in between is counted whole."""
    readings = [
        Reading(START, {"blue": {"a": counts(1000)}}),
        Reading(START + timedelta(minutes=1), {"blue": {"a": counts(1010)}}),
        Reading(START + timedelta(minutes=2), {"blue": {"a": counts(5)}}),
        Reading(START + timedelta(minutes=3), {"blue": {}}),
        Reading(START + timedelta(minutes=4), {"blue": {"a": counts(6), "b": counts(2)}}),
    ]
    assert History(readings).counted("blue", START, readings[-1].at).requests == 10 + 5 + 1 + 2


PATIENCE = Patience()


def test_too_many_crashes_for_an_hour() -> None:
    """A crash-free rate under 99.5 % for an hour takes the version back; for 59 minutes it does not."""
    assert fired(history(59, 0.6), "green", 0.006, PATIENCE) is None
    assert fired(history(61, 0.6), "green", 0.006, PATIENCE) == "Crash-free rate below 99.50 % for 60 minutes."
    assert fired(history(180, 0.4), "green", 0.006, PATIENCE) is None


def test_a_good_while_starts_the_hour_anew() -> None:
    """Good minutes in between mean that it was not bad for an hour."""
    assert fired(history(90, 0.6, good_from=80), "green", 0.006, PATIENCE) is None


def test_too_slow_for_half_an_hour() -> None:
    """A P95 over a second for half an hour takes the version back; for 29 minutes it does not."""
    assert fired(history(29, 0, SLOW), "green", 0, PATIENCE) is None
    assert fired(history(31, 0, SLOW), "green", 0, PATIENCE) == "Response time (P95) above 1,000 ms for 30 minutes."


def test_few_slow_calls_take_nothing_back() -> None:
    """A slow call now and then, for two hours: fewer than a hundred in a window prove nothing."""
    green, readings = Counts(), []
    for minute in range(121):
        readings.append(Reading(START + timedelta(minutes=minute), {"green": {"g": green}}))
        green += counts(19, 0, SLOW)
    assert fired(History(readings), "green", 0, PATIENCE) is None


def test_errors_up_by_half() -> None:
    """One and a half times the old version's error rate is the bound, at once; a single failure proves nothing."""
    assert fired(history(10, 1.5), "green", 0.01, PATIENCE) is None
    assert fired(history(10, 1.6), "green", 0.01, PATIENCE) == "Error rate up by more than half: 1.60 % after 1.00 %."
    assert fired(history(1, 2), "green", 0.0, PATIENCE) is None
    assert fired(history(2, 2), "green", 0.0, PATIENCE) == "Error rate up by more than half: 2.00 % after 0.10 %."


def test_no_traffic_is_no_evidence() -> None:
    """Without a request, nothing fires and nothing is well."""
    quiet = History([Reading(START + timedelta(minutes=m), {"green": {"g": Counts()}}) for m in range(120)])
    assert fired(quiet, "green", 0.0, PATIENCE) is None
    assert fired(History([]), "green", 0.0, PATIENCE) is None
