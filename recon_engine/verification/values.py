"""The values of records as a rule compares them: the cleaned text itself, not the fingerprint that matching uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path

import polars as pl

from recon_engine.matching.comparables import columns_of, plain_value, text_column
from recon_engine.matching.conditions import Rarities, condition_holds
from recon_engine.matching.text_parts import rarity
from recon_engine.plan import Condition, Plan, Rule, SideName
from recon_engine.verification.checks import as_text


def all_hold(plan: Plan, conditions: Sequence[Condition]) -> pl.Expr:
    """True where a pair satisfies all conditions, else False."""
    holds = (condition_holds(plan.field(c.field), c) for c in conditions)
    return reduce(lambda a, b: a & b, holds, pl.lit(True)).fill_null(False)


def values(records: Path, plan: Plan, rule: Rule, side: SideName, prefix: str) -> pl.LazyFrame:
    """A side's records with the cleaned values that the rule looks at, under their comparable columns' names."""
    columns = []
    for name in rule.fields:
        spec = plan.field(name)
        value = plain_value(pl.col(name), spec, side)
        if spec.type in ("date", "datetime"):
            value = value.to_physical().cast(pl.Int64)
        columns += [value.alias(f"{prefix}.{c}") for c in columns_of(spec)]
        if name in rule.text_fields:
            columns.append(value.alias(f"{prefix}.{text_column(name)}"))
    return pl.scan_parquet(records).select(as_text("source"), "row", *columns)


def rarities(records: Mapping[SideName, Path], plan: Plan, rule: Rule) -> Rarities:
    """The rarity of words or trigrams over the records of these sides, for the fields whose texts are likened."""
    known: Rarities = {}
    for condition in rule.on:
        if condition.similarity is not None:
            spec = plan.field(condition.field)
            texts = [
                pl.scan_parquet(path).select(plain_value(pl.col(spec.name), spec, side)).collect().to_series()
                for side, path in records.items()
            ]
            known[spec.name, condition.similarity] = rarity(texts, condition.similarity)
    return known
