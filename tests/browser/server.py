"""A real server on a free port with its own data, that a test can kill and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 60


class Server:
    """`streamlit run app.py` as a process."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.port = _free_port()
        self.address = f"http://localhost:{self.port}"
        self._log = data / "server.log"
        self._environment = {**os.environ, "RECON_DATA_DIR": str(data), "APP_ENV": "development", **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=REPOSITORY, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"the server ended: {self.log()}"
            assert time.monotonic() < deadline, f"the server does not answer: {self.log()}"
            time.sleep(0.1)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Crash and start again on the same data."""
        self.kill()
        self.start()

    def ended(self, within: float) -> int:
        """Its exit status, once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(within)

    def terminate(self) -> int:
        """Ask it to end, wait for that, and give its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)

    def stop(self) -> None:
        """End it in good order; killed when that takes too long."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self) -> str:
        """What the server printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/api/health/live", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
