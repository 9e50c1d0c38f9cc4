"""Lists in parts. Each says where the next one begins: what is added meanwhile neither repeats nor hides a row."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, Tuple, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from services.database.base import UtcDateTime
from services.errors import Invalid

Row = TypeVar("Row")
MOST = 500  # of one part
FOREIGN = "This cursor is not one of this list; begin again without it."


class Part(list[Row]):
    """Some rows of a list. `next` is the cursor of the part after it, None at the end."""

    next: str | None = None


def part_of(
    session: Session,
    query: Select[Row],
    order: Sequence[InstrumentedAttribute[Any]],
    limit: int | None,
    cursor: str | None,
    *,
    newest_first: bool = True,
) -> Part[Row]:
    """The rows after the cursor in the order of these columns, which together name one row. Raises Invalid."""
    if cursor is not None:
        place = tuple_(*order)
        after = _values(cursor, order)
        query = query.where(place < after if newest_first else place > after)
    query = query.order_by(*(column.desc() if newest_first else column.asc() for column in order))
    rows = session.scalars(query if limit is None else query.limit(limit + 1)).all()
    part = Part(rows[:limit])
    if limit is not None and len(rows) > limit:
        part.next = cursor_of([getattr(part[-1], column.key) for column in order])
    return part


def cursor_of(values: Sequence[Any]) -> str:
    """The cursor that stands after a row with these values: opaque to whoever gets it."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """The values that a cursor holds, which must be of these kinds. Raises Invalid."""
    try:
        given = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(given, list) or len(given) != len(kinds):
            raise Invalid(FOREIGN)
        return [_value(value, kind) for value, kind in zip(given, kinds, strict=True)]
    except (ValueError, RecursionError, binascii.Error) as error:
        raise Invalid(FOREIGN) from error


def _value(value: Any, kind: type) -> Any:
    if kind is datetime:
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return moment
    if kind is int and type(value) is int and 0 <= value < 1 << 53:
        return value
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value
    raise ValueError("another kind of value")


def _values(cursor: str, order: Sequence[InstrumentedAttribute[Any]]) -> Tuple:
    kinds = [datetime if isinstance(column.type, UtcDateTime) else column.type.python_type for column in order]
    values = read_cursor(cursor, kinds)
    return tuple_(*(literal(value, column.type) for column, value in zip(order, values, strict=True)))
