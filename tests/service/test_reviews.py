"""What people decide on suggested matches is kept beside the result, and told."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from services import reviews
from services.container import Container, build_container
from services.errors import Conflict, Invalid, NotFound, TooLarge
from services.formats import moment
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.permissions import Actor
from tests.service.conftest import PASSWORD, make_settings
from tests.work import PLAN, upload_pair

SUGGESTING: dict[str, Any] = {**PLAN, "rules": [PLAN["rules"][0], {**PLAN["rules"][1], "outcome": "suggested"}]}
ALL_SUGGESTED: dict[str, Any] = {**PLAN, "rules": [{**rule, "outcome": "suggested"} for rule in PLAN["rules"]]}


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
    job_id = carried_out(container, actor, SUGGESTING, tmp_path)
    rows = container.results.page(actor, job_id, "matches").rows
    found = {row["outcome"]: int(row["match_id"]) for row in rows}
    yield Ran(container, actor, job_id, found["confirmed"], found["suggested"])
    container.close()


def carried_out(container: Container, actor: Actor, plan: dict[str, Any], folder: Path) -> str:
    """A run of the plan, which has ended."""
    job = container.jobs.launch(actor, None, plan, *upload_pair(container, actor))
    leases = Leases(container)
    claimed = leases.claim("w1")
    assert claimed is not None
    Run(container, leases, *claimed, folder / f"work-{job.id}").execute()
    return job.id


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
    replaced = [one.detail_json["replaced"] for one in trail[:2]]
    assert [one["verdict"] for one in replaced] == ["rejected", "confirmed"]
    assert {one["by"] for one in replaced} == {ran.actor.account_id}
    assert ran.container.results.summary(ran.actor, ran.job_id) == before


def test_decisions_are_saved_as_csv(ran: Ran) -> None:
    """A row per decision that holds; what a spreadsheet would run is made harmless."""
    ran.container.reviews.decide(ran.actor, ran.job_id, ran.suggested, "confirmed", "=1+1")
    head, line, end = ran.container.reviews.export_csv(ran.actor, ran.job_id).decode().split("\n")
    assert head == "match_id,verdict,note,person,at"
    assert line.split(",")[:4] == [str(ran.suggested), "confirmed", "'=1+1", "Ada Admin"]
    assert end == ""


def printed(ran: Ran) -> str:
    """The summary to attach to a close, as text."""
    reader = PdfReader(io.BytesIO(ran.container.results.summary_pdf(ran.actor, ran.job_id)))
    return " ".join(" ".join(page.extract_text().split()) for page in reader.pages)


def test_a_reviewer_signs_with_the_decisions(ran: Ran, tmp_path: Path) -> None:
    """The summary tells how many, who and when, and the hash of the decisions as they are saved."""
    before = printed(ran)
    assert "1 match: 0 confirmed, 0 rejected, 1 not decided." in before
    assert "Reviewed by" in before
    assert "Reviewer" not in before
    ran.container.reviews.decide(ran.actor, ran.job_id, ran.suggested, "rejected", "another customer")
    after, [made] = printed(ran), ran.container.reviews.decisions(ran.actor, ran.job_id).values()
    for told in (
        "1 match: 0 confirmed, 1 rejected, 0 not decided.", "Ada Admin, ada@example.org", moment(made.at),
        hashlib.sha256(ran.container.reviews.export_csv(ran.actor, ran.job_id)).hexdigest(),
    ):  # fmt: skip
        assert told in after, told
    summaries = [ran.container.results.summary_pdf(ran.actor, ran.job_id) for _ in range(2)]
    assert summaries[0] == summaries[1]
    job_id = carried_out(ran.container, ran.actor, PLAN, tmp_path)
    assert "Reviewed by" not in printed(replace(ran, job_id=job_id)), "nothing was suggested"


def test_how_far_the_decisions_are_is_told(ran: Ran) -> None:
    """Of many runs in one question, those without any left out; of one, how many there are to decide."""
    assert ran.container.results.suggested_matches(ran.actor, ran.job_id) == 1
    assert ran.container.results.summary(ran.actor, ran.job_id)["suggested_matches"] == 1, "no page reads a file for it"
    assert ran.container.reviews.decided(ran.actor, [ran.job_id, "none"]) == {}
    ran.container.reviews.decide(ran.actor, ran.job_id, ran.suggested, "rejected")
    assert ran.container.reviews.decided(ran.actor, [ran.job_id, "none"]) == {ran.job_id: 1}


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


def trail(ran: Ran) -> list[dict[str, Any]]:
    """What the audit trail tells of decisions, the newest first."""
    return [one.detail_json for one in ran.container.audit.entries(ran.actor, action="result.review")]


def test_all_that_a_filter_leaves_is_decided_at_once(ran: Ran, tmp_path: Path) -> None:
    """What waits there and nothing else; what was decided before stays; the trail has one entry that says how many."""
    made, actor = ran.container.reviews, ran.actor
    job_id = carried_out(ran.container, actor, ALL_SUGGESTED, tmp_path)
    assert (made.waiting(actor, job_id), made.waiting(actor, job_id, {"rule": "near"})) == (2, 1)
    made.decide_all(actor, job_id, "rejected", "not  these", {"rule": "near", "outcome": "suggested"}, 1)
    [first] = made.decisions(actor, job_id).values()
    assert (first.verdict, first.note, first.person) == ("rejected", "not these", "Ada Admin")
    made.decide_all(actor, job_id, "confirmed", "", {"side": "left"}, 1)
    assert made.counts(actor, job_id) == {"confirmed": 1, "rejected": 1}
    assert made.decisions(actor, job_id, [first.match_id]) == {first.match_id: first}
    assert made.waiting(actor, job_id) == 0
    assert trail(ran) == [
        {"matches": 1, "verdict": "confirmed", "note_length": 0},
        {"matches": 1, "verdict": "rejected", "note_length": len("not these")},
    ]
    assert made.counts(actor, ran.job_id) == {}, "the other run has none of it"


def test_a_person_decides_on_as_many_as_were_told_or_on_none(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may have decided meanwhile; too many, none, an opening and a wrong filter are refused: nothing is kept."""
    made, actor = ran.container.reviews, ran.actor
    job_id = carried_out(ran.container, actor, ALL_SUGGESTED, tmp_path)
    with pytest.raises(Conflict, match="2 of these matches wait now, not 3"):
        made.decide_all(actor, job_id, "confirmed", "", {}, 3)
    with pytest.raises(Conflict, match="0 of these"):
        made.decide_all(actor, job_id, "confirmed", "", {"rule": "no such rule"}, 0)
    with pytest.raises(Invalid, match="one by one"):
        made.decide_all(actor, job_id, "open", "", {}, 2)
    with pytest.raises(Invalid, match="no column 'colour'"):
        made.decide_all(actor, job_id, "confirmed", "", {"colour": "red"}, 2)
    with pytest.raises(Invalid, match="500 characters"):
        made.decide_all(actor, job_id, "confirmed", "x" * 501, {}, 2)
    monkeypatch.setattr(reviews, "MOST_AT_ONCE", 1)
    with pytest.raises(TooLarge, match="At most 1 matches are decided at once, these are 2"):
        made.decide_all(actor, job_id, "confirmed", "", {}, 2)
    assert made.decisions(actor, job_id) == {}
    assert trail(ran) == []
