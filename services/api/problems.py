"""Every error of the API is a problem document (RFC 9457)."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from services.errors import SecondFactorNeeded, ServiceError, TooMany

log = structlog.get_logger()


class Problem(BaseModel):
    """What went wrong, for people (`detail`) and for programs (`status`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was called.")
    challenge: str | None = Field(
        None, description="The token to send with the code (401 of type second-factor-needed only)."
    )
    violated_policies: list[str] | None = Field(
        None, serialization_alias="violated-policies", description="The limits that were reached (429 only)."
    )


QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
SECOND_FACTOR_NEEDED = "second-factor-needed"


def problem(request: Request, status: int, title: str, detail: str, headers: Any = None, **more: Any) -> JSONResponse:
    """The response for one problem."""
    document = Problem(title=title, status=status, detail=detail, instance=request.url.path, **more)
    content = document.model_dump(by_alias=True, exclude_none=True)
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def service_problem(request: Request, error: ServiceError) -> JSONResponse:
    """The response for an error of a use case; says when to come back where that is known."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
    more: dict[str, Any] = {}
    if isinstance(error, TooMany):
        headers["Cache-Control"] = "no-store"
        more = {"type": QUOTA_EXCEEDED, "violated_policies": [error.policy]}
    if isinstance(error, SecondFactorNeeded):
        more = {"type": SECOND_FACTOR_NEEDED, "challenge": error.challenge}
    return problem(request, error.status, error.title, error.message, headers, **more)


def install_problems(api: FastAPI) -> None:
    """Make the API answer with problem documents, also where a bug is the cause."""
    api.add_exception_handler(ServiceError, _service_error)
    api.add_exception_handler(RequestValidationError, _validation_error)
    api.add_exception_handler(HTTPException, _http_error)
    api.add_exception_handler(Exception, _bug)


def _service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = type(error.__cause__).__name__
        log.warning("api.unavailable", path=request.url.path, status=error.status, cause=cause)
    return service_problem(request, error)


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    if all(m["loc"][0] == "path" and m["type"] == "string_pattern_mismatch" for m in error.errors()):
        return problem(request, 404, "Not found", "There is nothing under this address: no id is written so.")
    # The value itself is left out: it may be a password or a person's data.
    mistakes = [f"{'.'.join(str(p) for p in m['loc'][1:]) or m['loc'][0]}: {m['msg']}" for m in error.errors()]
    return problem(request, 422, "Invalid input", "; ".join(mistakes))


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, UnicodeDecodeError):  # the framework's own answer to such a body names nothing
        return problem(request, 422, "Invalid input", "body: is not text in UTF-8, as JSON must be")
    return problem(request, error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail), error.headers)


def _bug(request: Request, error: Exception) -> JSONResponse:
    log.error("api.bug", path=request.url.path, method=request.method, exc_info=error)
    return problem(request, 500, "Internal error", "Something went wrong on our side; the request was not carried out.")
