"""What a change of the plan would do to the whole file: matches gained and lost, records newly tied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recon_engine.matching.cascade import Decided, run_stage, stages
from recon_engine.matching.comparables import ID, at, comparable_columns, plain_value
from recon_engine.matching.conditions import Rarities
from recon_engine.matching.pairs import Pairs, PerRule
from recon_engine.matching.text_parts import rarity
from recon_engine.outcome.matches import OPEN, is_suggested, numbered_groups, states
from recon_engine.plan import SIDES, Plan
from recon_engine.plan_changes import Change, changed, first_touched

Flags = np.typing.NDArray[np.bool_]
Keys = np.typing.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished run: its plan, the typed records and the comparable columns of both sides by position, each record's
    state before the first rule, its numbered matches (pairs, groups), the ties that stayed open, each record's state,
    and the comparable open records in order of position.
    """

    plan: Plan
    records: tuple[pl.LazyFrame, pl.LazyFrame]
    comparables: tuple[pl.LazyFrame, pl.LazyFrame]
    known: Rarities
    before: tuple[PerRule, PerRule]
    pairs: Pairs
    groups: pl.DataFrame
    ties: pl.DataFrame
    state: tuple[pl.Series, pl.Series]
    still_open: tuple[pl.DataFrame, pl.DataFrame]

    def open_before(self, rule: int) -> tuple[Flags, Flags]:
        """Per side the records that the rules before number `rule` left open."""
        found = []
        for side, state in enumerate(self.before):
            flags = np.asarray(state == OPEN)
            for earlier in range(rule):
                flags &= ~self.pairs.of(earlier)[side]
            held = (pl.col("side") == side) & (pl.col("rule") < rule)
            flags[self.groups.filter(held)["i"].to_numpy()] = False
            found.append(flags)
        return found[0], found[1]


def effort(ran: Ran, change: Change) -> int:
    """How many records would be matched again."""
    first = first_touched(ran.plan, change)
    held = 2 * int(ran.pairs.counts[:first].sum()) + ran.groups.filter(pl.col("rule") < first)["i"].len()
    return sum(int((state == OPEN).sum()) for state in ran.before) - held


def blast_of(ran: Ran, change: Change) -> dict[str, int]:
    """Matches that the change adds, records that it leaves newly ambiguous, and matches that it undoes.

    Only the rules from the first one that it touches run again, on what those before left open. Matches are compared
    by the content of their records: those that the changed plan finds equal in every field are interchangeable.
    """
    plan, first = changed(ran.plan, change), first_touched(ran.plan, change)
    is_open = ran.open_before(first)
    tables = [_table(ran, plan, change, k, flags) for k, flags in enumerate(is_open)]
    known = _rarities(ran, plan, change, first)
    decided = _again(plan, first, (tables[0], tables[1]), is_open, known)
    sizes = len(is_open[0]), len(is_open[1])
    pairs = Pairs(plan, sizes)
    pairs.add(decided.matches)
    groups = numbered_groups(plan, decided.sets, decided.ties, pairs.height + 1)
    state = states(plan, pairs, groups)
    still_open = [(s == OPEN).to_numpy() & flags for s, flags in zip(state, is_open, strict=True)]
    contents = [_contents(table, k, sizes[k]) for k, table in enumerate(tables)]
    suggesting = [n for n, r in enumerate(plan.rules) if r.when_ambiguous == "suggest"]
    ties = decided.ties.filter(~pl.col("rule").is_in(suggesting) | pl.col("capped"))
    before = _matches(ran.pairs.frame(first), ran.groups.filter(pl.col("rule") >= first), contents)
    after = _matches(pairs.frame(), groups, contents)
    old_open = [(s == OPEN).to_numpy() for s in ran.state]
    # Ties of the rules that did not run again are as they were, where their records are still open.
    kept = ran.ties.filter(pl.col("rule") < first)
    tied_after = _tied(pl.concat([kept, ties.select(kept.columns)]), still_open, contents)
    return {
        "new_matches": _more(after, before),
        "new_ambiguous": _more(tied_after, _tied(ran.ties, old_open, contents)),
        "lost_matches": _more(before, after),
    }


