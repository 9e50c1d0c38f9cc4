"""Small work for the tests of jobs: two files, a plan, and a worker process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from services.clock import Clock
from services.container import Container
from services.database.models import Job
from services.permissions import Actor
from services.settings import Settings

ROOT = Path(__file__).parents[1]
LEDGER = b"ref,amount,posted\nA1,10.00,2026-01-01\nA2,20.00,2026-01-02\n=A3,-30.00,2026-01-03\n"
BANK = b"txn,value,posted\nA1,10.00,2026-01-01\nA2,20.05,2026-01-02\nB9,1.00,2026-01-09\n"
PLAN: dict[str, Any] = {
    "version": 1,
    "name": "small",
    "left": {"label": "Ledger"},
    "right": {"label": "Bank"},
    "fields": [
        {"name": "reference", "left": "ref", "right": "txn", "type": "text"},
        {"name": "amount", "left": "amount", "right": "value", "type": "decimal", "scale": 2},
        {"name": "posted_on", "left": "posted", "right": "posted", "type": "date"},
    ],
    "rules": [
        {"name": "exact", "on": ["reference", "amount"]},
        {"name": "near", "on": ["reference", {"field": "amount", "within": "0.05"}]},
    ],
    "compare": ["amount"],
}


class WrongClock(Clock):
    """The clock of a machine that is wrong by some hours."""

    def __init__(self, hours: float) -> None:
        self._off = timedelta(hours=hours)

    def now(self) -> datetime:
        """The wrong time."""
        return super().now() + self._off


def upload_pair(container: Container, actor: Actor) -> tuple[str, str]:
    """Upload the two files; gives their ids."""
    left = container.files.upload(actor, "ledger.csv", [LEDGER])
    right = container.files.upload(actor, "bank.csv", [BANK])
    return left.id, right.id


def launch(container: Container, actor: Actor, pair: tuple[str, str] | None = None) -> Job:
    """Launch the plan on the two files."""
    left, right = pair or upload_pair(container, actor)
    return container.jobs.launch(actor, None, PLAN, left, right)


def worker_environment(settings: Settings) -> dict[str, str]:
    """What a worker process needs to see of the settings."""
    given = {
        "RECON_DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_address,
        **{
            f"RECON_{name.upper()}": str(getattr(settings, name))
            for name in Settings.model_fields
            if name.startswith(("job_", "mail_lease", "mail_first"))
        },
    }
    return {**os.environ, **given}


def start_worker(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """A worker process; its log goes to a file."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "services.jobs"],
            cwd=ROOT,
            env=worker_environment(settings),
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def wait_for(container: Container, job_id: str, status: str, seconds: float = 60) -> Job:
    """The job, once it has that status."""
    deadline = time.monotonic() + seconds
    while True:
        with container.session() as session:
            job = session.get_one(Job, job_id)
        if job.status == status:
            return job
        assert job.finished_at is None, f"the job is {job.status}: {job.error}"
        assert time.monotonic() < deadline, f"the job is {job.status}: {job.error}"
        time.sleep(0.02)
