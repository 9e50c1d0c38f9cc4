"""A proposed plan for the files of several sides: columns that mean the same on any of them, and rules by pair."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import polars as pl

from recon_engine.cascade_proposals import Cascade, proposed_cascade
from recon_engine.columns import VALUES_COMPARED, columns_of
from recon_engine.combined_proposals import with_proposed
from recon_engine.errors import InputError
from recon_engine.field_proposals import (
    described,
    field_name,
    question,
    read_as,
    title_of,
    unreadable,
    unsigned,
    worth_comparing,
)
from recon_engine.field_roles import is_currency
from recon_engine.nway.plan import TABLES, NamedSide, Pair, SidesField, SidesPlan
from recon_engine.nway.same_columns import SameColumns, same_columns
from recon_engine.nway.suggest_rules import joined_rules
from recon_engine.reading import open_table
from recon_engine.reading.joined import joined
from recon_engine.reading.table import TextTable, staged
from recon_engine.rule_proposals import MappedField, key_fields, rule
from recon_engine.suggest import JOINS_MOST, MEET_BETTER, Proposed


@dataclass(frozen=True)
class SuggestedSidesField:
    """A field of the proposed plan, how sure its weakest mapping is (0 to 1), and why."""

    name: str
    columns: dict[str, str]
    type: str
    confidence: float
    reason: str


class SidesSuggestion(Proposed[SidesPlan, SuggestedSidesField]):
    """What is proposed for two sides or more."""


def sides_of(files: Sequence[str]) -> list[NamedSide]:
    """A side for each file, named and labelled after it."""
    sides: list[NamedSide] = []
    for file in files:
        label, number, base = title_of(file), 1, title_of(file)
        while label.casefold() in {side.label.casefold() for side in sides}:
            label, number = f"{base} {number + 1}", number + 1
        plain = re.sub(r"[^\x00-\x7f]+", "", label) or "side"
        name = field_name(plain, [*TABLES, *(side.name for side in sides)])
        sides.append(NamedSide(name=name, label=label, files=(file,)))
    return sides


def suggest_sides(sides: Sequence[NamedSide]) -> SidesSuggestion:
    """Propose a plan for these sides and their files. Large files are judged on the same picked values of all sides.

    Raises InputError where a side has no files, or no column like those of the other sides.
    """
    if alone := [side.title for side in sides if not side.files]:
        raise InputError(f"{', '.join(alone)}: without a file there is nothing to propose from")
    tables = {side.name: staged(joined([open_table(file, side) for file in side.files])) for side in sides}
    return _Proposal(sides, tables).suggestion()


@dataclass(frozen=True)
class _Shown:
    """What follows where these columns mean the same: the fields they are, of all sides and of two, and their rules."""

    same: list[SameColumns]
    fields: list[SidesField]
    mapped: dict[Pair, list[MappedField]]
    cascades: dict[Pair, Cascade]

    def coverage(self, pair: Pair) -> float:
        """The share of the smaller side's records that a key of the pair joins."""
        return self.cascades[pair].coverage if pair in self.cascades else 0.0

    @property
    def joined(self) -> float:
        """The coverage of all pairs."""
        return sum(map(self.coverage, self.mapped))

    @property
    def meeting(self) -> float:
        """How many values of the fields are in common, in shares of their columns."""
        return sum(m.pair.overlap for mapped in self.mapped.values() for m in mapped)


