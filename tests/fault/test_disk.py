"""A disk that is full, or can only be read: clear sentences, no damage, and recovery without a hand's turn."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.container import Container, build_container
from services.errors import ServiceError, Unavailable
from services.permissions import Actor
from services.settings import Settings
from tests.work import LEDGER, launch, start_worker, upload_pair, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
DISK_MB = 24


@pytest.fixture
def disk(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own for the data folder; with SQLite, the database is on it too."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder], check=True)
    try:
        database = settings.data_dir / "recon.db"
        if database.exists():
            (folder / "recon.db").write_bytes(database.read_bytes())
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def impatient(impatient: Settings, disk: Path) -> Settings:
    """The short settings, on the small disk."""
    return impatient.model_copy(update={"data_dir": disk, "job_max_attempts": 2, "job_slots": 1})


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """No byte is free."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * (1 << 16)):
                pass
        assert shutil.disk_usage(disk).free == 0
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Nothing can be written, as after an error of the disk. What is open for writing must be closed before."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def degraded(container: Container) -> bool:
    """Health tells of the disk."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if container.health.check().parts["storage"].state != "ok":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.timeout(240)
def test_a_full_disk(container: Container, admin: Actor, impatient: Settings, disk: Path, tmp_path: Path) -> None:
    """Full: uploads are refused, a run waits or fails with the reason; with room again everything works, whole."""
    pair = upload_pair(container, admin)
    worker = start_worker(impatient, tmp_path / "worker.log")
    try:
        wait_for(container, launch(container, admin, pair).id, "succeeded")
        waiting = None
        on_sqlite = container.engine.dialect.name == "sqlite"
        if on_sqlite:
            waiting = launch(container, admin, pair)
        with full(disk):
            with pytest.raises(ServiceError):
                container.files.upload(admin, "more.csv", [LEDGER, b"x" * (1 << 20)])
            assert degraded(container)
            if not on_sqlite:  # the queue is elsewhere: the run is tried and fails for good
                failed = wait_for(container, launch(container, admin, pair).id, "failed", seconds=90)
                assert "given up after 2 attempts: the server's disk is full or cannot be written" in str(failed.error)
            time.sleep(2)
            assert worker.poll() is None
        if waiting is not None:
            ended = _ended(container, waiting.id)
            assert ended == "succeeded" or "disk is full" in ended
        container.files.upload(admin, "more.csv", [LEDGER, b"x" * (1 << 20)])
        wait_for(container, launch(container, admin, pair).id, "succeeded")
    finally:
        worker.terminate()
        worker.wait(30)
    _nothing_is_damaged(container, admin, disk)


@pytest.mark.timeout(240)
def test_a_disk_that_can_only_be_read(
    container: Container, admin: Actor, impatient: Settings, disk: Path, tmp_path: Path
) -> None:
    """Read-only: uploads are refused, nothing is lost; writable again, work goes on."""
    pair = upload_pair(container, admin)
    container.close()
    with read_only(disk):
        container = build_container(impatient)
        with pytest.raises(ServiceError):
            container.files.upload(admin, "more.csv", [LEDGER])
        if container.engine.dialect.name == "sqlite":  # its log needs a disk that can be written, even for reading
            with pytest.raises(Unavailable):
                container.files.get(admin, pair[0])
        else:
            assert container.files.get(admin, pair[0]).name == "ledger.csv"
        assert degraded(container)
        container.close()
    container = build_container(impatient)
    worker = start_worker(impatient, tmp_path / "worker.log")
    try:
        wait_for(container, launch(container, admin, pair).id, "succeeded")
    finally:
        worker.terminate()
        worker.wait(30)
    _nothing_is_damaged(container, admin, disk)
    container.close()


def _ended(container: Container, job_id: str) -> str:
    """How the job ended: its error, else its status."""
    try:
        return wait_for(container, job_id, "succeeded", seconds=90).status
    except AssertionError as error:
        return str(error)


def _nothing_is_damaged(container: Container, admin: Actor, disk: Path) -> None:
    assert container.audit.verify(admin).whole
    for file in container.files.list(admin):
        assert container.storage.size(file.storage_key) == file.size_bytes
    assert list((disk / "incoming").iterdir()) == []
    assert list((disk / "work").iterdir()) == []
    if (disk / "recon.db").exists():
        with sqlite3.connect(disk / "recon.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
