"""The table of secrets: their names, where each may come from, and what makes one too weak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Name = Literal["jwt_secret", "database_url", "redis_url", "backup_encryption_key", "smtp_url"]

PREFIX = "production/"
"""What the names of the secrets begin with in Secrets Manager."""

LEAST_KEY_CHARACTERS = 32
LEAST_PASSWORD_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret. `generated`: an installation in development makes its own."""

    name: Name
    flaw: Callable[[str], str | None]
    generated: bool = False

    @property
    def stored_as(self) -> str:
        """Its name in Secrets Manager."""
        return PREFIX + self.name


def _key(value: str) -> str | None:
    if len(value) < LEAST_KEY_CHARACTERS or len(set(value)) < 10:
        return f"is too weak (at least {LEAST_KEY_CHARACTERS} random characters)"
    return None


def _address(*schemes: str) -> Callable[[str], str | None]:
    def flaw(value: str) -> str | None:
        try:
            parts = urlsplit(value)
            scheme, password = parts.scheme, parts.password
        except ValueError:  # urlsplit's own message would quote the address
            return "is no address"
        if scheme not in schemes:
            return f"is no {schemes[0]}:// address"
        if password is not None and len(password) < LEAST_PASSWORD_CHARACTERS:
            return f"is too weak (a password of at least {LEAST_PASSWORD_CHARACTERS} characters)"
        return None

    return flaw


CATALOGUE: dict[Name, Secret] = {
    secret.name: secret
    for secret in (
        Secret("jwt_secret", _key, generated=True),
        Secret("database_url", _address("postgresql", "postgres", "postgresql+psycopg")),
        Secret("redis_url", _address("redis", "rediss")),
        Secret("backup_encryption_key", _key, generated=True),
        Secret("smtp_url", _address("smtp", "smtps", "smtp+plain")),
    )
}
