"""Headers that every answer carries, screens and API alike."""

from __future__ import annotations

import base64
import hashlib
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",  # Streamlit writes its styles while it runs
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",  # the screens' WebSocket included
    "worker-src": "'self' blob:",
    "frame-src": "'self'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FRAMED = "/component/"
# Parts of the libraries that the screens themselves show in frames: files as installed, with scripts written in them.
IN_FRAMES = {"script-src": "'self' 'unsafe-inline'", "frame-ancestors": "'self'"}
HSTS = "max-age=31536000; includeSubDomains"
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def content_policy(page: str) -> str:
    """The Content-Security-Policy under which `page`, the one HTML page of the screens, works: scripts come from this
    site only, but for those that stand in the page as it is installed, each named by its hash.
    """
    digests = [hashlib.sha256(script.encode()).digest() for script in _INLINE_SCRIPT.findall(page)]
    allowed = "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return _joined({**POLICY, "script-src": POLICY["script-src"] + allowed})


def _joined(policy: dict[str, str]) -> str:
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


class SecurityHeaders:
    """Adds the headers to every HTTP response; what is under /api is never kept by a cache unless it says so."""

    def __init__(self, app: ASGIApp, https_only: bool, page: str = "") -> None:
        self._app = app
        self._headers = {**SECURITY_HEADERS, "Content-Security-Policy": content_policy(page)}
        if https_only:
            self._headers["Strict-Transport-Security"] = HSTS
        framed = _joined({**POLICY, **IN_FRAMES})
        self._in_frames = {**self._headers, "X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": framed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the headers of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (self._in_frames if scope["path"].startswith(FRAMED) else self._headers).items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, complete)
