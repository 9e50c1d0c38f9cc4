"""`python -m ops logs`: production's JSON lines as people read them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ops.__main__ import main

LINES = [
    {"event": "job accepted", "request": "a1" * 16, "user": "u" * 32, "job": "c3" * 16, "level": "info",
     "timestamp": "2026-03-02T09:00:00.123456Z"},
    {"event": "circuit breaker", "service": "s3", "after": "open", "level": "warning",
     "timestamp": "2026-03-02T09:00:01Z"},
    {"event": "run failed", "job": "c3" * 16, "attempt": 1, "level": "error", "timestamp": "2026-03-02T09:00:02Z",
     "exception": "Traceback\nValueError"},
]  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a line of another program in it."""
    path = tmp_path / "app.log"
    path.write_text("\n".join(["  You can now view your app", *map(json.dumps, LINES)]) + "\n")
    return path


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What the command prints."""
    assert main(["logs", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_lines_are_readable(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, event and facts; ids short, tracebacks below their line; other lines as they are."""
    assert shown(capsys, str(log)) == [
        "  You can now view your app",
        "2026-03-02 09:00:00.123 info    job accepted  request=a1a1a1a1 job=c3c3c3c3 user=uuuuuuuu",
        "2026-03-02 09:00:01Z warning circuit breaker  service=s3 after=open",
        "2026-03-02 09:00:02Z error   run failed  attempt=1  job=c3c3c3c3",
        "    Traceback",
        "    ValueError",
    ]


@pytest.mark.parametrize(
    ("arguments", "events"),
    [
        (("--job", "c3c3"), ["job accepted", "run failed"]),
        (("--job", "c3c3", "--level", "error"), ["run failed"]),
        (("--request", "a1" * 16), ["job accepted"]),
        (("--level", "warning"), ["circuit breaker", "run failed"]),
        (("--request", "ffff"), []),
    ],
)
def test_lines_are_found(
    log: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], events: list[str]
) -> None:
    """Ids by their first digits and levels narrow the lines down; together they must all fit."""
    lines = [line for line in shown(capsys, str(log), *arguments) if not line.startswith("    ")]
    assert [event for event in events if not any(event in line for line in lines)] == []
    assert len(lines) == len(events)


def test_it_reads_a_pipe_and_needs_no_settings(log: Path) -> None:
    """As the end of a pipe, where the product is not even configured."""
    command = [sys.executable, "-m", "ops", "logs", "--level", "error"]
    environment = {"APP_ENV": "production", "PATH": "/usr/bin"}
    ended = subprocess.run(command, input=log.read_bytes(), capture_output=True, env=environment, check=True)
    assert ended.stdout.decode().startswith("2026-03-02 09:00:02Z error   run failed")


def test_a_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and what to do."""
    assert main(["logs", str(tmp_path / "none.log")]) == 2
    assert "cannot be read: No such file or directory. Name a log file" in capsys.readouterr().err
