"""Re-checks every match of a result against its rule, on the values in the files alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import polars as pl

from recon_engine.matching.conditions import CLOSE, weight, with_likeness
from recon_engine.matching.total_window import TotalWindow
from recon_engine.plan import SIDES, Condition, Plan, Rule, SideName
from recon_engine.verification.checks import PLACE, Check, as_text, how_many, is_tie
from recon_engine.verification.values import all_hold, rarities, values

_ROUNDING, _LINKED_ROUNDING = 1e-9, 1e-6


def matches_hold(folder: Path, plan: Plan) -> list[Check]:
    """Per rule: every match satisfies every condition, and no record is in two matches."""
    matches = pl.scan_parquet(folder / "matches.parquet").with_columns(as_text("side", "source", "rule"))
    twice = matches.group_by("side", "source", "row").len().filter(pl.col("len") > 1).select(pl.len())
    repeated = int(twice.collect(engine="streaming").item())
    told = f"{repeated} records are in two matches" if repeated else "none in two"
    checks = [Check("one match a record", repeated == 0, told)]
    strange = set(matches.select(pl.col("rule").unique()).collect()["rule"]) - {rule.name for rule in plan.rules}
    if strange:
        named = ", ".join(sorted(map(str, strange)))
        checks.append(Check("rules", False, f"matches name rules that the plan has not: {named}"))
    return checks + [
        _rule_holds(folder, plan, rule, matches.filter(pl.col("rule") == rule.name)) for rule in plan.rules
    ]


def _rule_holds(folder: Path, plan: Plan, rule: Rule, matches: pl.LazyFrame) -> Check:
    total = int(matches.select(pl.col("match_id").n_unique()).collect(engine="streaming").item())
    faults = _faults(folder, plan, rule, matches)
    bad, what = next(((bad, what) for bad, what in faults if bad), (0, ""))
    return Check(f"rule '{rule.name}'", not bad, f"{bad} {what}" if bad else f"{total} matches, every condition holds")


def _faults(folder: Path, plan: Plan, rule: Rule, matches: pl.LazyFrame) -> Iterator[tuple[int, str]]:
    """How many things are wrong with the rule's matches, and what, one kind after the other."""
    if rule.link is not None:
        yield _unlinked(folder, rule, matches), "pairs do not have the evidence that the rule asks, or another score"
    else:
        sides = SIDES if rule.net is None else (rule.net, rule.net)
        unfitting, misscored = _unfitting(folder, plan, rule, matches, sides)
        yield unfitting, "records do not satisfy the rule they are matched by"
        yield misscored, "matches have another score than their values give"
    if rule.total is not None and rule.net is None:
        decided = matches.filter(~is_tie(rule))
        yield _wrong_totals(folder, plan, rule, decided), "matches do not add up as the rule asks"
    yield _misshapen(rule, matches), "matches have records or an outcome that the rule does not allow"


def _misshapen(rule: Rule, matches: pl.LazyFrame) -> int:
    """Matches with other numbers of records than the rule's cardinality, or an outcome that it cannot give."""
    is_left, outcome = pl.col("side") == "left", as_text("outcome")
    shape = matches.group_by("match_id").agg(
        left=is_left.sum(), right=(~is_left).sum(), tie=is_tie(rule).all(), outcomes=outcome.n_unique(),
        confirmed=(outcome == "confirmed").any(),
    )  # fmt: skip
    left, right = pl.col("left"), pl.col("right")
    chosen = left + right > 1
    if rule.net is not None:
        fits, chosen = (pl.col(rule.net) == 2) & (left + right == 2), chosen & (pl.col(rule.net) == left + right)
    else:
        one = {"one_to_one": (True, True), "one_to_many": (True, False), "many_to_one": (False, True)}
        alone = one.get(rule.cardinality, (False, False))
        fits = reduce(
            lambda a, b: a & b, (n == 1 if is_one else n >= 1 for n, is_one in zip((left, right), alone, strict=True))
        )
    fits = (fits | (pl.col("tie") & chosen)) & (pl.col("outcomes") == 1)
    if rule.outcome == "suggested":
        fits &= ~pl.col("confirmed")
    return how_many(shape.filter(~fits))


