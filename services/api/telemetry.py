"""Counts and times every HTTP answer of the whole application. Labels are route templates: there are few of them."""

from __future__ import annotations

import time
from http import HTTPMethod

from starlette.datastructures import MutableHeaders
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services import logs, metrics

METHODS = frozenset(HTTPMethod)
STREAMLIT = ("/_stcore/upload_file", "/_stcore/health", "/_stcore/host-config", "/_stcore", "/media", "/static")
"""Paths of the server under the screens, each with everything below it."""


class Telemetry:
    """Wraps the whole application. An answer is counted when its last byte is handed on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count its answer; one that ends in an error counts as 500."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        path = scope["path"]

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request
            await send(message)

        try:
            with logs.request() as request:
                await self._app(scope, receive, noting)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            endpoint = template(scope, path)
            metrics.http_requests.labels(method, endpoint, str(status)).inc()
            metrics.http_request_seconds.labels(method, endpoint).observe(time.perf_counter() - started)


def template(scope: Scope, path: str) -> str:
    """The route's template, such as `/api/files/{file_id}`; one name for all screens and one per kind of the rest."""
    if path == "/api" or path.startswith("/api/"):
        route = scope.get("route")
        return f"/api{route.path}" if isinstance(route, Route) else "/api/unknown"
    for known in STREAMLIT:
        if path == known or path.startswith(known + "/"):
            return known
    return "/screens"
