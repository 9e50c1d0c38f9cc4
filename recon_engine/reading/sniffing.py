"""The dialect of a delimited file, from its first lines: delimiter, quote, header row. Ties are asked for, not guessed."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from recon_engine.errors import InputError, UndecidedError
from recon_engine.plan import ReaderOptions
from recon_engine.reading.table import Facts

DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_RECORDS = 300
_HEADER_SEARCH = 60
_CLEAR_LEAD = 0.05
_TYPED = re.compile(
    r"""^\s*(?:
        [-+(]?[$€£]?\s?\d[\d.,'\s]*%?\)?-?            # numbers, amounts
        |\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T][\d:.]+(Z|[+-]\d\d:?\d\d)?)?   # dates
        |\d{1,2}:\d\d(:\d\d)?                          # times
        |true|false|yes|no|null|n/?a|
    )\s*$""",
    re.VERBOSE | re.IGNORECASE,
)
_NUMBERLIKE = re.compile(r"^\s*[-+(]?[$€£]?\s?\d[\d.,:/\s'-]*%?\)?\s*$")

Records = list[list[str]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to split the file. `header_line` is the physical line of the header, 1-based; `columns` its cells."""

    delimiter: str
    quote: str | None
    header_line: int
    header_cells: tuple[str, ...]


def sniff(text: str, name: str, options: ReaderOptions, facts: Facts) -> Dialect:
    """Decide the dialect from the file's first lines, and note in `facts` what was given and what detected."""
    lines = (
        text.splitlines(keepends=True)
        if "\r" not in text.replace("\r\n", "")
        else re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)
    )
    lines = [line for line in lines if line]
    if options.quote is not None:
        quote = options.quote or None
        facts.given("quote", options.quote)
    else:
        quote = _quote(text)
        facts.detected("quote", quote)
    if options.delimiter is not None:
        delimiter = options.delimiter
        if not delimiter.isascii():
            raise InputError(
                f"{name}: the delimiter '{delimiter}' is not a plain ASCII character; convert the file first"
            )
        facts.given("delimiter", delimiter)
    else:
        delimiter = _delimiter(lines, quote, name)
        facts.detected("delimiter", delimiter)
    records, places = split(lines, delimiter, quote)
    if not records:
        raise InputError(f"{name}: has no line with text; give a file with a header and rows")
    if options.header_row is not None:
        index = next((i for i, place in enumerate(places) if place >= options.header_row), None)
        if index is None:
            raise InputError(f"{name}: header_row is {options.header_row}, but the file ends before; lower it")
        facts.given("header_row", options.header_row)
    else:
        index = header_index(records)
        facts.detected("header_row", places[index])
    cells = _fitted(records, index)
    return Dialect(delimiter, quote, places[index], tuple(cells))


def split(lines: Sequence[str], delimiter: str, quote: str | None) -> tuple[Records, list[int]]:
    """The first records with text, and the physical line on which each begins."""
    reader = csv.reader(
        lines, delimiter=delimiter, quotechar=quote or '"', quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    )
    records: Records = []
    places: list[int] = []
    line = 1
    try:
        for record in reader:
            if any(cell.strip() for cell in record):
                records.append(record)
                places.append(line)
            line = reader.line_num + 1
            if len(records) >= _SAMPLE_RECORDS:
                break
    except csv.Error:
        # A field over the module's own limit: the records before it are sample enough.
        pass
    return records, places


def header_index(records: Records) -> int:
    """Which record is the header: the first of the usual width that reads like names; metadata lines above are skipped."""
    widths = Counter(len(r) for r in records)
    usual = _usual_width(widths)
    head = records[:_HEADER_SEARCH]
    first = next((i for i, r in enumerate(head) if len(r) == usual), 0)
    # A header without the trailing separator of its rows, or with one too many.
    if first > 0 and abs(len(records[first - 1]) - usual) == 1 and _like_names(records[first - 1], usual):
        return first - 1
    for index in range(first, min(first + 15, len(head))):
        if len(head[index]) == usual and _like_names(head[index], usual):
            return index
    return first


def _usual_width(widths: Counter[int]) -> int:
    most = max(widths.values())
    return max(w for w, n in widths.items() if n == most)


def _like_names(record: list[str], usual: int) -> bool:
    filled = [c.strip() for c in record if c.strip()]
    return (
        len(filled) >= max(1, usual * 0.6)
        and len(set(filled)) == len(filled)
        and not any(_NUMBERLIKE.match(c) for c in filled)
    )


def _fitted(records: Records, index: int) -> list[str]:
    """Header cells, widened or narrowed where all rows have one separator more or less than the header."""
    cells = records[index]
    below = Counter(len(r) for r in records[index + 1 :])
    if not below:
        return cells
    if len(below) == 1:
        width = next(iter(below))
        spare = cells[width:]
        if width == len(cells) + 1 and not any(r[-1].strip() for r in records[index + 1 :]):
            return [*cells, ""]
        if width < len(cells) and not any(c.strip() for c in spare):
            return cells[:width]
    return cells


def _quote(text: str) -> str:
    """'"' unless apostrophes stand at both edges of fields and double quotes do not."""
    double = len(re.findall(r'(?:^|[,;\t|])"', text, re.MULTILINE))
    single_opens = len(re.findall(r"(?:^|[,;\t|])'", text, re.MULTILINE))
    single_closes = len(re.findall(r"'(?=[,;\t|\r\n]|$)", text))
    if double == 0 and single_opens >= 2 and single_opens == single_closes:
        return "'"
    return '"'


def _delimiter(lines: list[str], quote: str | None, name: str) -> str:
    scores = sorted(
        ((_score(lines, d, quote), d) for d in DELIMITERS if any(d in line for line in lines)), reverse=True
    )
    if not scores or scores[0][0] == 0:
        return ","  # a single column: any delimiter reads it
    if len(scores) > 1 and scores[0][0] - scores[1][0] < _CLEAR_LEAD and scores[1][0] > 0:
        one, two = (repr(d) for _, d in scores[:2])
        raise UndecidedError(f"{name}: both {one} and {two} could be the delimiter; set delimiter: to the right one")
    return scores[0][1]


def _score(lines: list[str], delimiter: str, quote: str | None) -> float:
    """How table-like the lines are when split so: rows of one width, cells that are clean values, header included."""
    records, _ = split(lines, delimiter, quote)
    if not records:
        return 0.0
    widths = Counter(len(r) for r in records)
    usual = _usual_width(widths)
    if usual < 2:
        return 0.0
    same = [r for r in records if len(r) == usual]
    consistency = len(same) / len(records)
    others = [d for d in DELIMITERS if d != delimiter]
    cells = [c for r in same for c in r]
    clean = sum(1 for c in cells if _TYPED.match(c) or not any(d in c for d in others)) / len(cells)
    starts = header_index(records)
    header_fits = 1.0 if len(records[starts]) == usual else 0.8
    return consistency * (0.5 + 0.5 * clean) * header_fits
