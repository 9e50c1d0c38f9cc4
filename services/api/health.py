"""Health over HTTP, for load balancers and people."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from services.api.identity import Services

router = APIRouter(prefix="/health", tags=["health"])


@router.get("")
def health(response: Response, services: Services) -> dict[str, Any]:
    """The state of every dependency; 503 when the database is down."""
    found = services.health.check()
    response.status_code = 503 if found.status == "down" else 200
    response.headers["Cache-Control"] = "no-store"
    return found.as_dict()


@router.get("/live")
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}
