"""A command of operations as a process of its own: memory returns to the system, and the screens stay quick."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]
_STOP_SECONDS = 20.0
_PROGRESS = "... "


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and the last thing it said."""

    code: int
    sentence: str


class Command:
    """A running `python -m ops ...`, in the same folder and with the same settings."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ops", *arguments],
            env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self, report: Callable[[str], None]) -> Ended:
        """Wait for its end; tells what it is doing meanwhile."""
        assert self._process.stdout is not None
        last = ""
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith(_PROGRESS):
                    report(line.removeprefix(_PROGRESS).strip())
                elif line.strip():
                    last = line.strip()
        return Ended(self._process.wait(), last)

    def stop(self) -> None:
        """End it; it removes its private files on the way out."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
