"""Files over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from services.api.body import Upload
from services.api.identity import Caller, Services
from services.container import Container
from services.database.models import StoredFile
from services.errors import Unavailable
from services.permissions import Actor

router = APIRouter(prefix="/files", tags=["files"])


class FileOut(BaseModel):
    """An uploaded file and what it looks like, or why it cannot be read."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    size_bytes: int
    sha256: str
    status: str
    created_at: datetime
    options: dict[str, Any] = Field(validation_alias="options_json")
    refusal: str | None
    profile: dict[str, Any] | None = Field(validation_alias="profile_json")
    note: str | None = None
    """What its owner should know about where it is kept."""


class Pair(BaseModel):
    """The two files of a reconciliation."""

    left_file_id: str
    right_file_id: str


UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post("/upload", status_code=201, openapi_extra=UPLOAD_BODY)
async def upload(request: Request, actor: Caller, services: Services) -> FileOut:
    """Upload a file as a form field, or as the body with `?name=`; it is stored as it arrives, then profiled."""
    arriving = Upload(request)
    await arriving.start()

    def store() -> FileOut:
        file = services.files.upload(actor, arriving.name, arriving.chunks())
        try:
            return _shown(services, actor, services.files.profile(actor, file.id))
        except Unavailable:  # it is kept for good all the same; `status` says that nobody has looked into it yet
            return FileOut.model_validate(file)

    return await run_in_threadpool(store)


@router.get("/{file_id}")
def read_file(file_id: str, actor: Caller, services: Services) -> FileOut:
    """One file with its profile."""
    return _shown(services, actor, services.files.get(actor, file_id))


@router.put("/{file_id}/options")
def set_options(file_id: str, options: dict[str, Any], actor: Caller, services: Services) -> FileOut:
    """Say how the file is read (delimiter, encoding, sheet, …) and profile it again."""
    return _shown(services, actor, services.files.set_options(actor, file_id, options))


@router.post("/suggest")
def suggest(pair: Pair, actor: Caller, services: Services) -> dict[str, Any]:
    """Propose a plan for two files, with confidences, reasons and open questions."""
    return services.files.suggest(actor, pair.left_file_id, pair.right_file_id)


def _shown(services: Container, actor: Actor, file: StoredFile) -> FileOut:
    return FileOut.model_validate(file).model_copy(update={"note": services.files.note(actor, file)})
