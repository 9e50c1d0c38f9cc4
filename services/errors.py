"""The errors of the application. Each message is one sentence for a person; `status` is its HTTP status."""

# ruff: noqa: N818  # the names say what happened, as people read them in the title

from __future__ import annotations

from datetime import datetime


class ServiceError(Exception):
    """The request could not be carried out."""

    status = 500
    title = "Internal error"

    retry_after_seconds: float | None = None
    """When the same request may succeed, as far as that is known."""

    def __init__(self, message: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message or str(type(self).__doc__).strip())
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds

    @property
    def message(self) -> str:
        """The sentence to show."""
        return str(self.args[0])


class ConfigurationError(ServiceError):
    """The settings are wrong."""

    title = "Wrong configuration"


class NotSignedIn(ServiceError):
    """Please sign in."""

    status = 401
    title = "Not signed in"


class SecondFactorNeeded(NotSignedIn):
    """The password is right. Now give the code of your second factor, or a recovery code."""

    title = "Second factor needed"

    def __init__(self, challenge: str) -> None:
        super().__init__()
        self.challenge = challenge
        """The token that goes with the code."""


class NotAllowed(ServiceError):
    """Your role does not allow this."""

    status = 403
    title = "Not allowed"


class NotFound(ServiceError):
    """There is nothing here by that name."""

    status = 404
    title = "Not found"


class Conflict(ServiceError):
    """This does not fit the present state; reload and try again."""

    status = 409
    title = "Conflict"


class TooLarge(ServiceError):
    """This is larger than allowed."""

    status = 413
    title = "Too large"


class Invalid(ServiceError):
    """The input is not valid."""

    status = 422
    title = "Invalid input"


class TooMany(ServiceError):
    """Too many requests; please wait a while."""

    status = 429
    title = "Too many requests"

    def __init__(
        self,
        message: str | None = None,
        retry_after_seconds: float | None = None,
        policy: str | None = None,
        opens_at: datetime | None = None,
    ) -> None:
        self.reason = message or str(self.__doc__)
        again = f" Please try again at {opens_at:%H:%M:%S} UTC." if opens_at else ""
        super().__init__(self.reason + again, retry_after_seconds)
        self.policy = policy
        """The limit that was reached."""
        self.opens_at = opens_at
        """When it opens again; the screens tell it by the reader's clock."""


class UploadFailed(ServiceError):
    """File upload failed. Please try again or contact support."""

    status = 503
    title = "Upload failed"


class Unavailable(ServiceError):
    """Service temporarily unavailable. Please try again in a few minutes."""

    status = 503
    title = "Service unavailable"
    retry_after_seconds = 30.0


class Unclear(Unavailable):
    """The connection broke while this was being saved. Look whether it is there before you do it again."""

    title = "Outcome unknown"
