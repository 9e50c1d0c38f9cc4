"""Delimited files: what becomes a row, what is told as rejected, and what is refused."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import polars as pl
import pytest

from recon_engine.errors import InputError, LimitError, UndecidedError
from recon_engine.plan import ReaderOptions
from recon_engine.reading import ROW, TextTable, open_table
from recon_engine.reading import delimited as delimited_module


def opened(folder: Path, text: str | bytes, name: str = "t.csv", **options: object) -> TextTable:
    """A file with this content, opened."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return open_table(path, ReaderOptions.model_validate(options))


def rows(table: TextTable) -> list[tuple[object, ...]]:
    """Row number and cells of every readable row."""
    return table.frame.collect().rows()


@pytest.fixture(params=["small", "large"])
def any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same content read by the path for small files and by the one for large files."""
    if request.param == "large":
        monkeypatch.setattr(delimited_module, "_EXAMINE_AT_ONCE_BYTES", 0)


@pytest.mark.usefixtures("any_size")
def test_cells_are_text_and_empty_cells_null(tmp_path: Path) -> None:
    """Values stay as written; an empty cell is null, quoted or not, and so are the texts given as nulls."""
    table = opened(tmp_path, 'ref,amount,note\n007,1.50,"a, b"\n,"",n/a\n', nulls=["n/a"])
    assert table.columns == ("ref", "amount", "note")
    assert rows(table) == [(1, "007", "1.50", "a, b"), (2, None, None, None)]
    assert table.frame.collect_schema()[ROW] == pl.UInt32
    assert not table.suspect_ragged()


@pytest.mark.usefixtures("any_size")
def test_rows_of_another_width_are_rejected_with_their_line(tmp_path: Path) -> None:
    """Ragged rows keep their number, tell their physical line, and are not in the frame; blank lines are no rows."""
    table = opened(tmp_path, 'a,b\n1,"x\ny"\n\n2\n3,4,5\n6,7\n').settled()
    assert rows(table) == [(1, "1", "x\ny"), (4, "6", "7")]
    assert table.rejected.select("row", "line", "raw").rows() == [(2, 5, "2"), (3, 6, "3,4,5")]
    assert "has 1 cells, the header has 2" in table.rejected["reason"][0]
    assert table.lines(pl.Series([1, 2, 3, 4])).to_list() == [2, 5, 6, 7]


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("stray", ["", 'x"y'], ids=["regular", "stray quote"])
def test_an_empty_line_between_good_rows_is_no_row(tmp_path: Path, end: str, stray: str) -> None:
    """Neither alone nor beside rejected rows; a row of empty cells is one, however the quotes stand."""
    lines = ["a,b", f"1,{stray}", "", "2,", "", "", ",", "3,4,5", "", "6,7", ""]
    table = opened(tmp_path, end.join(lines)).settled()
    assert rows(table) == [(1, "1", stray or None), (2, "2", None), (3, None, None), (5, "6", "7")]
    assert table.rejected.select("row", "line").rows() == [(4, 8)]
    assert table.lines(pl.Series([1, 2, 3, 4, 5])).to_list() == [2, 4, 7, 8, 10]


def test_a_long_row_in_a_large_file_is_suspected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long row and a short one that make up for each other are still seen, though a lazy scan would hide both."""
    monkeypatch.setattr(delimited_module, "_EXAMINE_AT_ONCE_BYTES", 0)
    assert opened(tmp_path, "a,b\n1,2,3\n4\n").suspect_ragged()
    assert not opened(tmp_path, "a,b\n1,2\n4,\n").suspect_ragged()


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('1,x "y" z,3', ("1", 'x "y" z', "3")),
        ('1,5" disk,3', ("1", '5" disk', "3")),
        ('1,"unclosed,3', ("1", '"unclosed', "3")),
        ('1,""This is, ok",3', ("1", '"This is, ok', "3")),
        ('1,"x"y",3', ("1", 'x"y', "3")),
        ('1,"he said ""hi""",3', ("1", 'he said "hi"', "3")),
    ],
)
def test_stray_quotes_are_read_the_one_way_that_fits(tmp_path: Path, line: str, cells: tuple[str, ...]) -> None:
    """A quote that neither opens nor closes a field is text, and swallows no other row."""
    table = opened(tmp_path, f'a,b,c\n{line}\n8,9,"ok, fine"\n').settled()
    assert rows(table) == [(1, *cells), (2, "8", "9", "ok, fine")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_detected_and_told(tmp_path: Path, delimiter: str) -> None:
    """The delimiter that makes a table is found, and the facts say that it was detected."""
    table = opened(tmp_path, f"a{delimiter}b\n1{delimiter}2\n3{delimiter}4\n")
    assert table.facts.as_dict()["delimiter"] == {"value": delimiter, "decided_by": "detected"}
    assert table.columns == ("a", "b")


def test_a_tie_of_delimiters_is_asked_for(tmp_path: Path) -> None:
    """Two delimiters that split every line equally well are not guessed between."""
    with pytest.raises(UndecidedError, match="set delimiter:"):
        opened(tmp_path, "a;b|c\nd;e|f\ng;h|i\n")
    assert opened(tmp_path, "a;b|c\nd;e|f\n", delimiter="|").columns == ("a;b", "c")


def test_lines_above_the_header_are_skipped_and_told(tmp_path: Path) -> None:
    """Metadata lines of a bank export are no header; the line used is a fact, and an issue says what was skipped."""
    table = opened(tmp_path, "Account;DE12\nFrom 1 to 31 May\n\nDate;Amount;Text\n01.05.2024;1,50;x\n")
    assert table.columns == ("Date", "Amount", "Text")
    assert table.facts.value("header_row") == 4
    assert [issue.code for issue in table.issues] == ["lines_above_header"]
    assert table.lines(pl.Series([1])).to_list() == [5]


@pytest.mark.parametrize(
    ("content", "encoding", "text"),
    [
        ("name\nGÖTZ\n".encode("utf-16"), "utf-16-le", "GÖTZ"),
        ("name\nMüller and Peña\n".encode("cp1252"), "cp1252", "Müller and Peña"),
        ("\ufeffname\nGÖTZ\n".encode(), "utf-8", "GÖTZ"),
        ("name\nİnönü Bulvarı Bağdat Şubesi\n".encode("cp1254"), "cp1254", "İnönü Bulvarı Bağdat Şubesi"),
        ("name\nÞorgerður á Ísafirði Týr\n".encode("cp1252"), "cp1252", "Þorgerður á Ísafirði Týr"),
    ],
)
def test_encodings(tmp_path: Path, content: bytes, encoding: str, text: str) -> None:
    """Byte order marks decide; accented Western letters are told from UTF-8; the encoding is a fact."""
    table = opened(tmp_path, content)
    assert (table.columns, rows(table)) == (("name",), [(1, text)])
    assert table.facts.value("encoding") == encoding


def test_letters_of_turkey_or_of_iceland_are_asked_for(tmp_path: Path) -> None:
    """Where one of them alone stands in the text, nothing tells which it is; among other Western letters it is none."""
    for told in ("Dağ", "Sigurður"):
        with pytest.raises(UndecidedError, match="set encoding:, such as cp1254, cp1252 or cp1250"):
            opened(tmp_path, f"name\n{told}\n".encode("cp1254" if told == "Dağ" else "cp1252"))
    western = "name\n" + "Müller and François\n" * 9 + "Sigurður\n"
    assert opened(tmp_path, western.encode("cp1252")).facts.value("encoding") == "cp1252"


@pytest.mark.parametrize("encoding", ["no-such", "rot13", "base64", "hex", "zlib", "bz2", "uu", "quopri"])
@pytest.mark.parametrize("content", ["a,b\n1,2\n", '[{"a": 1}]'], ids=["csv", "json"])
def test_what_makes_no_text_of_bytes_is_no_encoding(tmp_path: Path, content: str, encoding: str) -> None:
    """Packings and ciphers, which the language has by the same door as encodings, are refused like unknown names."""
    with pytest.raises(InputError, match=f"there is no encoding '{encoding}'; use a name such as"):
        opened(tmp_path, content, encoding=encoding)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """It is called what it is."""
    with pytest.raises(InputError, match="is a folder"):
        open_table(tmp_path)


def test_a_few_undecodable_rows_are_rejected(tmp_path: Path) -> None:
    """A damaged row in a UTF-8 file is told as rejected, not replaced by signs."""
    good = "".join(f"é{i},1\n" for i in range(30)).encode()
    table = opened(tmp_path, b"a,b\n" + good + b"x\xff,2\n")
    assert table.frame.collect().height == 30
    assert table.rejected.select("row", "line", "raw").rows() == [(31, 32, "x\\xff,2")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a,b\n1,\x002\n", "line 2 holds a NUL byte"),
        (b"a,b,a\n1,2,3\n", r"repeats 'a' \(columns 1, 3\)"),
        (b"%PDF-1.4\n", "a PDF"),
        (b"<?xml version='1.0'?><a/>", "XML"),
    ],
)
def test_refusals_are_one_sentence_with_the_file_and_the_mend(tmp_path: Path, content: bytes, words: str) -> None:
    """What cannot be read is refused by name, place and mend."""
    with pytest.raises(InputError, match=words) as refusal:
        opened(tmp_path, content)
    assert str(refusal.value).startswith("t.csv: ")
    assert "\n" not in str(refusal.value)