def _table(ran: Ran, plan: Plan, change: Change, side: int, is_open: Flags) -> pl.DataFrame:
    """The open records with the comparable columns that the changed plan needs."""
    if change["change"] == "condition":
        return ran.comparables[side].filter(at(pl.Series(is_open))).collect(engine="streaming").sort("__i")
    typed = ran.records[side]
    columns = comparable_columns(_values(ran, plan), plan, SIDES[side])
    return typed.with_row_index("__i").filter(pl.Series(is_open)).select("__i", *columns).collect()


def _values(ran: Ran, plan: Plan) -> dict[str, pl.Expr]:
    """The typed value of each field; an added field shows the columns of one that was there."""
    source = {(f.left, f.right, f.type): f.name for f in reversed(ran.plan.fields)}
    names = {f.name for f in ran.plan.fields}
    return {f.name: pl.col(f.name if f.name in names else source[f.left, f.right, f.type]) for f in plan.fields}


def _again(
    plan: Plan, first: int, tables: tuple[pl.DataFrame, pl.DataFrame], is_open: tuple[Flags, Flags], known: Rarities
) -> Decided:
    """The rules from number `first` on, on the open records."""
    every = Decided()
    still = [flags.copy() for flags in is_open]
    for stage in stages(plan, {}, max(1, *(t.height for t in tables))):
        if stage.rules[0] < first:
            continue
        left, right = (t.filter(pl.Series(f[t["__i"].to_numpy()])) for t, f in zip(tables, still, strict=True))
        part = run_stage(plan, stage, left, right, known, lambda *_: None)
        for name in ("matches", "ties", "sets"):
            setattr(every, name, pl.concat([getattr(every, name), getattr(part, name)]))
        held = part.ties.filter(is_suggested(plan))
        for side, flags in enumerate(still):
            flags[part.matches["lr"[side]].to_numpy()] = False
            for records in (part.sets, held):
                flags[records.filter(pl.col("side") == side)["i"].to_numpy()] = False
    return every


def _rarities(ran: Ran, plan: Plan, change: Change, first: int) -> Rarities:
    """The rarity of words, over both whole files: known already, or of a text that is cleaned otherwise now."""
    cleaned_again = change["field"] if change["change"] == "clean" else None
    wanted = {(c.field, c.similarity) for r in plan.rules[first:] for c in r.on if c.similarity is not None}
    known = dict(ran.known)
    for name, method in sorted(wanted):
        if (name, method) in known and name != cleaned_again:
            continue
        texts = [
            typed.select(plain_value(_values(ran, plan)[name], plan.field(name), side)).collect().to_series()
            for side, typed in zip(SIDES, ran.records, strict=True)
        ]
        known[name, method] = rarity(texts, method)
    return known


def _contents(table: pl.DataFrame, side: int, size: int) -> Keys:
    """By position, a fingerprint of each record's side and content as the changed plan compares it."""
    contents = np.zeros(size, dtype=np.uint64)
    contents[table["__i"].to_numpy()] = table[ID].hash(side + 1).to_numpy()
    return contents


def _matches(pairs: pl.DataFrame, groups: pl.DataFrame, contents: list[Keys]) -> Keys:
    """A fingerprint of each match: the sum of its records'."""
    single = contents[0][pairs["l"].to_numpy()] + contents[1][pairs["r"].to_numpy()]
    ordered = groups.sort("match_id")
    member = np.zeros(ordered.height, dtype=np.uint64)
    for side, content in enumerate(contents):
        mine = (ordered["side"] == side).to_numpy()
        member[mine] = content[ordered["i"].to_numpy()[mine]]
    _, starts = np.unique(ordered["match_id"].to_numpy(), return_index=True)
    summed = np.add.reduceat(member, starts) if len(starts) else member[:0]
    return np.concatenate([single, summed])


def _tied(ties: pl.DataFrame, is_open: list[Flags], contents: list[Keys]) -> Keys:
    found = []
    for side, content in enumerate(contents):
        places = ties.filter(pl.col("side") == side)["i"].unique().to_numpy()
        found.append(content[places[is_open[side][places]]])
    return np.concatenate(found)


def _more(some: Keys, others: Keys) -> int:
    """How many of `some` have no partner of the same content in `others`."""
    counted: list[Any] = [pl.DataFrame({"k": k}).group_by("k").len() for k in (some, others)]
    both = counted[0].join(counted[1], on="k", how="left", suffix="_other").with_columns(pl.all().fill_null(0))
    return int(both.select((pl.col("len").cast(pl.Int64) - pl.col("len_other")).clip(0).sum()).item())
