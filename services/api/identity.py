"""Who calls: the session cookie or a bearer token, and the origin of a browser's request."""

from __future__ import annotations

from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.responses import Response

from services.api_tokens import PREFIX
from services.container import Container
from services.errors import NotAllowed
from services.permissions import Actor

ACTOR = "actor"
BEARER, COOKIE = "token", "session"  # the security schemes, as OpenAPI calls them
TOKENS = "A token made on the page Your account (`r378_...`), or the token that POST /auth/login gives."
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def get_services(request: Request) -> Container:
    """The container that this API was built on."""
    return cast("Container", request.app.state.container)


async def _at_once(request: Request) -> Container:
    """On the event loop: what takes no time must not wait for a thread, of which a slow service may hold every one."""
    return get_services(request)


Services = Annotated[Container, Depends(_at_once)]


def bearer_of(request: Request) -> str | None:
    """The token of the header `Authorization: Bearer`. No other place is looked at: addresses are logged."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


def token_of(request: Request) -> str | None:
    """The bearer token, else the cookie's."""
    return bearer_of(request) or request.cookies.get(get_services(request).sessions.cookie)


def resolved(request: Request) -> Actor:
    """Who calls: a program with a token of the API, or a person's session. Raises NotSignedIn.

    A cookie holds a session only: browsers send it by themselves, a token must be sent on purpose.
    """
    services, bearer = get_services(request), bearer_of(request)
    if bearer is not None and bearer.startswith(PREFIX):
        return services.api_tokens.resolve(bearer, address_of(request))
    return services.sessions.resolve(token_of(request))


def current_actor(
    request: Request,
    _described: Annotated[object, Security(HTTPBearer(auto_error=False, scheme_name=BEARER, description=TOKENS))],
) -> Actor:
    """The signed-in caller, who may be known already from counting the call. Raises NotSignedIn."""
    known: Actor | None = getattr(request.state, ACTOR, None)
    return known or resolved(request)


Caller = Annotated[Actor, Depends(current_actor)]


async def same_origin(request: Request) -> None:
    """Refuse changes that another site's page asks a browser for; programs send neither header and pass."""
    if request.method not in SAFE_METHODS:
        refuse_cross_site(request)


def refuse_cross_site(request: Request) -> None:
    """Raise NotAllowed when a browser says that another site is behind this request."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise NotAllowed("This request came from another site and was refused.")
        return
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise NotAllowed("This request came from another site and was refused.")


def address_of(request: Request) -> str:
    """The caller's network address."""
    return request.client.host if request.client else ""


def agent_of(request: Request) -> str:
    """The caller's program, as it calls itself."""
    return request.headers.get("user-agent", "")


def set_cookie(response: Response, services: Container, token: str) -> None:
    """Give the browser its session: readable by the server only, sent to this site only."""
    response.set_cookie(
        services.sessions.cookie, token, max_age=services.settings.session_absolute_hours * 3600, **_flags(services)
    )


def clear_cookie(response: Response, services: Container) -> None:
    """Take the browser's session away."""
    response.delete_cookie(services.sessions.cookie, **_flags(services))


def _flags(services: Container) -> dict[str, Any]:
    return {"path": "/", "httponly": True, "samesite": "lax", "secure": services.settings.is_production}
