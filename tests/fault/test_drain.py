"""SIGTERM, as every deployment sends it: nothing accepted is lost, nothing running is cut, people come back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from services.container import Container, build_container
from services.permissions import Actor
from services.settings import Settings
from tests.browser.server import Server
from tests.service.conftest import PASSWORD
from tests.work import LEDGER, PLAN, launch, start_worker, upload_pair, wait_for, worker_environment

ROWS = 150_000


def big(container: Container, actor: Actor) -> tuple[str, str]:
    """Two files that take a run some seconds."""

    def rows(header: bytes, tail: bytes) -> Iterator[bytes]:
        yield header
        yield b"".join(b"R%d,%d.00,2026-01-01\n" % (n, n % 997) for n in range(ROWS)) + tail

    left = container.files.upload(actor, "ledger.csv", rows(b"ref,amount,posted\n", b"L,1.00,2026-01-01\n"))
    right = container.files.upload(actor, "bank.csv", rows(b"txn,value,posted\n", b"R,2.00,2026-01-01\n"))
    return left.id, right.id


@pytest.mark.timeout(180)
def test_a_running_job_may_end(container: Container, admin: Actor, impatient: Settings, tmp_path: Path) -> None:
    """Within its time to drain a worker lets the running job end, takes no other, and ends with status 0."""
    patient = impatient.model_copy(update={"job_drain_seconds": 60, "job_slots": 1})
    worker = start_worker(patient, tmp_path / "worker.log")
    try:
        pair = big(container, admin)
        first, second = (launch(container, admin, pair).id for _ in range(2))
        wait_for(container, first, "running")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(90) == 0
    finally:
        worker.kill()
        worker.wait()
    ended, waiting = container.jobs.get(admin, first), container.jobs.get(admin, second)
    assert (ended.status, ended.attempts) == ("succeeded", 1)
    assert (waiting.status, waiting.attempts) == ("queued", 0)
    assert container.workers.alive() == []


@pytest.mark.timeout(180)
def test_a_job_that_cannot_end_in_time_goes_on_elsewhere(
    container: Container, admin: Actor, impatient: Settings, tmp_path: Path
) -> None:
    """A stopping worker hands its job back at once and at no cost; another worker takes it without waiting."""
    first = start_worker(impatient, tmp_path / "first.log")
    workers = [first]
    try:
        job = launch(container, admin, big(container, admin))
        wait_for(container, job.id, "running")
        children = psutil.Process(first.pid).children()
        first.terminate()
        assert first.wait(30) == 0
        assert not psutil.wait_procs(children, timeout=5)[1]
        given_back = container.jobs.get(admin, job.id)
        assert (given_back.status, given_back.owner) == ("queued", None)
        assert given_back.max_attempts == impatient.job_max_attempts + 1
        workers.append(start_worker(impatient, tmp_path / "second.log"))
        assert wait_for(container, job.id, "succeeded").attempts == 2
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait(30)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_app_drains(settings: Settings, tmp_path: Path) -> None:
    """SIGTERM during an upload and a job: the upload is taken whole, the job ends, the session lives, status 0."""
    environment = {k: v for k, v in worker_environment(settings).items() if k.startswith("RECON_JOB")}
    server = Server(tmp_path / "data", **{**environment, "RECON_JOB_DRAIN_SECONDS": "30"})
    (tmp_path / "data").mkdir()
    server.start()
    container = build_container(settings.model_copy(update={"data_dir": tmp_path / "data"}))
    try:
        container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
        with httpx.Client(base_url=f"{server.address}/api", timeout=60) as client:
            login = {"email": "ada@example.org", "password": PASSWORD}
            assert client.post("/auth/login", json=login).status_code == 200
            me = container.sessions.resolve(client.cookies.jar.__iter__().__next__().value)
            job = launch(container, me, big(container, me))
            wait_for(container, job.id, "running")
            begun = threading.Event()

            def slowly() -> Iterator[bytes]:
                yield LEDGER
                begun.set()
                for _ in range(10):
                    time.sleep(0.2)
                    yield b"A9,1.00,2026-01-01\n"

            answers: list[httpx.Response] = []
            sending = threading.Thread(
                target=lambda: answers.append(
                    client.post("/files/upload", params={"name": "slow.csv"}, content=slowly())
                )
            )
            sending.start()
            begun.wait(10)
            time.sleep(0.5)
            assert server.terminate() == 0, server.log()
            sending.join()
            assert [answer.status_code for answer in answers] == [201], [a.text for a in answers]
            assert container.jobs.get(me, job.id).status == "succeeded"
            server.start()
            file = client.get(f"/files/{answers[0].json()['id']}")
            assert (file.status_code, file.json()["size_bytes"]) == (200, len(LEDGER) + 10 * 19)
            pair = upload_pair(container, me)
            started = client.post(
                "/reconciliation/jobs", json={"plan": PLAN, "left_file_id": pair[0], "right_file_id": pair[1]}
            )
            wait_for(container, started.json()["id"], "succeeded")
        assert list((tmp_path / "data" / "incoming").iterdir()) == []
    finally:
        server.stop()
        container.close()
