"""What an operator is told: one sentence each, with what was wrong, where, and how to mend it."""

# ruff: noqa: N818  # the names say what happened, as those of services.errors do

from __future__ import annotations

from services.errors import ServiceError


class Refused(ServiceError):
    """The operation was refused; nothing was changed."""

    status = 409
    title = "Refused"


class Damaged(Refused):
    """The backup is damaged, incomplete or not ours; nothing of it was used."""

    title = "Damaged backup"
