"""What would make breaks match: every kind of cause, planted in made-up data, is found first and keeps its promise."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recon_engine import Plan, PlanError, Result, reconcile
from recon_engine import __main__ as command_line
from recon_engine.nway.plan_changes import mended
from recon_engine.outcome import causes, near_misses
from recon_engine.plan_changes import changed

pytestmark = pytest.mark.slow

Row = tuple[str, int, date]
COLUMNS = {"ref": pl.String, "amount": pl.String, "day": pl.String, "currency": pl.String}
PLAN = Plan.build(
    {
        "name": "causes",
        "left": {"label": "Ledger"},
        "right": {"label": "Bank"},
        "fields": [
            {"name": "ref", "left": "ref", "right": "ref"},
            {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 2},
            {"name": "day", "left": "day", "right": "day", "type": "date"},
            {"name": "currency", "left": "currency", "right": "currency"},
        ],
        "rules": [
            {"name": "exact", "on": ["ref", "amount", "day"]},
            {"name": "near", "on": ["ref", "day", {"field": "amount", "within": "0.05"}]},
            {"name": "late", "on": ["ref", "amount", {"field": "day", "days": [0, 3]}]},
        ],
        "currency": {"field": "currency"},
    }
)
ORDER = random.Random(378)
ROWS: list[Row] = [
    (f"Ré{''.join(ORDER.sample('123456789', 7))}", ORDER.randrange(1000, 900_000), date(2026, 1, 1) + timedelta(3 * k))
    for k in range(60)
]


def frame(rows: list[Row], currencies: str = "EUR") -> pl.DataFrame:
    """Rows as text columns; with one currency, or one each."""
    each = currencies.split() * (1 if " " in currencies else len(rows))
    told = [(r, f"{a / 100:.2f}", str(d), c) for (r, a, d), c in zip(rows, each, strict=True)]
    return pl.DataFrame(told, schema=COLUMNS, orient="row")


def plus(day: date, days: int) -> date:
    """A later day."""
    return day + timedelta(days)


def swapped(day: date) -> date:
    """Day and month in each other's place, where that is a date."""
    return date(day.year, day.day, day.month) if day.day <= 12 else day


def percent(amount: int, hundredths: int) -> int:
    """A share of an amount in hundredths of a percent, rounded half up."""
    return (2 * amount * hundredths + 10_000) // 20_000


KINDS: dict[str, tuple[Callable[[str, int, date], Row], str]] = {
    "case": (lambda r, a, d: (r.upper(), a, d), "ref agrees after casefold"),
    "space": (lambda r, a, d: (f" {r}", a, d), "ref agrees after trim"),
    "accent": (lambda r, a, d: (r.replace("é", "e"), a, d), "ref agrees after unaccent"),
    "punctuation": (lambda r, a, d: (f"{r[:4]}-{r[4:]}", a, d), "ref agrees after strip_punctuation"),
    "prefix": (lambda r, a, d: (f"Nr.{r[2:]}", a, d), "ref agrees after digits_only"),
    "cut": (lambda r, a, d: (r[:-2], a, d), "ref is cut short or padded on one side"),
    "exchanged": (
        lambda r, a, d: (r[:4] + r[5] + r[4] + r[6:], a, d),
        "ref differs in one character, or in two that changed places",
    ),
    "sign": (lambda r, a, d: (r, -a, d), "amount has the opposite sign"),
    "factor": (lambda r, a, d: (r, a * 100, d), "amount is 100 times larger in Bank"),
    "fee": (lambda r, a, d: (r, a - 30, d), "amount in Bank is less by a fee of 0.30"),
    "charge": (lambda r, a, d: (r, a + 125, d), "amount in Bank is more by a charge of 1.25"),
    "share": (lambda r, a, d: (r, a - percent(a, 290), d), "amount in Bank is less by a fee of 2.9 %"),
    "share and fee": (
        lambda r, a, d: (r, a - percent(a, 290) - 30, d),
        "amount in Bank is less by a fee of 2.9 % and 0.30",
    ),
    "rounding": (
        lambda r, a, d: (r, a + 6 + a % 7, d),
        "amount is 0.06 to 0.12 apart, rule 'near' allows 0.05",
    ),
    "window": (lambda r, a, d: (r, a, plus(d, 4 + a % 2)), "day is 4 to 5 days apart, rule 'late' allows 0 to 3"),
    "swap": (lambda r, a, d: (r, a, swapped(d)), "day has day and month swapped"),
}


