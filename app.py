"""The one entry: the screens, the API and the worker. `streamlit run app.py` serves it all."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Mount

from ops.desk import Desk
from ops.scheduler import Scheduler
from pages._shared.telemetry import crashed
from pages._shared.warm import warm
from services.api import build_api
from services.api.headers import SecurityHeaders
from services.api.injected import injected_failure
from services.api.proxies import believe_only
from services.api.telemetry import Telemetry
from services.beginning import Beginning
from services.container import Container, get_container
from services.errors import ConfigurationError
from services.jobs import processes
from services.jobs.embedded import EmbeddedWorker
from services.logs import configure_logs

LONGEST_START_SECONDS = 10.0


def _configured() -> Container:
    """The container, or the end of the process with one line that says what is wrong."""
    try:
        return get_container()
    except ConfigurationError as error:
        sys.exit(error.message)


SCREENS = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
container = _configured()
believe_only(container.settings.trusted_proxies)
configure_logs(container.settings)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Bring the database up to date, then keep what works beside the server for as long as it runs.

    While the database is away people are told so, by a server that has started: all else waits for it.
    """
    settings = container.settings
    scheduler, desk = Scheduler(container, automated=settings.automated_backups), Desk(container)
    container.operations.register(desk)
    worker = [EmbeddedWorker(drain_seconds=settings.job_drain_seconds)] if settings.embedded_worker else []
    # The worker is the first to be stopped: its jobs may take a while, and the rest serves them.
    threading.Thread(target=warm, name="warm", daemon=True).start()
    processes.warm()
    beginning = Beginning(container.migrate, [container.mover, container.audit_anchor, scheduler, *worker])
    try:
        await anyio.to_thread.run_sync(beginning.begin, LONGEST_START_SECONDS)
        container.health.watch()
        container.rolling.start()
        yield
    finally:
        await anyio.to_thread.run_sync(desk.stop)
        await anyio.to_thread.run_sync(container.rolling.stop)
        await anyio.to_thread.run_sync(beginning.end)
        container.close()
        # The server sends itself the signal once more when all is done: left unheard, the process ends with status 0.
        if beginning.failure is None:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


app = st.App(
    "pages/_router.py",
    routes=[Mount("/api", build_api(container))],
    on_script_error=crashed,
    middleware=[
        Middleware(Telemetry),
        Middleware(SecurityHeaders, https_only=container.settings.is_production, page=SCREENS),
        *injected_failure(),
    ],
    lifespan=lifespan,
)
