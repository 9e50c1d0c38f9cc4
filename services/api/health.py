"""Health over HTTP, for load balancers and people."""

from __future__ import annotations

from typing import Literal

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from services.api.identity import Services, token_of
from services.errors import NotSignedIn
from services.health import Health

router = APIRouter(prefix="/health", tags=["health"])


class Running(BaseModel):
    """Whether the session runs."""

    running: bool


class Live(BaseModel):
    """The process lives."""

    status: Literal["ok"] = "ok"


@router.get("", responses={503: {"model": Health, "description": "The database is down."}})
async def health(request: Request, response: Response, services: Services) -> Health:
    """The state of every dependency; 503 when the database is down."""
    found = services.health.at_once()
    if found is None:  # in threads of its own: those of the other calls may all be waiting for a service that hangs
        found = await anyio.to_thread.run_sync(services.health.check, limiter=request.app.state.health_threads)
    response.status_code = 503 if found.status == "down" else 200
    response.headers["Cache-Control"] = "no-store"
    return found


@router.get("/live")
async def live() -> Live:
    """The process answers."""
    return Live()


@router.get("/session")
def session(request: Request, response: Response, services: Services) -> Running:
    """Whether the caller's session still runs. Open pages ask; asking does not keep an idle session alive."""
    response.headers["Cache-Control"] = "no-store"
    try:
        services.sessions.resolve(token_of(request), poll=True)
    except NotSignedIn:
        return Running(running=False)
    return Running(running=True)
