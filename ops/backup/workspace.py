"""Private folders for plaintext on its way in or out: mode 0700, gone at the end, swept after a killed process."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "backup-work"
_LOCK = ".lock"


@contextmanager
def private_folder(data_dir: Path) -> Iterator[Path]:
    """A folder that only this process uses, removed at the end whatever happens."""
    root = data_dir / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)
    sweep(data_dir)
    folder = Path(tempfile.mkdtemp(dir=root))
    # The kernel drops the lock with the process, however it ends: that is how `sweep` tells the dead.
    lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(data_dir: Path) -> int:
    """Remove the folders of processes that were killed; the number removed."""
    removed = 0
    for folder in (data_dir / FOLDER).glob("*/"):
        try:
            lock = os.open(folder / _LOCK, os.O_WRONLY)
        except FileNotFoundError:
            continue  # being made or being removed at this moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
    return removed
