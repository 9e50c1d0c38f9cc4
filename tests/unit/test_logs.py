"""Logs: JSON in production, and never the values that code was working on."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
import structlog
from starlette.concurrency import run_in_threadpool

from services import logs
from services.api_tokens import PREFIX
from services.logs import configure_logs
from services.settings import load_settings

PRODUCTION = {"app_env": "production", "database_url": "postgresql://u:p@h/db"}


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """Leave the log settings as they were."""
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, root.level = before
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


def test_lines_carry_the_ids_of_their_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is logged in a piece of work has its ids, also those found out later; what comes after has none."""
    configure_logs(load_settings(_env_file=None, **PRODUCTION))
    log = structlog.get_logger()
    with logs.request() as request:
        logs.note(user="u1", session="s1")
        with logs.unit(job="j1", mail=None):
            log.info("inside")
        assert (logs.current("user"), logs.current("job")) == ("u1", None)
    logs.note(user="u2")
    log.info("outside")
    inside, outside = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert {"request": request, "user": "u1", "session": "s1", "job": "j1"}.items() <= inside.items()
    assert not {"request", "user", "session", "job"} & outside.keys()
    assert "mail" not in inside


def test_ids_do_not_mix() -> None:
    """What a request's helper thread finds out is known to the request, and to no other."""
    seen: dict[str, str | None] = {}

    async def call(name: str) -> None:
        with logs.request():
            await run_in_threadpool(logs.note, user=name)
            await anyio.lowlevel.checkpoint()
            seen[name] = logs.current("user")

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(call, "ada")
            group.start_soon(call, "bob")

    with ThreadPoolExecutor(1) as server:  # a thread of its own has no other event loop
        server.submit(anyio.run, both).result()
    assert seen == {"ada": "ada", "bob": "bob"}


def test_a_new_thread_has_no_ids() -> None:
    """A thread that a request starts for itself does not speak in the request's name."""
    seen: list[str | None] = []
    with logs.request():
        thread = threading.Thread(target=lambda: seen.append(logs.current("request")))
        thread.start()
        thread.join()
    assert seen == [None]


SECRET = "s3cr3t-canary"  # pragma: allowlist secret


@pytest.mark.parametrize("settings", [{}, PRODUCTION])
def test_secrets_are_hidden(capsys: pytest.CaptureFixture[str], settings: dict[str, str]) -> None:
    """A secret handed to a log call, ours or a library's, is not written: by its name, in an address, as a token."""
    configure_logs(load_settings(_env_file=None, **settings))
    log = structlog.get_logger()
    log.info("one", password=SECRET, session_token=SECRET, BACKUP_ENCRYPTION_KEY=SECRET, cookie={"a": SECRET})
    log.warning("two", url=f"postgresql://recon:{SECRET}@db/x", urls=[f"smtp://:{SECRET}@mail:25"])
    log.warning("three", header=f"Authorization: Bearer {SECRET}")
    log.warning("six", path=f"/api/files/{PREFIX}{secrets.token_urlsafe(32).replace('-', '_')}{SECRET}")
    logging.getLogger("a.library").error("four redis://:%s@cache:6379", SECRET)
    try:
        raise ConnectionError(f"cannot reach amqp://u:{SECRET}@queue")
    except ConnectionError:
        log.exception("five")
    text = capsys.readouterr().out
    assert all(word in text for word in ("one", "two", "three", "four", "five", "six"))
    assert SECRET not in text


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    """In production a library's warning is a line of JSON too, with the ids of the work; its chatter is left out."""
    configure_logs(load_settings(_env_file=None, **PRODUCTION))
    with logs.request() as request:
        logging.getLogger("a.library").warning("slow %s", "answer")
        logging.getLogger("a.library").info("chatter")
    (line,) = capsys.readouterr().out.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["logger"], entry["request"]) == (
        "slow answer",
        "warning",
        "a.library",
        request,
    )
