"""Every error of the API is a problem document (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from services.errors import ServiceError

log = structlog.get_logger()


class Problem(BaseModel):
    """What went wrong, for people (`detail`) and for programs (`status`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was called.")


def problem(request: Request, status: int, title: str, detail: str, headers: Any = None) -> JSONResponse:
    """The response for one problem."""
    document = Problem(title=title, status=status, detail=detail, instance=request.url.path)
    return JSONResponse(document.model_dump(), status, headers, media_type="application/problem+json")


def install_problems(api: FastAPI) -> None:
    """Make the API answer with problem documents, also where a bug is the cause."""
    api.add_exception_handler(ServiceError, _service_error)
    api.add_exception_handler(RequestValidationError, _validation_error)
    api.add_exception_handler(HTTPException, _http_error)
    api.add_exception_handler(Exception, _bug)


def _service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = type(error.__cause__).__name__
        log.warning("api.unavailable", path=request.url.path, status=error.status, cause=cause)
    return problem(request, error.status, error.title, error.message, headers)


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # The value itself is left out: it may be a password or a person's data.
    mistakes = [f"{'.'.join(str(p) for p in m['loc'][1:]) or m['loc'][0]}: {m['msg']}" for m in error.errors()]
    return problem(request, 422, "Invalid input", "; ".join(mistakes))


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(request, error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail), error.headers)


def _bug(request: Request, error: Exception) -> JSONResponse:
    log.error("api.bug", path=request.url.path, method=request.method, exc_info=error)
    return problem(request, 500, "Internal error", "Something went wrong on our side; the request was not carried out.")
