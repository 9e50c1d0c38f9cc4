"""Child processes with limits: a poisoned file can end its child, never the application."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from services.jobs.processes import Start, start

_STDERR_KEPT = 4000
_MEMORY_SIGNS = (
    *("not enough memory", "memory allocation", "memoryerror", "cannot allocate memory", "out of memory"),
    "can't start new thread",  # a stack counts, too
)
_DISK_SIGNS = ("no space left on device", "disk quota exceeded", "read-only file system", "file too large")
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Limits:
    """What a child may use. `wall_seconds` None: as long as it takes."""

    memory_mb: int
    cpu_seconds: int
    wall_seconds: float | None = None


@dataclass(frozen=True)
class Ended:
    """How a child ended. `code` is its exit code, or minus the signal that ended it (as in `subprocess`)."""

    code: int
    stdout: str
    stderr: str
    timed_out: bool = False

    @property
    def out_of_memory(self) -> bool:
        """True when it ended because an allocation was refused."""
        text = self.stderr.lower()
        told = any(sign in text for sign in _MEMORY_SIGNS)
        return told or self.code == -signal.SIGABRT

    @property
    def out_of_disk(self) -> bool:
        """True when it ended because the disk took no more."""
        text = self.stderr.lower()
        return any(sign in text for sign in _DISK_SIGNS)

    @property
    def out_of_time(self) -> bool:
        """True when it ended at its limit of processor time or of wall time."""
        return self.timed_out or self.code == -signal.SIGXCPU

    @property
    def sentence(self) -> str:
        """What the program itself said last on stderr, in one line."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def exceeded(self, limits: Limits) -> str | None:
        """The limit that was exceeded and how to go on, in one sentence; None when it was none of them."""
        if self.out_of_time:
            return (
                f"took longer than the {limits.wall_seconds or limits.cpu_seconds:g} seconds allowed. "
                "Split the file or ask an administrator to raise the limit."
            )
        if self.out_of_memory:
            return (
                f"asked for more memory than the {limits.memory_mb} MB allowed. "
                "Split the file, save it as CSV or ask an administrator to raise the limit."
            )
        return None


class Child:
    """A running `python -m recon_engine …` in its own process group, with limits, a bare environment and no stdin.

    It belongs to one thread, which outlives it: when that thread's process ends, the child is ended.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, limits: Limits) -> None:
        self.limits = limits
        # Kept in memory: on a full disk it could not even say that the disk is full.
        self._stdout, self._stderr = _memory_file(), _memory_file()
        self._read = 0
        self._deadline = None if limits.wall_seconds is None else time.monotonic() + limits.wall_seconds
        given = Start(arguments, folder, limits.memory_mb * 1024 * 1024, limits.cpu_seconds, self._stdout, self._stderr)
        self._process = start(given)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    def new_lines(self) -> list[str]:
        """The whole lines that the child has printed since the last call."""
        data = _written(self._stdout, self._read)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.decode("utf-8", "replace").splitlines()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end; True when the child has ended."""
        return self._process.wait(seconds)

    @property
    def overdue(self) -> bool:
        """True when the wall time is used up."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def end(self, grace_seconds: float = _GRACE_SECONDS) -> None:
        """End the child: SIGTERM, so that it can tidy up; then SIGKILL to its whole group. Returns when it is gone."""
        if not self.wait(0):
            self._process.terminate()
            self.wait(grace_seconds)
        self._process.kill()
        self._process.code()

    def result(self) -> Ended:
        """How it ended (it must have), with what it printed. Ends what it may have left running."""
        self._process.kill()
        code = self._process.code()
        stdout, stderr = _written(self._stdout), _written(self._stderr)[-_STDERR_KEPT:]
        return Ended(code=code, stdout=stdout.decode("utf-8", "replace"), stderr=stderr.decode("utf-8", "replace"))


def run(
    arguments: Sequence[str],
    limits: Limits,
    prepare: Callable[[Path], None],
) -> Ended:
    """Run `python -m recon_engine …` to its end in a folder of its own, which `prepare` fills first."""
    with tempfile.TemporaryDirectory(prefix="recon-") as name:
        folder = Path(name)
        prepare(folder)
        child = Child(arguments, folder, limits)
        try:
            overdue = not child.wait(limits.wall_seconds or limits.cpu_seconds * 10)
        finally:
            child.end(grace_seconds=0)
        return replace(child.result(), timed_out=overdue)


def _memory_file() -> IO[bytes]:
    """A file without a name, in memory where the system can (Linux)."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("recon"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _written(file: IO[bytes], start: int = 0) -> bytes:
    """What the child has written from `start` on. It shares the file's position: that must not be moved."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), max(0, size - start), start)
