"""Re-checks the joining of a run over named sides from its files alone: every link by its rule, every match by its
links.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl

from recon_engine.nway.groups import several_of_a_side
from recon_engine.nway.plan import Pair, SidesPlan
from recon_engine.predicates import Check, predicates


def joins(folder: Path, plan: SidesPlan) -> list[Check]:
    """Every link satisfies its rule; every match hangs together by links, and has the sides that it must have."""
    links = pl.scan_parquet(folder / "links.parquet").with_columns(pl.col("end", "side", "source").cast(pl.String))
    pairs = pl.Series(["|".join(sorted(pair)) for pair in plan.pairs])
    strange = _pair_of(links).filter(~pl.col("pair").is_in(pairs.implode())).select(pl.len())
    wrong = int(strange.collect(engine="streaming").item())
    checks = [Check("links", wrong == 0, _told(wrong, "links are between sides that no rule looks at"))]
    for pair in plan.pairs:
        checks += [
            Check(f"{pair[0]}-{pair[1]} {check.name}", check.holds, check.detail)
            for check in _pair_holds(folder, plan, pair, links)
        ]
    return [*checks, *_matches_hold(folder, plan, links)]


def _pair_holds(folder: Path, plan: SidesPlan, pair: Pair, links: pl.LazyFrame) -> list[Check]:
    """The links of a pair as a two-sided result: its matches, by the two-sided checks."""
    mine = _pair_of(links).filter(pl.col("pair") == "|".join(sorted(pair))).select("link_id")
    rows = (
        links.join(mine, on="link_id", how="semi")
        .drop("match_id", "side")
        .rename({"link_id": "match_id", "end": "side"})
    )
    with tempfile.TemporaryDirectory(prefix="recon-verify-") as temporary:
        view = Path(temporary)
        for end, name in zip(("left", "right"), pair, strict=True):
            (view / f"{end}.parquet").symlink_to((folder / f"{name}.parquet").resolve())
        rows.sink_parquet(view / "matches.parquet")
        weights = pl.scan_parquet(folder / "weights.parquet").drop("match_id").rename({"link_id": "match_id"})
        weights.sink_parquet(view / "weights.parquet")
        return predicates(view, plan.pair_plan(*pair))


def _pair_of(links: pl.LazyFrame) -> pl.LazyFrame:
    """Per link the two sides that it links."""
    return links.group_by("link_id").agg(pl.col("side").unique().sort().str.join("|").alias("pair"))


def _matches_hold(folder: Path, plan: SidesPlan, links: pl.LazyFrame) -> list[Check]:
    names = [side.name for side in plan.sides]
    key = ["side", "source", "row"]
    told = pl.scan_parquet(folder / "matches.parquet").select(
        "match_id", pl.col("side", "source").cast(pl.String), "row", pl.col("outcome").cast(pl.String)
    )
    matches = told.collect(engine="streaming")
    nodes = matches.select(key).unique().with_row_index("node")
    held = links.drop_nulls("match_id").select("link_id", "match_id", *key).collect(engine="streaming")
    members = held.join(nodes, on=key, how="left").join(matches.select(*key, of="match_id"), on=key, how="left")
    strange = members.filter(pl.col("of").is_null() | (pl.col("of") != pl.col("match_id"))).height
    loose = matches.join(held, on=["match_id", *key], how="anti").height
    checks = [
        Check(
            "links of matches", strange + loose == 0, _told(strange + loose, "records are in a match without its links")
        ),
        _connected(matches, members),
    ]
    number = pl.col("side").replace_strict({n: k for k, n in enumerate(names)}, default=None, return_dtype=pl.UInt8)
    sided = members.join(_pair_of(members.lazy()).collect(), on="link_id").select(
        number, "node", "pair", link="link_id", group="match_id"
    )
    judged = several_of_a_side(sided)
    many = judged.filter("conflict").height
    checks.append(
        Check("records of a side", many == 0, _told(many, "matches have several records of a side that no rule allows"))
    )
    short = judged.filter(pl.col("sides") < len(names))
    if plan.incomplete == "suggest":
        short = short.join(
            matches.filter(pl.col("outcome") == "confirmed"), left_on="group", right_on="match_id", how="semi"
        )
    wrong = 0 if plan.incomplete == "match" else short.height
    checks.append(Check("sides of a match", wrong == 0, _told(wrong, "matches lack a side")))
    return [*checks, _missing_named(folder, plan)]


def _connected(matches: pl.DataFrame, members: pl.DataFrame) -> Check:
    """Whether the links of each match hold all its records together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = int(matches.height)
    known = members.drop_nulls("node")
    heads = known.select("node", first=pl.col("node").min().over("link_id"))
    edges = (heads["node"].to_numpy(), heads["first"].to_numpy())
    graph = coo_array(([1] * heads.height, edges), shape=(size, size))
    parts, _ = connected_components(graph, directed=False)
    apart = parts - matches["match_id"].n_unique()
    return Check("matches hang together", apart == 0, _told(abs(apart), "matches fall apart, or hang on each other"))


def _missing_named(folder: Path, plan: SidesPlan) -> Check:
    """Breaks name sides of the plan, and never their own."""
    breaks = pl.scan_parquet(folder / "breaks.parquet").select(
        pl.col("side").cast(pl.String), pl.col("missing").str.split(", ")
    )
    names = [side.name for side in plan.sides]
    strange = pl.col("missing").list.eval(~pl.element().is_in(names) & (pl.element() != "")).list.any()
    own = pl.col("missing").list.contains(pl.col("side"))
    wrong = int(breaks.filter(strange | own).select(pl.len()).collect(engine="streaming").item())
    return Check("missing sides", wrong == 0, _told(wrong, "breaks name sides that cannot be missing"))


def _told(wrong: int, what: str) -> str:
    return f"{wrong} {what}" if wrong else "as they must be"
