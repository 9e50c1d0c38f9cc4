"""How a mail leaves the house: what every transport does, and the folder that stands for a server in development."""

from __future__ import annotations

import os
import uuid
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from services.settings import Settings


class ServerAway(Exception):  # noqa: N818 - the names say what happened
    """The server cannot be used just now, by any mail: it does not answer, or refuses us."""


class PasswordRefused(ServerAway):
    """The server does not take our password: it may have been changed."""


class Deferred(Exception):  # noqa: N818
    """The server is there and asks to try this mail again later."""


class Refused(Exception):  # noqa: N818
    """The server will never take this mail."""


class Transport(Protocol):
    """Hands one mail over. Returns once the other side has taken the responsibility for it."""

    def send(self, message: EmailMessage) -> None:
        """Hand the mail over. Raises ServerAway, Deferred or Refused; the text says what the server said."""


class Folder:
    """Writes each mail to a file named by its Message-ID: sent twice, it is still one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage) -> None:
        """Write the mail. Raises ServerAway when the disk does not take it."""
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        unfinished = self._folder / f".{uuid.uuid4().hex}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(message.as_bytes())
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._folder / f"{name}.eml")
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise ServerAway(f"the folder of mails cannot be written: {error.strerror}") from error


def build_transport(settings: Settings, smtp_url: SecretStr) -> Transport:
    """The transport that the settings ask for. Raises ConfigurationError for an address that is none."""
    url = smtp_url.get_secret_value()
    if not url:
        return Folder(settings.data_dir / "mail")
    from services.mail.smtp import Smtp

    return Smtp(url, encrypted=settings.is_production, seconds=settings.mail_lease_seconds / 2)
