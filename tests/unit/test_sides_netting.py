"""Netting in plans with several sides: once a side, before any two sides are linked; told, explained and verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, PlanError, Result, SidesPlan, load_plan, reconcile, verify
from recon_engine import __main__ as command_line
from recon_engine.hashing import hash_file
from recon_engine.nway.any_plan import parse_plan

pytestmark = pytest.mark.slow

SIDES = ("orders", "ledger", "bank")
NETS: dict[str, Any] = {"name": "returned", "net": "bank", "on": ["iban", {"field": "amount", "total": True}]}
STORNO: dict[str, Any] = {"name": "storno", "net": "ledger", "on": ["ref", {"field": "amount", "total": True}]}
LINKS = [
    {"name": "o-l", "between": ["orders", "ledger"], "on": ["ref", "amount"]},
    {"name": "l-b", "between": ["ledger", "bank"], "on": ["ref", "amount"]},
]
DATA: dict[str, Any] = {
    "name": "test",
    "sides": [{"name": name, "label": name.capitalize()} for name in SIDES],
    "fields": [
        {"name": "ref", "columns": dict.fromkeys(SIDES, "ref")},
        {"name": "amount", "columns": dict.fromkeys(SIDES, "amt"), "type": "decimal"},
        {"name": "iban", "columns": {"bank": "note"}},  # only one side has it
        {"name": "note", "columns": {"ledger": "note"}},
    ],
    "rules": [NETS, STORNO, *LINKS],
}
PAID, TWICE = 8, 3
ORDERS, LEDGER = "R1 10, R2 5", "R1 10, R2 5, R7 3, R7 -3"
BANK = "R2 5 y, R1 10 q, R5 10 x, R6 -10 x, R3 1 z, R4 -1 z"


def table(text: str) -> pl.DataFrame:
    """'R1 10 x, R2 20 y' as a frame of references, amounts and notes."""
    rows = [(*part.split(), "")[:3] for part in text.split(",") if part.strip()]
    return pl.DataFrame(rows, schema=dict.fromkeys(("ref", "amt", "note"), pl.String), orient="row")


def run(orders: str, ledger: str, bank: str, rules: list[Any] | None = None, **options: Any) -> Result:
    """Reconciles three inline tables, and verifies the result."""
    frames = {"orders": table(orders), "ledger": table(ledger), "bank": table(bank)}
    more = options.pop("more", {})
    plan = SidesPlan.build({**DATA, "rules": [*(rules or [NETS, STORNO]), *LINKS], **more})
    result = reconcile(plan, sides=frames, **options)
    assert [check for check in verify(result.path) if check.holds is False] == []
    assert result.summary["conserved"]
    return result


def matches(result: Result, *also: str) -> dict[int, list[tuple[Any, ...]]]:
    """By match_id its records: side, row and the columns asked for."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in result.matches().collect().iter_rows(named=True):
        found.setdefault(row["match_id"], []).append((row["side"], row["row"], *(row[name] for name in also)))
    return found


def breaks(result: Result) -> dict[tuple[str, int], dict[str, Any]]:
    """By side and row."""
    return {(b["side"], b["row"]): b for b in result.breaks().collect().iter_rows(named=True)}


@pytest.mark.parametrize("partitions", [1, 3])
def test_what_cancels_out_is_a_match_of_its_side_and_in_no_pair(partitions: int) -> None:
    """One numbering with the matches over all sides; no link holds a netted record; the summary tells both kinds."""
    result = run(ORDERS, LEDGER, BANK, partitions=partitions)
    assert matches(result, "rule") == {
        1: [("bank", 1, "l-b"), ("ledger", 2, "l-b"), ("orders", 2, "l-b")],
        2: [("bank", 2, "l-b"), ("ledger", 1, "l-b"), ("orders", 1, "l-b")],
        3: [("bank", 3, "returned"), ("bank", 4, "returned")],
        4: [("bank", 5, "returned"), ("bank", 6, "returned")],
        5: [("ledger", 3, "storno"), ("ledger", 4, "storno")],
    }
    netted = result.matches().filter(pl.col("rule").cast(pl.String).is_in(["returned", "storno"]))
    assert netted.select("outcome", "score", "rivals", "margin").collect().unique().rows() == [("confirmed", 1, 0, 1)]
    links = result.records("links").collect()
    assert links.join(netted.collect(), on=["side", "source", "row"], how="semi").is_empty()
    assert result.breaks().collect().is_empty()
    assert [(r["net"], r["name"], r["matches"]) for r in result.summary["rules"] if "net" in r] == [
        ("bank", "returned", 2),
        ("ledger", "storno", 1),
    ]
    assert result.summary["matches"] == 5
    assert result.summary["links"] == 4
    assert sorted((t["kind"], t["sides"], t["groups"]) for t in result.summary["together"]) == [
        ("complete", ["bank", "ledger", "orders"], 2),
        ("netted", ["bank"], 2),
        ("netted", ["ledger"], 1),
    ]


