"""The worker that the app starts beside itself: a process of its own, started again when it dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)
_REPOSITORY = Path(__file__).resolve().parents[2]
_LONGEST_PAUSE_SECONDS = 30.0
_STOP_SECONDS = 15.0  # beyond the time that running jobs are given


class EmbeddedWorker:
    """Keeps one `python -m services.jobs` running between `start` and `stop`.

    The worker stops by itself when this process is killed, so a restarted app never finds a second one.
    """

    def __init__(self, environment: dict[str, str] | None = None, drain_seconds: float = 0) -> None:
        # The working folder stays the same: a relative data folder must mean the same to the worker.
        self._environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), **(environment or {})}
        self._stop_seconds = drain_seconds + _STOP_SECONDS
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        # The kernel ties a child to the thread that started it, so this thread lives as long as the worker may.
        self._thread = threading.Thread(target=self._keep_running, name="embedded-worker", daemon=True)

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is none."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> None:
        """Start the worker and keep it running."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the worker; its jobs have ended or been given back before this returns."""
        self._stopping.set()
        self._thread.join()

    def _keep_running(self) -> None:
        pause = 0.5
        while not self._stopping.is_set():
            command = [sys.executable, "-m", "services.jobs", "--parent", str(os.getpid())]
            self._process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
            )
            lived = 0.0
            while self._process.poll() is None and not self._stopping.wait(0.2):
                lived += 0.2
            if self._stopping.is_set():
                break
            pause = 0.5 if lived > 60 else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            _log.error("worker died", code=self._process.returncode, restart_in_seconds=pause)
            self._stopping.wait(pause)
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
