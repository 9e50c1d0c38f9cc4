"""Results of one real run: pages, details, exports."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from services import results
from services.container import Container, build_container
from services.errors import Conflict, Invalid, NotFound
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.permissions import Actor
from services.result_exports import csv_chunk
from services.result_figures import renewed, turned
from tests.service.conftest import PASSWORD, make_settings
from tests.work import launch


@dataclass(frozen=True)
class Ran:
    """A run that has ended: 2 matches, 1 difference, a break on each side."""

    container: Container
    actor: Actor
    job_id: str


@pytest.fixture(scope="module")
def ran(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """The small run, carried out once for all tests here."""
    folder = tmp_path_factory.mktemp("results")
    shutil.copy(sqlite_template, folder / "recon.db")
    container = build_container(make_settings(folder))
    container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
    actor = container.sessions.resolve(container.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")[0])
    job_id = launch(container, actor).id
    leases = Leases(container)
    claimed = leases.claim("w1")
    assert claimed is not None
    Run(container, leases, *claimed, folder / "work" / "job").execute()
    yield Ran(container, actor, job_id)
    container.close()


def test_pages_come_with_the_records_values(ran: Ran) -> None:
    """A page of matches shows each record's values, typed and exact, in the order of the table."""
    page = ran.container.results.page(ran.actor, ran.job_id, "matches", page=1, size=3)
    assert (page.total, page.pages, len(page.rows)) == (4, 2, 3)
    assert page.columns[:5] == ["match_id", "side", "source", "row", "rule"]
    rows = [(r["match_id"], r["side"], r["row"], r["reference"], r["amount"]) for r in page.rows]
    assert rows == [
        (1, "left", 1, "A1", Decimal("10.00")),
        (1, "right", 1, "A1", Decimal("10.00")),
        (2, "left", 2, "A2", Decimal("20.00")),
    ]
    last = ran.container.results.page(ran.actor, ran.job_id, "matches", page=2, size=3)
    assert [(r["side"], r["amount"]) for r in last.rows] == [("right", Decimal("20.05"))]


def test_a_page_as_json_loses_nothing(ran: Ran) -> None:
    """In JSON, amounts and dates are text."""
    told = json.loads(json.dumps(ran.container.results.page(ran.actor, ran.job_id, "breaks").as_dict()))
    assert (told["rows"][0]["amount"], told["rows"][0]["posted_on"]) == ("-30.00", "2026-01-03")
    assert (told["total"], told["pages"]) == (2, 1)


def test_filters_and_order(ran: Ran) -> None:
    """Rows are kept by value or by one of several values, and sorted either way; None filters nothing."""
    page = ran.container.results.page
    found = page(
        ran.actor, ran.job_id, "matches", filters={"side": "left", "rule": ["near", "no such"], "source": None}
    )
    assert [(r["side"], r["rule"]) for r in found.rows] == [("left", "near")]
    ordered = page(ran.actor, ran.job_id, "matches", sort="-match_id", filters={"side": "right"})
    assert [r["match_id"] for r in ordered.rows] == [2, 1]
    assert page(ran.actor, ran.job_id, "breaks", filters={"side": "nowhere"}).total == 0


def test_breaks_are_sorted_by_the_values_of_their_records(ran: Ran) -> None:
    """Either way, also in the whole table, and in a result of a version that kept no values beside its breaks."""

    def amounts() -> list[list[Decimal]]:
        container = build_container(ran.container.settings)  # with an empty cache
        pages = [container.results.page(ran.actor, ran.job_id, "breaks", sort=way) for way in ("amount", "-amount")]
        whole = b"".join(container.results.export_csv(ran.actor, ran.job_id, "breaks", sort="-amount"))
        container.close()
        told = [Decimal(row["amount"]) for row in csv.DictReader(io.StringIO(whole.decode()))]
        return [[row["amount"] for row in page.rows] for page in pages] + [told]

    ascending = [Decimal("-30.00"), Decimal("1.00")]
    assert amounts() == [ascending, ascending[::-1], ascending[::-1]]
    figures = ran.container.results.figures(ran.actor, ran.job_id)
    storage = ran.container.storage
    kept = [key for key in storage.list("results") if "/shown-" in key]
    assert sorted(key.rsplit("/", 1)[-1] for key in kept) == ["shown-breaks.parquet", "shown-figures-3.json"]
    for key in kept:
        storage.delete(key)
    assert amounts() == [ascending, ascending[::-1], ascending[::-1]]
    again = build_container(ran.container.settings)
    assert again.results.figures(ran.actor, ran.job_id) == figures
    again.close()


