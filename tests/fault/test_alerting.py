"""The drill of an outage: the database stops under load, people are told by every way there is, and it comes back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.browser.server import Server as Product
from tests.monitoring_servers import PAGERDUTY, SLACK, Monitoring, monitoring
from tests.postgresql_cluster import running
from tests.servers import postgresql_programs


class Load:
    """Somebody who asks for something that needs the database, ten times a second."""

    def __init__(self, address: str) -> None:
        self.answers: list[tuple[float, int]] = []
        self._address, self._stop = address, threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(5)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        with httpx.Client(base_url=self._address, timeout=30) as client:
            while not self._stop.wait(0.5):
                status = client.get("/api/users", headers={"Authorization": "Bearer nobody"}).status_code
                self.answers.append((time.monotonic(), status))

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(40)


def until(holds: Callable[[], bool], what: str, seconds: float = 60) -> float:
    """The moment at which something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)
    return time.monotonic()


class Drill:
    """An outage under load, step by step, with the time that each step took."""

    def __init__(self, client: httpx.Client, watch: Monitoring, record: Callable[[str, object], None]) -> None:
        self._client, self._watch, self._record = client, watch, record
        self._began = 0.0
        self.asked: list[float] = []

    def begin(self) -> None:
        """Count from now on."""
        self._began = time.monotonic()

    def note(self, step: str, at: float) -> float:
        """A step, and the seconds that it took."""
        self._record(step, round(at - self._began, 1))
        return at - self._began

    def health(self) -> httpx.Response:
        """Ask for the health, as a load balancer does."""
        began = time.monotonic()
        answer = self._client.get("/api/health")
        self.asked.append(time.monotonic() - began)
        return answer

    def goes_down(self) -> None:
        """Health, circuit, Prometheus, alert, notifications."""
        self.note("health answers 503", until(lambda: self.health().status_code == 503, "health answers 503"))
        circuit = until(lambda: self.health().json()["breakers"]["database"]["state"] == "open", "the circuit opens")
        self.note("the circuit opens", circuit)
        failing = "health_check_failing{dependency='database'}"
        self.note("Prometheus sees it", until(lambda: self._watch.value(failing) == 1, "Prometheus sees it"))
        self.note("the alert fires", until(lambda: "HealthCheckFailing" in self._watch.firing(), "the alert fires"))
        for receiver in (SLACK, PAGERDUTY):
            told = self._watch.wait_for(receiver, "HealthCheckFailing")
            assert self.note(f"{receiver[1:]} is told", told.at) < 50
            assert "/runbooks/HealthCheckFailing.md" in json.dumps(told.body)

    def comes_back(self, load: Load) -> None:
        """Health, people, the end of the alert."""
        before = len(load.answers)
        self.note("health answers 200", until(lambda: self.health().status_code == 200, "health answers 200"))
        served = until(lambda: any(status == 401 for _, status in load.answers[before:]), "people are served")
        assert self.note("people are served", served) < 20
        for receiver in (SLACK, PAGERDUTY):
            told = self._watch.wait_for(receiver, "HealthCheckFailing", resolved=True)
            self.note(f"{receiver[1:]} is told of the end", told.at)


@pytest.mark.timeout(200)
def test_an_outage_is_told_and_passes(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """503 at once, circuit open, alert after three checks, Slack and PagerDuty told; later both told of the end."""
    with ExitStack() as stack:
        database = stack.enter_context(running(postgresql_programs()))
        product = Product(tmp_path, DATABASE_URL=f"{database.address}/postgres", RECON_BREAKER_OPEN_SECONDS="5")
        product.start()
        stack.callback(product.stop)
        address = product.address.replace("localhost", "127.0.0.1")
        client = stack.enter_context(httpx.Client(base_url=address, timeout=30))
        watch = stack.enter_context(monitoring(tmp_path / "monitoring", address))
        until(lambda: client.get("/api/health").json()["status"] == "ok", "all is well")
        until(lambda: watch.value("up") == 1, "the product is watched")
        load = Load(address)
        stack.callback(load.stop)
        until(lambda: len(load.answers) > 10, "people ask")
        assert "HealthCheckFailing" not in watch.firing()

        drill = Drill(client, watch, record_property)
        drill.begin()
        database.stop()
        drill.goes_down()
        drill.begin()
        database.start()
        drill.comes_back(load)
        record_property("slowest answer of health, ms", round(max(drill.asked) * 1000))
        assert {status for _, status in load.answers} <= {401, 503}
        assert sorted(drill.asked)[len(drill.asked) // 2] < 0.1
