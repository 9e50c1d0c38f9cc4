"""Logs: JSON in production, and never the values that code was working on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from services.logs import configure_logs
from services.settings import load_settings

PRODUCTION = {"app_env": "production", "database_url": "postgresql://u:p@h/db"}


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """Leave the log settings as they were."""
    yield
    structlog.reset_defaults()


def written(capsys: pytest.CaptureFixture[str], **settings: object) -> str:
    """What one error with its traceback writes."""
    configure_logs(load_settings(_env_file=None, **settings))
    password = "a" + "-hidden-value"
    try:
        raise KeyError(len(password))
    except KeyError:
        structlog.get_logger().exception("api.bug", path="/api/users")
    return capsys.readouterr().out


def test_production_logs_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    """In production each entry is one line of JSON with its event, level, time and facts."""
    lines = written(capsys, **PRODUCTION).splitlines()
    assert len(lines) == 1
    entry = json.loads(lines[0])
    assert (entry["event"], entry["level"], entry["path"]) == ("api.bug", "error", "/api/users")
    assert entry["timestamp"].endswith("Z")
    assert "KeyError" in entry["exception"]


@pytest.mark.parametrize("settings", [{}, PRODUCTION])
def test_tracebacks_show_no_values(capsys: pytest.CaptureFixture[str], settings: dict[str, str]) -> None:
    """A logged traceback holds code, not the variables it ran with."""
    text = written(capsys, **settings)
    assert "KeyError" in text
    assert "a-hidden-value" not in text


def test_level_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Entries below the set level are not written."""
    configure_logs(load_settings(_env_file=None, log_level="WARNING"))
    log = structlog.get_logger()
    log.info("quiet")
    log.warning("loud")
    text = capsys.readouterr().out
    assert "loud" in text
    assert "quiet" not in text
