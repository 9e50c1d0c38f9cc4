"""Runs a command as a whole process and measures it from outside."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measurement:
    """One run: wall and processor seconds, peak bytes of the largest process, exit status, all that it printed."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    status: int
    printed: str

    @property
    def last_line(self) -> str:
        """The last line printed; empty where nothing was."""
        return self.printed.rpartition("\n")[2]


def measure(command: list[str], cwd: Path) -> Measurement:
    """Run `command` in `cwd` and measure the process with all it waited for."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        output.seek(0)
        printed = output.read().decode("utf-8", errors="replace").strip()
    process.returncode = os.waitstatus_to_exitcode(status)
    return Measurement(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, process.returncode, printed)
