"""Mail by SMTP: the one user of smtplib."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from services.errors import ConfigurationError
from services.mail.transports import Deferred, PasswordRefused, Refused, ServerAway

ANSWER_SECONDS = 10.0
_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
_NOT_THE_MAILS_FAULT = (421, 454, 530, 534, 535, 538)  # shutting down; sign-in refused, needed or too weak
_SHAPE = "SMTP_URL: must look like smtp://user:password@host:587, smtps://host:465 or smtp+plain://host:25."


class Smtp:
    """One connection for one mail. `seconds` is the longest that handing it over may take.

    smtp:// encrypts when the server offers it, and insists on it in production or before a password is sent;
    smtps:// encrypts from the start; smtp+plain:// is for a relay on the same machine or network.
    """

    def __init__(self, url: str, *, encrypted: bool, seconds: float) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(_SHAPE) from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConfigurationError(_SHAPE)
        self._scheme, self._host = parts.scheme, parts.hostname
        self._port = port or _PORTS[parts.scheme]
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._insists = bool(self._user) or (encrypted and parts.scheme != "smtp+plain")
        self._seconds = seconds

    def send(self, message: EmailMessage) -> None:
        """Hand the mail to the server. Raises ServerAway, Deferred or Refused."""
        try:
            with self._connected() as server:
                self._sign_in(server)
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            raise _judged(*next(iter(error.recipients.values()))) from error
        except smtplib.SMTPAuthenticationError as error:
            raise PasswordRefused(f"the server refuses the password of SMTP_URL ({error.smtp_code})") from error
        except smtplib.SMTPConnectError as error:
            raise ServerAway(f"the server refuses to talk ({error.smtp_code})") from error
        except smtplib.SMTPResponseException as error:
            raise _judged(error.smtp_code, error.smtp_error) from error
        except OSError as error:  # no answer, a broken connection, a certificate that is not trusted
            raise ServerAway(f"the server does not answer as it should ({type(error).__name__})") from error

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A connection that is cut at the end of the time, however slowly the server goes on answering."""
        name = socket.gethostname()
        seconds = min(ANSWER_SECONDS, self._seconds)
        if self._scheme == "smtps":
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, local_hostname=name, timeout=seconds, context=context
            )
        else:
            server = smtplib.SMTP(self._host, self._port, local_hostname=name, timeout=seconds)
        connection = server.sock
        assert connection is not None
        cut = threading.Timer(self._seconds, _cut, (connection,))
        cut.daemon = True
        cut.start()
        try:
            yield server
            with contextlib.suppress(OSError):  # the mail is the server's already: how it says goodbye is no failure
                server.quit()
        finally:
            cut.cancel()
            server.close()

    def _sign_in(self, server: smtplib.SMTP) -> None:
        encrypted = self._scheme == "smtps"
        server.ehlo_or_helo_if_needed()
        if self._scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            encrypted = True
        if self._insists and not encrypted:
            raise ServerAway("the server offers no encryption, and nothing is sent to it in the clear")
        if self._user:
            server.login(self._user, self._password)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _judged(code: int, said: bytes | str) -> Exception:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    answer = f"{code} {' '.join(text.split())[:200]}"
    if code in _NOT_THE_MAILS_FAULT:
        return ServerAway(answer)
    return Refused(answer) if code >= 500 else Deferred(answer)
