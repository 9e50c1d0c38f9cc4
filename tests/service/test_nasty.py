"""Every nasty file there is, opened and profiled as the application does it: in a child with limits."""

from __future__ import annotations

import csv
import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recon_engine.errors import ReconError
from recon_engine.reading import open_table
from tests.reading_child import profiled

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("RECON_REAL_DATA", ROOT.parent / "shared" / "data"))
NASTY = DATA / "nasty"
POLLOCK = NASTY / "pollock_polluted-open"

needs_nasty = pytest.mark.skipif(not NASTY.is_dir(), reason=f"no real data at {NASTY}; set RECON_REAL_DATA")


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[int | None, str]]:
    """Every file of the corpus, profiled in batches, two at a time."""
    files = sorted(str(p) for p in NASTY.rglob("*") if p.is_file())
    batches = [files[i::16] for i in range(16)]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(profiled, batches))
    return {path: result for batch in done for path, result in batch.items()}


@needs_nasty
@pytest.mark.timeout(300)
def test_every_nasty_file_isprofiled_or_refused_with_one_plain_sentence(
    results: dict[str, tuple[int | None, str]],
) -> None:
    """No file hangs, crashes the reader with a traceback, or is refused without a reason."""
    assert len(results) > 400
    wrong = {
        path: (code, err)
        for path, (code, err) in results.items()
        if code not in (0, 2, None) or (code == 2 and (err.count("\n") != 1 or "Traceback" in err or len(err) > 1_000))
    }
    assert wrong == {}
    dead = [path for path, (code, _) in results.items() if code is None]
    # A child may die of a file, and the parent lives; our scans leave none of this corpus to that.
    assert dead == []


@needs_nasty
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("msoffcrypto-open/example_password.xlsx", "password"),
        ("calamine_excel-open/issue_174.xlsx", "spread over"),
        ("xml_bombs-open/xmlbomb.xml", "XML"),
        ("calamine_excel-open/OOM_alloc3.xls", ".xls"),
        ("duckdb_csv-open/nullterm.csv", "NUL"),
        ("frictionless-open/capital-invalid.csv", "repeats 'name'"),
        ("frictionless-open/table-multiple-files.zip", "exactly one file"),
    ],
)
def test_refusals_say_what_is_wrong(results: dict[str, tuple[int | None, str]], name: str, reason: str) -> None:
    """Bombs, passwords, old formats and broken headers are refused for the right reason."""
    code, err = results[str(NASTY / name)]
    assert code == 2
    assert reason in err


@needs_nasty
def test_polluted_files_load_as_their_clean_versions(capsys: pytest.CaptureFixture[str]) -> None:
    """Polluted files load as their clean versions, or all but the rows that are told as rejected."""
    exact: list[str] = []
    told: list[str] = []
    files = sorted(p.name for p in (POLLOCK / "csv").iterdir())
    for name in files:
        with (POLLOCK / "clean" / name).open(encoding="utf-8", newline="") as clean:
            wanted = list(csv.reader(clean))
        try:
            table = open_table(POLLOCK / "csv" / name)
        except ReconError:
            exact += [name] if not wanted else []  # nothing in it, and refused for that
            continue
        rows = [list(r) for r in table.frame.drop("__row").collect().fill_null("").rows()]
        if [list(table.columns), *rows] == wanted:
            exact.append(name)
        elif all(row in wanted for row in rows) and 0 < len(wanted) - 1 - len(rows) <= table.rejected.height:
            told.append(name)
    with capsys.disabled():
        sys.stdout.write(
            f"\nPollock: {len(exact)} of {len(files)} as the clean version, {len(told)} more but for rejected rows\n"
        )
    assert len(exact) >= 12
    assert len(exact) + len(told) >= 25


def test_two_cells_at_the_corners_of_a_sheet_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """A kilobyte of .xlsx that spans 17 billion cells ends the library's process: it is refused with a sentence."""
    bomb = tmp_path / "corners.xlsx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _two_cell_workbook().items():
            archive.writestr(name, content)
    assert bomb.stat().st_size < 2_000
    code, err = profiled([str(bomb)])[str(bomb)]
    assert code == 2
    assert err.count("\n") == 1
    assert "spread over 17,179,869,184 places" in err
    assert "corners.xlsx" in err


def _two_cell_workbook() -> dict[str, str]:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    return {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{sheet}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{sheet}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>'
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
        "</sheetData></worksheet>",
    }