@pytest.mark.parametrize("incomplete", ["break", "suggest", "match"])
def test_a_netted_match_lacks_no_side(incomplete: str) -> None:
    """It is confirmed, whatever groups are that lack sides."""
    result = run("R1 10", "R1 10, R7 3, R7 -3", "R9 2", [STORNO], more={"incomplete": incomplete})
    (netted,) = [m for m in matches(result, "outcome").values() if m[0][:2] == ("ledger", 2)]
    assert netted == [("ledger", 2, "confirmed"), ("ledger", 3, "confirmed")]


def test_two_sides_by_name_are_netted_like_left_and_right() -> None:
    """The same matches, scores, ties and reasons, whichever way the plan is written."""
    net = {"on": ["ref", {"field": "amount", "total": True}]}
    data = {"left": table("R1 10, R1 -10, R2 5, R2 5 x, R2 -5, R3 4, R4 1"), "right": table("R3 4, R1 10, R9 2, R9 -2")}
    names = ("ref", "amt", "note")
    kinds = {"ref": "text", "amt": "decimal", "note": "text"}
    link = {"name": "link", "on": ["ref", "amount"]}

    def fields(of: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"name": "amount" if n == "amt" else n, "type": kinds[n], **of(n)} for n in names]

    plain = reconcile(
        Plan.build(
            {
                "name": "t",
                "left": {"label": "A"},
                "right": {"label": "B"},
                "fields": fields(lambda n: {"left": n, "right": n}),
                "rules": [{"name": "a", "net": "left", **net}, {"name": "b", "net": "right", **net}, link],
            }
        ),
        left=data["left"],
        right=data["right"],
    )
    named = reconcile(
        SidesPlan.build(
            {
                "name": "t",
                "sides": [{"name": "left", "label": "A"}, {"name": "right", "label": "B"}],
                "fields": fields(lambda n: {"columns": {"left": n, "right": n}}),
                "rules": [{"name": "a", "net": "left", **net}, {"name": "b", "net": "right", **net}, link],
            }
        ),
        sides=data,
    )
    place = pl.col("side").cast(pl.String), "row"
    for name, columns in (
        ("matches", ("rule", "outcome", "score", "rivals", "margin")),
        ("breaks", ("category", "cause")),
    ):
        ours, theirs = (r.records(name).select(*place, *columns).sort("side", "row").collect() for r in (named, plain))
        assert ours.cast(pl.String).equals(theirs.cast(pl.String)), name
    assert [r["matches"] for r in named.summary["rules"]] == [r["matches"] for r in plain.summary["rules"]] == [1, 1, 1]
    tied = "3 A records can cancel each other out in more than one way under rule 'a': rows 3, 4, 5"
    for row in (3, 4, 5):
        assert breaks(plain)["left", row]["reason"] == tied
        assert breaks(named)["left", row]["reason"].startswith(f"{tied}; missing in B")
        assert breaks(named)["left", row]["category"] == "ambiguous"
    for result in (plain, named):
        assert [check for check in verify(result.path) if check.holds is False] == []


def test_what_could_cancel_out_in_several_ways_is_still_linked() -> None:
    """As with two sides: a tie under one rule leaves its records to the next ones."""
    result = run("R7 3", "R7 3 a, R7 3 b, R7 -3", "R7 -3", [STORNO])
    assert matches(result) == {}
    assert result.summary["rules"][0]["ambiguous"] == 3
    told = breaks(result)
    for row in (1, 2, 3):
        assert told["ledger", row]["reason"].startswith("3 Ledger records can cancel each other out")
        assert told["ledger", row]["category"] == "ambiguous"
    assert told["ledger", 3]["missing"] == "orders"
    assert told["ledger", 3]["reason"].endswith("Bank row 1, Ledger row 3 belong together")


