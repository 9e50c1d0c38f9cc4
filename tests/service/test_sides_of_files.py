"""Several files a side: how they are kept, whether they fit, what drifted from a saved plan, what rules match."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from recon_engine.plan import Plan
from services.container import Container
from services.database.models import StoredFile
from services.errors import Conflict, Invalid, NotFound
from services.fit import misfits, open_dates, shared_columns
from services.jobs.leases import Leases
from services.jobs.queue import as_read
from services.jobs.run import Run
from services.permissions import Actor
from services.storage import StorageAway
from services.templates import versions
from tests.work import BANK, LEDGER, PLAN

MORE = b"ref,amount,posted\nA4,40.00,2026-01-04\nB9,1.00,2026-01-09\n"
OTHER = b"reference,amount,posted\nA5,50.00,2026-01-05\n"
EITHER = b"ref,amount,posted\nA6,60.00,03/04/2026\n"
AMERICAN = b"ref,amount,posted\nA4,40.00,01/31/2026\n"


def kept(container: Container, actor: Actor, name: str, content: bytes) -> StoredFile:
    """An uploaded and profiled file."""
    return container.files.profile(actor, container.files.upload(actor, name, [content]).id)


def test_files_are_added_and_taken_away(container: Container, admin: Actor) -> None:
    """Each side keeps its files in order; the same content again is left out; both sides may change at once."""
    started = container.plans.start(admin, "March")
    one, two = kept(container, admin, "1.csv", LEDGER), kept(container, admin, "2.csv", MORE)
    again, bank = kept(container, admin, "again.csv", LEDGER), kept(container, admin, "bank.csv", BANK)
    for side, file in (("left", one), ("left", two), ("left", again)):
        container.plans.add_file(admin, started.id, side, file.id)  # type: ignore[arg-type]
    now = container.plans.add_file(admin, started.id, "right", bank.id)
    assert (now.left_file_ids, now.right_file_ids) == ([one.id, two.id], [bank.id])
    assert [twin.id for twin in container.files.twins(admin, again.id)] == [one.id]
    assert container.plans.set_files(admin, started.id, [two.id]).left_file_ids == [two.id]
    assert container.plans.set_files(admin, started.id, []).left_file_id is None
    with pytest.raises(NotFound):
        container.plans.add_file(admin, started.id, "left", "0" * 32)


def test_uploads_that_end_together_are_both_kept(container: Container, admin: Actor) -> None:
    """Two sides that get a file at the same moment lose none."""
    started = container.plans.start(admin, "March")
    files = {side: [kept(container, admin, f"{side}.csv", f"a\n{side}\n".encode()).id] for side in ("left", "right")}
    adding = [
        threading.Thread(target=container.plans.add_file, args=(admin, started.id, side, ids[0]))
        for side, ids in files.items()
    ]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join()
    now = container.plans.get(admin, started.id)
    assert {"left": now.left_file_ids, "right": now.right_file_ids} == files


def test_the_same_content_at_the_same_moment_is_one_file(container: Container, admin: Actor) -> None:
    """Of equal files that arrive together on one side one stays: the rows of the others would count again."""
    started = container.plans.start(admin, "March")
    equal = [kept(container, admin, f"{number}.csv", LEDGER).id for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: container.plans.add_file(admin, started.id, "left", one), equal))
    assert len(container.plans.get(admin, started.id).left_file_ids) == 1


@pytest.mark.slow
def test_a_run_reads_every_file_of_a_side(container: Container, admin: Actor, tmp_path: Path) -> None:
    """The rows of both ledgers count, also for a suggestion; files that are read in different ways are refused."""
    left = [kept(container, admin, name, content).id for name, content in (("1.csv", LEDGER), ("2.csv", MORE))]
    right = kept(container, admin, "bank.csv", BANK).id
    assert [f["left"] for f in container.files.suggest(admin, left, right)["fields"]][:1] == ["ref"]
    estimated = container.jobs.estimate(admin, PLAN, left, right)
    assert estimated is not None
    assert (estimated.left_rows, estimated.right_rows) == (5, 3)
    job = container.jobs.launch(admin, None, PLAN, left, right)
    claimed = Leases(container).claim("w1")
    assert claimed is not None
    Run(container, Leases(container), *claimed, tmp_path / "job").execute()
    ended = container.jobs.get(admin, job.id)
    assert ended.summary_json is not None, ended.error
    assert ended.summary_json["rows"]["left"]["read"] == 5
    assert ended.summary_json["rows"]["left"]["matched"] == 3, "B9 is in the second file"
    container.files.set_options(admin, left[1], {"decimal": ","})
    with pytest.raises(Invalid, match="read in different ways"):
        container.jobs.launch(admin, None, PLAN, left, right)


def test_files_that_do_not_fit_are_told(container: Container, admin: Actor) -> None:
    """Other columns and other date orders are said in a sentence each; what fits is not."""
    base = kept(container, admin, "jan.csv", LEDGER)
    assert misfits([base, kept(container, admin, "feb.csv", MORE)]) == []
    [columns] = misfits([base, kept(container, admin, "old.csv", OTHER)])
    assert columns.startswith("old.csv has other columns than jan.csv: it lacks 'ref' and has 'reference'.")
    american = kept(container, admin, "us.csv", AMERICAN)
    assert "%m/%d/%Y" in misfits([base, american])[0]
    assert list(shared_columns([base, american])) == ["ref", "amount", "posted"]


def test_dates_that_any_file_leaves_open_are_asked_for(container: Container, admin: Actor) -> None:
    """Each file is read by itself: one that decides does not decide for another; what the plan says does."""
    american, either = kept(container, admin, "us.csv", AMERICAN), kept(container, admin, "either.csv", EITHER)
    files = {"left": [american, either], "right": [kept(container, admin, "bank.csv", BANK)]}
    [asked] = open_dates(Plan.build(PLAN), files)
    assert (asked.side, asked.field, asked.name) == ("left", "posted_on", "posted")
    assert {"%d/%m/%Y", "%m/%d/%Y"} == set(asked.column["date_formats"])
    said = {**PLAN["fields"][2], "formats": {"left": "%m/%d/%Y"}}
    assert open_dates(Plan.build({**PLAN, "fields": [*PLAN["fields"][:2], said]}), files) == []
    assert open_dates(Plan.build(PLAN), {**files, "left": [american]}) == []


def test_what_drifted_since_the_plan_was_saved(container: Container, admin: Actor) -> None:
    """Next month's files are compared with those that the plan was saved with; what stops the plan comes first."""
    started = container.plans.start(admin, "January")
    container.plans.set_files(
        admin, started.id, kept(container, admin, "l.csv", LEDGER).id, kept(container, admin, "b.csv", BANK).id
    )
    saved = container.plans.save_template(admin, "Bank", PLAN, started.id)
    later = container.plans.start(admin, "February")
    container.plans.apply_template(admin, saved.id, later.id)
    container.plans.set_files(
        admin, later.id, *(container.plans.get(admin, started.id).file_ids(s) for s in ("left", "right"))
    )
    assert container.plans.drift(admin, later.id) == []
    container.plans.set_files(
        admin, later.id, kept(container, admin, "a.csv", AMERICAN).id, kept(container, admin, "o.csv", OTHER).id
    )
    found = container.plans.drift(admin, later.id)
    assert [one.stops for one in found] == sorted((one.stops for one in found), reverse=True)
    told = {(one.side, one.kind): one.sentence for one in found if one.stops}
    assert "%m/%d/%Y" in told["left", "formats"]
    assert "'txn'" in told["right", "columns"]


