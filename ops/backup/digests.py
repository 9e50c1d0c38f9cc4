"""What a table holds, in two numbers: its rows, and a digest that does not depend on their order.

The digest is the sum, modulo 2^128, of the rows' SHA-256 (their first 128 bits), columns in order of their names.
Sums, unlike XOR, tell two equal rows from none.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable

from sqlalchemy import Connection, text

from ops.backup.manifest import TableDigest
from ops.errors import Damaged

_LOW = 1 << 64
_PLAIN_SESSION = (
    # The text of a row depends on these.
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL bytea_output = 'hex'",
)
_TABLES = """
    SELECT n.nspname, c.relname, array_agg(quote_ident(a.attname) ORDER BY a.attname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
    GROUP BY n.nspname, c.relname ORDER BY 1, 2
"""


def sqlite_digests(connection: sqlite3.Connection) -> dict[str, TableDigest]:
    """Every table of an open SQLite database."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    ).fetchall()
    found = {}
    for (name,) in names:
        columns = sorted(row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(name)})"))
        rows = connection.execute(f"SELECT {', '.join(map(_quoted, columns))} FROM {_quoted(name)}")  # noqa: S608  # names quoted
        found[name] = _digest(rows)
    return found


def postgresql_digests(connection: Connection) -> dict[str, TableDigest]:
    """Every table of a PostgreSQL database, computed by the server in the connection's transaction."""
    for setting in _PLAIN_SESSION:
        connection.execute(text(setting))
    found = {}
    for schema, table, columns in connection.execute(text(_TABLES)).all():
        hashed = f"encode(sha256(convert_to(ROW({', '.join(columns)})::text, 'UTF8')), 'hex') AS h"
        halves = [f"coalesce(sum(('x' || substr(h, {at}, 16))::bit(64)::bigint::numeric), 0)" for at in (1, 17)]
        rows_of = f"SELECT {hashed} FROM {_quoted(schema)}.{_quoted(table)}"  # noqa: S608  # names quoted
        query = f"SELECT count(*), {', '.join(halves)} FROM ({rows_of}) AS hashed"  # noqa: S608
        rows, high, low = connection.exec_driver_sql(query.replace("%", "%%")).one()
        name = table if schema == "public" else f"{schema}.{table}"
        found[name] = TableDigest(rows=rows, digest=f"{int(high) % _LOW:016x}{int(low) % _LOW:016x}")
    return found


def compare(expected: dict[str, TableDigest], found: dict[str, TableDigest], where: str) -> None:
    """Raise Damaged unless both hold the same tables with the same rows."""
    different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if different:
        raise Damaged(f"{where} does not hold what the backup's manifest says, in: {', '.join(different)}.")


def _digest(rows: Iterable[tuple[object, ...]]) -> TableDigest:
    count = total = 0
    for row in rows:
        count += 1
        # `ascii` of plain values is unambiguous, and the same in every version of Python
        total += int.from_bytes(hashlib.sha256(ascii(row).encode()).digest()[:16])
    return TableDigest(rows=count, digest=f"{total % (_LOW * _LOW):032x}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
