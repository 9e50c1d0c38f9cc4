"""Puts the API together."""

from __future__ import annotations

import anyio
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from services.api import accounts, auth, files, health, jobs, metrics, results, storage
from services.api.body import BodyLimit
from services.api.identity import same_origin
from services.api.limits import CallLimit
from services.api.problems import Problem, install_problems
from services.api.reference import reference_page
from services.container import Container

ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    accounts.router,
    files.router,
    jobs.router,
    results.router,
    health.router,
    metrics.router,
    storage.router,
)

# The screens end and begin sessions by sending the browser to an address of ours. The page's policy allows no script
# written into it, so it names this one, which follows the link that stands behind it.
VISIT = "location.assign(document.currentScript.nextElementSibling.href);"


def build_api(container: Container) -> FastAPI:
    """The API over a container. Its paths are relative to where it is mounted."""
    api = FastAPI(
        title="Reconciliation",
        version="1",
        description="Sign in with POST /auth/login and send the token as `Authorization: Bearer ...`.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        dependencies=[Depends(same_origin)],
        responses={"default": {"model": Problem, "description": "A problem document (RFC 9457)."}},
    )
    api.state.container = container
    api.state.health_threads = anyio.CapacityLimiter(4)
    install_problems(api)
    api.add_middleware(BodyLimit, upload_bytes=container.settings.upload_max_mb << 20)
    api.add_middleware(CallLimit, container=container)
    for router in ROUTERS:
        api.include_router(router)

    @api.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(reference_page(api.openapi(), request.scope.get("root_path", "")))

    @api.get("/visit.js", include_in_schema=False)
    def visit() -> Response:
        headers = {"Cache-Control": "public, max-age=3600"}
        return Response(VISIT, media_type="text/javascript", headers=headers)

    return api
