"""The schedule: one backup an hour whoever asks, prunes in two steps, drills every day."""

from __future__ import annotations

import os
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from ops.__main__ import main
from ops.backup import catalogue, prune
from ops.backup.make import back_up
from ops.backup.manifest import Header
from ops.backup.retention import RULES, retained
from ops.backup.store import Listing
from ops.child import Ended
from ops.scheduler import RETRY_AFTER, Scheduler, slot_of
from services import metrics
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import Backup, Drill
from services.permissions import Actor
from tests.service.backups import site_of

FULL = os.environ.get("RECON_FAULT") == "full"


def in_process(container: Container) -> Scheduler:
    """A scheduler that runs its commands here, with the container's clock."""
    return Scheduler(container, automated=True, run=lambda *command: Ended(main(list(command), container), ""))


@pytest.mark.timeout(300)
def test_two_schedulers_make_one_backup_an_hour(container: Container, admin: Actor, clock: FakeClock) -> None:
    """48 simulated hours, two instances that tick at the same moments and may both believe to lead: 48, 0 twice."""
    hours = 48 if FULL or container.engine.dialect.name == "sqlite" else 6
    second = build_container(container.settings, clock)
    instances = [in_process(container), in_process(second)]
    start = clock.now()
    for _ in range(hours):
        for _ in range(2):
            ticks = [threading.Thread(target=instance.tick) for instance in instances]
            for tick in ticks:
                tick.start()
            for tick in ticks:
                tick.join()
            clock.advance(minutes=30)
    second.close()
    with container.session() as session:
        made = Counter(session.scalars(select(Backup.slot).where(Backup.status == "verified")))
        drills = session.scalars(select(Drill.status)).all()
    assert made == Counter({slot_of(start + timedelta(hours=hour)): 1 for hour in range(hours)})
    assert len(site_of(container).store.listing().backups) == hours
    assert set(drills) == {"passed"}
    assert len(drills) >= -(-hours // 24)
    newest = metrics.REGISTRY.get_sample_value("backup_last_success_timestamp_seconds")
    assert newest == (start + timedelta(hours=hours - 1)).timestamp()


def test_a_failed_backup_is_tried_again(container: Container, admin: Actor, clock: FakeClock) -> None:
    """After a failure the same hour is tried again, but not at every tick."""
    asked: list[tuple[str, ...]] = []
    codes = iter([2, 0, 0, 0])

    def run(*command: str) -> Ended:
        asked.append(command)
        return Ended(next(codes), "")

    scheduler = Scheduler(container, automated=True, run=run)
    scheduler.tick()
    clock.advance(minutes=1)
    scheduler.tick()
    assert len(asked) == 1
    clock.advance(seconds=RETRY_AFTER.total_seconds())
    scheduler.tick()
    assert [command[1] for command in asked if command[0] == "backup"] == ["now", "now", "prune"]


def test_a_killed_backup_does_not_block_its_hour(container: Container, admin: Actor, clock: FakeClock) -> None:
    """A row that a killed process left as running is no backup: the next tick makes the hour's."""
    slot = slot_of(clock.now())
    killed = catalogue.begin(container, slot)
    assert killed is not None
    in_process(container).tick()
    rows = {row.id: (row.status, row.slot) for row in catalogue.recent(container)}
    assert rows.pop(killed.id) == ("failed", None)
    assert list(rows.values()) == [("verified", slot)]


def test_without_automation_only_metrics_are_kept(container: Container, admin: Actor) -> None:
    """Where backups are not automated, nothing is made, but the age of the newest one is told."""
    header = back_up(site_of(container))
    assert header is not None
    metrics.backup_last_success_timestamp_seconds.set(0)
    Scheduler(container, automated=False, run=lambda *_: pytest.fail("nothing may run")).tick()
    told = metrics.REGISTRY.get_sample_value("backup_last_success_timestamp_seconds")
    assert told == header.started_at.timestamp()


@pytest.mark.timeout(300)  # three processes, one after another
def test_the_real_schedule_makes_a_backup(container: Container, admin: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started as the app starts it, the schedule makes the hour's backup in a process of its own, and stops."""
    monkeypatch.setenv("RECON_DATA_DIR", str(container.settings.data_dir))
    monkeypatch.setenv("DATABASE_URL", container.settings.database_address)
    scheduler = Scheduler(container, automated=True)
    scheduler.tick()
    scheduler.start()
    scheduler.stop()
    assert [row.status for row in catalogue.recent(container)] == ["verified"]
    last = catalogue.last_drill(container)
    assert last is not None
    assert last.status == "passed"


def _header(number: int, at: datetime) -> Header:
    return Header(
        id=f"{number:032x}",
        database_id="d",
        engine="sqlite",
        started_at=at,
        verified_at=at,
        scheduled=True,
        size_bytes=1,
        sha256="",
        schema_revision="",
        app_version="",
        rows=0,
        recipient="",
    )


def test_removal_takes_a_day() -> None:
    """What no rule keeps is marked first and swept a day later; a mark comes off when a rule keeps it again."""
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    headers = [_header(number, now - timedelta(hours=number)) for number in range(100)]
    going = {header.id for header in headers} - set(retained(headers, RULES, now))
    assert going
    first = prune.plan(Listing(headers), "d", now)
    assert ({header.id for header in first.mark}, first.sweep) == (going, [])
    marked = dict.fromkeys(going, now)
    early = prune.plan(Listing(headers, marked), "d", now + timedelta(hours=23))
    assert early.sweep == []
    assert set(early.waiting) >= going
    late = prune.plan(Listing(headers, marked), "d", now + timedelta(hours=24))
    assert {header.id for header in late.sweep} == going
    left = [header for header in headers if header.id in going][:1]
    again = prune.plan(Listing(left, marked), "d", now + timedelta(hours=48))
    assert (again.unmark, again.sweep) == (left, [])
    others = prune.plan(Listing(headers, marked), "another database", now + timedelta(hours=48))
    assert (others.mark, others.sweep, others.keep) == ([], [], {})
