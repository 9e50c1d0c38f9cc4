"""What the OpenAPI document says of every operation, derived once from what the operation is: who may call it, and with
which problem documents it answers.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.api.identity import BEARER, COOKIE, SAFE_METHODS
from services.api.limits import FREE
from services.api.problems import QUOTA_EXCEEDED, Problem
from services.errors import Conflict, Invalid, NotAllowed, NotFound, NotSignedIn, TooLarge, TooMany, Unavailable

PROBLEM = "application/problem+json"
Responses = dict[int | str, dict[str, Any]]
SENTENCES: dict[int, tuple[str, str]] = {
    401: ("Nobody is signed in, or the token is not good (any more).", "Please sign in."),
    403: ("The role, or the scopes of the token, do not allow it; or another site asked for it.",
          "The role auditor does not allow file.upload; ask an administrator."),
    404: ("There is nothing of that name in the caller's workspace.", "There is no such run."),
    409: ("It does not fit the present state.", "The run has ended already: succeeded."),
    413: ("The body is larger than allowed.", "The request is larger than the 8 MB allowed here."),
    422: ("The input is not valid; every mistake is named.", "left_file_id: Field required"),
    429: ("A limit is reached; `Retry-After` says for how many seconds.",
          "Too many calls: 1000 are allowed within an hour. Please try again at 12:30:00 UTC."),
    503: ("A service is away; nothing was done, unless the title is `Outcome unknown`.",
          "Service temporarily unavailable. Please try again in a few minutes."),
}  # fmt: skip
TITLES = {
    kind.status: kind.title
    for kind in (NotSignedIn, NotAllowed, NotFound, Conflict, TooLarge, Invalid, TooMany, Unavailable)
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
WITHOUT_DATABASE = frozenset({"/health/live", "/metrics"})


def problems(*codes: int) -> Responses:
    """The answers of a route beyond those that follow from what it is."""
    return {code: {"description": SENTENCES[code][0]} for code in codes}


def describe(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if api.openapi_schema is None:
        document = get_openapi(
            title=api.title, version=api.version, description=api.description, routes=api.routes, tags=api.openapi_tags
        )
        parts = document.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas["Problem"] = Problem.model_json_schema(
            mode="serialization", ref_template="#/components/schemas/{model}"
        )
        session = api.state.container.sessions.cookie
        parts.setdefault("securitySchemes", {})[COOKIE] = {
            "type": "apiKey", "in": "cookie", "name": session, "description": "What a browser gets by signing in.",
        }  # fmt: skip
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(path, method.upper(), operation)
        api.openapi_schema = document
    return api.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    text = operation.get("description", "")
    operation["summary"] = re.split(r"(?<=[.:;])\s", text, maxsplit=1)[0].rstrip(".:;")
    answers = operation["responses"]
    if "security" in operation:
        operation["security"] = [{BEARER: []}, {COOKIE: []}]
    for code in _codes(path, method, operation):
        answers.setdefault(str(code), {"description": SENTENCES[code][0]})
    for code, answer in answers.items():
        if code in map(str, SENTENCES) and (code == "422" or "content" not in answer):
            _as_problem(path, int(code), answer)
    operation["responses"] = dict(sorted(answers.items()))


def _codes(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    """The problems that follow from what an operation is."""
    signed_in, body = "security" in operation, "requestBody" in operation
    return [
        *([401, 403] if signed_in else []),
        *([403] if method not in SAFE_METHODS else []),
        *([413] if body else []),
        *([422, 429] if path not in FREE else []),
        *([503] if path not in WITHOUT_DATABASE else []),
    ]


def _as_problem(path: str, code: int, answer: dict[str, Any]) -> None:
    example: dict[str, Any] = {
        "type": QUOTA_EXCEEDED if code == 429 else "about:blank",
        "title": TITLES[code],
        "status": code,
        "detail": SENTENCES[code][1],
        "instance": f"/api{path}",
    }
    answer["description"] = answer.get("description") if code != 422 else SENTENCES[422][0]
    answer["content"] = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    if code in (429, 503):
        answer["headers"] = RETRY_AFTER
