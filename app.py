"""The one entry: the screens, the API and the worker. `streamlit run app.py` serves it all."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Mount

from pages._shared.telemetry import crashed
from services.api import build_api
from services.api.headers import SecurityHeaders
from services.api.proxies import believe_only
from services.api.telemetry import Telemetry
from services.container import Container, get_container
from services.database.engine import migrate
from services.errors import ConfigurationError
from services.jobs.embedded import EmbeddedWorker
from services.logs import configure_logs


def _configured() -> Container:
    """The container, or the end of the process with one line that says what is wrong."""
    try:
        return get_container()
    except ConfigurationError as error:
        sys.exit(error.message)


container = _configured()
believe_only(container.settings.trusted_proxies)
configure_logs(container.settings)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Bring the database up to date and keep a worker beside the server for as long as it runs."""
    await anyio.to_thread.run_sync(migrate, container.engine)
    settings = container.settings
    worker = EmbeddedWorker(drain_seconds=settings.job_drain_seconds) if settings.embedded_worker else None
    if worker is not None:
        worker.start()
    container.mover.start()
    try:
        yield
    finally:
        if worker is not None:
            await anyio.to_thread.run_sync(worker.stop)
        await anyio.to_thread.run_sync(container.mover.stop)
        container.close()


app = st.App(
    "pages/_router.py",
    routes=[Mount("/api", build_api(container))],
    on_script_error=crashed,
    middleware=[Middleware(Telemetry), Middleware(SecurityHeaders, https_only=container.settings.is_production)],
    lifespan=lifespan,
)
