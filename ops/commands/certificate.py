"""`certificate`: whether browsers will trust the address at which people reach the app."""

from __future__ import annotations

import argparse
import socket
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ops.commands._shared import Commands, say
from ops.errors import Refused
from services.container import Container
from services.errors import Unavailable

TIMEOUT_SECONDS = 5.0
LEAST_DAYS = 14


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    help_ = f"1 unless RECON_PUBLIC_URL's certificate is trusted here, for {LEAST_DAYS} days more"
    commands.add_parser("certificate", help=help_).set_defaults(run=certificate)


def certificate(container: Container, _: argparse.Namespace) -> int:
    """Meet the address as a browser does, with the authorities that this system trusts."""
    parts = urlsplit(container.settings.public_url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        raise Refused("RECON_PUBLIC_URL does not begin with https://: it has no certificate.")
    try:
        with (
            socket.create_connection((host, parts.port or 443), TIMEOUT_SECONDS) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secured,
        ):
            shown, version = secured.getpeercert() or {}, secured.version()
    except ssl.SSLCertVerificationError as error:
        say(f"{host}: not trusted: {error.verify_message}.")
        return 1
    except OSError as error:
        raise Unavailable(f"{host} does not answer by TLS ({type(error).__name__}).") from error
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)
    days = (ends - container.clock.now()).days
    say(f"{host}: {version}, trusted, valid until {ends:%Y-%m-%d}, {days} days.")
    return 0 if days >= LEAST_DAYS else 1