def right_side(kind: str, *, whole: bool) -> list[Row]:
    """The right rows: all of them changed, or every second one."""
    change = KINDS[kind][0]
    return [change(*row) if whole or n % 2 else row for n, row in enumerate(ROWS)]


def again(result: Result, number: int, left: pl.DataFrame, right: pl.DataFrame) -> int:
    """How many matches more a run finds with that cause applied."""
    plan, _ = mended(result.path, number)
    repeated = reconcile(plan, left=left, right=right)
    assert repeated.summary["conserved"]
    return int(repeated.summary["matches"] - result.summary["matches"])


WHOLE = ("accent", "sign", "factor", "swap")


@pytest.mark.parametrize(("kind", "whole"), [*((k, False) for k in KINDS), *((k, True) for k in WHOLE)])
def test_a_planted_cause_is_found_first_and_keeps_its_promise(kind: str, whole: bool) -> None:
    """The kind of change that was made is the best cause, and the plan changed by it finds what was promised."""
    left, right = frame(ROWS), frame(right_side(kind, whole=whole))
    result = reconcile(PLAN, left=left, right=right)
    open_rows = sum(result.summary["breaks"].values())
    best = result.summary["causes"][0]
    assert best["cause"] == KINDS[kind][1]
    assert best["rows"] == open_rows
    assert best["blast"] == {"new_matches": open_rows // 2, "new_ambiguous": 0, "lost_matches": 0}
    assert again(result, 1, left, right) == open_rows // 2
    assert result.breaks().collect()["cause"].to_list() == [best["cause"]] * open_rows


def test_the_money_of_a_cause_is_exact_and_without_signs() -> None:
    """The amount adds up the first decimal field of both sides' rows, per currency."""
    left, right = frame([("A", -30, date(2026, 1, 1))]), frame([("a", -30, date(2026, 1, 1))])
    cause = reconcile(PLAN, left=left, right=right).summary["causes"][0]
    assert (cause["rows"], cause["amount"]) == (2, {"EUR": "0.60"})


def test_a_change_that_would_undo_matches_becomes_a_rule_of_its_own() -> None:
    """Digits alone would make every pair ambiguous that letters tell apart: the rest of the file is left alone."""
    day = date(2026, 1, 1)
    left = frame([("A1", 100, day), ("B1", 100, day), ("X-7", 100, day)], "EUR USD EUR")
    right = frame([("A1", 100, day), ("B1", 100, day), ("Y7", 100, day)], "EUR USD EUR")
    result = reconcile(PLAN, left=left, right=right)
    best = result.summary["causes"][0]
    assert best["cause"] == "ref agrees after digits_only"
    assert best["change"]["change"] == "rule"
    assert best["change"]["field"]["clean"] == {"left": ["digits_only"], "right": ["digits_only"]}
    assert best["blast"] == {"new_matches": 1, "new_ambiguous": 0, "lost_matches": 0}
    assert again(result, 1, left, right) == 1


def test_the_blast_counts_what_a_change_ties() -> None:
    """A wider window that lets in a second candidate is told as ambiguity, and a run confirms it."""
    rules = [{"name": "day", "on": ["ref", {"field": "amount", "within": "1.00"}, {"field": "day", "days": 1}]}]
    plan = Plan.build({**PLAN.to_data(), "rules": rules})
    day = date(2026, 3, 10)
    left = frame([("A", 100, day)])
    right = frame([("A", 101, plus(day, 3)), ("A", 99, plus(day, 3))])
    result = reconcile(plan, left=left, right=right)
    best = result.summary["causes"][0]
    assert best["cause"] == "day is 3 days apart, rule 'day' allows 1"
    assert best["blast"] == {"new_matches": 0, "new_ambiguous": 3, "lost_matches": 0}
    repeated = reconcile(changed(plan, best["change"]), left=left, right=right)
    assert repeated.summary["breaks"] == {"ambiguous": 3}


def test_without_breaks_on_both_sides_there_is_nothing_to_find() -> None:
    """A run in which all matches, or only one side is open, has no causes."""
    whole, part = frame(ROWS), frame(ROWS[:50])
    assert reconcile(PLAN, left=whole, right=whole).summary["causes"] == []
    result = reconcile(PLAN, left=whole, right=part)
    assert result.summary["causes"] == []
    assert result.breaks().collect()["cause"].null_count() == 10


def test_of_many_breaks_some_are_looked_at_whatever_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit the same records are picked from shuffled files, and the summary says that they were picked."""
    monkeypatch.setattr(near_misses, "MOST_LOOKED_AT", 5)
    left, right = frame(ROWS), frame(right_side("fee", whole=True))
    first = reconcile(PLAN, left=left, right=right).summary
    mixed = reconcile(PLAN, left=left.sample(fraction=1, shuffle=True, seed=1), right=right.reverse()).summary
    assert first["causes"] == mixed["causes"]
    assert first["causes"][0]["rows"] < 40
    assert first["causes"][0]["blast"]["new_matches"] == 60  # of the whole file all the same
    told = "causes of breaks: of 60 and 60 open records, 5 and 5 were looked at, picked by their content"
    assert first["warnings"] == [told]


def test_what_is_too_large_is_not_tried_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the effort a cause has no blast, and beyond the size texts are not compared."""
    monkeypatch.setattr(causes, "MOST_EFFORT", 100)
    monkeypatch.setattr(causes, "MOST_RECORDS", 100)
    rows = right_side("fee", whole=False)[:-2] + right_side("case", whole=True)[-2:]
    summary = reconcile(PLAN, left=frame(ROWS[:30]), right=frame(rows[:30])).summary
    assert summary["causes"][0]["blast"]["new_matches"] == 15
    result = reconcile(PLAN, left=frame(ROWS), right=frame([(r, -a, d) for r, a, d in rows]))
    told = [(c["blast"], c["not_tried"]) for c in result.summary["causes"][:1]]
    assert told == [(None, "trying it would match 120 records again; 100 is the most for all causes")]
    assert "What it would do was not tried" in mended(result.path, 1)[1]
    texts = reconcile(PLAN, left=frame(ROWS), right=frame(right_side("case", whole=False))).summary
    assert texts["causes"] == []
    assert texts["warnings"] == ["causes of breaks: the texts of ref were not compared, the files are too large"]


records = st.lists(
    st.tuples(
        st.sampled_from(["A1", "a1", "A-1", "00A1", "B2"]),
        st.sampled_from([100, 103, 130, -100, 10_000, 70]),
        st.sampled_from([date(2026, 1, 2), date(2026, 2, 1), date(2026, 1, 8)]),
    ),
    max_size=9,
)


@settings(max_examples=8, deadline=None, phases=set(Phase) - {Phase.shrink})
@given(left=records, right=records, seed=st.integers(0, 99))
def test_causes_do_not_depend_on_the_order_of_rows_nor_on_partitions(
    left: list[Row], right: list[Row], seed: int
) -> None:
    """Shuffled files and three partitions give the same causes, and each keeps its promise."""
    frames = frame(left), frame(right)
    result = reconcile(PLAN, left=frames[0], right=frames[1])
    found = result.summary["causes"]
    order = random.Random(seed)
    shuffled = [frame(order.sample(side, len(side))) for side in (left, right)]
    assert reconcile(PLAN, left=shuffled[0], right=shuffled[1]).summary["causes"] == found
    assert reconcile(PLAN, left=frames[0], right=frames[1], partitions=3).summary["causes"] == found
    for number, cause in enumerate(found[:2], start=1):
        blast = cause["blast"]
        assert again(result, number, *frames) == blast["new_matches"] - blast["lost_matches"]


MIRRORED = ("case", "cut", "exchanged", "sign", "fee", "charge", "rounding", "window", "swap", "factor")


@pytest.mark.parametrize("kind", MIRRORED)
def test_exchanged_sides_have_the_same_causes(kind: str) -> None:
    """With left and right exchanged, and the rules' windows turned, as many rows have a cause that gains as much."""
    data = PLAN.to_data()
    data["rules"][2] = {"name": "late", "on": ["ref", "amount", {"field": "day", "days": [-3, 0]}]}
    left, right = frame(ROWS), frame(right_side(kind, whole=False))
    told = [
        [(c["rows"], c["amount"], c["blast"]) for c in reconcile(p, left=a, right=b).summary["causes"]]
        for p, a, b in ((PLAN, left, right), (Plan.build(data), right, left))
    ]
    assert told[0] == told[1]
    assert told[0]


def test_suggest_from_a_result_writes_a_plan_that_keeps_the_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command applies the best cause of a result; running its plan finds the promised matches."""
    frame(ROWS).write_csv(tmp_path / "left.csv")
    frame(right_side("fee", whole=False)).write_csv(tmp_path / "right.csv")
    plan = PLAN.with_files(left=[str(tmp_path / "left.csv")], right=[str(tmp_path / "right.csv")])
    (tmp_path / "plan.yaml").write_text(plan.to_yaml(), encoding="utf-8")
    first, second, better = tmp_path / "first", tmp_path / "second", tmp_path / "better.yaml"
    assert command_line.main(["run", str(tmp_path / "plan.yaml"), "--out", str(first)]) == 1
    capsys.readouterr()
    assert command_line.main(["suggest", "--from", str(first), "-o", str(better)]) == 0
    assert capsys.readouterr().out == (
        "cause 1 of 1: amount in Bank is less by a fee of 0.30 (60 breaks)."
        " Expected: 30 new matches, 0 lost, 0 records newly ambiguous.\n"
    )
    assert command_line.main(["run", str(better), "--out", str(second)]) == 0
    assert command_line.main(["verify", str(second)]) == 0
    assert command_line.main(["suggest", "--from", str(first)]) == 0
    printed = capsys.readouterr()
    assert "net_of" in printed.out
    assert printed.err.startswith("cause 1 of 1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["suggest"], "suggest needs the files of two sides or more, or --sides PLAN, or --from RESULT"),
        (["suggest", "a.csv", "--from", "r"], "suggest takes either the files of the sides or --from RESULT"),
        (["suggest", "a.csv", "b.csv", "--cause", "2"], "--cause goes with --from only"),
        (["suggest", "--from", "nowhere"], "nowhere: not a result directory"),
    ],
)
def test_wrong_use_of_suggest_is_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong arguments end with code 2 and a sentence."""
    assert command_line.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_cause_that_is_not_there_is_refused() -> None:
    """A number beyond the causes, and a change that does not fit the plan, are plan errors."""
    result = reconcile(PLAN, left=frame(ROWS), right=frame(ROWS))
    with pytest.raises(PlanError, match="there is no cause 1; it has none"):
        mended(result.path, 1)
    for change in ({"change": "clean", "field": "x"}, {"change": "condition", "rule": "x", "from": 1}, {"change": "?"}):
        with pytest.raises(PlanError):
            changed(PLAN, change)


REAL = Path(os.environ.get("RECON_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ledger"
ACQUIRER, BANK = REAL / "lerian_01_card_acquirer_settlement", REAL / "lerian_02_bank_statement_vs_ledger"


CARDS = (ACQUIRER / "ledger-midaz.csv", ACQUIRER / "acquirer-settlement.json.gz")
STATEMENT = (BANK / "midaz-ledger-export.json.gz", BANK / "bank-statement.csv")
CARD_DAYS, STATEMENT_DAYS = ("occurred_at", "settlement_date"), ("posted_at", "booking_date")


@pytest.mark.skipif(not REAL.exists(), reason=f"no real data in {REAL}: set RECON_REAL_DATA")
@pytest.mark.parametrize(
    ("files", "key", "amount", "days", "day", "cause"),
    [
        (CARDS, "order_id", "gross_amount", CARD_DAYS, "day", "day is 1 to 3 days apart, rule 'exact' allows none"),
        (
            CARDS,
            "order_id",
            "net_amount",
            CARD_DAYS,
            {"field": "day", "days": [0, 5]},
            "amount in Other is less by a fee of 2.9 % and 0.49",
        ),
        (STATEMENT, "reference", "amount", STATEMENT_DAYS, "day", "day is 1 day apart, rule 'exact' allows none"),
    ],
    ids=["settled later", "fees", "booked later"],
)
def test_causes_of_real_breaks_are_found_and_keep_their_promise(
    files: tuple[Path, Path], key: str, amount: str, days: tuple[str, str], day: Any, cause: str
) -> None:
    """Settlement lag and acquirer fees are named in real files, and every cause finds what it promises."""
    plan = {
        "name": "real",
        "left": {"label": "Ledger", "files": [str(files[0])]},
        "right": {"label": "Other", "files": [str(files[1])]},
        "fields": [
            {"name": key, "left": key, "right": key},
            {"name": "amount", "left": "amount", "right": amount, "type": "decimal"},
            {"name": "day", "left": days[0], "right": days[1], "type": "date"},
        ],
        "rules": [{"name": "exact", "on": [key, "amount", day]}],
    }
    result = reconcile(Plan.build(plan))
    found = result.summary["causes"]
    assert cause in [c["cause"] for c in found]
    for number, each in enumerate(found, start=1):
        if each["blast"] is not None:
            better = reconcile(mended(result.path, number)[0]).summary
            gained = better["matches"] - result.summary["matches"]
            assert gained == each["blast"]["new_matches"] - each["blast"]["lost_matches"], each


@pytest.mark.skipif(not REAL.exists(), reason=f"no real data in {REAL}: set RECON_REAL_DATA")
def test_two_causes_planted_in_real_payments_are_told_apart() -> None:
    """Half the numbers written without spaces and a tenth of the amounts with the other sign: both are named."""
    left = pl.read_csv(
        REAL / "oxford_spend_open" / "expenditure-over-500-apr-jun-2017.csv.gz",
        infer_schema=False,
        encoding="utf8-lossy",
    )
    place, amount = pl.int_range(pl.len()), pl.col("Amount")
    turned = pl.when(amount.str.starts_with("-")).then(amount.str.strip_prefix("-")).otherwise("-" + amount)
    right = left.with_columns(
        pl.when(place % 2 == 0)
        .then(pl.col("Trans No").str.replace(" - ", "-"))
        .otherwise("Trans No")
        .alias("Trans No"),
        pl.when(place % 10 == 1).then(turned).otherwise("Amount").alias("Amount"),
    )
    fields = [
        {"name": "number", "left": "Trans No", "right": "Trans No"},
        {"name": "amount", "left": "Amount", "right": "Amount", "type": "decimal"},
        {"name": "paid", "left": "Paid Date", "right": "Paid Date", "type": "date", "formats": "%d/%m/%Y"},
    ]
    rules = [{"name": "exact", "on": ["number", "amount", "paid"]}]
    sides = {"left": {"label": "Council"}, "right": {"label": "Bank"}}
    result = reconcile(
        Plan.build({"name": "oxford", **sides, "fields": fields, "rules": rules}), left=left, right=right
    )
    told = [(c["cause"], c["rows"]) for c in result.summary["causes"][:2]]
    assert told == [("number agrees after alphanumeric", 4052), ("amount has the opposite sign", 812)]
    assert [again(result, n, left, right) for n in (1, 2)] == [2026, 406]
