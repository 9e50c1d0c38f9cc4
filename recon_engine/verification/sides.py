"""Re-checks the joining of a run over named sides from its files alone: every link by its rule, every match by its
links, or by the rule that netted it.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recon_engine.matching.connected import lowest
from recon_engine.nway.groups import several_of_a_side
from recon_engine.nway.plan import Pair, SidesPlan
from recon_engine.plan import Plan
from recon_engine.verification.checks import Check, as_text, how_many
from recon_engine.verification.differences import differences_hold
from recon_engine.verification.matches import matches_hold


def joins(folder: Path, plan: SidesPlan) -> list[Check]:
    """Every link satisfies its rule; every match hangs together by links, and has the sides that it must have; what is
    netted satisfies its rule, and is in no link.
    """
    bit = {side.name: 1 << number for number, side in enumerate(plan.sides)}
    links = pl.scan_parquet(folder / "links.parquet").with_columns(as_text("end", "side", "outcome"))
    links = links.with_columns(bit=pl.col("side").replace_strict(bit, default=0, return_dtype=pl.UInt32))
    # A link's pair, by the bits of its two sides; 0 where a record stands on another side than its end says.
    ends = pl.concat_str("end", pl.lit(" "), "side")
    pairs = {bit[left] | bit[right]: (left, right) for left, right in plan.pairs}
    found = links.group_by("link_id").agg(pl.col("bit").bitwise_or().alias("pair"), ends.unique().alias("ends"))
    told = pl.DataFrame(
        {"pair": list(pairs), "right": [sorted((f"left {a}", f"right {b}")) for a, b in pairs.values()]}
    )
    found = found.join(told.lazy().with_columns(pl.col("pair").cast(pl.UInt32)), on="pair", how="left")
    pair_of = found.select("link_id", pair=pl.when(pl.col("ends").list.sort() == pl.col("right")).then("pair"))
    known = pair_of.collect(engine="streaming")
    wrong = known["pair"].null_count()
    checks = [_none("links", wrong, "links are between sides that no rule looks at")]
    for number, pair in pairs.items():
        mine = links.join(known.lazy().filter(pl.col("pair") == number), on="link_id", how="semi")
        checks += [
            Check(f"{pair[0]}-{pair[1]} {check.name}", check.holds, check.detail)
            for check in _pair_holds(folder, plan, pair, mine)
        ]
    checks += [*_groups_hold(folder, plan, links, known), _missing_named(folder, plan)]
    return checks + _netted_hold(folder, plan, links)


def _pair_holds(folder: Path, plan: SidesPlan, pair: Pair, links: pl.LazyFrame) -> list[Check]:
    """The links of a pair as a two-sided result: its matches, by the two-sided checks."""
    rows = links.drop("match_id", "side", "bit").rename({"link_id": "match_id", "end": "side"})
    with tempfile.TemporaryDirectory(prefix="recon-verify-") as temporary:
        view = Path(temporary)
        for end, name in zip(("left", "right"), pair, strict=True):
            (view / f"{end}.parquet").symlink_to((folder / f"{name}.parquet").resolve())
        rows.sink_parquet(view / "matches.parquet")
        weights = pl.scan_parquet(folder / "weights.parquet").drop("match_id").rename({"link_id": "match_id"})
        weights.sink_parquet(view / "weights.parquet")
        sides = as_text("left_side", "right_side")
        differences = pl.scan_parquet(folder / "differences.parquet").with_columns(sides)
        mine = differences.filter(pl.col("left_side") == pair[0], pl.col("right_side") == pair[1])
        mine.drop("match_id", strict=False).rename({"link_id": "match_id"}).sink_parquet(view / "differences.parquet")
        two = plan.pair_plan(*pair)
        checks = matches_hold(view, two)
        # Differences are told of the links of matches only.
        settled = links.drop_nulls("match_id").drop("match_id", "side", "bit")
        settled.rename({"link_id": "match_id", "end": "side"}).sink_parquet(view / "matches.parquet")
        return [*checks, differences_hold(view, two)]


def summary_holds(folder: Path, plan: SidesPlan, summary: dict[str, Any]) -> Check:
    """What the summary tells of rules, matches, links, breaks and differences is what the tables hold."""
    rule, category = (pl.col(name).cast(pl.String).alias("what") for name in ("rule", "category"))
    tables = {n: pl.scan_parquet(folder / f"{n}.parquet") for n in ("links", "matches", "breaks", "differences")}
    links, netted, breaks, matches, differences = pl.collect_all(
        [
            tables["links"].group_by(rule).agg(pl.col("link_id").n_unique()),
            tables["matches"].filter(_is_netted(plan)).group_by(rule).agg(pl.col("match_id").n_unique()),
            tables["breaks"].group_by(category).len(),
            tables["matches"].select(pl.col("match_id").n_unique()),
            tables["differences"].select(pl.len()),
        ],
        engine="streaming",
    )
    rules = Counter[str]()  # a rule between several pairs of sides is told of once for each
    for each in summary["rules"]:
        rules[each["name"]] += each["matches"]
    held = {
        "name": plan.name,
        "rules": dict.fromkeys(rules, 0) | dict([*links.rows(), *netted.rows()]),
        "links": int(links["link_id"].sum()),
        "matches": matches.item(),
        "breaks": dict(breaks.iter_rows()),
        "differences": differences.item(),
        "conserved": True,
    }
    told = {**summary, "rules": dict(rules)}
    wrong = [name for name, value in held.items() if told[name] != value]
    return Check(
        "summary", not wrong, f"says otherwise than the tables: {', '.join(wrong)}" if wrong else "as the tables"
    )


def _groups_hold(folder: Path, plan: SidesPlan, links: pl.LazyFrame, pair_of: pl.DataFrame) -> list[Check]:
    numbers = {side.name: number for number, side in enumerate(plan.sides)}
    number = as_text("side").replace_strict(numbers, default=None, return_dtype=pl.UInt8)
    key = ["side", "source", "row"]
    place = (number.alias("side"), as_text("source"), "row", as_text("outcome"))
    told = pl.scan_parquet(folder / "matches.parquet").filter(~_is_netted(plan))
    told = told.select("match_id", *place)
    matches = told.collect(engine="streaming").with_row_index("node")
    held = links.drop_nulls("match_id").select("link_id", "match_id", *place).collect(engine="streaming")
    of = matches.select(*key, "node", of="match_id", settled="outcome")
    members = held.join(of, on=key, how="left").join(pair_of, on="link_id")
    strange = members.filter(pl.col("of").is_null() | (pl.col("of") != pl.col("match_id"))).height
    loose = matches.height - members["node"].drop_nulls().n_unique()
    wavering = members.filter((pl.col("settled") == "confirmed") & (pl.col("outcome") == "suggested")).height
    judged = several_of_a_side(members.select("side", "node", "pair", link="link_id", group="match_id"))
    many = judged.filter("conflict").height
    short = judged.filter(pl.col("sides") < len(numbers))
    if plan.incomplete == "suggest":
        sure = matches.filter(pl.col("outcome") == "confirmed")
        short = short.join(sure, left_on="group", right_on="match_id", how="semi")
    lacking = 0 if plan.incomplete == "match" else short.height
    return [
        _none("links of matches", strange + loose, "records are in a match without its links"),
        _connected(matches, members),
        _none("confirmed matches", wavering, "records of suggested links are in confirmed matches"),
        _none("records of a side", many, "matches have several records of a side that no rule allows"),
        _none("sides of a match", lacking, "matches lack a side"),
    ]


def _connected(matches: pl.DataFrame, members: pl.DataFrame) -> Check:
    """Whether the links of each match hold all its records together."""
    known = members.drop_nulls("node")
    heads = known.select("node", first=pl.col("node").min().over("link_id"))
    groups = lowest(heads["first"].to_numpy(), heads["node"].to_numpy(), matches.height)
    apart = len(np.unique(groups)) - matches["match_id"].n_unique()
    return _none("matches hang together", abs(apart), "matches fall apart, or hang on each other")


def _is_netted(plan: SidesPlan) -> pl.Expr:
    """True for records of matches that rules found inside one side."""
    return as_text("rule").is_in([rule.name for rule in plan.netting_rules])


def _netted_hold(folder: Path, plan: SidesPlan, links: pl.LazyFrame) -> list[Check]:
    """What cancels out inside a side: each match by its rule, of that side alone, and of records that no link holds."""
    if not plan.netting_rules:
        return []
    place = ["side", "source", "row"]
    every = pl.scan_parquet(folder / "matches.parquet").with_columns(as_text("side", "source", "rule"))
    netted = every.filter(_is_netted(plan))
    mixed = netted.join(every.filter(~_is_netted(plan)), on="match_id", how="semi")
    linked = netted.join(links.with_columns(as_text("source")), on=place, how="semi")
    counted = [how_many(rows) for rows in (mixed, linked)]
    checks = [_none("netted records", sum(counted), "netted records are linked or matched with others")]
    for name in plan.labels:
        if (alone := plan.net_plan(name)) is not None:
            mine = netted.filter(pl.col("rule").is_in([rule.name for rule in alone.rules]))
            checks += [Check(f"{name} {c.name}", c.holds, c.detail) for c in _side_holds(folder, alone, name, mine)]
    return checks


def _side_holds(folder: Path, alone: Plan, name: str, netted: pl.LazyFrame) -> list[Check]:
    """What is netted in a side as a two-sided result with nobody on the right, by the two-sided checks."""
    end = pl.when(pl.col("side") == name).then(pl.lit("left")).otherwise(pl.lit("right"))
    with tempfile.TemporaryDirectory(prefix="recon-verify-") as temporary:
        view = Path(temporary)
        (view / "left.parquet").symlink_to((folder / f"{name}.parquet").resolve())
        pl.scan_parquet(view / "left.parquet").clear().sink_parquet(view / "right.parquet")
        netted.with_columns(side=end).sink_parquet(view / "matches.parquet")
        return matches_hold(view, alone)


def _missing_named(folder: Path, plan: SidesPlan) -> Check:
    """Breaks name sides of the plan, and never their own."""
    breaks = pl.scan_parquet(folder / "breaks.parquet").select(as_text("side"), pl.col("missing").str.split(", "))
    names = [side.name for side in plan.sides]
    strange = pl.col("missing").list.eval(~pl.element().is_in(names) & (pl.element() != "")).list.any()
    own = pl.col("missing").list.contains(pl.col("side"))
    wrong = how_many(breaks.filter(strange | own))
    return _none("missing sides", wrong, "breaks name sides that cannot be missing")


def _none(name: str, wrong: int, what: str) -> Check:
    return Check(name, wrong == 0, f"{wrong} {what}" if wrong else "as they must be")
