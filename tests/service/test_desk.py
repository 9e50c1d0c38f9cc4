"""Backups and drills asked for on the screens: started as processes of their own, told while they run, audited."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from ops.desk import Desk
from services.container import Container
from services.errors import Conflict, NotAllowed, Unavailable
from services.operations import Activity
from services.permissions import Actor, Role


@pytest.fixture
def desk(container: Container, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The operator of the app, whose processes find this test's database."""
    monkeypatch.setenv("RECON_DATA_DIR", str(container.settings.data_dir))
    monkeypatch.setenv("DATABASE_URL", container.settings.database_address)
    made = Desk(container)
    container.operations.register(made)
    yield made
    made.stop()


def ended(container: Container, admin: Actor) -> Activity:
    """How the work ended."""
    give_up = time.monotonic() + 100
    while True:
        activity = container.operations.activity(admin)
        assert activity is not None
        if not activity.running or time.monotonic() > give_up:
            return activity
        time.sleep(0.1)


@pytest.mark.timeout(300)  # two processes, one after another
def test_a_backup_and_a_drill_from_the_screen(container: Container, admin: Actor, desk: Desk) -> None:
    """One at a time; the page lists them with the reasons why they stay, and the trail says who asked."""
    container.operations.back_up(admin)
    with pytest.raises(Conflict):
        container.operations.drill(admin)
    done = ended(container, admin)
    assert (done.work, done.failed) == ("backup", False), done.doing
    container.operations.drill(admin)
    done = ended(container, admin)
    assert (done.work, done.failed) == ("drill", False), done.doing
    found = container.operations.backups(admin)
    assert [line.status for line in found.lines] == ["verified"]
    assert found.newest is not None
    assert found.newest.kept_because
    assert [drill.status for drill in found.drills] == ["passed"]
    assert {entry.action for entry in container.audit.entries(admin)} >= {"backup.run", "drill.run"}


def test_a_failure_is_told_in_its_own_sentence(container: Container, admin: Actor, desk: Desk) -> None:
    """A drill without any backup ends with the sentence of the command line."""
    container.operations.drill(admin)
    done = ended(container, admin)
    assert done.failed
    assert "no verified backup" in done.doing


def test_who_may(container: Container, actor_of: Callable[[Role], Actor]) -> None:
    """Auditors look, only administrators act, and a process without an operator says so."""
    auditor = actor_of(Role.AUDITOR)
    assert container.operations.backups(auditor).lines == []
    with pytest.raises(NotAllowed):
        container.operations.back_up(auditor)
    with pytest.raises(Unavailable, match="python -m ops"):
        container.operations.back_up(actor_of(Role.ADMIN))
