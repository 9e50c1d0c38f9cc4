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
from tests.fault.conftest import ROUNDS
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
    quietly = {"cwd": ROOT, "env": environment, "capture_output": True, "timeout": 90}
    ended = subprocess.run([sys.executable, *command], check=False, **quietly)
    assert ended.returncode == 137, ended.stderr.decode()[-2000:]


@pytest.mark.parametrize("point", UPLOADS)
def test_an_upload(container: Container, admin: Actor, impatient: Settings, point: str) -> None:
    """A file is in the catalogue with its content, or not at all; sent again it is whole either way."""
    for number in range(ROUNDS):
        crash(impatient, point, "-c", REQUEST, "upload", str(number))
        with container.session() as session:
            files = session.scalars(select(StoredFile)).all()
            noted = session.scalar(select(func.count()).where(AuditEntry.action == "file.upload"))
        assert len(files) == noted == ((number + 1) * 2 - 1 if point == "upload recorded" else number)
        container.files.upload(admin, "new.csv", [LEDGER + str(number).encode()])
        for file in container.files.list(admin):
            assert container.storage.size(file.storage_key) == file.size_bytes
    assert container.audit.verify(admin).whole


@pytest.mark.parametrize("point", JOBS)
@pytest.mark.timeout(240)
def test_a_job(container: Container, admin: Actor, impatient: Settings, tmp_path: Path, point: str) -> None:
    """An accepted job ends once, with one whole result, whichever step its worker vanished in."""
    pair = upload_pair(container, admin)
    for _ in range(ROUNDS):
        if point == "job accepted":
            crash(impatient, point, "-c", REQUEST, "launch", *pair)
        else:
            launch(container, admin, pair)
            crash(impatient, point, "-m", "services.jobs")
    worker = start_worker(impatient, tmp_path / "worker.log")
    try:
        jobs = [wait_for(container, job.id, "succeeded") for job in container.jobs.list(admin)]
        deadline = time.monotonic() + 30
        while list((impatient.data_dir / "work").iterdir()):
            assert time.monotonic() < deadline, "the folder of a vanished worker is left"
            time.sleep(0.1)
    finally:
        worker.terminate()
        worker.wait(30)
    assert len(jobs) == ROUNDS
    for job in jobs:
        assert job.attempts == (1 if point in ("job accepted", "job finished") else 2)
        assert {key.split("/")[2] for key in container.storage.list(f"results/{job.id}")} == {str(job.attempts)}
        assert container.results.page(admin, job.id, "matches").total == 4
    with container.session() as session:
        assert session.scalar(select(func.count()).where(AuditEntry.action == "job.succeeded")) == ROUNDS
        assert session.scalar(select(func.count()).where(Job.owner.is_not(None))) == 0
    assert container.audit.verify(admin).whole


@pytest.mark.parametrize("point", MAILS)
def test_a_mail(container: Container, impatient: Settings, tmp_path: Path, point: str) -> None:
    """A queued mail arrives; only a relay that vanished between the server's yes and its note sends it twice."""
    with mail_server(tmp_path / "smtp") as server:
        for number in range(ROUNDS):
            with container.transaction() as session:
                container.mail.enqueue(session, key=f"e{number}", recipient="bo@example.org", subject="Hi", body="Hi")
            crash(impatient, point, "-m", "services.mail", SMTP_URL=server.url)
            time.sleep(impatient.mail_lease_seconds + 0.1)
            relay = subprocess.Popen(
                [sys.executable, "-m", "services.mail"],
                cwd=ROOT,
                env={**worker_environment(impatient), "SMTP_URL": server.url},
                stdout=subprocess.DEVNULL,
            )
            deadline = time.monotonic() + 30
            while container.mail.backlog().waiting:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            relay.terminate()
            assert relay.wait(30) == 0
        ids = [mail["Message-ID"] for mail in server.mails()]
    with container.session() as session:
        assert set(ids) == set(session.scalars(select(Mail.message_id).where(Mail.status == "sent")))
    assert len(set(ids)) == ROUNDS
    assert len(ids) == (2 * ROUNDS if point == "mail sent" else ROUNDS)


def test_production_has_no_crash_points() -> None:
    """The variable does nothing where people work."""
    code = "from services.crash_points import reach; reach('job claimed'); print('lives')"
    for environment in ("production", ""):
        given = {**os.environ, "APP_ENV": environment, "RECON_CRASH_AT": "job claimed", "PYTHONPATH": str(ROOT)}
        told = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
        assert told.stdout == "lives\n"
