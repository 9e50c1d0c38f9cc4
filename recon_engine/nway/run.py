"""Runs a plan of named sides: reads each side once, links them pair by pair, joins the links, writes the result."""

from __future__ import annotations

import json
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recon_engine.evidence import write_manifest
from recon_engine.execution.local import OnProgress, Progress, tell_nobody, whole
from recon_engine.hashing import hash_file
from recon_engine.nway.breaks import breaks_table
from recon_engine.nway.groups import COMPLETE, INCOMPLETE, MEMBERS_SCHEMA, NETTED, NODES_SCHEMA, Groups, joined
from recon_engine.nway.linking import Sides
from recon_engine.nway.plan import SidesPlan
from recon_engine.nway.tables import matches_table, pair_breaks, write_links, write_pair_tables
from recon_engine.outcome import conservation
from recon_engine.outcome.breaks import duplicates_counted, duplicates_table
from recon_engine.outcome.causes import MOST_CAUSES
from recon_engine.outcome.matches import MATCHED, OUTCOME, SUGGESTED

_FATES = {COMPLETE: "complete", INCOMPLETE: "incomplete", NETTED: "netted"}


def run_sides(
    plan: SidesPlan, out: Path, partitions: int | None = None, on_progress: OnProgress = tell_nobody
) -> dict[str, Any]:
    """Runs `plan` and writes the result directory `out`, which exists only when it is whole. Returns the summary.

    `partitions`: more than 1 runs out of core, in that many partitions on disk; None takes as many as memory asks.
    Raises ReconError for a wrong plan or input; then nothing is left behind.
    """
    return whole(out, partitions, lambda work: _run(plan, work, partitions, on_progress))


