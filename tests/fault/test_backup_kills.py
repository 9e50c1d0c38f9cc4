"""Backups are killed at random moments: no half backup ever counts, and the next one cleans up."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from ops.backup.make import back_up
from ops.backup.open import verify
from services.container import Container, build_container
from services.database.models import Backup, Leader
from services.permissions import Actor
from services.settings import Settings
from tests.service.backups import Site, add_objects, fill, site_of, work_files
from tests.work import ROOT, worker_environment

KILLS = 40 if os.environ.get("RECON_FAULT") == "full" else 4
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def container(settings: Settings) -> Iterator[Container]:
    """The services on the machine's clock."""
    built = build_container(settings)
    yield built
    built.close()


def _start(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "ops", "backup", "now"],
            cwd=ROOT,
            env=worker_environment(settings),
            stdout=output,
            stderr=output,
        )


def _whole(site: Site) -> int:
    """Every backup that counts holds; gives their number."""
    backups = site.store.listing().backups
    for header in backups:
        verify(site, header)
    return len(backups)


def test_killed_backups(container: Container, admin: Actor, tmp_path: Path) -> None:
    """Kill -9 anywhere between the first file and the last: what counts is whole, and leftovers are gone afterwards."""
    site = site_of(container)
    fill(container, 30_000, width=200)
    add_objects(container, 20, size=200_000)
    chance = random.Random(378)
    survived = 0
    for _ in range(KILLS):
        process = _start(container.settings, tmp_path / "log")
        give_up = time.monotonic() + 60
        while not work_files(site) and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.02)  # its work has begun once its private folder is there
        time.sleep(chance.uniform(0, 2))
        process.kill()
        survived += process.wait() == 0
        with container.transaction() as session:  # as if its lease had run out
            session.execute(update(Leader).values(lease_until=LONG_AGO))
    assert survived < KILLS, (tmp_path / "log").read_text()
    before = _whole(site)
    last = back_up(site)
    assert last is not None
    assert _whole(site) == before + 1
    listing = site.store.listing()
    assert (list(listing.orphans), work_files(site)) == ([], [])
    with container.session() as session:
        assert {row.status for row in session.query(Backup)} <= {"verified", "failed"}


def test_a_stopped_backup_leaves_nothing(container: Container, admin: Actor, tmp_path: Path) -> None:
    """SIGTERM in the middle removes the private folder at once and enters the failure."""
    site = site_of(container)
    fill(container, 30_000, width=200)
    process = _start(container.settings, tmp_path / "log")
    while not work_files(site) and process.poll() is None:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(30) == 2
    assert work_files(site) == []
    assert site.store.listing().backups == []
    with container.session() as session:
        assert {row.status for row in session.query(Backup)} == {"failed"}
