"""Request bodies: their limits, and uploads read as they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from anyio import from_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import problem
from services.errors import Invalid, TooLarge

UPLOAD_PATH = "/files/upload"
DOCUMENT_BYTES = 8 << 20  # plans with lookup tables are the largest documents
FRAME_BYTES = 1 << 20  # what multipart puts around an upload


class BodyLimit:
    """Refuses a body that is larger than its path allows, before or while it is read."""

    def __init__(self, app: ASGIApp, upload_bytes: int) -> None:
        self._app = app
        self._upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counting `receive`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        upload = scope["path"].endswith(UPLOAD_PATH)
        limit = self._upload_bytes + FRAME_BYTES if upload else DOCUMENT_BYTES
        error = TooLarge(f"The request is larger than the {limit >> 20} MB allowed here.")
        request = Request(scope)
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            await problem(request, error.status, error.title, error.message)(scope, receive, send)
            return
        received = 0

        async def counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise error
            return message

        await self._app(scope, counting, send)


@dataclass
class Upload:
    """An upload under way: read `start` first, then `name` is known and `chunks` gives the content."""

    request: Request
    name: str = ""
    _ready: list[bytes] = field(default_factory=list)
    _content: AsyncIterator[bytes] | None = None

    async def start(self) -> None:
        """Read up to the first content byte. Raises Invalid when the request carries no named file."""
        kind, options = parse_options_header(self.request.headers.get("content-type"))
        if kind == b"multipart/form-data":
            self.name = ""  # the part has one
            self._content = self._multipart(options.get(b"boundary", b""))
        else:
            self.name = unquote(self.request.headers.get("x-file-name") or self.name)
            self._content = self.request.stream()
        first = await anext(self._content, None)
        if first:
            self._ready.append(first)
        if not self.name:
            raise Invalid("Send the file as a multipart form field, or as the body with ?name=FILE NAME.")

    def chunks(self) -> Iterator[bytes]:
        """The content, for the worker thread that stores it; waits for the client as needed."""
        yield from self._ready
        while (chunk := from_thread.run(self._next)) is not None:
            yield chunk

    async def _next(self) -> bytes | None:
        assert self._content is not None
        return await anext(self._content, None)

    async def _multipart(self, boundary: bytes) -> AsyncIterator[bytes]:
        """The bytes of the first part that has a file name; other parts are passed over."""
        parts = _Parts()
        try:
            parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
            async for chunk in self.request.stream():
                parser.write(chunk)
                self.name = self.name or parts.name
                if parts.content:
                    ready, parts.content = parts.content, []
                    yield b"".join(ready)
            parser.finalize()
        except FormParserError as error:
            raise Invalid("The multipart form is malformed or cut short; send it again.") from error
        self.name = self.name or parts.name
        if self.name and not parts.ended:
            raise Invalid("The upload was cut short; send it again.")


class _Parts:
    """Collects the first file part of a multipart body from the parser's callbacks."""

    def __init__(self) -> None:
        self.name = ""
        self.content: list[bytes] = []
        self.ended = False
        self._inside = False
        self._header, self._value = b"", b""

    def callbacks(self) -> dict[str, object]:
        return {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
        }

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition" and not self.name:
            _, options = parse_options_header(self._value)
            self.name = options.get(b"filename", b"").decode(errors="replace")
            self._inside = bool(self.name)
        self._header, self._value = b"", b""

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self.content.append(data[start:end])

    def _on_part_end(self) -> None:
        self.ended = self.ended or self._inside
        self._inside = False
