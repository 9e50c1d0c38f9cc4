"""Two people's calls, their runs and the mails about these, in one process that logs as in production.

    python -m tests.one_action FOLDER

Five minutes pass between each call and its run. Prints the log; the last line has the ids that the answers named.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Mount

from services.api import build_api
from services.api.telemetry import Telemetry
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import Job, Mail
from services.jobs.worker import Worker
from services.logs import configure_logs
from services.mail.relay import MailRelay
from services.settings import load_settings
from tests.servers import http_server
from tests.work import BANK, LEDGER, PLAN

PERSON = {
    "name": "Ada Admin",
    "email": "ada@example.org",
    "password": "correct horse battery",  # pragma: allowlist secret
}


def main(folder: Path) -> None:
    """Call, run, mail; twice, so that one action's lines are told from another's."""
    configure_logs(load_settings(_env_file=None, app_env="production", database_url="postgresql://u:p@h/db"))
    clock = FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    container = build_container(load_settings(_env_file=None, data_dir=folder, password_hash_rounds=4), clock)
    container.migrate()
    with http_server(Telemetry(Starlette(routes=[Mount("/api", build_api(container))]))) as client:
        client.post("/api/auth/register", json=PERSON).raise_for_status()
        answers = [launched(client) for _ in range(2)]
        clock.advance(minutes=5)
        work(container)
    relay = MailRelay(container)
    while relay.send_next():
        pass
    with container.session() as session:
        mails = [(mail.request_id, mail.status, mail.recipient) for mail in session.scalars(select(Mail))]
    container.close()
    told = {"requests": [answer.headers["X-Request-Id"] for answer in answers], "mails": mails}
    told["jobs"] = [answer.json()["id"] for answer in answers]
    sys.stdout.write(json.dumps(told) + "\n")


def launched(client: httpx.Client) -> httpx.Response:
    """The answer to one call that starts a run."""
    files = [
        client.post("/api/files/upload", params={"name": name}, content=content).json()["id"]
        for name, content in (("ledger.csv", LEDGER), ("bank.csv", BANK))
    ]
    wanted = {"plan": PLAN, "left_file_id": files[0], "right_file_id": files[1]}
    return client.post("/api/reconciliation/jobs", json=wanted).raise_for_status()


def work(container: Container) -> None:
    """A worker until both runs have ended."""
    worker = Worker(container, poll_seconds=0.05)
    thread = threading.Thread(target=worker.run)
    thread.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with container.session() as session:
            if set(session.scalars(select(Job.status))) <= {"succeeded", "failed"}:
                break
        time.sleep(0.05)
    worker.stop()
    thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