def test_header_without_rows_and_unnamed_columns_are_fine(tmp_path: Path) -> None:
    """A header alone is a table of no rows; a column without a name is called by its position."""
    table = opened(tmp_path, "a,,c\n")
    assert table.columns == ("a", "column_2", "c")
    assert {issue.code for issue in table.issues} == {"no_rows", "unnamed_columns"}
    assert rows(table) == []


def test_limits_on_columns_and_fields(tmp_path: Path) -> None:
    """Too many columns and overlong fields are refused, naming the place."""
    with pytest.raises(LimitError, match="2,001 columns"):
        opened(tmp_path, ",".join(f"c{i}" for i in range(2001)) + "\n")
    with pytest.raises(LimitError, match="line 2 has a field of more than 1,000,000"):
        opened(tmp_path, "a,b\n1," + "x" * 1_000_001 + "\n")


def test_packed_files(tmp_path: Path) -> None:
    """Gzip and one-member zip are read as the file inside; bombs and archives of several files are refused."""
    assert rows(opened(tmp_path, gzip.compress(b"a\n1\n"), "t.csv.gz")) == [(1, "1")]
    archive = tmp_path / "t.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("in/t.csv", "a\n1\n")
    table = open_table(archive)
    assert (table.name, table.path, rows(table)) == ("t.csv", archive, [(1, "1")])
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("other.csv", "b\n")
    with pytest.raises(InputError, match="exactly one file"):
        open_table(archive)
    with pytest.raises(LimitError, match="decompression bomb"):
        opened(tmp_path, gzip.compress(b"a\n" + b"0" * 5_000_000), "bomb.csv.gz")
    with pytest.raises(InputError, match="damaged or cut off"):
        opened(tmp_path, gzip.compress(b"a\n" + bytes(range(48, 58)) * 999)[:40], "cut.csv.gz")


def test_a_large_file_without_quotes_reads_empty_cells_as_null(tmp_path: Path) -> None:
    """The lazy scan and the examined one agree on what is empty."""
    path = tmp_path / "large.csv"
    path.write_text("a,b,c\n" + "1,,x\n" * 2_000_000)
    table = open_table(path, ReaderOptions())
    assert not table.suspect_ragged()
    counts = table.frame.select(pl.col("a", "b", "c").null_count()).collect().row(0)
    assert counts == (0, 2_000_000, 0)
