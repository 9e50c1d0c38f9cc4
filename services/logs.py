"""Structured logs: lines for people in development, JSON in production. No values from people's files, ever."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

from services.settings import Settings

if TYPE_CHECKING:
    from structlog.typing import Processor


def current(name: str) -> str | None:
    """The id of the present `request`, `session`, `user` or `job`; None outside one."""
    value = structlog.contextvars.get_contextvars().get(name)
    return None if value is None else str(value)


def configure_logs(settings: Settings) -> None:
    """Set up structlog for this process.

    Log calls give an event word and named facts: `log.info("job.end", job=id)`.
    """
    # Tracebacks without local variables: those hold people's data and passwords.
    render: list[Processor]
    if settings.is_production:
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level]),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=True,
    )
