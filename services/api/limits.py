"""The limits over HTTP: every call counts once, and its answer says how much is left."""

from __future__ import annotations

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.identity import ACTOR, address_of, resolved, token_of
from services.api.problems import service_problem
from services.container import Container
from services.errors import NotSignedIn, ServiceError
from services.limits import Decision, Limited, watched

COUNTED_BY_USE_CASE: dict[tuple[str, str], Limited] = {
    ("POST", "/auth/login"): Limited.SIGN_IN,
    ("POST", "/auth/register"): Limited.REGISTER,
    ("POST", "/auth/password/forgot"): Limited.RESET,
    ("POST", "/reconciliation/jobs"): Limited.JOB_START,
    ("POST", "/files/upload"): Limited.UPLOAD,
    ("GET", "/users"): Limited.LIST_USERS,
    ("GET", "/analytics/dashboard"): Limited.ANALYTICS,
}
"""Calls that have a limit of their own, which also counts what the screens do. Everything else is `other`."""

FREE = frozenset({"/health", "/health/live", "/health/session", "/metrics"})
"""Never refused: a load balancer or a monitor that is refused takes the product for dead."""


class CallLimit:
    """Counts the calls that no use case counts, and completes the headers of all."""

    def __init__(self, app: ASGIApp, container: Container) -> None:
        self._app = app
        self._container = container
        self._limits = container.limits  # made before the first request, once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or path in FREE:
            await self._app(scope, receive, send)
            return
        with watched() as decisions:

            async def complete(message: Message) -> None:
                if message["type"] == "http.response.start" and decisions:
                    headers = MutableHeaders(scope=message)
                    headers["RateLimit-Policy"] = ", ".join(map(_policy, decisions))
                    headers["RateLimit"] = ", ".join(map(_left, decisions))
                await send(message)

            if (scope["method"], path) not in COUNTED_BY_USE_CASE:
                request = Request(scope)
                try:
                    await run_in_threadpool(self._count, request)
                except ServiceError as error:
                    await service_problem(request, error)(scope, receive, complete)
                    return
            await self._app(scope, receive, complete)

    def _count(self, request: Request) -> None:
        """Count the call for the person, else for the address. Whoever is not signed in is told so by the route."""
        if token_of(request):
            try:
                actor = resolved(request)
            except NotSignedIn:
                pass
            else:
                setattr(request.state, ACTOR, actor)
                self._limits.hit(Limited.OTHER, actor)
                return
        self._limits.hit(Limited.OTHER, address_of(request))


def _policy(decision: Decision) -> str:
    return f'"{decision.action}";q={decision.limit};w={decision.window_seconds}'


def _left(decision: Decision) -> str:
    return f'"{decision.action}";r={decision.remaining};t={decision.resets_in}'
