"""Structured logs: lines for people in development, JSON in production. No values from people's files, ever.

Every line written on behalf of somebody carries the ids of the `request` (an API call or a click), the `session`, the
`user` and the `job`; the id of the request is kept with the job and the mail that it causes, so one search finds all.
"""

from __future__ import annotations

import logging
import re
import sys
import uuid
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import structlog

from services.settings import Settings

if TYPE_CHECKING:
    from structlog.typing import Processor

_ids: ContextVar[dict[str, str] | None] = ContextVar("ids", default=None)
_SECRET_NAME = re.compile(r"password|passwd|secret|token|cookie|authorization|api_?key|encryption_key", re.IGNORECASE)
_PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)[^\s/@:]*:[^\s/]*(?=@)")
_TOKEN = re.compile(r"(?<=bearer )\S+|\br378_[\w-]{20,}", re.IGNORECASE)
HIDDEN = "***"


@contextmanager
def unit(**ids: str | None) -> Iterator[None]:
    """A piece of work: everything logged inside carries these ids, besides those around it. None leaves one out."""
    given = {name: value for name, value in ids.items() if value is not None}
    token = _ids.set({**(_ids.get() or {}), **given})
    try:
        yield
    finally:
        _ids.reset(token)


@contextmanager
def request() -> Iterator[str]:
    """A call or a click, with a fresh id."""
    name = uuid.uuid4().hex
    token = _ids.set({"request": name})
    try:
        yield name
    finally:
        _ids.reset(token)


def note(**ids: str) -> None:
    """Add ids to the present piece of work, in all its threads; nothing happens outside one."""
    known = _ids.get()
    if known is not None:
        known.update(ids)


def current(name: str) -> str | None:
    """The id of the present `request`, `session`, `user` or `job`; None outside one."""
    return (_ids.get() or {}).get(name)


def configure_logs(settings: Settings) -> None:
    """Set up the logs of this process, also of the libraries that use Python's own.

    Log calls give an event word and named facts: `log.info("job.end", job=id)`.
    """
    level = logging.getLevelNamesMapping()[settings.log_level]
    # Tracebacks without local variables: those hold people's data and passwords.
    form: Processor = structlog.processors.JSONRenderer()
    if not settings.is_production:
        form = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    render: list[Processor] = [structlog.processors.format_exc_info, redact, form]
    shared: list[Processor] = [
        _add_ids,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    others = logging.StreamHandler(sys.stdout)
    others.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers, root.level = [others], max(level, logging.WARNING)  # other people's details are not our log


def redact(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide what must never be logged, should a call give it all the same: values named like secrets, passwords in
    addresses, bearer tokens, tokens of the API.
    """
    for name, value in entry.items():
        if _SECRET_NAME.search(name):
            entry[name] = HIDDEN
        elif isinstance(value, str):
            entry[name] = _TOKEN.sub(HIDDEN, _PASSWORD_IN_ADDRESS.sub(HIDDEN, value))
        elif name not in ("exc_info", "level") and not isinstance(value, int | float | bool | None):
            entry[name] = _TOKEN.sub(HIDDEN, _PASSWORD_IN_ADDRESS.sub(HIDDEN, str(value)))
    return entry


def _add_ids(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**(_ids.get() or {}), **entry}
