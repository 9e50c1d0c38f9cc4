"""PostgreSQL: its address, and how long it may take to answer. The only user of the driver.

A server that is paused, or behind a network that swallows everything, refuses nothing: it just never answers, and the
kernel goes on saying that the connection is well. So every wait here has an end on this side as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import errors
from sqlalchemy import URL, Connection, Engine, event, make_url

from services.settings import Settings

if TYPE_CHECKING:
    from psycopg.abc import PQGen

T = TypeVar("T")

_ANSWER_MARGIN_SECONDS = 2  # the server ends a slow statement itself, and says so; this side waits a little longer
_SEVERAL_HOSTS = re.compile(r"^(?P<scheme>[^/]+)://(?:(?P<user>[^@/]*)@)?(?P<hosts>[^/?@]*,[^/?@]*)(?P<rest>[/?].*)?$")

_HOST = re.compile(r"(?:\[(?P<ip>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>\d+))?")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is given up when an answer takes longer than `answer_seconds` (None: no limit)."""

    answer_seconds: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the server, but not for ever. Raises OperationalError and closes the connection."""
        try:
            return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except errors._WaitTimeout as error:  # noqa: SLF001 - the driver has no public name for it
            if timeout is not None:
                raise
            self.pgconn.finish()  # half an answer may still come: nobody may use this connection again
            raise psycopg.OperationalError(f"no answer within {self.answer_seconds} s") from error


Connect = Callable[[Any, Any, list[Any], dict[str, Any]], BoundedConnection]
"""Makes a connection from what SQLAlchemy's event `do_connect` hands on."""


def parse_address(address: str) -> URL:
    """SQLAlchemy's form of an address, also of libpq's with several hosts: postgresql://a:5432,b:5432/db.

    With several hosts the one that takes writes is used, unless `target_session_attrs` says otherwise.
    """
    several = _SEVERAL_HOSTS.match(address)
    if several is None:
        return make_url(address)
    user = f"{several['user']}@" if several["user"] else ""
    url = make_url(f"{several['scheme']}://{user}{several['rest'] or '/'}")
    parts = [_HOST.fullmatch(host) for host in several["hosts"].split(",")]
    hosts = {
        "host": ",".join(part["ip"] or part["name"] for part in parts if part),
        "port": ",".join(part["port"] or "5432" for part in parts if part),
    }
    return url.update_query_dict({"target_session_attrs": "read-write", **url.query, **hosts})


def connect_arguments(settings: Settings, url: URL) -> dict[str, Any]:
    """What the driver is told about time. What the address itself says comes first."""
    timeouts = {
        "statement_timeout": settings.database_statement_timeout_seconds,
        "lock_timeout": settings.database_lock_timeout_seconds,
        # of a process that was paused or lost in the middle of a transaction, and holds locks
        "idle_in_transaction_session_timeout": settings.database_statement_timeout_seconds * 6,
    }
    ours = " ".join(f"-c {name}={seconds * 1000}" for name, seconds in timeouts.items())
    arguments: dict[str, Any] = {
        "connect_timeout": settings.database_connect_timeout_seconds,
        "tcp_user_timeout": settings.database_statement_timeout_seconds * 1000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": "reconciliation",
    }
    told = {name: value for name, value in arguments.items() if name not in url.query}
    return {**told, "options": f"{ours} {url.query.get('options', '')}".strip()}


def plainly(_dialect: Any, _record: Any, given: list[Any], named: dict[str, Any]) -> BoundedConnection:
    """A connection by the address that the engine was made with; for `bound`."""
    return BoundedConnection.connect(*given, **named)


def bound(engine: Engine, settings: Settings, connect: Connect = plainly) -> None:
    """Give every wait for the server an end: a short one for a ping, a longer one for a statement."""
    patient = settings.database_statement_timeout_seconds + _ANSWER_MARGIN_SECONDS
    ping = settings.database_ping_timeout_seconds

    def lent(connection: BoundedConnection, _record: Any, _proxy: Any) -> None:
        connection.answer_seconds = patient  # the ping was good

    def returned(connection: BoundedConnection | None, _record: Any) -> None:
        if connection is not None:
            connection.answer_seconds = ping

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkout", lent)
    event.listen(engine, "checkin", returned)
    event.listen(engine, "handle_error", _leave_a_standby)


def unhurried(connection: Connection) -> None:
    """Lift the limits for the rest of this transaction: a migration takes as long as it takes."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    driver = connection.connection.driver_connection
    if isinstance(driver, BoundedConnection):
        driver.answer_seconds = None


def acts_as(connection: Connection, role: str) -> bool:
    """Whether this connection is the role's own."""
    return bool(connection.exec_driver_sql("SELECT current_user").scalar_one() == role)


def let_work(connection: Connection, role: str) -> None:
    """Let a role read and write every table, change none, and only add to the audit trail."""
    for statement in (
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}",
        "REVOKE UPDATE, DELETE ON audit FROM {}",
        "REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {}",
    ):
        connection.exec_driver_sql(statement.format(role))


def _leave_a_standby(context: Any) -> None:
    # The server went on, but as a standby: another one takes the writes now.
    if isinstance(context.original_exception, errors.ReadOnlySqlTransaction):
        context.is_disconnect = True
