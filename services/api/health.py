"""Health over HTTP, for load balancers and people."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from services.api.identity import Services

router = APIRouter(prefix="/health", tags=["health"])


@router.get("")
async def health(request: Request, response: Response, services: Services) -> dict[str, Any]:
    """The state of every dependency; 503 when the database is down."""
    found = services.health.at_once()
    if found is None:  # in threads of its own: those of the other calls may all be waiting for a service that hangs
        found = await anyio.to_thread.run_sync(services.health.check, limiter=request.app.state.health_threads)
    response.status_code = 503 if found.status == "down" else 200
    response.headers["Cache-Control"] = "no-store"
    return found.as_dict()


@router.get("/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}
