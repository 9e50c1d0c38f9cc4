"""The fonts of PDFs: Source Sans and Source Code as on the screens, Kurinto for the scripts that these do not have."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import cast

from fpdf import FPDF
from fpdf.fonts import TTFFont

SANS, CODE = "source-sans", "source-code"
_FOLDER = Path(str(files("weblate_fonts"))) / "static" / "weblate_fonts"
_FILES = (
    (SANS, "", "source-sans/ttf/SourceSans3-Regular.ttf"),
    (SANS, "B", "source-sans/ttf/SourceSans3-Semibold.ttf"),
    (CODE, "", "source-code/ttf/SourceCodePro-Regular.ttf"),
)
_OTHER_SCRIPTS = (  # each beside the last: the first that has a character gives it
    ("kurinto", "kurinto/ttf/KurintoSans-Rg.ttf"),
    ("kurinto-sc", "kurinto/ttf/KurintoSansSC-Rg.ttf"),
    ("kurinto-kr", "kurinto/ttf/KurintoSansKR-Rg.ttf"),
)


def add_fonts(pdf: FPDF, text: str) -> None:
    """Make the fonts known; those for other scripts, which are large, only when `text` needs them (2 s)."""
    for family, style, name in _FILES:
        pdf.add_font(family, style, _FOLDER / name)
    missing = {ord(character) for character in text if character.isprintable()} - _characters(pdf, SANS)
    others = []
    for family, name in _OTHER_SCRIPTS:
        if missing:
            pdf.add_font(family, "", _FOLDER / name)
            missing -= _characters(pdf, family)
            others.append(family)
    pdf.set_fallback_fonts(others, exact_match=False)


def _characters(pdf: FPDF, family: str) -> set[int]:
    """What a font has signs for."""
    return set(cast("TTFFont", pdf.fonts[family]).cmap)
