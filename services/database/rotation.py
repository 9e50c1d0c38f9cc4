"""New connections follow the database's address as it is rotated; open ones stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import Dialect

from services.database.postgresql import BoundedConnection, Connect, parse_address
from services.secrets import Secrets

_log = structlog.get_logger(__name__)


def following(secrets: Callable[[], Secrets]) -> Connect:
    """Connects with the present password; when it is refused, with the one before; then asks for it anew, once.

    The order in which the password and its secret change does therefore not matter, as long as the gap is short.
    """

    def connect(dialect: Dialect, _record: Any, given: list[Any], named: dict[str, Any]) -> BoundedConnection:
        keeper = secrets()
        refused: dict[str, Exception] = {}
        for ask_anew in (False, True):
            if ask_anew:
                keeper.refresh("database_url")
            for secret in keeper.accepted("database_url"):
                address = secret.get_secret_value()
                if address in refused:
                    continue
                _, parts = dialect.create_connect_args(parse_address(address))
                try:
                    return BoundedConnection.connect(*given, **{**named, **parts})
                except Exception as error:
                    if not _refuses(error):
                        raise
                    refused[address] = error
            _log.warning("database refuses the password", asked_anew=ask_anew)
        raise next(iter(refused.values()))

    return connect


def _refuses(error: Exception) -> bool:
    """Whether the server answered and said no. libpq gives no code for it, but FATAL is in every language."""
    return "FATAL" in str(error)
