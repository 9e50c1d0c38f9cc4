"""Every server under the app is swallowed at once: health answers within 100 ms all the same, and then all is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.fault.soak.system import system

SECONDS = 20
PEOPLE = 4


def took(client: httpx.Client, path: str) -> tuple[float, httpx.Response]:
    """How long an answer took, and the answer."""
    began = time.monotonic()
    answer = client.get(path)
    return time.monotonic() - began, answer


def ask(address: str, stop: threading.Event) -> None:
    """Somebody who wants what needs the database, and waits for the answer however long it takes."""
    with httpx.Client(base_url=address, timeout=60) as client:
        while not stop.is_set():
            client.get("/api/users", headers={"Authorization": "Bearer nobody"})


@pytest.mark.timeout(400)
def test_health_answers_at_once_whatever_hangs(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """PostgreSQL, Redis, S3 and SMTP accept everything and answer nothing, while people ask for their pages."""
    with system(tmp_path / "system", workers=1) as running, httpx.Client(base_url=running.app.address) as client:
        stop = threading.Event()
        people = [threading.Thread(target=ask, args=(running.app.address, stop)) for _ in range(PEOPLE)]
        for link in running.app.links.values():
            link.black_hole()
        for person in people:
            person.start()
        health: list[float] = []
        live: list[float] = []
        seen: dict[str, str] = {}
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            live.append(took(client, "/api/health/live")[0])  # what the machine itself takes, busy as it may be
            seconds, answer = took(client, "/api/health")
            health.append(seconds)
            seen = {name: part["state"] for name, part in answer.json()["parts"].items()}
            assert answer.status_code == (503 if seen["database"] == "down" else 200)
            time.sleep(0.1)
        for link in running.app.links.values():
            link.heal()
        stop.set()
        for person in people:
            person.join(60)
        assert running.wait_until_well(60)
    assert (seen["database"], seen["storage"], seen["redis"]) == ("down", "down", "down")
    health.sort()
    live.sort()
    often = int(0.95 * len(health))
    record_property("answers of health", len(health))
    record_property(
        "median, 95 %, longest, ms", [round(1000 * health[place]) for place in (len(health) // 2, often, -1)]
    )
    record_property("of a plain answer, ms", [round(1000 * live[place]) for place in (len(live) // 2, often, -1)])
    assert health[often] < 0.1 + live[often]
