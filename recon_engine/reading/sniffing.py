"""The dialect of a delimited file, from its first lines: delimiter, quote, header row. Ties are asked for."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from recon_engine.errors import InputError, UndecidedError
from recon_engine.plan import ReaderOptions
from recon_engine.reading.table import Facts
from recon_engine.reading.tolerant import Quoting, tolerant

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
    """How to split the file. `header_line` is the physical line of the header, `header_cells` what it holds."""

    quoting: Quoting
    header_line: int
    header_cells: tuple[str, ...]

    @property
    def delimiter(self) -> str:
        """The character between cells."""
        return self.quoting.delimiter

    @property
    def quote(self) -> str | None:
        """The character around cells that hold a delimiter or a line break."""
        return self.quoting.quote


def sniff(text: str, name: str, options: ReaderOptions, facts: Facts) -> Dialect:
    """Decide the dialect from the file's first lines, and note in `facts` what was given and what detected."""
    lines = physical_lines(text)
    if options.quote is not None:
        quote = options.quote or None
        facts.given("quote", options.quote)
    else:
        quote = _quote(text)
        facts.detected("quote", quote)
    if options.delimiter is not None:
        delimiter = options.delimiter
        if not delimiter.isascii():
            raise InputError(f"{name}: the delimiter '{delimiter}' is not an ASCII character; convert the file first")
        facts.given("delimiter", delimiter)
    else:
        delimiter = _delimiter(lines, quote, name)
        facts.detected("delimiter", delimiter)
    escape = "\\" if quote and _escapes(text, quote, delimiter) else None
    if escape:
        facts.detected("escape", escape)
    quoting = Quoting(delimiter, quote, escape, padded=_padded(lines, delimiter, quote))
    records, places = _sample(lines, quoting)
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
    return Dialect(quoting, places[index], tuple(_fitted(records, index)))


def physical_lines(text: str) -> list[str]:
    """The lines with their ends; a form feed or another exotic break does not end a line."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _sample(lines: Sequence[str], quoting: Quoting) -> tuple[Records, list[int]]:
    """The first records with text and the physical line of each, stray quotes resolved by the usual width."""
    rough, _ = split(lines, quoting.delimiter, quoting.quote)
    if not rough:
        return [], []
    usual = _usual_width(Counter(len(r) for r in rough))
    records: Records = []
    places: list[int] = []
    for index, _count, record in tolerant(lines, quoting, usual):
        if any(cell.strip() for cell in record):
            records.append(record)
            places.append(index + 1)
        if len(records) >= _SAMPLE_RECORDS:
            break
    return records, places


def _escapes(text: str, quote: str, delimiter: str) -> bool:
    """True when quotes inside cells are written with a backslash before them, not doubled."""
    edge = re.escape(delimiter) + r"\r\n"
    backslashed = re.search(rf"[^{edge}\\]\\{quote}[^{edge}]", text)
    doubled = re.search(rf"[^{edge}{quote}\\]{quote}{quote}[^{edge}{quote}]", text)
    return backslashed is not None and doubled is None


def _padded(lines: Sequence[str], delimiter: str, quote: str | None) -> bool:
    """True when every delimiter outside quotes is followed by a space."""
    quoted = re.compile(f"{quote}[^{quote}]*{quote}") if quote else None
    outside = "".join(quoted.sub("", line) if quoted else line for line in lines[:20]).replace("\r", "")
    ends = outside.count(f"{delimiter}\n")
    return delimiter not in " \t" and 0 < outside.count(delimiter) == outside.count(f"{delimiter} ") + ends


def split(lines: Sequence[str], delimiter: str, quote: str | None) -> tuple[Records, list[int]]:
    """The first records with text, and the physical line on which each begins."""
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quotechar=quote or '"',
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        skipinitialspace=_padded(lines, delimiter, quote),
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
    """Which record is the header: the first of the usual width that reads like names; lines above are skipped."""
    widths = Counter(len(r) for r in records)
    usual = _usual_width(widths)
    head = records[:_HEADER_SEARCH]
    first = next((i for i, r in enumerate(head) if len(r) == usual), 0)
    # A header without the trailing separator of its rows, or with one too many.
    filled = sorted(sum(1 for c in r if c.strip()) for r in records if len(r) == usual)
    enough = max(1.0, filled[len(filled) // 2] * 0.6)
    near = first > 0 and abs(len(records[first - 1]) - usual) == 1
    if near and _like_names(records[first - 1], enough) and not _like_names(records[first], enough):
        return first - 1
    for index in range(first, min(first + 15, len(head))):
        if len(head[index]) == usual and _like_names(head[index], enough):
            return index
    return first


def looks_like_data(cells: Sequence[str]) -> bool:
    """True when most cells of a header are numbers or dates: the file has none, its first row was taken for it."""
    filled = [c for c in cells if c.strip()]
    return len(filled) > 1 and sum(1 for c in filled if _NUMBERLIKE.match(c)) > len(filled) / 2


def _usual_width(widths: Counter[int]) -> int:
    most = max(widths.values())
    return max(w for w, n in widths.items() if n == most)


def _like_names(record: list[str], enough: float) -> bool:
    filled = [c.strip() for c in record if c.strip()]
    return len(filled) >= enough and len(set(filled)) == len(filled) and not any(_NUMBERLIKE.match(c) for c in filled)


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
