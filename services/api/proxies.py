"""Who is at the other end: forwarded headers are believed from declared proxies only, for screens and API alike."""

from __future__ import annotations

from typing import Any, cast

import uvicorn.config
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_UNKNOWN = "unknown_proxy"
MAPPED = "::ffff:"  # how a server that listens on both kinds of addresses names an IPv4 caller


class DeclaredProxies:
    """Puts the caller's address in the place of a declared proxy's; notes when another proxy stands between."""

    def __init__(self, app: ASGIApp, proxies: str) -> None:
        self._app = app
        self._rewriting = ProxyHeadersMiddleware(cast("Any", app), trusted_hosts=proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        peer, port = scope.get("client") or ("", 0)
        if peer.startswith(MAPPED):
            peer = peer.removeprefix(MAPPED)
            scope["client"] = (peer, port)
        if peer in self._rewriting.trusted_hosts:
            await self._rewriting(cast("Any", scope), cast("Any", receive), cast("Any", send))
            return
        if any(name == b"x-forwarded-for" for name, _ in scope.get("headers", ())):
            scope.setdefault("state", {})[_UNKNOWN] = True
        await self._app(scope, receive, send)


def through_unknown_proxy(scope: Scope) -> bool:
    """Whether the request says that it was forwarded, by a proxy that nobody vouches for."""
    return bool(scope.get("state", {}).get(_UNKNOWN))


def believe_only(proxies: str) -> None:
    """Make the server's own handling of forwarded headers ours. By itself it believes everything on this machine,
    and it has read its environment before the application is loaded.
    """
    uvicorn.config.ProxyHeadersMiddleware = lambda app, **_: DeclaredProxies(app, proxies)  # type: ignore[attr-defined,assignment]