def test_figures_that_an_earlier_version_kept_are_read(ran: Ran) -> None:
    """They were of two sides, each side a key of its own: such files stay beside results for as long as these do."""
    figures = ran.container.results.figures(ran.actor, ran.job_id)
    [balance] = figures["balances"]
    kept = {name: figures[name] for name in ("money", "date", "as_of", "volume")}
    kept |= {"opposite": balance["opposite"], "balance": balance["sums"]}
    for name in ("categories", "ages", "sizes"):
        kept[name] = [{**{k: v for k, v in one.items() if k != "sides"}, **one["sides"]} for one in figures[name]]
    assert "sides" not in json.dumps(kept)
    assert renewed(json.loads(json.dumps(kept))) == figures


def test_balances_that_an_earlier_version_kept_are_turned(ran: Ran) -> None:
    """They were left less right; what is added, of opposite signs, has no direction."""
    figures = ran.container.results.figures(ran.actor, ran.job_id)
    sums = {"left": "12.00", "right": "10.00", "apart": "2.00", "breaks": "2.50", "suggested": "0.00"}
    sums |= {"rejected": "0.00", "unexplained": "-0.50"}
    now = sums | {"apart": "-2.00", "breaks": "-2.50", "unexplained": "0.50"}
    [balance] = figures["balances"]
    for opposite, wanted in ((False, now), (True, sums)):
        kept = {**figures, "balances": [{**balance, "opposite": opposite, "sums": {"EUR": sums}}]}
        assert turned(kept)["balances"][0]["sums"] == {"EUR": wanted}


@pytest.mark.parametrize(
    ("table", "choice", "message"),
    [
        ("breaks", {"filters": {"colour": "red"}}, "no column 'colour' to filter by"),
        ("breaks", {"sort": "-colour"}, "no column 'colour' to sort by"),
        ("left", {}, "no table 'left'"),
        ("../summary", {}, "no table"),
    ],
)
def test_what_does_not_exist_is_named(ran: Ran, table: str, choice: dict[str, object], message: str) -> None:
    """An unknown table or column is refused with the known ones."""
    with pytest.raises(Invalid, match=message):
        ran.container.results.page(ran.actor, ran.job_id, table, **choice)
    with pytest.raises(Invalid, match=message):
        ran.container.results.export_csv(ran.actor, ran.job_id, table, **choice)


def test_a_match_with_its_differences(ran: Ran) -> None:
    """A match shows its certificate, its records and what differs."""
    found = ran.container.results.match(ran.actor, ran.job_id, 2)
    assert (found["match"]["rule"], found["match"]["outcome"]) == ("near", "confirmed")
    assert [r["amount"] for r in (*found["left"], *found["right"])] == [Decimal("20.00"), Decimal("20.05")]
    assert [(d["field"], d["left_value"], d["right_value"]) for d in found["differences"]] == [
        ("amount", "20.00", "20.05")
    ]
    with pytest.raises(NotFound):
        ran.container.results.match(ran.actor, ran.job_id, 99)


