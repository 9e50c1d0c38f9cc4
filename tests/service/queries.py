"""Remembers the SQL that the product sends while the service tests run, and says which of it has no index."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

ROOT = Path(__file__).parents[2]
OURS = (str(ROOT / "services"), str(ROOT / "ops"))
TESTS = str(ROOT / "tests")
GROWING = frozenset(
    {
        "account",
        "account_token",
        "api_token",
        "idempotency_key",
        "audit",
        "backup",
        "drill",
        "file",
        "job",
        "match_decision",
        "mail",
        "plan",
        "reconciliation",
    }
    | {"session", "sign_in_ticket", "spooled_object", "feedback", "rollout", "rollout_reading"}
)
"""Tables that get longer with use. Workspaces, workers and leaders are few."""

recorded: dict[tuple[str, str], tuple[Any, str]] = {}
"""Dialect and statement: the parameters it was sent with, and the function that sent it."""


def _record(connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
    if statement.lstrip()[:6].upper() not in {"SELECT", "UPDATE", "DELETE"}:
        return
    sender = _sender()
    if sender is not None:
        first = parameters[0] if many else parameters
        recorded.setdefault((connection.dialect.name, statement), (first, sender))


def _sender() -> str | None:
    """The nearest function of the product on the stack; None when a test asks for itself, or a migration."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(TESTS) or "/migrations/" in name or name.endswith("/database/engine.py"):
            return None
        if name.startswith(OURS):
            return f"{Path(name).relative_to(ROOT)}:{frame.f_code.co_name}"
        frame = frame.f_back
    return None


def listen() -> None:
    """Remember from now on."""
    event.listen(Engine, "before_cursor_execute", _record)


def scans(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """The growing tables that this statement reads from end to end."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        sorts = any("TEMP B-TREE" in row[3] for row in rows)
        few = "LIMIT" in statement and not sorts
        return [table for row in rows if (table := _sqlite_scan(row[3], few, "WHERE" in statement))]
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # what is still scanned then has no index at all
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    return list(_postgresql_scans(plan[0]["Plan"], limited=False))


def _sqlite_scan(detail: str, few: bool, filtered: bool) -> str | None:
    """`SCAN t` reads the table, `SCAN t USING INDEX` all of an index: fine only to take the first few in order."""
    words = detail.split()
    if words[0] != "SCAN" or words[1].removesuffix("_1") not in GROWING:
        return None
    return None if few and ("USING" in words or not filtered) else words[1]


def _postgresql_scans(node: dict[str, Any], limited: bool) -> Any:
    limited = limited or node["Node Type"] == "Limit"
    whole = node["Node Type"] == "Seq Scan" and ("Filter" in node or not limited)
    whole |= node["Node Type"] in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node and not limited
    if whole and node.get("Relation Name") in GROWING:
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _postgresql_scans(child, limited and node["Node Type"] != "Sort")
