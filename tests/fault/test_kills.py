"""Workers, their children and their parents are killed at random moments: every accepted job ends exactly once."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from services.container import Container
from services.database.models import AuditEntry, Job
from services.permissions import Actor
from services.settings import Settings
from tests.fault.conftest import FULL
from tests.work import ROOT, launch, start_worker, upload_pair, wait_for, worker_environment

JOBS, KILLS, SERVERS, PAUSES = (200, 100, 4, 50) if FULL else (30, 12, 1, 1)
SEED = 20261124
SHARES = {"server": 0.2, "worker": 0.2, "fork server": 0.2, "engine": 0.4}  # each is a child of the one before
SERVER = "import time; from services.jobs.embedded import EmbeddedWorker; EmbeddedWorker().start(); time.sleep(600)"


class Server:
    """Stands for the app: a process that keeps an embedded worker, started again whenever it is killed."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._environment, self._log = worker_environment(settings), log
        self.process = self.start()

    def start(self) -> psutil.Popen:
        """Start the process; its log is appended."""
        with self._log.open("ab") as output:
            return psutil.Popen(
                [sys.executable, "-c", SERVER], cwd=ROOT, env=self._environment, stdout=output, stderr=output
            )

    def kill(self, victim: str, chance: random.Random) -> bool:
        """Kill -9 the server, its worker, the worker's fork server or an engine; False when there is none just now."""
        found: list[psutil.Process] = [self.process]
        with contextlib.suppress(psutil.Error):
            for _ in range(list(SHARES).index(victim)):
                found = [child for parent in found for child in parent.children()]
            if not found:
                return False
            chance.choice(found).kill()
        if victim == "server":
            self.process.wait()
            self.process = self.start()
        return True


@pytest.fixture
def servers(impatient: Settings, tmp_path: Path) -> Iterator[list[Server]]:
    """Running servers, each with its worker; all are gone afterwards."""
    running = [Server(impatient, tmp_path / f"server-{number}.log") for number in range(SERVERS)]
    yield running
    family = [p for server in running for p in (server.process, *server.process.children(recursive=True))]
    for server in running:
        server.process.kill()
    _, alive = psutil.wait_procs(family, timeout=15)
    assert not alive, "the worker or a child outlived its killed parent"


@pytest.mark.timeout(1200 if FULL else 300)
def test_every_accepted_job_ends_exactly_once(container: Container, admin: Actor, servers: list[Server]) -> None:
    """Jobs through many kills: none lost, none ended twice, each with one whole result, the audit chain unbroken."""
    chance = random.Random(SEED)
    pair = upload_pair(container, admin)
    accepted = [launch(container, admin, pair).id for _ in range(JOBS)]
    killed: Counter[str] = Counter()
    began = time.monotonic()
    while _unfinished(container):
        assert time.monotonic() < began + (1150 if FULL else 280), (container.jobs.counts(admin), killed)
        time.sleep(chance.uniform(0.2, 1.2))
        left = [kind for kind, share in SHARES.items() if killed[kind] < KILLS * share]
        if left:
            victim = chance.choice(left)
            killed[victim] += chance.choice(servers).kill(victim, chance)
    print(f"{JOBS} jobs, {dict(killed)} killed, {time.monotonic() - began:.0f} s")  # noqa: T201 - the figure to publish
    assert all(killed[kind] for kind in SHARES), killed
    jobs = container.jobs.list(admin, limit=JOBS + 1)
    assert sorted(job.id for job in jobs) == sorted(accepted)
    assert {(job.status, job.error, job.exit_code, job.owner) for job in jobs} == {("succeeded", None, 1, None)}
    with container.session() as session:
        endings = select(AuditEntry.target_id).where(AuditEntry.action.like("job.%"), AuditEntry.account_id.is_(None))
        assert sorted(session.scalars(endings)) == sorted(accepted)
    assert container.audit.verify(admin).whole
    for job in jobs:
        assert job.result_prefix == f"results/{job.id}/{job.attempts}"
        assert container.results.page(admin, job.id, "matches").total == 4


@pytest.mark.timeout(1200 if FULL else 180)
def test_the_late_finish_of_a_paused_worker_is_refused(
    container: Container, admin: Actor, impatient: Settings, tmp_path: Path
) -> None:
    """A worker stopped past its lease wakes up to find its job done by another: it changes nothing and works on."""
    pair, log = upload_pair(container, admin), tmp_path / "sleeper.log"
    sleeper = start_worker(impatient.model_copy(update={"job_slots": 1}), log)
    workers = [sleeper]
    try:
        for number in range(PAUSES):
            job = launch(container, admin, pair)
            wait_for(container, job.id, "running")
            os.kill(sleeper.pid, signal.SIGSTOP)
            workers.append(start_worker(impatient, tmp_path / "other.log"))
            done = wait_for(container, job.id, "succeeded")
            assert done.attempts == 2
            _end(workers.pop())
            os.kill(sleeper.pid, signal.SIGCONT)
            deadline = time.monotonic() + 30
            while len(re.findall("refused|lost", log.read_text())) <= number:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            after = container.jobs.get(admin, job.id)
            assert (after.status, after.attempts, after.finished_at) == ("succeeded", 2, done.finished_at)
            stored = container.storage.list(f"results/{job.id}")
            assert {key.split("/")[2] for key in stored} == {"2"}
        wait_for(container, launch(container, admin, pair).id, "succeeded")
    finally:
        for worker in workers:
            _end(worker)


@pytest.mark.timeout(60)
def test_a_worker_stops_however_often_it_is_told(impatient: Settings, tmp_path: Path) -> None:
    """A storm of SIGTERMs, each arriving while the one before is handled, ends the worker cleanly and once."""
    log = tmp_path / "worker.log"
    worker = start_worker(impatient, log)
    try:
        deadline = time.monotonic() + 30
        while "worker started" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for _ in range(150):
            worker.send_signal(signal.SIGTERM)
            time.sleep(0.0005)
        assert worker.wait(15) == 0, log.read_text()
        assert log.read_text().count("worker stopped") == 1
    finally:
        worker.kill()
        worker.wait()


def _unfinished(container: Container) -> bool:
    with container.session() as session:
        return session.scalar(select(Job.id).where(Job.finished_at.is_(None)).limit(1)) is not None


def _end(worker: subprocess.Popen[bytes]) -> None:
    os.kill(worker.pid, signal.SIGCONT)
    worker.terminate()
    worker.wait(30)
