"""The soak: users at work, faults one at a time, one final read, and the verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.container import Container, build_container
from services.permissions import Role
from services.settings import load_settings
from tests.fault.soak import final_read, report
from tests.fault.soak.checker import Final, check
from tests.fault.soak.nemesis import Injected, Nemesis, Pulse
from tests.fault.soak.records import Log, Record
from tests.fault.soak.system import System, system
from tests.fault.soak.users import User

PASSWORD = "correct horse battery"  # pragma: allowlist secret
ADMIN = "ada@example.org"
MAILBOXES = 15  # for each user
DRAIN_SECONDS = 240.0


@dataclass
class Plan:
    """How long, how many, which faults."""

    seconds: float
    users: int
    faults: Iterator[tuple[str, str]]
    fault_seconds: float = 8.0
    calm_seconds: float = 3.0
    say: Callable[[str], None] = print
    """Told how far it is."""


@dataclass
class Verdict:
    """What came of it."""

    findings: list[str]
    injected: list[Injected]
    records: list[Record]
    final: Final
    text: str
    """The report."""


def soak(folder: Path, plan: Plan) -> Verdict:
    """Run it all in this folder, which keeps the logs."""
    with system(folder) as running:
        container = build_container(load_settings(_env_file=None, **_straight(running)))
        try:
            return _soaked(running, container, plan, folder)
        finally:
            container.close()


def _soaked(running: System, container: Container, plan: Plan, folder: Path) -> Verdict:
    admin = container.accounts.create_first_admin("Ada Admin", ADMIN, PASSWORD)
    actor = container.sessions.resolve(container.sessions.start(admin, "127.0.0.1", "soak"))
    token = container.sessions.start(admin, "127.0.0.1", "soak")
    nemesis = Nemesis(running)
    log, stop = Log(folder / "log.ndjson", lambda: nemesis.during), threading.Event()
    users = []
    for number in range(plan.users):
        name = f"u{number}"
        account = (f"{name}@example.org", PASSWORD)
        container.accounts.create(actor, name, account[0], PASSWORD, Role.ANALYST)
        boxes = [f"{name}-m{box}@example.org" for box in range(MAILBOXES)]
        for box in boxes:
            container.accounts.create(actor, box, box, PASSWORD, Role.ANALYST)
        users.append(User(name, running.app.address, account, log, stop))
        users[-1].start(boxes)
    pulse = Pulse(running.app.address, token)
    plan.say(f"{plan.users} users are at work")
    time.sleep(plan.calm_seconds)
    nemesis.rage(plan.faults, time.monotonic() + plan.seconds, plan.fault_seconds, plan.calm_seconds, plan.say)
    stop.set()
    for user in users:
        user.thread.join(60)
    pulse.stop()
    findings = [f"{user.name} hangs" for user in users if user.thread.is_alive()]
    findings += [f"{one.name}: not well again in time" for one in nemesis.injected if one.well is None]
    plan.say("all is healed; what is under way may end")
    left = final_read.drain(container, DRAIN_SECONDS)
    findings += [f"{count} {what} still under way at the end" for what, count in left.items()]
    plan.say("the final read")
    with httpx.Client(base_url=running.app.address, timeout=30, headers={"authorization": f"Bearer {token}"}) as client:
        final = final_read.read(container, running, client)
    log.close()
    findings += check(log.records, final)
    text = "\n".join(
        (
            report.table(log.records, nemesis.injected, pulse),
            f"done: {report.counts(log.records)}",
            f"at the end: {final.counts}",
            f"{len(findings)} findings",
            *findings,
        )
    )
    return Verdict(findings, nemesis.injected, log.records, final, text)


def _straight(running: System) -> dict[str, object]:
    """The settings for a container of our own, past the proxies."""
    given = running.environment
    return {
        "data_dir": running.folder / "checker",
        "database_url": given["DATABASE_URL"],
        "jwt_secret_file": Path(given["JWT_SECRET_FILE"]),
        "password_hash_rounds": 4,
        "embedded_worker": False,
    }
