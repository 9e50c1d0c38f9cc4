"""Which errors of the database mean that it is away, and which are a bug or the caller's."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_CONTENTION = ("40", "55P03")  # deadlock, serialisation, a lock not given in time: the server is well
_SQLITE_MISTAKES = ("SQLITE_ERROR",)  # no such table, bad syntax: the driver calls these operational as well


def is_unavailable(error: BaseException) -> bool:
    """True when trying again later may help: lost, refused, overloaded, or in each other's way."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if getattr(error.orig, "sqlite_errorname", None) in _SQLITE_MISTAKES:
        return False
    return error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError))


def is_outage(error: BaseException) -> bool:
    """True when the database itself is away or does not answer in time: what its circuit breaker counts."""
    if not is_unavailable(error):
        return False
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    return not state.startswith(_CONTENTION)