def test_competing_reversals_wait_for_a_person_and_hold_their_records() -> None:
    """With `suggest` all of them are one suggested match; none of them is linked."""
    result = run("R7 3, R1 1", "R7 3 a, R7 3 b, R7 -3, R1 1", "R1 1", [{**STORNO, "when_ambiguous": "suggest"}])
    held = {1: [("ledger", 1, "suggested"), ("ledger", 2, "suggested"), ("ledger", 3, "suggested")]}
    found = matches(result, "outcome")
    assert {k: v for k, v in found.items() if len(v[0]) and v[0][2] == "suggested"} == {2: held[1]}
    assert result.summary["rows"]["ledger"] == {"read": 4, "matched": 1, "suggested": 3, "breaks": 0, "rejected": 0}
    assert breaks(result)["orders", 1]["category"] != "ambiguous"


def test_a_gate_on_accidents_only_suggests() -> None:
    """Nothing estimates how many reversals are accidents, so a rule that may have few confirms none."""
    result = run(ORDERS, LEDGER, "R2 5, R1 10", [{**STORNO, "max_false_rate": 0.1}])
    assert result.summary["rules"][0]["outcome"] == "suggested"
    assert result.summary["rows"]["ledger"]["suggested"] == 2


def test_rules_of_a_side_run_in_order_on_what_is_left_and_not_on_duplicates() -> None:
    """The second rule nets what the first left; a duplicate that is left out is not netted."""
    wide = {"name": "any reference", "net": "bank", "on": ["iban", {"field": "amount", "total": True}]}
    first = {"name": "same reference", "net": "bank", "on": ["ref", {"field": "amount", "total": True}]}
    search = {"bank": {"on": ["ref", "amount", "iban"], "exclude": True}}
    bank = "R1 7 x, R1 -7 x, R2 7 x, R3 -7 x, R2 7 x"
    result = run("R9 1", "R8 1", bank, [first, wide], more={"duplicates": search})
    assert matches(result, "rule") == {
        1: [("bank", 1, "same reference"), ("bank", 2, "same reference")],
        2: [("bank", 3, "any reference"), ("bank", 4, "any reference")],
    }
    assert breaks(result)["bank", 5]["reason"] == "a duplicate of Bank row 3, left out of matching as the plan says"
    assert run("R9 1", "R8 1", bank, [first, wide]).summary["rows"]["bank"]["breaks"] == 1


def test_netted_records_count_as_matched_for_what_explains_breaks() -> None:
    """No open record is told to be near a netted one as if it were open, and no cause counts on one."""
    near = {"name": "near", "between": ["ledger", "bank"], "on": ["ref", {"field": "amount", "within": 1}]}
    paid = [f"R{k} {12 + k}" for k in range(PAID)] + [f"R{k} -{12 + k}" for k in range(TWICE)]
    booked = [f"R{k} {10 + k}" for k in range(PAID)]
    frames = {"orders": table("R9 1"), "ledger": table(", ".join(booked)), "bank": table(", ".join(paid))}
    net = {"name": "net", "net": "bank", "on": ["ref", {"field": "amount", "total": True}]}
    plans = [SidesPlan.build({**DATA, "rules": [*rules, LINKS[0], near]}) for rules in ([net], [])]
    with_net, without = (reconcile(plan, sides=frames) for plan in plans)
    assert "(that Bank record is already matched)" in breaks(with_net)["ledger", 1]["reason"]
    assert "already matched" not in breaks(without)["ledger", 1]["reason"]
    rows = [next(c["rows"] for c in r.summary["causes"] if "charge" in c["cause"]) for r in (with_net, without)]
    assert rows == [2 * PAID - 2 * TWICE, 2 * PAID]
    for result, count in ((with_net, PAID - TWICE), (without, PAID)):
        (cause,) = [c for c in result.summary["causes"] if "charge" in c["cause"]]
        assert cause["blast"] == {"new_matches": count, "new_ambiguous": 0, "lost_matches": 0}
        assert cause["change"]["rule"]["between"] == ["ledger", "bank"]


