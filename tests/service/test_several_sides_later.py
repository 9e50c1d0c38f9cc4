"""After a run of several sides: what became of its breaks, and the change that would mend them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recon_engine.nway.plan import SidesPlan
from services.clock import FakeClock
from services.container import Container
from services.errors import NotFound
from services.permissions import Actor
from tests.service.test_several_sides import FILES, MISSING, ROWS, finished


@pytest.mark.slow
def test_what_changed_since_the_run_before(
    container: Container, admin: Actor, clock: FakeClock, tmp_path: Path
) -> None:
    """A row that the ledger books late, and one that it lost: new and gone breaks, with what their side says."""
    fields = [
        {"name": part, "columns": {name: f"{name}_{part}" for name in FILES}, "type": kind}
        for part, kind in (("ref", "text"), ("amount", "decimal"))
    ]
    fields.append({"name": "extra", "columns": {"bank": "extra_bank"}})
    rules = [{"name": "exact", "on": ["ref", "amount"]}]
    plan = SidesPlan.build(
        {"name": "three", "sides": [{"name": name} for name in FILES], "fields": fields, "rules": rules}
    )
    lines = [line for line in FILES["ledger"].splitlines() if not line.startswith(b"R0007")]
    changed = b"\n".join([lines[0], b"R0010,81.30,late", *lines[1:]])
    started = container.plans.start(admin, "Three sides")
    container.plans.add_side(admin, started.id)
    jobs = []
    for number, ledger in enumerate((FILES["ledger"], changed)):
        files = [FILES["orders"], ledger, FILES["bank"]]
        ids = [container.files.upload(admin, f"{n}.csv", [t]).id for n, t in zip(FILES, files, strict=True)]
        container.plans.set_files(admin, started.id, *ids[:2], side_3=ids[2])
        job = container.jobs.launch(admin, started.id, plan, *ids[:2], further=ids[2:])
        jobs.append(finished(container, admin, job, tmp_path / str(number)))
        clock.advance(seconds=60)
    assert container.results.since(admin, jobs[0].id) is None
    found = container.results.since(admin, jobs[1].id)
    assert found is not None
    assert found["job_id"] == jobs[0].id
    both = [{(row["side"], row["ref"], row.get("extra")) for row in found[kind]} for kind in ("new_rows", "gone_rows")]
    assert both == [{("orders", f"R{n:04d}", None), ("bank", f"R{n:04d}", f"b{n}")} for n in (7, 10)]
    before = sum((jobs[0].summary_json or {})["breaks"].values())
    assert (found["new"], found["gone"], found["still"]) == (2, 2, before - 2)


@pytest.mark.slow
def test_a_cause_of_two_sides_becomes_the_plan(container: Container, admin: Actor, tmp_path: Path) -> None:
    """What the bank charged is a rule between it and the orders; a run from a script gets a reconciliation of all its
    sides.
    """
    charged = [b"bank_ref,bank_amount"] + [f"R{n:04d},{9 + n * 7.13:.2f}".encode() for n in range(1, ROWS + 1)]
    files = [FILES["orders"], FILES["ledger"], b"\n".join(charged)]
    ids = [container.files.upload(admin, f"{n}.csv", [t]).id for n, t in zip(FILES, files, strict=True)]
    fields = [
        {"name": part, "columns": {name: f"{name}_{part}" for name in FILES}, "type": kind}
        for part, kind in (("ref", "text"), ("amount", "decimal"))
    ]
    sides, rule = [{"name": name} for name in FILES], {"name": "exact", "on": ["ref", "amount"]}
    plan = SidesPlan.build({"name": "three", "sides": sides, "fields": fields, "rules": [rule]})
    job = container.jobs.launch(admin, None, plan, *ids[:2], further=ids[2:])
    causes = (finished(container, admin, job, tmp_path).summary_json or {})["causes"]
    number = next(n for n, cause in enumerate(causes, start=1) if set(cause["between"]) == {"orders", "bank"})
    mended = container.plans.try_cause(admin, job.id, number)
    assert (mended.sides, mended.step) == (["left", "right", "side_3"], "map")
    assert [mended.file_ids(side) for side in mended.sides] == [[one] for one in ids]
    added = SidesPlan.build(mended.plan_json or {}).rules[-1]
    assert (set(added.between or ()), added.on[-1].field) == ({"orders", "bank"}, "amount")
    container.plans.set_plan(admin, mended.id, SidesPlan.build(mended.plan_json or {}))
    again = container.jobs.launch(admin, mended.id, SidesPlan.build(mended.plan_json or {}), *ids[:2], further=ids[2:])
    ended = finished(container, admin, again, tmp_path / "again")
    assert (ended.summary_json or {})["matches"] == ROWS - MISSING["ledger"]
    with pytest.raises(NotFound, match="no cause 99"):
        container.plans.try_cause(admin, job.id, 99)
