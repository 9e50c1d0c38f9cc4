"""Puts the API together."""

from __future__ import annotations

from functools import partial

import anyio
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from services.api import accounts, auth, files, health, jobs, lists, metrics, results, storage, tokens
from services.api.body import BodyLimit
from services.api.described import describe
from services.api.identity import same_origin
from services.api.inputs import known_parameters
from services.api.limits import CallLimit
from services.api.problems import install_problems
from services.api.reference import reference_page
from services.container import Container

ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    tokens.router,
    accounts.router,
    files.router,
    jobs.router,
    lists.router,
    results.router,
    health.router,
    metrics.router,
    storage.router,
)

ABOUT = (
    "What the screens can do, for programs. Make a token on the page Your account and send it as "
    "`Authorization: Bearer r378_...`; or sign in with POST /auth/login. Every error is a problem document (RFC 9457). "
    "Lists come in parts: send the `next` of one answer as the `cursor` of the next call."
)
TAGS = [
    {"name": "sign-in", "description": "Sessions and passwords, for people."},
    {"name": "tokens", "description": "Tokens of the API, for programs."},
    {"name": "accounts", "description": "The people of the workspace."},
    {"name": "files", "description": "Uploads and their profiles."},
    {"name": "runs", "description": "Runs of a plan on files."},
    {"name": "results", "description": "What a run found."},
    {"name": "lists", "description": "Reconciliations, saved plans, the audit trail, backups."},
    {"name": "analytics", "description": "The dashboard's numbers."},
    {"name": "storage", "description": "The object storage."},
    {"name": "health", "description": "For monitors and load balancers."},
]

# The screens end and begin sessions by sending the browser to an address of ours. The page's policy allows no script
# written into it, so it names this one, which follows the link that stands behind it.
VISIT = "location.assign(document.currentScript.nextElementSibling.href);"


def build_api(container: Container) -> FastAPI:
    """The API over a container. Its paths are relative to where it is mounted."""
    api = FastAPI(
        title="Reconciliation",
        version="1",
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        dependencies=[Depends(same_origin), Depends(known_parameters)],
        openapi_tags=TAGS,
    )
    api.state.container = container
    api.state.health_threads = anyio.CapacityLimiter(4)
    install_problems(api)
    api.add_middleware(BodyLimit, upload_bytes=container.settings.upload_max_mb << 20)
    api.add_middleware(CallLimit, container=container)
    for router in ROUTERS:
        api.include_router(router)
    api.openapi = partial(describe, api)  # type: ignore[method-assign]

    @api.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(reference_page(api.openapi(), request.scope.get("root_path", "")))

    @api.get("/visit.js", include_in_schema=False)
    def visit() -> Response:
        headers = {"Cache-Control": "public, max-age=3600"}
        return Response(VISIT, media_type="text/javascript", headers=headers)

    return api