@pytest.mark.parametrize(
    ("rules", "place", "says"),
    [
        ([*LINKS, NETS], "rules[2].net", "which is done before sides are linked: put it above rule 'o-l'"),
        ([{**NETS, "net": "shop"}, *LINKS], "rules[0].net", "there is no side 'shop'; the sides are orders, ledger"),
        ([{**NETS, "net": "ledger"}, *LINKS], "rules[0].on[0].field", "field 'iban' has no column for side 'ledger'"),
        ([{**NETS, "on": ["iban"]}, *LINKS], "rules[0].net", "total: true on the amount"),
        ([{**NETS, "between": ["ledger", "bank"]}, *LINKS], "rules[0]", "net looks at one side, bank; leave between"),
        ([{**NETS, "on": [{"field": "iban", "total": True}]}, *LINKS], "", "'iban' is text"),
        ([{**NETS, "on": ["what", {"field": "amount", "total": True}]}, *LINKS], "", "there is no field 'what'"),
        ([NETS], "", "no rule leads from orders to ledger, bank"),
    ],
)
def test_a_fault_has_its_place(rules: list[Any], place: str, says: str) -> None:
    """What is wrong with such a rule is told in one sentence, where it stands."""
    with pytest.raises(PlanError) as refused:
        SidesPlan.build({**DATA, "rules": rules})
    (fault,) = refused.value.faults
    assert fault.place == place
    assert says in fault.says


def test_the_plan_survives_its_file_and_the_command_line_names_the_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written and read again it is the same; a run tells what each side netted; `verify` re-checks it."""
    monkeypatch.chdir(tmp_path)
    plan = SidesPlan.build(DATA)
    assert plan.to_data()["rules"][0] == NETS
    assert parse_plan(plan.to_yaml()).to_data() == plan.to_data()
    (tmp_path / "plan.yaml").write_text(plan.to_yaml())
    assert load_plan("plan.yaml").to_data() == plan.to_data()
    for name, text in zip(SIDES, (ORDERS, LEDGER, BANK), strict=True):
        table(text).write_csv(f"{name}.csv")
    files = [f"{name}.csv" for name in SIDES]
    assert command_line.main(["run", "plan.yaml", *files, "--out", "out"]) == 0
    assert "  bank alone, returned: 2 matches, 0 records ambiguous" in capsys.readouterr().out.splitlines()
    assert command_line.main(["verify", "out"]) == 0
    assert "bank rule 'returned'" in capsys.readouterr().out
    assert command_line.main(["run", "plan.yaml", *files, "--out", "out", "--progress", "ndjson"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"match"' in line]
    assert [t["done"] for t in told] == sorted(t["done"] for t in told)
    assert {t["total"] for t in told} == {4}
    assert told[-1]["done"] == 4


def _set(match: int, column: str, value: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        told = pl.when(pl.col("match_id") == match).then(pl.lit(value)).otherwise(pl.col(column).cast(pl.String))
        return frame.with_columns(told.cast(frame.schema[column]).alias(column))

    return change


def _exchanged(frame: pl.DataFrame) -> pl.DataFrame:
    """The second records of two netted matches in each other's place."""
    swap = pl.col("row").replace({4: 6, 6: 4})
    return frame.with_columns(pl.when(pl.col("rule").cast(pl.String) == "returned").then(swap).otherwise("row"))


def _together(frame: pl.DataFrame) -> pl.DataFrame:
    """A netted match as part of a match over all sides."""
    return frame.with_columns(match_id=pl.col("match_id").replace({5: 1}))


def _across(frame: pl.DataFrame) -> pl.DataFrame:
    """A netted record and one of another side."""
    moved = (pl.col("match_id") == 5) & (pl.col("row") == 4)
    return frame.with_columns(side=pl.when(moved).then(pl.lit("bank").cast(frame.schema["side"])).otherwise("side"))


def _idle(frame: pl.DataFrame) -> pl.DataFrame:
    """A match of two records that have nothing to cancel out, and of none that has."""
    return frame.with_columns(
        row=pl.when(pl.col("match_id") == 5).then(pl.col("row").replace({3: 5, 4: 6})).otherwise("row")
    )


