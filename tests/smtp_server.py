"""A mail server that is a process of its own: it keeps every mail it has said yes to, and can be told to misbehave.

    python -m tests.smtp_server PORT FOLDER [USER PASSWORD CERTIFICATE KEY]

`FOLDER/answer` holds what it says to each recipient, such as `450 later`; empty or missing: it takes the mail.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from tests.servers import Stoppable, free_port

ROOT = Path(__file__).parents[1]


class MailServer(Stoppable):
    """A running server, seen from the test."""

    def __init__(self, folder: Path, sign_in: tuple[str, ...] = ()) -> None:
        self.port, self._folder, self._sign_in = free_port(), folder, sign_in
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """Its address, without a password."""
        return f"smtp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on its port, as it was before."""
        command = [sys.executable, "-m", "tests.smtp_server", str(self.port), str(self._folder), *self._sign_in]
        self._process = subprocess.Popen(command, cwd=ROOT)
        ready = self._folder / "ready"
        ready.unlink(missing_ok=True)
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < deadline, "the mail server did not start"
            time.sleep(0.02)

    def answer(self, text: str) -> None:
        """What to say to every recipient from now on; nothing: take the mail."""
        (self._folder / "answer").write_text(text)

    def mails(self) -> list[Message]:
        """Every mail that it has said yes to."""
        return [message_from_bytes(path.read_bytes()) for path in sorted(self._folder.glob("*.eml"))]


@contextmanager
def mail_server(folder: Path, sign_in: tuple[str, ...] = ()) -> Iterator[MailServer]:
    """A mail server on a free port."""
    server = MailServer(folder, sign_in)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class _Handler:
    """aiosmtpd's hooks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        """Take the recipient, or say what the test wants."""
        answer = self._folder / "answer"
        if answer.exists() and (text := answer.read_text().strip()):
            return text
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep the mail before saying yes."""
        unfinished = self._folder / f".{uuid.uuid4().hex}"
        unfinished.write_bytes(envelope.content)
        unfinished.rename(self._folder / f"{time.time_ns()}-{unfinished.name[1:9]}.eml")
        return "250 kept"


def _main(port: int, folder: Path, sign_in: list[str]) -> None:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    options: dict[str, Any] = {}
    if sign_in:
        user, password, certificate, key = sign_in
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)

        def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> Any:
            return AuthResult(
                handled=False, success=(given.login, given.password) == (user.encode(), password.encode())
            )

        options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": check}
    Controller(_Handler(folder), hostname="127.0.0.1", port=port, **options).start()
    (folder / "ready").touch()
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)


if __name__ == "__main__":
    _main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
