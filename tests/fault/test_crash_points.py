"""A process vanishes at each named moment; after a restart the work is done, once, and nothing is left over."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from services.container import Container
from services.crash_points import POINTS
from services.database.models import AuditEntry, Job, Mail, StoredFile
from services.permissions import Actor
from services.settings import Settings
from tests.fault.conftest import FULL, ROUNDS
from tests.service.conftest import PASSWORD
from tests.smtp_server import mail_server
from tests.work import LEDGER, ROOT, launch, start_worker, upload_pair, wait_for, worker_environment

# What a request of a person does, as a process of its own that can vanish.
REQUEST = f"""
import sys
from services.container import get_container
from tests.work import LEDGER, PLAN
c = get_container()
me = c.sessions.resolve(c.sessions.sign_in("ada@example.org", {PASSWORD!r}, "127.0.0.1", "test")[0])
if sys.argv[1] == "upload":
    c.files.upload(me, "new.csv", [LEDGER + sys.argv[2].encode()])
else:
    c.jobs.launch(me, None, PLAN, sys.argv[2], sys.argv[3])
"""
UPLOADS, JOBS = ([p for p in POINTS if p.startswith(kind)] for kind in ("upload", "job"))
MAILS = [p for p in POINTS if p.startswith("mail")]


def crash(settings: Settings, point: str, *command: str, **given: str) -> None:
    """Run the command until it vanishes at the point."""
    armed = {"APP_ENV": "development", "RECON_CRASH_AT": point, "PYTHONPATH": str(ROOT), **given}
    environment = {**worker_environment(settings), "RECON_PASSWORD_HASH_ROUNDS": "4", **armed}
    quietly = {"cwd": ROOT, "env": environment, "capture_output": True, "timeout": 180}
    ended = subprocess.run([sys.executable, *command], check=False, **quietly)
    assert ended.returncode == 137, ended.stderr.decode()[-2000:]


def test_uploads(container: Container, admin: Actor, impatient: Settings) -> None:
    """A file is in the catalogue with its content, or not at all; sent again it is whole either way."""
    expected = 0
    for number, point in enumerate(UPLOADS * ROUNDS):
        crash(impatient, point, "-c", REQUEST, "upload", str(number))
        expected += point == "upload recorded"
        with container.session() as session:
            files = session.scalars(select(StoredFile)).all()
            noted = session.scalar(select(func.count()).where(AuditEntry.action == "file.upload"))
        assert len(files) == noted == expected, point
        container.files.upload(admin, "new.csv", [LEDGER + str(number).encode()])
        expected += 1
    for file in container.files.list(admin):
        assert container.storage.size(file.storage_key) == file.size_bytes
    assert container.audit.verify(admin).whole


@pytest.mark.timeout(1800 if FULL else 600)
def test_jobs(container: Container, admin: Actor, impatient: Settings, tmp_path: Path) -> None:
    """Accepted jobs end once, with one whole result each, whichever steps their workers vanished in."""
    pair = upload_pair(container, admin)
    for point in JOBS * ROUNDS:
        if point == "job accepted":
            crash(impatient, point, "-c", REQUEST, "launch", *pair)
        else:
            launch(container, admin, pair)
            crash(impatient, point, "-m", "services.jobs")
    worker = start_worker(impatient, tmp_path / "worker.log")
    try:
        jobs = [wait_for(container, job.id, "succeeded") for job in container.jobs.list(admin, limit=1000)]
        deadline = time.monotonic() + 30
        while list((impatient.data_dir / "work").iterdir()):
            assert time.monotonic() < deadline, "the folder of a vanished worker is left"
            time.sleep(0.1)
    finally:
        worker.terminate()
        worker.wait(30)
    assert len(jobs) == len(JOBS) * ROUNDS
    assert sum(job.attempts for job in jobs) > len(jobs)
    for job in jobs:
        assert {key.split("/")[2] for key in container.storage.list(f"results/{job.id}")} == {str(job.attempts)}
        assert container.results.page(admin, job.id, "matches").total == 4
    with container.session() as session:
        ended = select(AuditEntry.target_id).where(AuditEntry.action == "job.succeeded")
        assert sorted(session.scalars(ended)) == sorted(job.id for job in jobs)
        assert session.scalar(select(func.count()).where(Job.owner.is_not(None))) == 0
    assert container.audit.verify(admin).whole


@pytest.mark.timeout(1800 if FULL else 300)
def test_mails(container: Container, impatient: Settings, tmp_path: Path) -> None:
    """Queued mails arrive; only one whose relay vanished between the server's yes and its note arrives twice."""
    with mail_server(tmp_path / "smtp") as server:
        for number, point in enumerate(MAILS * ROUNDS):
            with container.transaction() as session:
                container.mail.enqueue(session, key=f"e{number}", recipient="bo@example.org", subject="Hi", body="Hi")
            crash(impatient, point, "-m", "services.mail", SMTP_URL=server.url)
        given = {**worker_environment(impatient), "SMTP_URL": server.url}
        relay = subprocess.Popen([sys.executable, "-m", "services.mail"], cwd=ROOT, env=given)
        deadline = time.monotonic() + 60
        while container.mail.backlog().waiting:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        relay.terminate()
        assert relay.wait(30) == 0
        ids = [mail["Message-ID"] for mail in server.mails()]
    with container.session() as session:
        assert set(ids) == set(session.scalars(select(Mail.message_id).where(Mail.status == "sent")))
    assert len(set(ids)) == len(MAILS) * ROUNDS
    assert len(ids) == len(set(ids)) + ROUNDS


def test_production_has_no_crash_points() -> None:
    """The variable does nothing where people work."""
    code = "from services.crash_points import reach; reach('job claimed'); print('lives')"
    for environment in ("production", ""):
        given = {**os.environ, "APP_ENV": environment, "RECON_CRASH_AT": "job claimed", "PYTHONPATH": str(ROOT)}
        told = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
        assert told.stdout == "lives\n"
