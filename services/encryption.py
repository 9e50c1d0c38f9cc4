"""Nothing is said in the clear: what the settings of production must show of every address that is called.

Each service is reached by TLS with a certificate that is checked, or its host stands in RECON_PLAIN_TEXT_HOSTS: on the
same machine, or on a network that is private to the installation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

from sqlalchemy.exc import ArgumentError

from services.database.postgresql import parse_address
from services.secrets import Name
from services.settings import Settings, variable

_WEB = ("public_url", "prometheus_url", "rollout_blue", "rollout_green", "aws_endpoint_url")
_PLAIN = "or name {host} in RECON_PLAIN_TEXT_HOSTS, if it is on the same machine or a private network"


def unencrypted_settings(settings: Settings) -> list[str]:
    """A line for each address of the settings at which this process would be called, or call, without TLS."""
    faults = [
        f"settings: {variable(name)} must begin with https:// ({_PLAIN.format(host=host)})"
        for name in _WEB
        if name in settings.model_fields_set
        for host in _hosts_without_tls(getattr(settings, name))
        if host not in _plain_hosts(settings)
    ]
    host, colon, _ = settings.rollout_proxy.rpartition(":")
    if colon and "/" not in host and host not in _plain_hosts(settings):
        faults.append(
            f"settings: {variable('rollout_proxy')} must be the path of a socket ({_PLAIN.format(host=host)})"
        )
    return faults


def unencrypted_secret(settings: Settings, name: Name, address: str) -> str | None:
    """What a secret that is an address lacks of TLS, as the end of a sentence that begins with its name; else None."""
    if name not in _JUDGES:
        return None
    hosts, instead = _JUDGES[name](address)
    for host in hosts:
        if host not in _plain_hosts(settings):
            return f"does not insist on TLS ({instead}, {_PLAIN.format(host=host or 'its host')})"
    return None


def _database(address: str) -> tuple[list[str], str]:
    """The hosts that are called without TLS, or with a certificate that nobody checks, and what to write instead."""
    instead = "end it with ?sslmode=verify-full"
    try:
        url = parse_address(address)
    except (ArgumentError, ValueError):  # their messages would quote the address
        return [""], instead
    hosts = str(url.query.get("host", url.host or "")).split(",")
    checked = url.query.get("sslmode") == "verify-full"
    return [host for host in hosts if not checked and not host.startswith("/")], instead  # a folder: a local socket


def _redis(address: str) -> tuple[list[str], str]:
    parts = urlsplit(address)
    checked = parts.scheme == "rediss" and not parse_qs(parts.query).keys() & {"ssl_cert_reqs", "ssl_check_hostname"}
    return [] if checked else [parts.hostname or ""], "write rediss:// without ssl_cert_reqs or ssl_check_hostname"


def _smtp(address: str) -> tuple[list[str], str]:
    parts = urlsplit(address)
    # smtp:// says nothing before STARTTLS in production
    return [parts.hostname or ""] if parts.scheme == "smtp+plain" else [], "write smtps:// or smtp://"


_JUDGES: dict[str, Callable[[str], tuple[list[str], str]]] = {
    "database_url": _database,
    "redis_url": _redis,
    "smtp_url": _smtp,
}


def _plain_hosts(settings: Settings) -> frozenset[str]:
    return frozenset(filter(None, (part.strip() for part in settings.plain_text_hosts.split(","))))


def _hosts_without_tls(addresses: str) -> Iterator[str]:
    for address in filter(None, (part.strip() for part in addresses.split(","))):
        parts = urlsplit(address)
        if parts.scheme != "https":
            yield parts.hostname or address