def test_a_break_beside_its_nearest_counterpart(ran: Ran) -> None:
    """A break shows its record, and field by field what the nearest counterpart has, if there is one."""
    found = ran.container.results.break_detail(ran.actor, ran.job_id, "left", 3)
    assert found["record"]["posted_on"] == date(2026, 1, 3)
    assert [line["field"] for line in found["fields"]] == ["reference", "amount", "posted_on"]
    assert (found["nearest"] is None) == (found["break"]["nearest_row"] is None)
    with pytest.raises(NotFound, match="not a break"):
        ran.container.results.break_detail(ran.actor, ran.job_id, "left", 1)
    assert ran.container.results.record(ran.actor, ran.job_id, "right", 3)["reference"] == "B9"
    with pytest.raises(Invalid, match="no side"):
        ran.container.results.record(ran.actor, ran.job_id, "middle", 3)


def test_the_csv_is_the_whole_table_piece_by_piece(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the pieces, the CSV has one header and every row; formulas are harmless and amounts untouched."""
    whole = b"".join(ran.container.results.export_csv(ran.actor, ran.job_id, "breaks"))
    monkeypatch.setattr(results, "_EXPORT_ROWS", 1)
    assert b"".join(ran.container.results.export_csv(ran.actor, ran.job_id, "breaks")).strip() == whole.strip()
    rows = list(csv.DictReader(io.StringIO(whole.decode())))
    assert [(r["reference"], r["amount"]) for r in rows] == [("'=A3", "-30.00"), ("B9", "1.00")]


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\rx", "＝1+1", "＠x"])
def test_text_that_begins_like_a_formula_is_made_harmless(text: str) -> None:
    """An apostrophe goes before it; a number written as text, a code and a plain word stay as they are."""
    frame = pl.DataFrame({"t": [text, "-12.50", "+4", "-1,234.50", "A-1", None], "n": [-1, 2, 3, 4, 5, 6]})
    read = list(csv.reader(io.StringIO(csv_chunk(frame, header=True).decode(), newline="")))
    assert [row[0] for row in read[1:]] == [f"'{text}", "-12.50", "+4", "-1,234.50", "A-1", ""]
    assert [row[1] for row in read[1:]] == ["-1", "2", "3", "4", "5", "6"]


def test_the_zip_is_the_evidence(ran: Ran) -> None:
    """The download holds every file of the result, with the bytes that its manifest vouches for."""
    archive = zipfile.ZipFile(io.BytesIO(b"".join(ran.container.results.download_zip(ran.actor, ran.job_id))))
    assert archive.testzip() is None
    assert not [name for name in archive.namelist() if name.startswith("shown-")]  # it can be worked out: no evidence
    assert {"plan.yaml", "manifest.json", "summary.json", "matches.parquet", "left.parquet"} <= set(archive.namelist())
    manifest = archive.read("manifest.json").decode()
    assert [item["file"] for item in json.loads(manifest)["inputs"]["left"]] == ["left/ledger.csv"], "no place of ours"
    assert hashlib.sha256(archive.read("matches.parquet")).hexdigest() in manifest


def test_downloads_are_noted_and_pages_are_not(ran: Ran) -> None:
    """Taking a whole table out is in the audit trail."""

    def noted() -> int:
        return len(ran.container.audit.entries(ran.actor, action="result.download"))

    before = noted()
    ran.container.results.page(ran.actor, ran.job_id, "breaks")
    ran.container.results.open_parquet(ran.actor, ran.job_id, "breaks").close()
    assert noted() == before + 1


def test_only_a_finished_run_of_the_own_workspace_has_results(ran: Ran) -> None:
    """A waiting run says so; another workspace finds nothing."""
    assert ran.container.results.summary(ran.actor, ran.job_id)["conserved"] is True
    waiting = launch(ran.container, ran.actor)
    with pytest.raises(Conflict, match="no result: it is queued"):
        ran.container.results.page(ran.actor, waiting.id, "breaks")
    with pytest.raises(NotFound):
        ran.container.results.summary(replace(ran.actor, workspace_id="0" * 32), ran.job_id)
