"""What people decide on suggested matches is kept beside the result, and told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.container import Container, build_container
from services.errors import Conflict, Invalid, NotFound
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.permissions import Actor
from tests.service.conftest import PASSWORD, make_settings
from tests.work import PLAN, upload_pair

SUGGESTING: dict[str, Any] = {**PLAN, "rules": [PLAN["rules"][0], {**PLAN["rules"][1], "outcome": "suggested"}]}


@dataclass(frozen=True)
class Ran:
    """A run with one confirmed and one suggested match."""

    container: Container
    actor: Actor
    job_id: str
    confirmed: int
    suggested: int


@pytest.fixture
def ran(sqlite_template: Path, tmp_path: Path) -> Iterator[Ran]:
    """The run, carried out."""
    shutil.copy(sqlite_template, tmp_path / "recon.db")
    container = build_container(make_settings(tmp_path))
    container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
    actor = container.sessions.resolve(container.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")[0])
    job = container.jobs.launch(actor, None, SUGGESTING, *upload_pair(container, actor))
    leases = Leases(container)
    claimed = leases.claim("w1")
    assert claimed is not None
    Run(container, leases, *claimed, tmp_path / "work").execute()
    rows = container.results.page(actor, job.id, "matches").rows
    found = {row["outcome"]: int(row["match_id"]) for row in rows}
    yield Ran(container, actor, job.id, found["confirmed"], found["suggested"])
    container.close()


def test_a_decision_is_kept_changed_and_taken_back(ran: Ran) -> None:
    """The newest counts; the trail has all of them; the result has none of it."""
    before = ran.container.results.summary(ran.actor, ran.job_id)
    decide = ran.container.reviews.decide
    decide(ran.actor, ran.job_id, ran.suggested, "confirmed", " as  agreed ")
    decide(ran.actor, ran.job_id, ran.suggested, "rejected")
    [made] = ran.container.reviews.decisions(ran.actor, ran.job_id).values()
    assert (made.match_id, made.verdict, made.note, made.person) == (ran.suggested, "rejected", "", "Ada Admin")
    decide(ran.actor, ran.job_id, ran.suggested, "open")
    decide(ran.actor, ran.job_id, ran.suggested, "open")
    assert ran.container.reviews.decisions(ran.actor, ran.job_id) == {}
    trail = [one for one in ran.container.audit.entries(ran.actor) if one.action == "result.review"]
    assert [one.detail_json["verdict"] for one in trail] == ["open", "rejected", "confirmed"]
    assert trail[-1].detail_json == {"match": ran.suggested, "verdict": "confirmed", "note_length": len("as agreed")}
    assert ran.container.results.summary(ran.actor, ran.job_id) == before


def test_decisions_are_saved_as_csv(ran: Ran) -> None:
    """A row per decision that holds; what a spreadsheet would run is made harmless."""
    ran.container.reviews.decide(ran.actor, ran.job_id, ran.suggested, "confirmed", "=1+1")
    head, line, end = ran.container.reviews.export_csv(ran.actor, ran.job_id).decode().split("\n")
    assert head == "match_id,verdict,note,person,at"
    assert line.split(",")[:4] == [str(ran.suggested), "confirmed", "'=1+1", "Ada Admin"]
    assert end == ""


def test_only_what_is_suggested_is_decided(ran: Ran) -> None:
    """What counts already, does not exist, or is no decision is refused."""
    decide = ran.container.reviews.decide
    with pytest.raises(Conflict, match="not a suggested one"):
        decide(ran.actor, ran.job_id, ran.confirmed, "rejected")
    with pytest.raises(NotFound):
        decide(ran.actor, ran.job_id, 999, "confirmed")
    with pytest.raises(Invalid):
        decide(ran.actor, ran.job_id, ran.suggested, "perhaps")  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        decide(ran.actor, ran.job_id, ran.suggested, "confirmed", "x" * 501)
    assert ran.container.reviews.decisions(ran.actor, ran.job_id) == {}
