"""What every test shares: a clean environment, no network beyond this machine, one marker per folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
KINDS = frozenset({"unit", "property", "service", "fault", "browser"})
SLOW = frozenset({"fault", "browser"})
# Settings of the product that a developer's shell may hold: a test sets what it needs itself.
OURS = ("RECON_", "APP_ENV", "DATABASE_URL", "REDIS_URL", "AWS_", "UPLOADS_", "BACKUP_", "SMTP_", "STREAMLIT_")
NO_SKIPS = "RECON_TESTS_NO_SKIPS"
FAULT = "RECON_FAULT"  # full: as many faults as are promised, instead of a sample

_no_skips = os.environ.pop(NO_SKIPS, "") == "1"
for _name in [name for name in os.environ if name.startswith(OURS) and name != FAULT]:
    del os.environ[_name]

# The same examples on every run: a failure on one machine is a failure on all. No deadline: machines differ.
settings.register_profile(
    "recon", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("recon")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder, so that `-m "not browser"` works without a line in each file.

    Journeys through a browser and killed processes wait for real time to pass: they may take longer.
    """
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if folder in KINDS:
            item.add_marker(getattr(pytest.mark, folder))
        if folder == "property":
            item.add_marker(pytest.mark.slow)
        if folder in SLOW and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under .ci/run a skipped test is a failure: everything it needs has been installed."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if _no_skips and exitstatus == pytest.ExitCode.OK and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("Skipped tests count as failures here.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True, scope="session")
def only_this_machine() -> Iterator[None]:
    """Refuse connections that leave this machine: tests never need the internet."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if not (host.startswith("127.") or host in ("::1", "localhost", "0.0.0.0")):  # noqa: S104 - compared, not bound
                raise ConnectionRefusedError(f"a test tried to reach {host}; tests stay on this machine")
        connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()
