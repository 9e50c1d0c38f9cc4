"""The object storage over HTTP, for administrators."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from services.api.identity import Caller, Services

router = APIRouter(prefix="/storage", tags=["storage"])


class Sync(BaseModel):
    """How many objects are being moved."""

    waiting: int


@router.post("/sync", status_code=202)
def sync(actor: Caller, services: Services) -> Sync:
    """Move what is kept locally to the object storage now."""
    return Sync(waiting=services.mover.sync_now(actor))
