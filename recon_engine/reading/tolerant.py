"""Records whose quotes are not as they should be: read the one way that gives the table's width, or not at all.

A quote that opens a field closes it only before a delimiter or the line's end; any other quote is text. Where that
leaves the wrong number of cells, opening quotes are taken as text too, as few of them as possible.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

# A quoted field may span lines; one that spans more than this is a quote that was never closed.
_MAX_LINES = 60
# After so many records without a fitting reading the file is not worth searching further lines for each.
_MAX_FAILURES = 300
_MAX_ATTEMPTS = 2_000
_FIELD_LIMIT = 1 << 27


@dataclass(frozen=True, slots=True)
class Quoting:
    """What separates and what wraps cells. `padded`: a space after each delimiter belongs to no cell."""

    delimiter: str
    quote: str | None
    escape: str | None = None
    padded: bool = False


def tolerant(lines: Sequence[str], quoting: Quoting, width: int) -> Iterator[tuple[int, int, list[str]]]:
    """(index of the first line, number of lines, cells) of each record, blank lines included.

    Cells are `width` many wherever one reading of the record gives that; else the caller sees another number.
    """
    csv.field_size_limit(_FIELD_LIMIT)
    index = failures = 0
    while index < len(lines):
        reader = csv.reader(
            (lines[i] for i in range(index, len(lines))),
            delimiter=quoting.delimiter,
            quotechar=quoting.quote or '"',
            quoting=csv.QUOTE_MINIMAL if quoting.quote else csv.QUOTE_NONE,
            escapechar=quoting.escape,
            skipinitialspace=quoting.padded,
            strict=True,
        )
        used = 0
        regular: tuple[int, list[str]] | None = None
        try:
            for record in reader:
                count = reader.line_num - used
                if len(record) != width and (count > 1 or _has(lines[index], quoting)):
                    regular = (count, record)
                    break
                yield index, count, record
                used += count
                index += count
            else:
                return
        except csv.Error:
            pass  # a quote that neither opens nor closes a field: this record is read with care
        found = _resolved(lines, index, quoting, width, _MAX_LINES if failures < _MAX_FAILURES else 1)
        failures += found is None
        count, record = found or regular or (1, lines[index].rstrip("\r\n").split(quoting.delimiter))
        yield index, count, record
        index += count


def _has(line: str, quoting: Quoting) -> bool:
    return quoting.quote is not None and quoting.quote in line


def _resolved(
    lines: Sequence[str], index: int, quoting: Quoting, width: int, most_lines: int
) -> tuple[int, list[str]] | None:
    """The record from line `index` on, read as the fewest lines that fit the width."""
    joined = ""
    for count in range(1, min(most_lines, len(lines) - index) + 1):
        joined += lines[index + count - 1]
        found = solved(joined.rstrip("\r\n"), quoting, width)
        if found is not None:
            return count, found
    return None


def solved(text: str, quoting: Quoting, width: int) -> list[str] | None:
    """The cells of one record, `width` many, with as few opening quotes as possible read as text; None if none fit."""
    if quoting.quote is None:
        cells = text.split(quoting.delimiter)
        return cells if len(cells) == width else None
    wrapped = _wrapped(quoting)
    # (position in text, cells so far, opening quotes read as text); fewest of those first.
    waves: list[list[tuple[int, tuple[str, ...]]]] = [[(0, ())]]
    attempts = 0
    for literal_quotes in range(width + 1):
        if literal_quotes >= len(waves):
            break
        stack = waves[literal_quotes]
        while stack and attempts < _MAX_ATTEMPTS:
            attempts += 1
            position, found = stack.pop()
            if len(found) == width:
                if position > len(text):
                    return list(found)
                continue
            if position > len(text):
                continue
            match = wrapped.match(text, position)
            end = text.find(quoting.delimiter, position)
            end = len(text) if end < 0 else end
            cell = text[position:end]
            plain = (end + 1, (*found, cell.removeprefix(" ") if quoting.padded else cell))
            if match is not None:
                stack.append((match.end() + 1, (*found, _unescaped(match[1], quoting))))
                while len(waves) <= literal_quotes + 1:
                    waves.append([])
                waves[literal_quotes + 1].append(plain)
            elif "\n" not in text[position:end]:
                stack.append(plain)
    return None


@lru_cache(maxsize=32)
def _wrapped(quoting: Quoting) -> re.Pattern[str]:
    quote, delimiter = re.escape(quoting.quote or '"'), re.escape(quoting.delimiter)
    escaped = rf"|{re.escape(quoting.escape)}." if quoting.escape else ""
    plain = rf"[^{quote}{re.escape(quoting.escape or '')}]++"
    spaces = "" if quoting.delimiter == " " else " *"
    return re.compile(
        rf"{spaces}{quote}((?:{plain}|{quote}{quote}(?!{delimiter}|$)|{quote}(?!{delimiter}|{quote}|$){escaped})*)"
        rf"{quote}(?={delimiter}|\Z)",
        re.DOTALL,
    )


def _unescaped(content: str, quoting: Quoting) -> str:
    quote = quoting.quote or '"'
    if quoting.escape:
        return re.sub(rf"{re.escape(quoting.escape)}(.)", r"\1", content, flags=re.DOTALL)
    # A doubled quote stands for one, but not right after the opening quote: there it is a stray one.
    return content.replace(quote * 2, quote)
