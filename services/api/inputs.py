"""What calls give: identifiers, text, the part of a list, the key under which a request has its effect once."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Header, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from services.api.identity import current_actor
from services.api.limits import FREE
from services.errors import Invalid
from services.paging import MOST, Part
from services.plans import MOST_FILES

Item = TypeVar("Item")

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=500)]  # PostgreSQL keeps no NUL
FileIds = Id | Annotated[list[Id], Field(min_length=1, max_length=MOST_FILES)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="The most entries of one answer.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="The `next` of the answer before.")]
RepeatKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="A key of your choice, a UUID say. The same request sent again under it within 24 hours, by the "
        "same account, has its effect once and gets the same answer; under a key of another request it is refused.",
    ),
]


async def known_parameters(request: Request) -> None:
    """Refuse a parameter that the call does not have: to pass over it would answer another question than was asked."""
    route = request.scope["route"]
    if not request.query_params or route.path in FREE:
        return
    known = [name for one in route.dependant.query_params for name in _names(one.alias, one.field_info.annotation)]
    strange = [name for name in request.query_params if name not in known]
    if strange:
        if any(one.call is current_actor for one in route.dependant.dependencies):
            await run_in_threadpool(current_actor, request, None)  # whoever is not signed in is told that first
        raise Invalid(f"There is no parameter '{strange[0][:40]}' here; there is {', '.join(known) or 'none at all'}.")


def _names(alias: str, kind: Any) -> list[str]:
    """The parameters that one of a route's arguments stands for: a model has several."""
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else [alias]


class ListOf(BaseModel, Generic[Item]):
    """A part of a list. `next` is the `cursor` of the part after it, null at the end; the header `Link` has it too."""

    items: list[Item]
    next: str | None


LINKED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {
                "description": 'The address of the next part, `rel="next"`; absent at the end.',
                "schema": {"type": "string"},
            }
        }
    }
}
"""What the document says of the headers of a list."""


def linked(request: Request, response: Response, following: str | None) -> str | None:
    """Put the next part's address into the header `Link`; gives its cursor."""
    if following is not None:
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        address = f"{request.url.path}?{urlencode([*query, ('cursor', following)])}"
        response.headers["Link"] = f'<{address}>; rel="next"'
    return following


def listed(request: Request, response: Response, part: Part[Any], kind: type[BaseModel]) -> ListOf[Any]:
    """One part of a list as its route answers it."""
    return ListOf(items=[kind.model_validate(row) for row in part], next=linked(request, response, part.next))
