"""What the screens show of richer results: sets that add up, linkage, netting, duplicates, causes, and what changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recon_engine.plan import Plan
from services import results
from services.container import Container, build_container
from services.errors import Conflict, NotAllowed, NotFound
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.permissions import Actor, Role
from tests import rich
from tests.service.conftest import PASSWORD, make_settings


@dataclass(frozen=True)
class Ran:
    """Two runs of one plan in one reconciliation, and one without a reconciliation."""

    container: Container
    actor: Actor
    reconciliation_id: str
    first: str
    second: str
    alone: str


@pytest.fixture(scope="module")
def ran(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """All runs, carried out once for the tests here."""
    folder = tmp_path_factory.mktemp("views")
    shutil.copy(sqlite_template, folder / "recon.db")
    container = build_container(make_settings(folder))
    container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
    actor = container.sessions.resolve(container.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")[0])
    reconciliation = container.plans.start(actor, "rich").id
    container.plans.set_plan(actor, reconciliation, rich.PLAN)
    jobs = []
    for open_fees, of in ((3, reconciliation), (5, reconciliation), (5, None)):
        left, right = rich.files(open_fees)
        pair = [container.files.upload(actor, name, [text]).id for name, text in (("l.csv", left), ("r.csv", right))]
        jobs.append(container.jobs.launch(actor, of, rich.PLAN, pair[0], pair[1]).id)
        leases = Leases(container)
        claimed = leases.claim("w1")
        assert claimed is not None
        Run(container, leases, *claimed, folder / "work" / jobs[-1]).execute()
        assert container.jobs.get(actor, jobs[-1]).status == "succeeded"
    yield Ran(container, actor, reconciliation, *jobs)
    container.close()


def _match_of(ran: Ran, rule: str, reference: str) -> dict[str, Any]:
    page = ran.container.results.page(ran.actor, ran.second, "matches", size=500, filters={"rule": rule})
    number = next(row["match_id"] for row in page.rows if row["reference"] == reference)
    return ran.container.results.match(ran.actor, ran.second, number)


def test_a_set_comes_with_its_sums_and_its_certificate(ran: Ran) -> None:
    """Three records against their sum: counts, exact sums, no difference, and how the set was found."""
    found = _match_of(ran, "in one sum", "SUM")
    assert found["records"] == {"left": 3, "right": 1}
    assert [r["amount"] for r in found["left"]] == [Decimal("10.01"), Decimal("20.02"), Decimal("30.03")]
    assert found["sums"]["amount"] == {
        "left": Decimal("60.06"),
        "right": Decimal("60.06"),
        "difference": Decimal("0.00"),
    }
    assert (found["certificate"]["search"], found["certificate"]["candidates"]) == ("exhaustive", 5)
    assert found["evidence"] is None


def test_a_reversal_has_records_of_one_side_only(ran: Ran) -> None:
    """Plus and minus of one side cancel each other out; nothing is invented for the other side."""
    found = _match_of(ran, "reversals", "R1")
    assert found["records"] == {"left": 2, "right": 0}
    assert found["sums"]["amount"]["left"] == 0
    assert found["right"] == []


def test_a_linked_match_has_its_evidence(ran: Ran) -> None:
    """The bits of every field of the linkage, and of what is known before, make up the pair's evidence."""
    found = _match_of(ran, "same person", "P3")
    assert set(found["evidence"]) == {"prior", "who", "city", "amount"}
    assert found["evidence"]["amount"] > 0
    assert found["certificate"] is None


def test_duplicates_are_a_table(ran: Ran) -> None:
    """Groups stand with their records' values, and say which record takes part; they go out as CSV too."""
    page = ran.container.results.page(ran.actor, ran.second, "duplicates")
    assert [(r["group"], r["side"], r["reference"], r["kept"]) for r in page.rows] == [
        (1, "left", "E0", True),
        (1, "left", "E0", False),
    ]
    assert b"E0" in b"".join(ran.container.results.export_csv(ran.actor, ran.second, "duplicates"))


def test_results_of_earlier_versions_still_open(ran: Ran) -> None:
    """A result without the tables that came later has no duplicates, no certificates and no evidence."""
    storage, prefix = ran.container.storage, ran.container.jobs.get(ran.actor, ran.alone).result_prefix
    for table in ("duplicates", "certificates", "weights"):
        storage.delete(f"{prefix}/{table}.parquet")
    assert ran.container.results.page(ran.actor, ran.alone, "duplicates").total == 0
    found = ran.container.results.match(ran.actor, ran.alone, 1)
    assert (found["certificate"], found["evidence"]) == (None, None)


