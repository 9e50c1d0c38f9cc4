"""Where secrets come from. A source answers with the current value and, when there is one, the previous."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from services.aws import AwsError, secrets_client, transient, translated
from services.errors import Unavailable
from services.once import made_once
from services.resilience import Breakers

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

Values = tuple[str, ...]


class NoSecret(Exception):  # noqa: N818 - reads as what happened
    """A secret could not be read; the text says why, as the end of a sentence that begins with its name."""


class Source(Protocol):
    """Knows one secret."""

    def fetch(self) -> Values:
        """The current value, then the previous if there is one. Raises NoSecret."""


class Given:
    """A value from the settings, in development; empty when there is none."""

    def __init__(self, value: str) -> None:
        self._value = value

    def fetch(self) -> Values:
        """The value."""
        return (self._value,)


class MountedFile:
    """A file that an orchestrator mounts. The value before a rotation may lie beside it as NAME.previous."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch(self) -> Values:
        """The files' contents as they are now."""
        previous = self._path.with_name(self._path.name + ".previous")
        try:
            values = [self._path.read_text("utf-8").strip()]
            if previous.is_file():
                values.append(previous.read_text("utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise NoSecret(f"cannot be read from its mounted file ({reason})") from None
        return tuple(value for value in values if value) or ("",)


class Generated:
    """A random value that this installation made for itself, in a file that only its user can read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch(self) -> Values:
        """The value, made now if this is the first time."""
        return (made_once(self._path),)


class SecretsManager:
    """A secret in AWS Secrets Manager, with the version before the last rotation."""

    def __init__(self, client: SecretsManagerClient, breakers: Breakers, stored_as: str) -> None:
        self._client, self._breakers, self._stored_as = client, breakers, stored_as

    def fetch(self) -> Values:
        """Both versions, as Secrets Manager has them now."""
        current = self._version("AWSCURRENT")
        if current is None:
            raise NoSecret("is missing")
        previous = self._version("AWSPREVIOUS")
        return (current, previous) if previous else (current,)

    def _version(self, stage: str) -> str | None:
        try:
            for attempt in self._breakers.retrying("secrets", on=transient, attempts=2):
                with attempt, self._breakers.of("secrets").guard(failures=transient), translated():
                    answer = self._client.get_secret_value(SecretId=self._stored_as, VersionStage=stage)
                    return answer.get("SecretString", "").strip()
        except AwsError as error:
            if error.missing:
                return None
            if error.transient:
                raise NoSecret(f"is unreachable ({error.code})") from error
            raise NoSecret(f"cannot be read ({error.code})") from error
        except Unavailable as error:
            raise NoSecret("is unreachable") from error
        raise AssertionError("an attempt returns or raises")


def manager_client(region: str) -> SecretsManagerClient:
    """A client of Secrets Manager for all secrets. Raises NoSecret when boto3 cannot even make one."""
    try:
        with translated():
            return secrets_client(region)
    except AwsError as error:
        raise NoSecret(f"is unreachable ({error.code})") from error