def _as_tie(frame: pl.DataFrame) -> pl.DataFrame:
    """All of a netted match and a stranger of another side, as if a person were to choose."""
    row = frame.filter(pl.col("match_id") == 5).head(1)
    stranger = row.with_columns(side=pl.lit("orders").cast(frame.schema["side"]), row=pl.lit(1, dtype=pl.Int64))
    both = pl.concat([frame, stranger])
    mine = pl.col("match_id") == 5
    return both.with_columns(
        margin=pl.when(mine).then(0.0).otherwise("margin"),
        outcome=pl.when(mine).then(pl.lit("suggested").cast(frame.schema["outcome"])).otherwise("outcome"),
    )


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (None, []),
        (_exchanged, ["bank rule 'returned'"]),
        (_set(5, "rule", "returned"), ["bank rule 'returned'"]),
        (_set(5, "rule", "l-b"), ["links of matches", "matches hang together"]),
        (_set(2, "rule", "storno"), ["netted records", "ledger rule 'storno'", "links of matches"]),
        (_together, ["netted records"]),
        (_across, ["ledger rule 'storno'"]),
        (_idle, ["ledger rule 'storno'"]),
        (_as_tie, ["ledger rule 'storno'"]),
        (lambda frame: frame.filter((pl.col("match_id") != 5) | (pl.col("row") != 4)), ["ledger rule 'storno'"]),
        (lambda frame: frame.filter(pl.col("match_id") != 5), ["ledger counts"]),
    ],
)
def test_forged_netting_is_found(change: Callable[[pl.DataFrame], pl.DataFrame] | None, fails: list[str]) -> None:
    """Partners exchanged, another side's rule, a match across sides, of zeros, cut or removed: with new hashes too."""
    rules = [NETS, {**STORNO, "when_ambiguous": "suggest"}]
    result = run("R1 10, R2 5", "R1 10, R2 5, R7 3, R7 -3, R8 0, R8 0", BANK, rules)
    if change is not None:
        _forge(result, "matches", change)
    failed = [check.name for check in verify(result.path) if check.holds is False]
    assert set(fails) <= set(failed)
    assert bool(fails) == bool(failed)


def test_a_link_of_a_netted_record_is_found() -> None:
    """Netted records are in no pair: a link that satisfies its rule and is in no match is a forgery, too."""
    result = run("R7 3, R1 1", "R7 3, R7 -3, R1 1", "R1 1", [STORNO])

    def link(frame: pl.DataFrame) -> pl.DataFrame:
        own = frame.filter(pl.col("link_id") == frame.filter(rule="o-l")["link_id"].max())
        own = own.with_columns(match_id=pl.lit(None, dtype=pl.Int64), row=pl.lit(1, dtype=pl.Int64))
        return pl.concat([frame, own.with_columns(link_id=pl.lit(99, dtype=pl.Int64))])

    _forge(result, "links", link)
    assert [c.name for c in verify(result.path) if c.holds is False] == ["netted records", "summary", "links again"]


@pytest.mark.parametrize("ambiguous", ["best", "suggest"])
def test_with_two_sides_zeros_and_strangers_are_found_in_netted_matches(ambiguous: str) -> None:
    """The checks of a plan with left and right are the same ones."""
    fields = [{"name": "ref", "left": "ref", "right": "ref"}]
    fields.append({"name": "amount", "left": "amt", "right": "amt", "type": "decimal"})
    net = {"name": "net", "net": "left", "on": ["ref", {"field": "amount", "total": True}], "when_ambiguous": ambiguous}
    plan = Plan.build({"name": "t", **{s: {"label": s} for s in ("left", "right")}, "fields": fields, "rules": [net]})
    for change in (lambda f: f.with_columns(row=pl.col("row") + 2), _stranger):
        result = reconcile(plan, left=table("R1 3, R1 -3, R2 0, R2 0"), right=table("R1 3"))
        assert [check for check in verify(result.path) if check.holds is False] == []
        _forge(result, "matches", change)
        assert "rule 'net'" in [check.name for check in verify(result.path) if check.holds is False]


def _stranger(frame: pl.DataFrame) -> pl.DataFrame:
    right = pl.lit("right").cast(frame.schema["side"])
    both = pl.concat([frame, frame.head(1).with_columns(side=right)])
    return both.with_columns(margin=pl.lit(0.0), outcome=pl.lit("suggested").cast(frame.schema["outcome"]))


def _forge(result: Result, name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Another table, with its new hash in the manifest."""
    table_file = result.path / f"{name}.parquet"
    change(pl.read_parquet(table_file)).write_parquet(table_file)
    manifest = json.loads((result.path / "manifest.json").read_text())
    manifest["outputs"][f"{name}.parquet"] = hash_file(table_file)
    (result.path / "manifest.json").write_text(json.dumps(manifest))
