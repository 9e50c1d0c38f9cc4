"""The summary of a result: its figures against those counted by hand, and what the PDF says."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pypdf import PdfReader

from services.container import Container, build_container
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.permissions import Actor
from tests.service.conftest import PASSWORD, make_settings

# row: why it is there, on the left and on the right
LEFT = """ref,amount,cur,day
A1,100.00,EUR,2026-01-31
A2,50.00,EUR,2026-01-30
A3,-30.00,EUR,2026-01-29
A4,7.50,EUR,2025-10-01
U1,20.00,USD,2026-01-10
"""
RIGHT = """ref,amount,cur,day
A1,-100.00,EUR,2026-01-31
A2,-50.04,EUR,2026-01-30
B9,-1.00,EUR,2026-01-02
U1,-20.00,USD,2026-01-10
"""
PLAN = {
    "name": "Żółć 対 Ωμέγα",
    "left": {"label": "Grand livre é"},
    "right": {"label": "Банк"},
    "fields": [
        {"name": "ref", "left": "ref", "right": "ref"},
        {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "clean": {"left": ["negate"]}},
        {"name": "cur", "left": "cur", "right": "cur"},
        {"name": "day", "left": "day", "right": "day", "type": "date"},
    ],
    "rules": [
        {"name": "exact", "on": ["ref", "amount", "cur"]},
        {"name": "almost", "on": ["ref", "cur", {"field": "amount", "within": "0.05"}]},
    ],
    "compare": ["amount"],
    "currency": {"field": "cur"},
}


class Ran:
    """A run that has ended, and who ran it."""

    def __init__(self, container: Container, actor: Actor, folder: Path) -> None:
        self.container, self.actor = container, actor
        files = [
            container.files.upload(actor, name, [text.encode()]).id
            for name, text in (("左.csv", LEFT), ("right.csv", RIGHT))
        ]
        self.job_id = container.jobs.launch(actor, None, PLAN, *files).id
        leases = Leases(container)
        claimed = leases.claim("w1")
        assert claimed is not None
        Run(container, leases, *claimed, folder / "work" / "job").execute()

    def pdf(self) -> bytes:
        """The summary."""
        return self.container.results.summary_pdf(self.actor, self.job_id)


@pytest.fixture(scope="module")
def ran(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Signs are opposite; one match is 0.04 off; three open records, of three ages."""
    folder = tmp_path_factory.mktemp("summary")
    shutil.copy(sqlite_template, folder / "recon.db")
    container = build_container(make_settings(folder))
    container.accounts.create_first_admin("Zoë Łukasiewicz", "zoe@example.org", PASSWORD)
    token, _ = container.sessions.sign_in("zoe@example.org", PASSWORD, "127.0.0.1", "test")
    yield Ran(container, container.sessions.resolve(token), folder)
    container.close()


def test_shares_by_amount_leave_signs_out(ran: Ran) -> None:
    """What is matched, as a sum without signs, per side and currency."""
    volume = ran.container.results.figures(ran.actor, ran.job_id)["volume"]
    assert volume["left"]["EUR"] == {"read": "187.50", "matched": "150.00", "suggested": "0", "breaks": "37.50"}
    assert volume["right"]["EUR"] == {"read": "151.04", "matched": "150.04", "suggested": "0", "breaks": "1.00"}
    assert volume["left"]["USD"]["matched"] == volume["right"]["USD"]["read"] == "20.00"


def test_open_items_explain_all_but_what_lies_inside_matches(ran: Ran) -> None:
    """Opposite signs are noticed; 0.04 inside a match is what the open items do not explain."""
    figures = ran.container.results.figures(ran.actor, ran.job_id)
    [balance] = figures["balances"]
    assert (balance["between"], balance["money"], balance["opposite"]) == (["left", "right"], "amount", True)
    euro = balance["sums"]["EUR"]
    assert (euro["left"], euro["right"], euro["apart"]) == ("127.50", "-151.04", "-23.54")
    assert (euro["breaks"], euro["unexplained"]) == ("-23.50", "-0.04")
    assert balance["sums"]["USD"]["unexplained"] == "0.00"


def test_ages_count_from_the_latest_date_in_the_files(ran: Ran) -> None:
    """Open records by age in order, with their sums; the run's own day does not matter."""
    figures = ran.container.results.figures(ran.actor, ran.job_id)
    assert (figures["date"], figures["as_of"]) == ("day", "2026-01-31")
    ages = [(one["age"], one["sides"]["left"], one["sides"]["right"]["total"]) for one in figures["ages"]]
    assert [(age, left["rows"], left["total"], right) for age, left, right in ages] == [
        ("0 to 7 days", 1, "-30.00", "0.00"),
        ("8 to 30 days", 0, "0.00", "-1.00"),
        ("over 90 days", 1, "7.50", "0.00"),
    ]
    assert sum(one["sides"]["left"]["rows"] for one in figures["categories"]) == 2


def test_sizes_count_open_amounts_in_steps_of_ten(ran: Ran) -> None:
    """-30.00 and 7.50 on the left, -1.00 on the right: by their size without sign, the last of a step inclusive."""
    assert ran.container.results.figures(ran.actor, ran.job_id)["sizes"] == [
        {"most": "1", "sides": {"left": 0, "right": 1}},
        {"most": "10", "sides": {"left": 1, "right": 0}},
        {"most": "100", "sides": {"left": 1, "right": 0}},
    ]


def test_the_pdf_says_what_a_close_needs(ran: Ran) -> None:
    """Names of every script, hashes, who, when, shares, what is unexplained, rules, ages and how to check again."""
    reader = PdfReader(io.BytesIO(ran.pdf()))
    assert 1 <= len(reader.pages) <= 3
    text = " ".join(" ".join(page.extract_text().split()) for page in reader.pages)
    evidence = b"".join(ran.container.results.download_zip(ran.actor, ran.job_id))
    for said in (
        "Żółć 対 Ωμέγα", "Grand livre é", "Банк", "左.csv", "Zoë Łukasiewicz", "run by",
        "66.6%", "88.6% EUR", "-0.04 EUR", "-23.54", "exact", "amount within ±0.05", "over 90 days",
        "No counterpart", "python -m recon_engine verify", f"1 of {len(reader.pages)}", "Approved by",
    ):  # fmt: skip
        assert said in text, said
    hashes = set(re.findall(r"\b[0-9a-f]{64}\b", text))
    manifest = _manifest_hash(evidence)
    assert manifest in hashes
    assert len(hashes) == 4, "two files, the plan, the manifest"


def test_the_same_result_gives_the_same_pdf(ran: Ran) -> None:
    """Byte for byte, whenever it is asked for; each time is on the audit trail."""
    assert ran.pdf() == ran.pdf()
    entry = ran.container.audit.entries(ran.actor, limit=1)[0]
    assert (entry.action, entry.target_id, entry.detail_json) == ("result.download", ran.job_id, {"format": "pdf"})


def _manifest_hash(evidence: bytes) -> str:
    return hashlib.sha256(zipfile.ZipFile(io.BytesIO(evidence)).read("manifest.json")).hexdigest()