def test_what_changed_since_the_run_before(ran: Ran) -> None:
    """Breaks are known again by their content: what is new, gone and still open, against the run before."""
    found = ran.container.results.since(ran.actor, ran.second)
    assert found is not None
    assert found["job_id"] == ran.first
    breaks = sum(ran.container.results.summary(ran.actor, ran.second)["breaks"].values())
    assert (found["new"], found["gone"], found["still"]) == (2, 0, breaks - 2)
    assert sorted(row["reference"] for row in found["new_rows"]) == ["O3", "O4"]
    assert found["gone_rows"] == []
    assert ran.container.results.since(ran.actor, ran.first) is None


def test_a_run_of_a_plan_of_the_same_name_is_the_run_before(ran: Ran) -> None:
    """Next month's files run under the same plan, not in the same reconciliation: that counts too."""
    found = ran.container.results.since(ran.actor, ran.alone)
    assert found is not None
    assert (found["job_id"], found["new"], found["gone"]) == (ran.second, 0, 0)


def test_too_many_breaks_are_not_compared(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """No screen waits for the comparison of very many breaks: then only the run before is named."""
    monkeypatch.setattr(results, "MOST_COMPARED", 3)
    found = ran.container.results.since(ran.actor, ran.second)
    assert found is not None
    assert set(found) == {"job_id", "finished_at"}


def test_a_cause_becomes_the_plan(ran: Ran) -> None:
    """Trying a cause changes the plan in preparation, is noted, and cannot be done twice."""
    causes = ran.container.results.summary(ran.actor, ran.second)["causes"]
    number = next(n for n, cause in enumerate(causes, start=1) if "fee of 0.30" in cause["cause"])
    assert causes[number - 1]["blast"]["new_matches"] == 6
    mended = ran.container.plans.try_cause(ran.actor, ran.second, number)
    assert (mended.id, mended.step) == (ran.reconciliation_id, "map")
    plan = Plan.build(mended.plan_json or {})
    assert any(c.net_of and c.net_of.fixed == Decimal("0.30") for rule in plan.rules for c in rule.on)
    noted = ran.container.audit.entries(ran.actor, action="reconciliation.cause")
    assert (noted[0].detail_json["job"], noted[0].detail_json["cause"]) == (ran.second, number)
    with pytest.raises(Conflict, match="has this change already"):
        ran.container.plans.try_cause(ran.actor, ran.second, number)
    with pytest.raises(NotFound, match="no cause 99"):
        ran.container.plans.try_cause(ran.actor, ran.second, 99)


def test_a_cause_of_a_run_without_reconciliation_starts_one(ran: Ran) -> None:
    """What was run from a script opens on the Map step with its files and the changed plan."""
    started = ran.container.plans.try_cause(ran.actor, ran.alone, 1)
    job = ran.container.jobs.get(ran.actor, ran.alone)
    assert (started.left_file_id, started.right_file_id) == (job.left_file_id, job.right_file_id)
    assert started.id != ran.reconciliation_id


def test_who_may_not_edit_plans_takes_no_cause(ran: Ran) -> None:
    """An auditor sees causes and changes nothing; another workspace finds neither run nor cause."""
    with pytest.raises(NotAllowed):
        ran.container.plans.try_cause(replace(ran.actor, role=Role.AUDITOR), ran.second, 1)
    with pytest.raises(NotFound):
        ran.container.plans.try_cause(replace(ran.actor, workspace_id="0" * 32), ran.second, 1)
    with pytest.raises(NotFound):
        ran.container.results.since(replace(ran.actor, workspace_id="0" * 32), ran.second)


def test_the_size_of_a_run_is_known_before(ran: Ran) -> None:
    """Rows come from the files' profiles; before they are profiled nothing is guessed."""
    job = ran.container.jobs.get(ran.actor, ran.first)
    files = (job.left_file_id, job.right_file_id)
    assert ran.container.jobs.estimate(ran.actor, rich.PLAN, *files) is None
    for one in files:
        ran.container.files.profile(ran.actor, one)
    found = ran.container.jobs.estimate(ran.actor, rich.PLAN, *files)
    assert found is not None
    rows = ran.container.results.summary(ran.actor, ran.first)["rows"]
    assert (found.left_rows, found.right_rows) == (rows["left"]["read"], rows["right"]["read"])
    assert found.memory_bytes > 0
    assert found.partitions == 1
