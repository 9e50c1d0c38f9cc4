"""One action is followed by one id, from the click or call through the job to the mail that it causes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from ops.__main__ import main
from services.clock import FakeClock
from services.container import Container
from services.database.models import Mail
from services.jobs.leases import LONG, Leases, Outcome
from services.permissions import Actor
from tests.work import ROOT, launch

EVENTS = ["job accepted", "run ended", "mail sent"]
DONE = Outcome("succeeded", 1, None, {"conserved": True}, "results/x/1")
BROKEN = Outcome("failed", 3, "broken")


def test_an_action_is_followed_to_its_mail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer names the request; `python -m ops logs --request` shows its run and its mail, and no other's."""
    (tmp_path / "data").mkdir()
    command = [sys.executable, "-m", "tests.one_action", tmp_path / "data"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *lines, last = ended.stdout.splitlines()
    (tmp_path / "app.log").write_text("\n".join(lines))
    told = json.loads(last)
    assert sorted(told["mails"]) == sorted([request, "sent", "ada@example.org"] for request in told["requests"])
    for request, job in zip(told["requests"], told["jobs"], strict=True):
        mine = [entry for line in lines if (entry := json.loads(line)).get("request") == request]
        assert [entry["event"] for entry in mine] == EVENTS
        assert [entry.get("job") for entry in mine] == [job, job, None]
        assert len({entry["user"] for entry in mine if "user" in entry}) == 1
        assert main(["logs", str(tmp_path / "app.log"), "--request", request[:8]]) == 0
        shown = capsys.readouterr().out.splitlines()
        assert all(event in line for event, line in zip(EVENTS, shown, strict=True))


@pytest.mark.parametrize(
    ("waited", "outcome", "subjects"),
    [
        (LONG - timedelta(seconds=1), DONE, []),
        (LONG, DONE, ["Your run is done: small"]),
        (LONG, BROKEN, ["Your run failed: small"]),
    ],
)
def test_who_waits_long_is_told(
    container: Container, admin: Actor, clock: FakeClock, waited: timedelta, outcome: Outcome, subjects: list[str]
) -> None:
    """The end of a run that was waited for longer than five minutes is mailed to whoever started it, with a link."""
    job = launch(container, admin)
    leases = Leases(container)
    claimed = leases.claim("w1")
    assert claimed is not None
    clock.advance(seconds=waited.total_seconds())
    assert leases.beat(claimed[0], None) == "running"
    leases.finish(claimed[0], outcome)
    with container.session() as session:
        mails = session.scalars(select(Mail)).all()
    assert [mail.subject for mail in mails] == subjects
    assert all(mail.recipient == admin.email and f"/results?job={job.id}" in mail.body for mail in mails)


def test_who_cancels_is_not_told(container: Container, admin: Actor, clock: FakeClock) -> None:
    """Whoever ended it knows."""
    job = launch(container, admin)
    claimed = Leases(container).claim("w1")
    assert claimed is not None
    clock.advance(minutes=30)
    container.jobs.cancel(admin, job.id)
    assert Leases(container).finish(claimed[0], DONE) == "cancelled"
    with container.session() as session:
        assert session.scalars(select(Mail)).all() == []
