"""A calm printed page: titles, tiles, tables, pairs. The look of every PDF; what it says is written elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fpdf import FPDF, XPos, YPos
from fpdf.fonts import FontFace

from services.pdf_fonts import CODE, SANS, add_fonts

INK, QUIET, LINE = (29, 39, 48), (102, 114, 125), (214, 220, 224)
ACCENT = (34, 87, 122)
MARGIN = 48.0  # points; an A4 page is 595 wide
BODY, SMALL, TINY = 9.0, 8.0, 7.0
LEADING = 1.42


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading, its share of the width, and how its cells are set."""

    heading: str
    width: float
    right: bool = False
    code: bool = False


class Paper:
    """A document under way. What is written goes below what was written before; pages follow by themselves."""

    def __init__(self, title: str, created: datetime, foot: str, text: str) -> None:
        """`text` holds every character that will be written: it decides which fonts are needed."""
        self._pdf = _Pages(foot, text)
        self._pdf.set_title(title)
        self._pdf.set_creation_date(created)
        self._pdf.add_page()

    def title(self, kind: str, title: str) -> None:
        """The head of the first page."""
        self._write(kind.upper(), TINY, ACCENT, bold=True)
        self._pdf.ln(2)
        self._write(title, 19, INK, bold=True, leading=1.25)

    def section(self, heading: str, what: str = "") -> None:
        """A heading, with one line on what follows. It is never the last thing on a page."""
        pdf = self._pdf
        pdf.ln(13)
        if pdf.will_page_break(64):
            pdf.add_page()
        self._write(heading, 11, INK, bold=True)
        if what:
            self._write(what, SMALL, QUIET)
        pdf.ln(2)

    def text(self, text: str, *, bold: bool = False) -> None:
        """A paragraph."""
        self._write(text, BODY, INK, bold=bold)

    def quiet(self, text: str) -> None:
        """A remark."""
        self._write(text, SMALL, QUIET)

    def item(self, what: str, more: str) -> None:
        """An entry of a list: what it is, and below it more about it."""
        if what:
            self._write(what, BODY, INK)
        self._write(more, SMALL, QUIET)
        self._pdf.ln(2.5)

    def tiles(self, tiles: Sequence[tuple[str, str, str]]) -> None:
        """Figures side by side: a label, the figure, and what it is made of."""
        pdf = self._pdf
        pdf.ln(12)
        width, top, lowest = pdf.epw / len(tiles), pdf.y, pdf.y
        pdf.set_draw_color(*LINE)
        pdf.line(pdf.l_margin, top, pdf.l_margin + pdf.epw, top)
        for place, (label, figure, parts) in enumerate(tiles):
            left = pdf.l_margin + place * width
            pdf.set_xy(left, top + 7)
            for text, size, colour, bold in (
                (label, SMALL, QUIET, False),
                (figure, 16.0, INK, True),
                (parts, TINY, QUIET, False),
            ):
                pdf.set_x(left)
                fitting = _fitting(pdf, figure, width - 8, size) if bold else size
                self._write(text, fitting, colour, bold=bold, width=width - 8, leading=1.3)
            lowest = max(lowest, pdf.y)
        pdf.set_y(lowest + 7)
        pdf.line(pdf.l_margin, pdf.y, pdf.l_margin + pdf.epw, pdf.y)
        pdf.ln(9)

    def table(self, columns: Sequence[Column], lines: Sequence[Sequence[Any]]) -> None:
        """A table over the whole width; its heading is repeated on every page."""
        pdf = self._pdf
        pdf.set_font(SANS, "", SMALL)
        pdf.set_text_color(*INK)
        pdf.set_draw_color(*LINE)
        pdf.set_line_width(0.5)
        aligned = tuple("RIGHT" if column.right else "LEFT" for column in columns)
        with pdf.table(
            col_widths=tuple(column.width for column in columns),
            text_align=aligned,
            borders_layout="HORIZONTAL_LINES",
            headings_style=FontFace(emphasis="", color=QUIET, size_pt=TINY),
            line_height=SMALL * LEADING,
            padding=(2.2, 4, 2.2, 0),
            v_align="TOP",
        ) as table:
            table.row([column.heading for column in columns])
            for line in lines:
                row = table.row()
                for column, cell in zip(columns, line, strict=True):
                    row.cell(str(cell), style=FontFace(family=CODE, size_pt=6.4) if column.code else None)

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Names with what belongs to each."""
        pdf = self._pdf
        for name, value in pairs:
            if pdf.will_page_break(SMALL * LEADING):
                pdf.add_page()
            top = pdf.y
            self._write(name, SMALL, QUIET, width=104)
            pdf.set_xy(pdf.l_margin + 108, top)
            self._write(value, SMALL, INK, width=pdf.epw - 108)
            pdf.ln(1)

    def sign(self, *roles: str) -> None:
        """Lines to sign on."""
        pdf = self._pdf
        if pdf.will_page_break(64):
            pdf.add_page()
        pdf.ln(34)
        width, top = pdf.epw / len(roles), pdf.y
        for place, role in enumerate(roles):
            left = pdf.l_margin + place * width
            pdf.line(left, top, left + width - 24, top)
            pdf.set_xy(left, top + 3)
            self._write(f"{role}: name, date, signature", TINY, QUIET, width=width - 24)

    def finished(self) -> bytes:
        """The document."""
        return bytes(self._pdf.output())

    def _write(
        self,
        text: str,
        size: float,
        colour: tuple[int, int, int],
        *,
        bold: bool = False,
        width: float = 0,
        leading: float = LEADING,
    ) -> None:
        pdf = self._pdf
        pdf.set_font(SANS, "B" if bold else "", size)
        pdf.set_text_color(*colour)
        pdf.multi_cell(width, size * leading, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT, padding=0)


class _Pages(FPDF):
    """A4 pages with a foot that says what they belong to, and how many there are."""

    def __init__(self, foot: str, text: str) -> None:
        super().__init__(unit="pt", format="A4")
        self._foot = foot
        add_fonts(self, text)
        self.set_lang("en")
        self.set_margins(MARGIN, MARGIN - 6, MARGIN)
        self.set_auto_page_break(True, margin=MARGIN + 10)
        self.c_margin = 0
        self.set_producer("")
        self.set_line_width(0.5)

    def footer(self) -> None:
        """Written by the library at the end of each page."""
        self.set_y(-MARGIN + 8)
        self.set_font(SANS, "", TINY)
        self.set_text_color(*QUIET)
        self.cell(self.epw - 60, TINY * LEADING, _shortened(self, self._foot, self.epw - 64))
        self.cell(60, TINY * LEADING, f"{self.page_no()} of {{nb}}", align="R")


def _fitting(pdf: FPDF, text: str, width: float, size: float) -> float:
    """The largest size, up to the given one, in which the text stays on one line."""
    pdf.set_font(SANS, "B", size)
    return min(size, size * width / max(1.0, pdf.get_string_width(text)))


def _shortened(pdf: FPDF, text: str, width: float) -> str:
    """The text, cut in the middle where it is too long for the line."""
    while pdf.get_string_width(text) > width:
        middle = len(text) // 2
        text = f"{text[: middle - 2]}…{text[middle + 1 :]}"
    return text
