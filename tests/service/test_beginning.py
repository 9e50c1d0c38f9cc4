"""What works beside the server begins in order, ends in reverse, and never half begins unseen."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

import pytest

from services.beginning import Beginning
from tests.service.test_app import start


class Part:
    """Notes that it was started and stopped."""

    def __init__(self, name: str, seen: list[str], error: Exception | None = None) -> None:
        self._name, self._seen, self._error = name, seen, error

    def start(self) -> None:
        """Start, or fail."""
        if self._error is not None:
            raise self._error
        self._seen.append(f"+{self._name}")

    def stop(self) -> None:
        """Stop."""
        self._seen.append(f"-{self._name}")


def test_parts_end_in_reverse_order() -> None:
    """The last that was started is the first to be stopped."""
    seen: list[str] = []
    beginning = Beginning(lambda: seen.append("prepared"), [Part("a", seen), Part("b", seen)])
    beginning.begin(20)
    beginning.end()
    assert seen == ["prepared", "+a", "+b", "-b", "-a"]


def test_only_what_was_started_is_stopped() -> None:
    """A part that cannot start is told to who waits; those before it are stopped, those after it never start."""
    seen: list[str] = []
    beginning = Beginning(lambda: None, [Part("a", seen), Part("b", seen, OSError("no")), Part("c", seen)])
    with pytest.raises(OSError, match="no"):
        beginning.begin(20)
    beginning.end()
    assert seen == ["+a", "-a"]


def test_nothing_begins_after_the_end() -> None:
    """A preparation that ends after all was ended starts nothing any more."""
    seen: list[str] = []
    go_on = threading.Event()
    beginning = Beginning(lambda: go_on.wait(20), [Part("a", seen)])
    beginning.begin(0)
    beginning.end()
    go_on.set()
    beginning._thread.join(20)
    assert seen == []


def test_a_late_failure_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong when nobody waits any more asks this process to end."""
    sent: list[int] = []
    monkeypatch.setattr("os.kill", lambda _pid, signum: sent.append(signum))
    go_on = threading.Event()

    def prepare() -> None:
        go_on.wait(20)
        raise OSError

    beginning = Beginning(prepare, [])
    beginning.begin(0)
    go_on.set()
    beginning._thread.join(20)
    assert sent == [signal.SIGTERM]
    assert isinstance(beginning.failure, OSError)


@pytest.mark.slow
def test_a_database_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """With a file that is no database the app does not pretend to run: it ends and says why."""
    (tmp_path / "recon.db").write_bytes(b"this is no database " * 500)
    process, _ = start(tmp_path)
    try:
        said, _ = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        pytest.fail("it runs on")
    finally:
        process.kill()
    assert process.returncode not in (0, None)
    assert "file is not a database" in said
