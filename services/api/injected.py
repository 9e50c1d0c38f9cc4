"""A version that fails on purpose, to rehearse a rollout: every answer but those to health checks is a 500.

`RECON_FAIL_WHILE=FILE` makes it so for as long as FILE exists, when APP_ENV=development; otherwise nothing is added.
"""

from __future__ import annotations

import os
from pathlib import Path

from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SPARED = ("/api/health", "/api/metrics", "/_stcore/health")


def injected_failure() -> list[Middleware]:
    """The middleware that fails, where one is asked for."""
    file = os.environ.get("RECON_FAIL_WHILE", "") if os.environ.get("APP_ENV") == "development" else ""
    return [Middleware(Failing, file=Path(file))] if file else []


class Failing:
    """Answers 500 while the file is there."""

    def __init__(self, app: ASGIApp, file: Path) -> None:
        self._app, self._file = app, file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or fail it."""
        if scope["type"] == "http" and not scope["path"].startswith(SPARED) and self._file.exists():
            await PlainTextResponse("This failure was asked for.", 500)(scope, receive, send)
            return
        await self._app(scope, receive, send)