def _unfitting(
    folder: Path, plan: Plan, rule: Rule, matches: pl.LazyFrame, sides: tuple[SideName, SideName]
) -> tuple[int, int]:
    """Records that satisfy the rule's conditions, its total apart, with no other record of their match; and pairs with
    another score than their values give.
    """
    netted = rule.total.field if rule.total is not None else None
    tie, is_net = is_tie(rule), sides[0] == sides[1]
    rule = _turned(rule) if is_net else rule
    conditions = [c for c in rule.on if not c.total]
    frames, idle = [], 0
    for prefix, side in zip("lr", sides, strict=True):
        told = [pl.col("score").alias(f"{prefix}.score"), tie.alias(f"{prefix}.tie")]
        frame = matches.filter(pl.col("side") == side).select("match_id", "source", "row", *told)
        valued = frame.join(values(folder / f"{side}.parquet", plan, rule, side, prefix), on=PLACE, how="left")
        if is_net:
            amount = pl.col(f"{prefix}.{netted}")
            idle += how_many(valued.filter((amount == 0).fill_null(True))) if prefix == "l" else 0
            valued = valued.filter(amount > 0 if prefix == "l" else amount < 0)
        frames.append(valued.rename({"row": f"{prefix}.row", "source": f"{prefix}.source"}))
    pairs = frames[0].join(frames[1], on="match_id", how="full", coalesce=True)
    if any(c.is_text for c in conditions):
        known = rarities({s: folder / f"{s}.parquet" for s in SIDES}, plan, rule)
        pairs = with_likeness(pairs.collect(engine="streaming"), rule, known).lazy()
    judged = pairs.with_columns(ok=all_hold(plan, conditions))
    is_pair = rule.cardinality == "one_to_one" and rule.total is None
    scored = _misscored(plan, rule) if is_pair and not is_net else pl.lit(False)
    failing, misscored = judged.select((~pl.col("ok")).sum(), scored.sum()).collect(engine="streaming").row(0)
    # In a match of many, each record must satisfy the rule with one of the others.
    loose = [
        judged.group_by("match_id", f"{prefix}.source", f"{prefix}.row").agg(pl.col("ok").any()).filter(~pl.col("ok"))
        for prefix in "lr"
    ]
    return idle + sum(map(how_many, loose if failing else [])), int(misscored)


def _misscored(plan: Plan, rule: Rule) -> pl.Expr:
    """True where a pair's score, told on both its records, is not how close its values are."""
    close = weight(plan, rule) / (CLOSE * len(rule.on))
    apart = [(pl.col(f"{prefix}.score").fill_null(-1) - close).abs() > _ROUNDING for prefix in "lr"]
    return (pl.any_horizontal(apart) & ~pl.col("l.tie")).fill_null(False)


def _turned(rule: Rule) -> Rule:
    """A netting rule as a rule on pairs of the same side: plus against minus."""
    turn: dict[str, object] = {"total": False, "sign": "opposite"}
    return rule.model_copy(update={"on": tuple(c.model_copy(update=turn) if c.total else c for c in rule.on)})


def _wrong_totals(folder: Path, plan: Plan, rule: Rule, matches: pl.LazyFrame) -> int:
    """Matches whose sums do not fit each other."""
    assert rule.total is not None
    spec = plan.field(rule.total.field)
    sums = []
    for prefix, side in zip("lr", SIDES, strict=True):
        frame = matches.filter(pl.col("side") == side).select("match_id", "source", "row")
        one = Rule(name=rule.name, on=(Condition(field=spec.name),))
        valued = frame.join(values(folder / f"{side}.parquet", plan, one, side, prefix), on=PLACE, how="left")
        sums.append(valued.group_by("match_id").agg(pl.col(f"{prefix}.{spec.name}").sum()))
    both = sums[0].join(sums[1], on="match_id", how="full", coalesce=True).collect(engine="streaming").fill_null(0)
    window = TotalWindow.of(spec, rule.total)
    columns = both[f"l.{spec.name}"].to_list(), both[f"r.{spec.name}"].to_list()
    return sum(not window.fits(left, right) for left, right in zip(*columns, strict=True))


def _unlinked(folder: Path, rule: Rule, matches: pl.LazyFrame) -> int:
    """Records of linked matches whose pairs' weights, one for each field, do not add up to the probability that the
    rule asks; where a match is of two, to its score.
    """
    assert rule.link is not None
    weights = pl.scan_parquet(folder / "weights.parquet")
    fields = sorted({*rule.link.fields, "prior"})
    evidence = weights.group_by("match_id", "left_row", "right_row").agg(pl.col("bits").sum(), pl.col("field").sort())
    probable = 1 / (1 + (-pl.col("bits") * pl.lit(2.0).log()).exp())
    enough = evidence.filter(
        probable >= rule.link.probability - _LINKED_ROUNDING,
        pl.col("field") == pl.lit(fields, dtype=pl.List(pl.String)),
    ).select("match_id", "left_row", "right_row", probable=probable)
    if rule.cardinality == "one_to_one":
        scores = matches.filter(~is_tie(rule)).select("match_id", "score").unique()
        other = scores.join(enough, on="match_id").filter(
            (pl.col("score") - pl.col("probable")).abs() > _LINKED_ROUNDING
        )
        enough = enough.join(other, on="match_id", how="anti")
    missing = [
        matches.filter(pl.col("side") == side).join(
            enough, left_on=["match_id", "row"], right_on=["match_id", column], how="anti"
        )
        for side, column in zip(SIDES, ("left_row", "right_row"), strict=True)
    ]
    return sum(how_many(m) for m in missing)