def test_a_column_that_the_plan_makes_is_not_missing(container: Container, admin: Actor) -> None:
    """As long as the files have the columns that it is made of."""
    plan: dict[str, Any] = {
        **PLAN,
        "right": {"label": "Bank", "combined": {"key": ["txn", "posted"]}},
        "fields": [{**PLAN["fields"][0], "right": "key"}, *PLAN["fields"][1:]],
    }
    started, bank = container.plans.start(admin, "January"), kept(container, admin, "b.csv", BANK)
    container.plans.set_files(admin, started.id, kept(container, admin, "l.csv", LEDGER).id, bank.id)
    saved = container.plans.save_template(admin, "Bank", plan, started.id)
    container.plans.apply_template(admin, saved.id, started.id)
    assert container.plans.drift(admin, started.id) == []
    container.plans.set_files(admin, started.id, right_file_id=kept(container, admin, "o.csv", OTHER).id)
    assert "'txn'" in container.plans.drift(admin, started.id)[0].sentence
    read = container.files.set_options(
        admin, bank.id, {"combined": {"key": ["txn", "posted"], "day": ["posted", "txn"]}}
    )
    right = {"label": "Bank", "combined": {"key": ("txn", "posted"), "pair": ("txn", "value")}}
    both = as_read(Plan.build({**plan, "right": right}), {"left": [read], "right": [read]})
    assert list(both.right.combined) == ["key", "day", "pair"], "what the file and what the plan makes"
    assert "A1 2026-01-01" in shared_columns([read])["key"]["samples"]
    many = {"label": "Bank", "combined": {f"c{number}": ("txn", "value") for number in range(99)}}
    with pytest.raises(Invalid, match=r"^Bank: .*at most 100 items"):
        as_read(Plan.build({**PLAN, "right": many}), {"left": [read], "right": [read]})


