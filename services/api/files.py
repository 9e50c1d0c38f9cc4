"""Files over HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from services.api.body import Upload
from services.api.described import problems
from services.api.identity import Caller, Services
from services.api.inputs import LINKED, Cursor, FileIds, Id, Limit, ListOf, RepeatKey, Text, listed
from services.api.repeats import answered_once, beating, made_before
from services.container import Container
from services.database.models import StoredFile
from services.errors import Invalid, Unavailable
from services.idempotency import Attempt, KeyReused
from services.permissions import Action, Actor
from services.sides import EVERY, MOST_SIDES

Side = Literal[EVERY]  # type: ignore[valid-type]

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
    """The file or files of each side of a reconciliation; `further_file_ids` are those of sides after the second."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"left_file_id": "0" * 32, "right_file_id": "1" * 32}]})

    left_file_id: FileIds
    right_file_id: FileIds
    further_file_ids: Annotated[list[FileIds], Field(max_length=MOST_SIDES - 2)] = []


class Suggestion(BaseModel):
    """A proposed plan. `fields` and `rules` have a confidence and a reason each; `questions` only people can answer."""

    model_config = ConfigDict(extra="allow")

    plan: dict[str, Any]
    fields: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    questions: list[Any]


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


@router.get("", responses=LINKED)
def list_files(
    request: Request, response: Response, actor: Caller, services: Services, limit: Limit = 50, cursor: Cursor = None
) -> ListOf[FileOut]:
    """List the workspace's files, the newest first."""
    return listed(request, response, services.files.list(actor, limit, cursor), FileOut)


@router.post(
    "/upload", status_code=201, response_model=FileOut, openapi_extra=UPLOAD_BODY, responses=problems(404, 409)
)
async def upload(
    request: Request,
    actor: Caller,
    services: Services,
    name: Annotated[Text, Query(description="The file's name, when the body is its content.")] = "",
    reconciliation: Annotated[Id | None, Query(description="Make it a file of this reconciliation.")] = None,
    side: Annotated[Side | None, Query(description="The side of it: left, right, or an added one.")] = None,
    repeat_key: RepeatKey = None,
) -> FileOut | Response:
    """Upload a file, as a form field or as the body with `?name=`; it is stored as it arrives, then profiled.

    With `reconciliation` and `side` it becomes a file of that side.
    """
    if (reconciliation is None) is not (side is None):
        raise Invalid("Give both, the reconciliation and its side, such as left or right; or neither.")
    arriving = Upload(request, name)
    await arriving.start()

    def store(attempt: Attempt | None = None) -> FileOut:
        file = made_before(attempt, lambda file_id: services.files.get(actor, file_id))
        if file is None:
            if reconciliation and side:
                services.plans.expect_file(actor, reconciliation, side)
            file = _stored(services, actor, arriving, attempt)
        elif _digest(arriving.chunks()) != file.sha256:
            raise KeyReused
        if attempt is not None:
            attempt.made = True
        if reconciliation and side:
            services.plans.add_file(actor, reconciliation, side, file.id)
        try:
            return _shown(services, actor, services.files.profile(actor, file.id))
        except Unavailable:  # it is kept for good all the same; `status` says that nobody has looked into it yet
            return FileOut.model_validate(file)

    if repeat_key is None:
        return await run_in_threadpool(store)
    place = [arriving.name, reconciliation, side]

    def same(answer: dict[str, Any]) -> bool:
        return bool(_digest(arriving.chunks()) == answer["sha256"])

    once = partial(answered_once, services, actor, Action.FILE_UPLOAD, repeat_key, place, 201, store, same)
    return await run_in_threadpool(once)


def _stored(services: Container, actor: Actor, arriving: Upload, attempt: Attempt | None) -> StoredFile:
    if attempt is None:
        return services.files.upload(actor, arriving.name, arriving.chunks())
    chunks = beating(services, attempt, arriving.chunks())
    return services.files.upload(actor, arriving.name, chunks, attempt.target_id)


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


@router.get("/{file_id}", responses=problems(404))
def read_file(file_id: Id, actor: Caller, services: Services) -> FileOut:
    """One file with its profile."""
    return _shown(services, actor, services.files.get(actor, file_id))


@router.put("/{file_id}/options", responses=problems(404))
def set_options(
    file_id: Id,
    options: Annotated[dict[str, Any], Body(examples=[{"delimiter": ";", "decimal": ","}])],
    actor: Caller,
    services: Services,
) -> FileOut:
    """Say how the file is read (delimiter, encoding, sheet, …) and profile it again."""
    return _shown(services, actor, services.files.set_options(actor, file_id, options))


@router.post("/suggest", responses=problems(404))
def suggest(pair: Pair, actor: Caller, services: Services) -> Suggestion:
    """Propose a plan for the files of two sides or more, with confidences, reasons and open questions."""
    sides = (pair.left_file_id, pair.right_file_id, *pair.further_file_ids)
    return Suggestion(**services.files.suggest(actor, *sides))


def _shown(services: Container, actor: Actor, file: StoredFile) -> FileOut:
    return FileOut.model_validate(file).model_copy(update={"note": services.files.note(actor, file)})