class _Proposal:
    """What the files show: which columns mean the same, and the rules of each pair of sides."""

    def __init__(self, sides: Sequence[NamedSide], tables: Mapping[str, TextTable]) -> None:
        self.sides = {side.name: side for side in sides}
        self.rows = {n: int(t.frame.select(pl.len()).collect(engine="streaming").item()) for n, t in tables.items()}
        part = max(1, max(self.rows.values()) // VALUES_COMPARED)
        columns = {n: columns_of(t, self.sides[n], self.rows[n], part) for n, t in tables.items()}
        wider = with_proposed(list(tables.values()), list(columns.values()), list(self.rows.values()))
        for name, table in zip(tables, wider, strict=True):
            if table is not tables[name]:
                columns[name] = columns_of(table, self.sides[name], self.rows[name], part)
        self.tables = tables = dict(zip(tables, wider, strict=True))
        parts = {n: t.parts or () for n, t in tables.items()}
        whole = {n: [c for c in own if c.name not in parts[n]] for n, own in columns.items()}
        self.written = {n: {c.name: c for c in own} for n, own in columns.items()}
        shown = self._shown(same_columns(whole, tables, part), part)
        if apart := [pair for pair in shown.mapped if shown.coverage(pair) < JOINS_MOST]:
            spelt = self._shown(same_columns(whole, tables, part, apart), part)
            better = not shown.joined and spelt.meeting >= shown.meeting + MEET_BETTER  # half of a key, as a shelf's is
            shown = spelt if better or spelt.joined > shown.joined else shown
        self.same, self.fields, self.mapped = shown.same, shown.fields, shown.mapped
        self.cascades = self._leading(shown.cascades)

    def suggestion(self) -> SidesSuggestion:
        """All of it as a plan."""
        titles = {name: side.title for name, side in self.sides.items()}
        fields = [self._as_needed(spec) for spec in self.fields]
        rules = joined_rules(
            {p: c.rules for p, c in self.cascades.items()}, {f.name: f.columns for f in fields}, titles
        )
        mapped = [m for pair in self.cascades for m in self.mapped[pair]]
        currency = next((m.spec.name for m in mapped if is_currency(m)), None)
        plan = SidesPlan.model_validate(
            {
                "name": " against ".join(titles.values())[:200],
                "sides": [self._side(name) for name in self.sides],
                "fields": fields,
                "rules": [proposed.rule for proposed in rules],
                "compare": [f.name for f in fields if self._worth_comparing(f.name)],
                "currency": {"field": currency} if currency else None,
            }
        )
        return SidesSuggestion(plan, tuple(map(self._told, fields)), tuple(rules), tuple(self._questions()))

    def _shown(self, same: list[SameColumns], part: int) -> _Shown:
        fields = self._fields(same)
        mapped = {pair: _mapped(pair, fields, same) for pair in combinations(self.sides, 2)}
        cascades = {
            (a, b): proposed_cascade((self.tables[a], self.tables[b]), each, (self.rows[a], self.rows[b]), part)
            for (a, b), each in mapped.items()
            if each
        }
        return _Shown(same, fields, mapped, cascades)

    def _fields(self, every: Sequence[SameColumns]) -> list[SidesField]:
        names: list[str] = []
        fields = []
        for same in every:
            names.append(field_name(next(iter(same.columns.values())).name, names))
            told = described(same.columns, same.negated, same.times, unsigned=same.unsigned)
            if "formats" in told:
                told["formats"] = {side: form for side, form in told["formats"].items() if form}
            columns = {side: column.name for side, column in same.columns.items()}
            fields.append(SidesField.model_validate({"name": names[-1], "columns": columns, **told}))
        return fields

    def _leading(self, found: dict[Pair, Cascade]) -> dict[Pair, Cascade]:
        """The pairs that get rules: all that share a key; others, the surest first, where nothing else leads to a side.

        Raises InputError where some side stays alone.
        """
        found = {pair: self._by_mistaken_key(pair, cascade) for pair, cascade in found.items()}
        reached = {name: {name} for name in self.sides}
        chosen = []
        for pair in sorted(found, key=lambda p: (found[p].keyless, -max(r.confidence for r in found[p].rules))):
            one, two = (reached[name] for name in pair)
            if one is two and found[pair].keyless:
                continue
            chosen.append(pair)
            joint = one | two
            reached |= dict.fromkeys(joint, joint)
        first = next(iter(self.sides))
        if alone := [self.tables[name].name for name in self.sides if name not in reached[first]]:
            raise InputError(
                f"{', '.join(alone)}: no column is like one of {self.tables[first].name} in name or values, nor of a "
                "file that has such a column; map the fields yourself"
            )
        return {pair: cascade for pair, cascade in found.items() if pair in chosen}

    def _by_mistaken_key(self, pair: Pair, cascade: Cascade) -> Cascade:
        """Without a better rule, a key that the other fields do not confirm, for a person to judge: an adjustment has
        the reference of what it adjusts, and else nothing of it.
        """
        # Whole numbers may be each file's own numbering of its rows; codes are not.
        keys = [f for f in key_fields(self.mapped[pair]) if f in cascade.untold and f.pair.left.kind == "text"]
        overlap = {m.spec.name: m.pair.overlap for m in self.mapped[pair]}
        instead = max((r.confidence * min(overlap[name] for name in r.rule.fields) for r in cascade.rules), default=0.0)
        if not cascade.keyless or not keys or keys[0].pair.overlap <= instead:
            return cascade
        name = keys[0].spec.name
        reason = f"{keys[0].pair.overlap:.0%} of {name} occur on both sides, but the other fields do not agree"
        rules = [rule(f"same {name}", [name], 0.5 * keys[0].pair.overlap, reason, stage=3, outcome="suggested")]
        asked = (
            f"{name}: both files have the same values, but the other fields of records that share one do not agree; "
        )
        asked += "does it name the same thing in both? Its matches are suggested"
        return replace(cascade, rules=rules, untold=[], questions=[asked])

    def _as_needed(self, spec: SidesField) -> SidesField:
        """The field as the rules of the pairs want it: as text for a linkage, with a lookup of codes."""
        data: dict[str, Any] = spec.model_dump(mode="json")
        for pair, cascade in self.cascades.items():
            before = next((m for m in self.mapped[pair] if m.spec.name == spec.name), None)
            after = next((m for m in cascade.fields if m.spec.name == spec.name), None)
            if before is None or after is None or after is before:
                continue
            clean = after.spec.clean.model_dump(mode="json")
            if clean["left"] == clean["right"]:
                data |= {"type": after.spec.type, "scale": None, "clean": clean["left"]}
            elif not self._agrees_elsewhere(spec.name, pair[0], pair):
                every = data["clean"] if isinstance(data["clean"], dict) else dict.fromkeys(spec.columns, data["clean"])
                data["clean"] = every | dict(zip(pair, (clean["left"], clean["right"]), strict=True))
        return SidesField.model_validate(data)

    def _agrees_elsewhere(self, field: str, side: str, pair: Pair) -> bool:
        """Whether the side writes the field as another side than that of `pair` does: then its codes must stay."""
        return any(
            m.pair.overlap >= 0.2
            for other, mapped in self.mapped.items()
            if side in other and other != pair
            for m in mapped
            if m.spec.name == field
        )

    def _worth_comparing(self, field: str) -> bool:
        """Whether differences of the field tell something: for every pair, and not where each rule demands equality."""
        has = {
            pair: next(m for m in self.mapped[pair] if m.spec.name == field)
            for pair in self.cascades
            if any(m.spec.name == field for m in self.mapped[pair])
        }
        untold = any(field == m.spec.name for pair in has for m in self.cascades[pair].untold)
        settled = all(
            any(c.field == field and c.is_equality for c in r.rule.on)
            for pair in has
            for r in self.cascades[pair].rules
        )
        return bool(has) and not untold and not settled and all(map(worth_comparing, has.values()))

    def _told(self, spec: SidesField) -> SuggestedSidesField:
        titles = {name: side.title for name, side in self.sides.items()}
        found = [
            (pair, m.pair)
            for pair in self.mapped
            for m in (self.cascades[pair].fields if pair in self.cascades else self.mapped[pair])
            if m.spec.name == spec.name
        ]
        reason = "; ".join(f"{titles[a]} and {titles[b]}: {pair.reason}" for (a, b), pair in found)
        least = min((pair.score for _, pair in found), default=0.0)
        return SuggestedSidesField(spec.name, dict(spec.columns), spec.type, round(least, 2), reason)

    def _side(self, name: str) -> dict[str, Any]:
        side = self.sides[name]
        columns = [same.columns[name] for same in self.same if name in same.columns]
        files = [str(self.tables[name].path.resolve())] if len(side.files) == 1 else list(side.files)
        data = {"name": name, "label": side.label, "files": files}
        return data | read_as(side, columns) | self.tables[name].made | data

    def _questions(self) -> list[str]:
        told = []
        for number, (name, table) in enumerate(self.tables.items()):
            for same in self.same:
                if (read := same.columns.get(name)) is None:
                    continue
                column = self.written[name][read.name]
                if read.undecided or column.undecided:
                    others = [c for side, c in same.columns.items() if side != name]
                    other = max(others, key=lambda c: (not c.undecided, len(c.keys)))
                    decided = None if read.undecided else read.readings[0]
                    told.append(question(name, f"sides.{number}", table.name, column, other, decided))
            told += unreadable(table, self.rows[name])
        told += [unsigned(spec.name) for spec, same in zip(self.fields, self.same, strict=True) if same.unsigned]
        for (a, b), cascade in self.cascades.items():
            told += [
                f"{self.sides[a].title} and {self.sides[b].title}: {asked}"
                for asked in (*cascade.questions, *cascade.doubts)
            ]
        return told


def _mapped(pair: Pair, fields: Sequence[SidesField], every: Sequence[SameColumns]) -> list[MappedField]:
    """The fields that both sides have."""
    pairs = [(spec, same.pair(*pair)) for spec, same in zip(fields, every, strict=True)]
    return [MappedField(spec.between(*pair), found) for spec, found in pairs if found]