def _run(plan: SidesPlan, work: Path, partitions: int | None, on_progress: OnProgress) -> dict[str, Any]:
    started, out = time.perf_counter(), work / "result"

    def tell(progress: Progress) -> None:
        on_progress(Progress(progress.stage, progress.done, progress.total, progress.rule, _since(started)))

    with ThreadPoolExecutor(1) as pool:
        files = dict.fromkeys(f for side in plan.sides for f in side.files)
        hashes = {f: pool.submit(hash_file, Path(f)) for f in files if Path(f).is_file()}
        sides = Sides(plan, work, partitions, tell)
        summary = answer(sides, out, tell)
        inputs = {name: future.result() for name, future in hashes.items()}
    tell(Progress("evidence", 0, 1, None, 0.0))
    (out / "plan.yaml").write_text(sides.plan.to_yaml(), encoding="utf-8")
    summary["seconds"] = _since(started)
    summary["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (out / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    facts = {name: side.facts for name, side in zip(sides.names, sides.staged, strict=True)}
    write_manifest(out, sides.plan, inputs, facts, sides.partitions)
    tell(Progress("evidence", 1, 1, None, 0.0))
    return summary


def answer(sides: Sides, out: Path, tell: OnProgress) -> dict[str, Any]:
    """Links and joins the sides and writes the tables of a result into the folder `out`; returns the summary."""
    return _Joined(sides, out).summary(tell)


class _Joined:
    """The pairs' runs, joined to one result."""

    def __init__(self, sides: Sides, out: Path) -> None:
        self.sides, self.plan, self.names, self.out = sides, sides.plan, sides.names, out
        self.folders: list[Path] = []
        self.firsts: list[int] = []
        self.told: list[dict[str, Any]] = []
        self.suggested = pl.DataFrame(schema={"link": pl.UInt32})

    def summary(self, tell: OnProgress) -> dict[str, Any]:
        """Links, joins, writes the tables; returns the summary."""
        groups = self._with_netted(joined(self._members(), self.sides.ids(), len(self.names)))
        tell(Progress("explain", 0, 1, None, 0.0))
        nodes = self._settled(groups)
        of_sides = self.sides.of_sides()
        places = self.sides.places(of_sides)
        numbers = groups.links.join(nodes.drop_nulls("match_id").select("group", "match_id").unique(), on="group")
        numbers = numbers.select("link", "match_id")
        pairs = list(self.plan.pairs)
        weakest = self._with_rules_of_netted(
            nodes, write_links(self.folders, self.plan, self.names, numbers, self.firsts, self.out)
        )
        matched = matches_table(nodes.drop_nulls("match_id"), self.names, places, weakest)
        matched.write_parquet(self.out / "matches.parquet", compression="zstd", compression_level=1)
        different = write_pair_tables(self.folders, pairs, self.names, numbers, self.firsts, self.out)
        unmatched = self._unmatched(nodes)
        why = pair_breaks(self.folders, pairs, self.names, places, self.sides.first)
        titles = [self.plan.side(name).title for name in self.names]
        broken = breaks_table(unmatched, why, self.names, titles, places, self.sides.excluded(), self.sides.netted.ties)
        broken.write_parquet(self.out / "breaks.parquet")
        twins = duplicates_table(self.sides.duplicates, dict(zip(self.names, of_sides, strict=True)))
        twins.write_parquet(self.out / "duplicates.parquet")
        rejected = pl.concat([side.rejected for side in self.sides.staged]).sort("side", "source", "row")
        rejected.write_parquet(self.out / "rejected.parquet")
        tell(Progress("explain", 1, 1, None, 0.0))
        return self._summary(nodes, broken, different)

    def _members(self) -> pl.DataFrame:
        """All links of all pairs, numbered through."""
        found, links, rules = [pl.DataFrame(schema=MEMBERS_SCHEMA)], 0, len(self.plan.netting_rules)
        for number, (pair, its_rules) in enumerate(self.plan.pairs.items()):
            run, told = self.sides.link(pair, number, rules)
            found.append(run.members.with_columns(link=(pl.col("link") + links).cast(pl.UInt32)))
            self.folders.append(run.out)
            self.firsts.append(links)
            self.told.append({"between": list(pair), **told})
            links += told["matches"]
            rules += len(its_rules)
        every = pl.concat(found)
        self.suggested = every.filter("suggested").select("link").unique()
        return every

    def _with_netted(self, groups: Groups) -> Groups:
        """The groups, and with them the matches of one side alone: no link is in both."""
        alone = self.sides.netted.matches.with_columns(fate=pl.lit(NETTED, dtype=pl.UInt8))
        return Groups(pl.concat([groups.nodes, alone.select(*NODES_SCHEMA)]).sort("node"), groups.links)

    def _with_rules_of_netted(self, nodes: pl.DataFrame, weakest: pl.DataFrame) -> pl.DataFrame:
        """By match_id what stands beside its records: of its weakest link, or of the rule that netted it."""
        numbers = nodes.select("node", "match_id")
        told = self.sides.netted.matches.join(numbers, on="node").unique("match_id", maintain_order=True)
        return pl.concat([weakest, told.select(pl.col(c).cast(t) for c, t in weakest.schema.items())])

    def _settled(self, groups: Groups) -> pl.DataFrame:
        """The groups' nodes, with match_id and outcome where the group is a match."""
        counted = [COMPLETE, NETTED] if self.plan.incomplete == "break" else [COMPLETE, NETTED, INCOMPLETE]
        found = groups.nodes.filter(pl.col("fate").is_in(counted))
        alone = self.sides.netted.matches.filter("suggested").select("group")
        suggested = pl.concat([self.suggested.join(groups.links, on="link").select("group"), alone]).unique()
        if self.plan.incomplete == "suggest":
            suggested = pl.concat([suggested, found.filter(pl.col("fate") == INCOMPLETE).select("group")]).unique()
        numbered = found.select("group").unique().sort("group").with_row_index("match_id", offset=1)
        outcome = pl.when(pl.col("group").is_in(suggested["group"].implode())).then(1).otherwise(0)
        numbered = numbered.with_columns(
            pl.col("match_id").cast(pl.Int64), outcome=outcome.cast(pl.UInt8).cat.to(OUTCOME)
        )
        return groups.nodes.join(numbered, on="group", how="left")

    def _unmatched(self, nodes: pl.DataFrame) -> pl.DataFrame:
        """Node, side, group and fate of every record that is in no match."""
        first = self.sides.first
        is_linked = np.zeros(first[-1], dtype=np.bool_)
        is_linked[nodes["node"].to_numpy()] = True
        lone = pl.DataFrame({"node": np.flatnonzero(~is_linked).astype(np.uint32)})
        side = np.searchsorted(np.array(first[1:]), lone["node"].to_numpy(), side="right")
        fate = pl.lit(INCOMPLETE, dtype=pl.UInt8)
        lone = lone.with_columns(side=pl.Series(side, dtype=pl.UInt8), group="node", fate=fate)
        return pl.concat([nodes.filter(pl.col("match_id").is_null()).select(lone.columns), lone]).sort("node")

    def _summary(self, nodes: pl.DataFrame, broken: pl.DataFrame, different: int) -> dict[str, Any]:
        plan, sides = self.plan, self.sides
        rows, sums = {}, {}
        for number, (name, side) in enumerate(zip(self.names, sides.staged, strict=True)):
            state = np.zeros(side.rows, dtype=np.uint8)
            mine = nodes.filter(pl.col("side") == number).drop_nulls("match_id")
            states = np.where((mine["outcome"] == "suggested").to_numpy(), SUGGESTED, MATCHED)
            state[mine["node"].to_numpy() - sides.first[number]] = states
            rows[name] = conservation.counts(side.read, pl.Series(state), side.rejected.height)
            sums[name] = conservation.totals(
                plan.side_plan(name), "left", side.records(), pl.Series(state), side.rejected_values
            )
        missing = broken["missing"].str.split(", ").explode().value_counts() if broken.height else None
        missed = dict(missing.iter_rows()) if missing is not None else {}
        order = [side.name for side in plan.sides]
        twins = duplicates_counted(sides.duplicates)
        warnings = [*sides.warnings, *(w for told in self.told for w in told["warnings"])]
        return {
            "name": plan.name,
            "sides": {name: plan.side(name).title for name in order},
            "rows": {name: rows[name] for name in order},
            "totals": {name: sums[name] for name in order},
            "rules": [
                *sides.netted.rules,
                *({"between": told["between"], **rule} for told in self.told for rule in told["rules"]),
            ],
            "matches": nodes["match_id"].n_unique() - nodes["match_id"].has_nulls(),
            "links": sum(told["matches"] for told in self.told),
            "together": self._together(nodes),
            "differences": different,
            "breaks": dict(broken.group_by("category").len().sort("category").iter_rows()),
            "duplicates": {name: twins[name] for name in order if name in twins},
            "missing": {name: missed[name] for name in order if name in missed},
            "causes": _ranked([_cause(told["between"], cause) for told in self.told for cause in told["causes"]]),
            "conserved": all(conservation.conserved(rows[name], sums[name]) for name in order),
            "warnings": list(dict.fromkeys(warnings)),
        }

    def _together(self, nodes: pl.DataFrame) -> list[dict[str, Any]]:
        """How many groups each set of sides makes, and what they are: the most first."""
        kind = pl.col("fate").replace_strict(_FATES, default="ambiguous", return_dtype=pl.String)
        groups = nodes.group_by("group").agg(pl.col("side").unique().sort().alias("sides"), kind.first().alias("kind"))
        counted = (
            groups.group_by("sides", "kind")
            .agg(groups=pl.len())
            .sort("groups", "sides", "kind", descending=[True, False, False])
        )
        return [{**row, "sides": [self.names[k] for k in row["sides"]]} for row in counted.iter_rows(named=True)]


def _ranked(causes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that explain most first, over all sides; of equal ones, as each two sides rank theirs."""
    return sorted(causes, key=lambda cause: -cause["rows"])[:MOST_CAUSES]


def _cause(between: list[str], cause: dict[str, Any]) -> dict[str, Any]:
    """A cause of two sides' breaks, with these named: also by the rule that it would add."""
    change = cause["change"]
    added = {"rule": {**change["rule"], "between": between}} if change["change"] == "rule" else {}
    return {"between": between, **cause, "change": {**change, **added}}


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
