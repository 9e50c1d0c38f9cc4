"""More than two sides in the application: their files, the suggested plan, the run, its results, over HTTP too."""

from __future__ import annotations

import io
import time
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from pages._shared import draft
from pages._shared.wording import rule_in
from recon_engine.nway.any_plan import build_plan
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import Plan
from services.container import Container
from services.database.models import Job
from services.errors import Invalid, NotFound
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.permissions import Actor
from services.result_headline import headline
from services.result_together import together
from services.sides import MOST_SIDES
from services.wording import rules_that_ran
from tests.service.conftest import PASSWORD
from tests.work import PLAN

ROWS = 40


def content(name: str, without: int) -> bytes:
    """Numbered sales without every `without`th, under column names of the side's own."""
    lines = [f"{name}_ref,{name}_amount,extra_{name}"]
    lines += [f"R{n:04d},{10 + n * 7.13:.2f},{name[0]}{n}" for n in range(1, ROWS + 1) if n % without]
    return "\n".join(lines).encode()


FILES = {"orders": content("orders", 1_000), "ledger": content("ledger", 10), "bank": content("bank", 15)}
MISSING = {"ledger": ROWS // 10, "bank": ROWS // 15}


def uploaded(container: Container, actor: Actor) -> list[str]:
    """The three files, profiled; their ids."""
    ids = []
    for name, text in FILES.items():
        ids.append(container.files.upload(actor, f"{name}.csv", [text]).id)
        assert container.files.profile(actor, ids[-1]).status == "profiled"
    return ids


def finished(container: Container, actor: Actor, job: Job, folder: Path) -> Job:
    """The job, carried out here."""
    claimed = Leases(container).claim("w1")
    assert claimed is not None
    Run(container, Leases(container), *claimed, folder / "job").execute()
    return container.jobs.get(actor, job.id)


def test_sides_are_added_and_taken_off(container: Container, admin: Actor) -> None:
    """A further side has files of its own; taken off, those after it move up; the first two stay."""
    started = container.plans.start(admin, "March")
    ids = uploaded(container, admin)
    assert started.sides == ["left", "right"]
    with pytest.raises(NotFound, match="no such side; it has left, right"):
        container.plans.add_file(admin, started.id, "side_3", ids[0])
    container.plans.add_side(admin, started.id)
    now = container.plans.add_side(admin, started.id)
    assert (now.sides, now.further_file_ids) == (["left", "right", "side_3", "side_4"], [[], []])
    for side, one in zip(("left", "side_3", "side_4"), ids, strict=True):
        container.plans.expect_file(admin, started.id, side)
        now = container.plans.add_file(admin, started.id, side, one)
    assert (now.left_file_ids, now.right_file_ids, now.further_file_ids) == ([ids[0]], [], [[ids[1]], [ids[2]]])
    now = container.plans.remove_side(admin, started.id, "side_3")
    assert (now.sides, now.further_file_ids) == (["left", "right", "side_3"], [[ids[2]]])
    assert container.plans.set_files(admin, started.id, side_3=[]).further_file_ids == [[]]
    for side in ("left", "side_4"):
        with pytest.raises(Invalid, match="Only a side that was added"):
            container.plans.remove_side(admin, started.id, side)
    for _ in range(MOST_SIDES - 3):
        container.plans.add_side(admin, started.id)
    with pytest.raises(Invalid, match=f"at most {MOST_SIDES} sides"):
        container.plans.add_side(admin, started.id)


@pytest.mark.slow
def test_from_three_files_to_results(container: Container, admin: Actor, tmp_path: Path) -> None:
    """The suggested plan runs on the files; matches span the sides, breaks name the missing one, all rows are told."""
    orders, ledger, bank = uploaded(container, admin)
    started = container.plans.start(admin, "Three sides")
    container.plans.add_side(admin, started.id)
    container.plans.set_files(admin, started.id, orders, ledger, side_3=bank)
    container.files.suggest_ahead(admin, orders, ledger, bank)
    suggested = container.files.suggest(admin, orders, ledger, bank)
    plan = build_plan(suggested["plan"])
    assert isinstance(plan, SidesPlan)
    assert plan.labels == {"orders": "Orders", "ledger": "Ledger", "bank": "Bank"}
    container.plans.set_suggestion(admin, started.id, suggested)
    container.plans.set_plan(admin, started.id, plan)
    counted(container, admin, plan, [orders, ledger, bank])
    with pytest.raises(Invalid, match=r"The plan has 3 sides \(Orders, Ledger, Bank\), the files are of 2"):
        container.jobs.launch(admin, started.id, plan, orders, ledger)
    with pytest.raises(Invalid, match="The plan has 2 sides"):
        container.jobs.launch(admin, started.id, PLAN, orders, ledger, further=[bank])
    estimated = container.jobs.estimate(admin, plan, orders, ledger, [bank])
    assert estimated is not None
    assert (estimated.left_rows, estimated.right_rows) == (ROWS, 2 * ROWS - MISSING["ledger"] - MISSING["bank"])
    job = container.jobs.launch(admin, started.id, plan, orders, ledger, further=[bank])
    assert job.side_file_ids == {"orders": [orders], "ledger": [ledger], "bank": [bank]}
    ended = finished(container, admin, job, tmp_path)
    assert ended.summary_json is not None, ended.error
    assert ended.summary_json["conserved"]
    assert {side: rows["read"] for side, rows in ended.summary_json["rows"].items()} == {
        "orders": ROWS,
        "ledger": ROWS - MISSING["ledger"],
        "bank": ROWS - MISSING["bank"],
    }
    told(container, admin, ended)


@pytest.mark.slow
def test_duplicates_of_a_side_are_a_table(container: Container, admin: Actor, tmp_path: Path) -> None:
    """A row that is there twice is found, stands with its values, and is left out; a plan that cannot be is refused."""
    spare = FILES["bank"] + b"\nR0001,17.13,again"
    files = [FILES["orders"], FILES["ledger"], spare]
    ids = [container.files.upload(admin, f"{n}.csv", [t]).id for n, t in zip(FILES, files, strict=True)]
    for one in ids:
        assert container.files.profile(admin, one).status == "profiled"
    names = {part: {name: f"{name}_{part}" for name in FILES} for part in ("ref", "amount")}
    search = {"on": ["ref", "amount"], "exclude": True}
    data = {
        "name": "three",
        "sides": [{"name": name} for name in FILES],
        "fields": [
            {"name": "ref", "columns": names["ref"]},
            {"name": "amount", "columns": names["amount"], "type": "decimal"},
        ],
        "rules": [{"name": "exact", "on": ["ref", "amount"]}],
    }
    started = container.plans.start(admin, "Three sides")
    container.plans.add_side(admin, started.id)
    container.plans.set_files(admin, started.id, *ids[:2], side_3=ids[2])
    with pytest.raises(Invalid, match="there is no side 'shop'"):
        container.plans.set_plan(admin, started.id, {**data, "duplicates": {"shop": search}})
    plan = SidesPlan.build({**data, "duplicates": {"bank": search}})
    container.plans.set_plan(admin, started.id, plan)
    job = container.jobs.launch(admin, started.id, plan, *ids[:2], further=ids[2:])
    ended = finished(container, admin, job, tmp_path)
    page = container.results.page(admin, ended.id, "duplicates", filters={"side": "bank"})
    last = spare.count(b"\n")
    assert [(r["group"], r["side"], r["row"], r["ref"], r["kept"]) for r in page.rows] == [
        (1, "bank", 1, "R0001", True),
        (1, "bank", last, "R0001", False),
    ]
    assert b"R0001" in b"".join(container.results.export_csv(admin, ended.id, "duplicates"))
    detail = container.results.break_detail(admin, ended.id, "bank", last)["break"]
    assert (detail["category"], detail["missing"]) == ("duplicate", "ledger, orders")


def counted(container: Container, admin: Actor, plan: SidesPlan, ids: list[str]) -> None:
    """What the rules would link, between each two sides; an edit of a rule counts its two sides anew, not the rest."""
    with pytest.raises(Invalid, match="The plan has 3 sides, the files are of 2"):
        container.previews.look_at_pairs(admin, plan, *ids[:2])

    def looked(asked: SidesPlan) -> dict[tuple[str, str], Any]:
        until = time.monotonic() + 60
        while None in (found := dict(container.previews.look_at_pairs(admin, asked, *ids))).values():
            assert time.monotonic() < until
            time.sleep(0.05)
        return found

    found = looked(plan)
    assert set(found) == set(plan.pairs)
    [ends] = [pair for pair in found if set(pair) == {"orders", "bank"}]
    there = {"orders": ROWS, "bank": ROWS - MISSING["bank"]}
    assert found[ends]["rows"] == there[ends[0]]
    assert sum(rule["matched"] for rule in found[ends]["rules"]) == there["bank"]
    data = plan.to_data()
    data["rules"].append({"name": "more", "between": list(ends), "on": [plan.fields[0].name]})
    edited = SidesPlan.build(data)
    asked = dict(container.previews.look_at_pairs(admin, edited, *ids))
    assert asked[ends] is None
    again = looked(edited)
    assert [rule["name"] for rule in again[ends]["rules"]][-1] == "more"
    assert {pair: counts for pair, counts in again.items() if pair != ends} == {
        pair: counts for pair, counts in found.items() if pair != ends
    }


@pytest.mark.slow
def test_what_a_side_nets_is_a_match_like_others(container: Container, admin: Actor, tmp_path: Path) -> None:
    """A reversal inside the bank is opened like any match, without links; the headline and the rules tell it."""
    back = FILES["bank"] + b"\nX1,99.00,x\nX2,-99.00,x"
    files = [FILES["orders"], FILES["ledger"], back]
    ids = [container.files.upload(admin, f"{n}.csv", [t]).id for n, t in zip(FILES, files, strict=True)]
    for one in ids:
        assert container.files.profile(admin, one).status == "profiled"
    columns = {part: {name: f"{name}_{part}" for name in FILES} for part in ("ref", "amount")}
    net = {"name": "returned", "net": "bank", "on": ["extra", {"field": "amount", "total": True}]}
    link = {"name": "exact", "on": ["ref", "amount"]}
    data = {
        "name": "three",
        "sides": [{"name": name, "label": name.title()} for name in FILES],
        "fields": [
            {"name": "ref", "columns": columns["ref"]},
            {"name": "amount", "columns": columns["amount"], "type": "decimal"},
            {"name": "extra", "columns": {"bank": "extra_bank"}},
        ],
        "rules": [link],
    }
    started = container.plans.start(admin, "Three sides")
    container.plans.add_side(admin, started.id)
    container.plans.set_files(admin, started.id, *ids[:2], side_3=ids[2])
    with pytest.raises(Invalid, match="put it above rule 'exact'"):
        container.plans.set_plan(admin, started.id, {**data, "rules": [link, net]})
    below = {**link, "name": "second", "on": ["ref"]}
    made = draft.with_rule(SidesPlan.build({**data, "rules": [link, below]}), None, net)
    assert [rule["name"] for rule in made["rules"]] == ["returned", "exact", "second"]
    plan = SidesPlan.build(made)
    assert "Bank records that cancel each other out" in rule_in(plan, plan.rules[0])
    job = container.jobs.launch(admin, started.id, plan, *ids[:2], further=ids[2:])
    ended = finished(container, admin, job, tmp_path)
    summary = ended.summary_json or {}
    page = container.results.page(admin, ended.id, "matches", filters={"rule": "returned"})
    assert [(r["side"], r["ref"], str(r["amount"])) for r in page.rows] == [
        ("bank", "X1", "99.00"),
        ("bank", "X2", "-99.00"),
    ]
    match = container.results.match(admin, ended.id, page.rows[0]["match_id"])
    assert (match["records"], match["links"]) == ({"orders": 0, "ledger": 0, "bank": 2}, [])
    figures = container.results.figures(admin, ended.id)
    tiles = {label: told for label, _, told in headline(summary, figures, plan.labels)}
    matched = summary["matches"]
    assert tiles["Differences"] == f"in compared fields of the {matched} matches, 1 of them inside one side"
    assert all(Decimal(sums["unexplained"]) == 0 for one in figures["balances"] for sums in one["sums"].values())
    alone = {"sides": "Bank", "groups": "1", "kind": "Cancels out inside its side", "lacks": ""}
    assert alone in together(summary, plan.labels)
    ran = rules_that_ran(summary["rules"], [rule.name for rule in plan.rules], plan.labels)
    assert ran[0]["name"] == "1. returned · Bank alone"
    pdf = PdfReader(io.BytesIO(container.results.summary_pdf(admin, ended.id)))
    text = " ".join("".join(page.extract_text() for page in pdf.pages).split())
    assert "Bank records that cancel each other out" in text


def told(container: Container, admin: Actor, job: Job) -> None:
    """What the results of the run say, by the names of its sides."""
    results, rows = container.results, (job.summary_json or {})["rows"].values()
    page = results.page(admin, job.id, "breaks", filters={"side": "orders", "missing": "ledger"})
    assert page.total == sum(n % 10 == 0 and n % 15 > 0 for n in range(1, ROWS + 1))
    assert "orders_ref" in page.columns
    sort = next(column for column in page.columns if column.endswith("amount"))
    assert results.page(admin, job.id, "breaks", sort=f"-{sort}").total == sum(side["breaks"] for side in rows)
    matches = results.page(admin, job.id, "matches", filters={"side": "bank"})
    match = results.match(admin, job.id, matches.rows[0]["match_id"])
    assert match["records"] == {"orders": 1, "ledger": 1, "bank": 1}
    assert {records[0]["orders_ref"] for records in match["sides"].values()} == {matches.rows[0]["orders_ref"]}
    assert {link["side"] for link in match["links"]} == {"orders", "ledger", "bank"}
    first = page.rows[0]
    detail = results.break_detail(admin, job.id, "orders", first["row"], first["source"])
    assert detail["break"]["missing"] == "ledger"
    assert results.record(admin, job.id, "bank", 1)["orders_ref"] == "R0001"
    with pytest.raises(Invalid, match="the sides are orders and ledger and bank"):
        results.record(admin, job.id, "left", 1)
    assert b"missing" in b"".join(results.export_csv(admin, job.id, "breaks"))
    assert results.figures(admin, job.id)["ages"] == []
    assert results.since(admin, job.id) is None
    pdf = PdfReader(io.BytesIO(results.summary_pdf(admin, job.id)))
    text = " ".join(" ".join(page.extract_text().split()) for page in pdf.pages)
    for said in (
        "Orders against Ledger against Bank", "What was found together", "Orders · Ledger · Bank", "Bank less Orders",
        "Links", "exact · Ledger and Orders", "missing in Ledger", "bank.csv", f"1 of {len(pdf.pages)}",
    ):  # fmt: skip
        assert said in text, said
    assert results.summary_pdf(admin, job.id) == results.summary_pdf(admin, job.id)
    with pytest.raises(NotFound):
        container.plans.try_cause(admin, job.id, 1)
    names = zipfile.ZipFile(io.BytesIO(b"".join(results.download_zip(admin, job.id)))).namelist()
    assert {"orders.parquet", "links.parquet", "manifest.json"} <= set(names)
    with results.workbook(admin, job.id) as file:
        book = load_workbook(file)
    assert {"summary", "matches", "breaks"} <= set(book.sheetnames)
    assert {"Orders", "Ledger", "Bank"} <= {cell.value for cell in book["summary"]["A"]}
    assert container.analytics.dashboard(admin)["recent"][0]["rows"] == sum(side["read"] for side in rows)


def test_a_saved_plan_of_three_sides_makes_room_for_them(container: Container, admin: Actor) -> None:
    """Applied to a new reconciliation it brings the third side along; one of two sides takes it off again."""
    plan = SidesPlan.build(
        {
            "name": "three",
            "sides": [{"name": name, "files": [f"{name}.csv"]} for name in FILES],
            "fields": [{"name": "ref", "columns": {name: f"{name}_ref" for name in FILES}}],
            "rules": [{"name": "exact", "on": ["ref"]}],
        }
    )
    three = container.plans.save_template(admin, "three", plan)
    two = container.plans.save_template(admin, "two", PLAN)
    assert "csv" not in three.yaml
    assert container.plans.clone_template(admin, three.id, "copy").yaml == three.yaml
    assert container.plans.template_version(admin, three.id, 1).labels == plan.labels
    started = container.plans.start(admin, "April")
    now = container.plans.apply_template(admin, three.id, started.id)
    assert now.sides == ["left", "right", "side_3"]
    assert container.plans.drift(admin, started.id) == []
    now = container.plans.apply_template(admin, two.id, started.id)
    assert (now.sides, isinstance(build_plan(now.plan_json or {}), Plan)) == (["left", "right"], True)


@pytest.mark.slow
def test_three_sides_over_http(api: httpx.Client, container: Container, admin: Actor, tmp_path: Path) -> None:
    """Upload, suggest, launch by the names of the sides, and read results of one of them."""
    api.post("/api/auth/login", json={"email": "ada@example.org", "password": PASSWORD})
    started = container.plans.start(admin, "Three sides")
    container.plans.add_side(admin, started.id)
    ids = []
    for side, (name, text) in zip(("left", "right", "side_3"), FILES.items(), strict=True):
        where = {"name": f"{name}.csv", "reconciliation": started.id, "side": side}
        answer = api.post("/api/files/upload", params=where, content=text)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    [listed] = api.get("/api/reconciliations").json()["items"]
    assert listed["further_file_ids"] == [[ids[2]]]
    asked = {"left_file_id": ids[0], "right_file_id": ids[1], "further_file_ids": [ids[2]]}
    plan = api.post("/api/files/suggest", json=asked).json()["plan"]
    for wrong, said in (
        ({"left_file_id": ids[0], "right_file_id": ids[1]}, "give side_file_ids, a file for each of orders, ledger"),
        ({"side_file_ids": dict(zip(("orders", "ledger", "shop"), ids, strict=True))}, "orders, ledger, bank"),
    ):
        refused = api.post("/api/reconciliation/jobs", json={"plan": plan, **wrong})
        assert (refused.status_code, said in refused.json()["detail"]) == (422, True)
    two: dict[str, Any] = {"plan": PLAN, "side_file_ids": {"left": ids[0], "right": ids[1]}}
    assert "Give left_file_id" in api.post("/api/reconciliation/jobs", json=two).json()["detail"]
    given = {"orders": ids[0], "ledger": [ids[1]], "bank": ids[2]}
    launched = api.post("/api/reconciliation/jobs", json={"plan": plan, "side_file_ids": given})
    assert launched.status_code == 202, launched.text
    assert launched.json()["side_file_ids"] == {"orders": [ids[0]], "ledger": [ids[1]], "bank": [ids[2]]}
    job = container.jobs.get(admin, launched.json()["id"])
    finished(container, admin, job, tmp_path)
    read = api.get(f"/api/reconciliation/jobs/{job.id}/results/breaks", params={"side": "orders"}).json()
    assert {row["missing"] for row in read["rows"]} == {"ledger", "bank", "bank, ledger"}
    parquet = api.get(f"/api/reconciliation/jobs/{job.id}/results/matches", params={"format": "parquet"})
    assert set(pl.read_parquet(io.BytesIO(parquet.content))["side"].cast(pl.String)) == set(FILES)