def test_a_saved_plan_has_versions(container: Container, admin: Actor) -> None:
    """Saving again makes a version, unless nothing changed; each can be had back, and cloned."""
    first = container.plans.save_template(admin, "Bank", PLAN)
    container.plans.save_template(admin, "Bank", PLAN)
    changed: dict[str, Any] = {**PLAN, "compare": []}
    second = container.plans.save_template(admin, "Bank", changed)
    assert (first.id, second.version) == (second.id, 2)
    assert [one["version"] for one in versions(second)] == [2, 1]
    assert container.plans.template_version(admin, second.id, 1).compare == ("amount",)
    with pytest.raises(NotFound, match="has no version 3"):
        container.plans.template_version(admin, second.id, 3)
    assert container.plans.clone_template(admin, second.id, "Bank, other").version == 1
    with pytest.raises(Conflict, match="exists already"):
        container.plans.clone_template(admin, second.id, "Bank")


@pytest.mark.slow
def test_rules_are_counted_in_the_background(container: Container, admin: Actor) -> None:
    """The first look begins the counting; a wrong column is told in a sentence."""
    left, right = kept(container, admin, "l.csv", LEDGER).id, kept(container, admin, "b.csv", BANK).id
    found = None
    while found is None:  # the counting always ends: its child has a limit of time
        found = container.previews.look(admin, PLAN, left, right)
        threading.Event().wait(0.05)
    assert (found["rows"], found["left_over"]) == (3, 1)
    assert [(rule["open"], rule["matched"], rule["ambiguous"]) for rule in found["rules"]] == [(3, 1, 0), (2, 1, 0)]
    wrong = {**PLAN, "fields": [{**PLAN["fields"][0], "left": "nope"}, *PLAN["fields"][1:]]}
    while (told := container.previews.look(admin, wrong, left, right)) is None:
        threading.Event().wait(0.05)
    assert "there is no column 'nope'" in told["error"]


@pytest.mark.slow
def test_a_count_that_failed_for_the_moment_is_made_anew(
    container: Container, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the files cannot be reached that is told; once they can, the next look counts."""
    left, right = kept(container, admin, "l.csv", LEDGER).id, kept(container, admin, "b.csv", BANK).id

    def away(*_: object) -> None:
        raise StorageAway

    def looked() -> dict[str, Any]:
        while (found := container.previews.look(admin, PLAN, left, right)) is None:
            threading.Event().wait(0.05)
        return found

    with monkeypatch.context() as patch:
        patch.setattr("services.previews.link_object", away)
        assert looked() == {"error": str(StorageAway())}
    assert looked()["rows"] == 3


@pytest.mark.slow
def test_files_read_in_two_ways_are_not_counted(container: Container, admin: Actor) -> None:
    """What the run would refuse is said before it is started."""
    left = [kept(container, admin, name, content).id for name, content in (("1.csv", LEDGER), ("2.csv", MORE))]
    right = kept(container, admin, "b.csv", BANK).id
    container.files.set_options(admin, left[1], {"decimal": ","})
    while (told := container.previews.look(admin, PLAN, left, right)) is None:
        threading.Event().wait(0.05)
    assert "read in different ways" in told["error"]
