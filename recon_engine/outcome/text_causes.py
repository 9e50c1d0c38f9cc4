"""Why keys of text differ: one more clean step, one cut short or padded, one edit or two characters exchanged."""

from __future__ import annotations

import math
from collections.abc import Iterator

import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.matching.comparables import ID, plain_value
from recon_engine.matching.references import EMBEDDED, SHORTEST_EMBEDDED, found
from recon_engine.outcome.cause_kinds import EDIT, WITHIN_TEXT, Cause, Missed, every_pair, without
from recon_engine.outcome.near_misses import OpenSides
from recon_engine.plan import CleanName, Condition, FieldSpec
from recon_engine.plan_changes import SideSteps, clean_change, cleaned_rule_change, rule_change

# The steps that are tried, the weakest first.
STEPS: tuple[tuple[CleanName, ...], ...] = (
    ("trim",),
    ("casefold",),
    ("collapse_spaces",),
    ("unaccent",),
    ("strip_leading_zeros",),
    ("strip_punctuation",),
    ("alphanumeric",),
    ("casefold", "alphanumeric"),
    ("sort_words",),
    ("unaccent", "casefold", "sort_words"),
    ("digits_only",),
    ("digits_only", "strip_leading_zeros"),
)
# Texts of so many pairs are read, those whose content comes first by its fingerprint.
_MOST_PAIRS = 200_000


def text_causes(
    sides: OpenSides, spec: FieldSpec, missed: list[Missed], records: tuple[pl.LazyFrame, pl.LazyFrame]
) -> Iterator[Cause]:
    """The causes of near misses on one key of text; each pair has one. `records`: both files' typed records."""
    texts = _texts(sides, spec, every_pair(missed), records)
    for size, steps in enumerate(STEPS):
        after = [cleaned(pl.col(side), steps) for side in "lr"]
        fits = texts.filter(after[0] == after[1])
        if fits.height:
            yield _cleaning(sides, spec, missed, size, steps, fits)
            texts = texts.join(fits, on=["a", "b"], how="anti")
    shortest = pl.min_horizontal(pl.col("l").str.len_chars(), pl.col("r").str.len_chars())
    inside = texts.filter(found(texts, [("l", "r"), ("r", "l")]) >= EMBEDDED)
    inside = inside.filter((shortest >= SHORTEST_EMBEDDED) & ~_of_one_length())
    told = f"{spec.name} is cut short or padded on one side"
    yield from _own_rules(sides, missed, inside, WITHIN_TEXT, told, Condition(field=spec.name, found_in=spec.name))
    near = _one_edit(texts.join(inside, on=["a", "b"], how="anti"))
    least = math.floor(min(near["like"], default=1.0) * 100) / 100
    told = f"{spec.name} differs in one character, or in two that changed places"
    alike = Condition(field=spec.name, similarity="levenshtein", at_least=least)
    yield from _own_rules(sides, missed, near, EDIT, told, alike)


def _texts(
    sides: OpenSides, spec: FieldSpec, pairs: pl.DataFrame, records: tuple[pl.LazyFrame, pl.LazyFrame]
) -> pl.DataFrame:
    """The pairs (a, b: rows of the open records) with both cleaned texts, l and r; none where one is missing."""
    if pairs.height > _MOST_PAIRS:
        mixed = sides.left[ID].gather(pairs["l"]).hash(1) ^ sides.right[ID].gather(pairs["r"]).hash(1)
        pairs = pairs.filter(mixed <= mixed.sort()[_MOST_PAIRS - 1])
    columns = []
    for table, frame, side, name in zip((sides.left, sides.right), records, ("left", "right"), "lr", strict=True):
        used = pairs[name].unique().sort()
        places = table["__i"].gather(used)
        text = frame.select(plain_value(pl.col(spec.name), spec, side).alias(name)).collect().to_series()  # type: ignore[arg-type]
        read = text.gather(places)
        columns.append(read.gather(used.search_sorted(pairs[name])))
    return pairs.select(a="l", b="r").with_columns(columns).drop_nulls(["l", "r"])


def _of_one_length() -> pl.Expr:
    return pl.col("l").str.len_chars() == pl.col("r").str.len_chars()


def _explained(missed: list[Missed], fits: pl.DataFrame) -> list[Missed]:
    pairs = fits.select(l="a", r="b")
    each = [
        Missed(m.number, m.rule, m.condition, m.pairs.join(pairs, on=["l", "r"], how="semi").sort("l", "r"))
        for m in missed
    ]
    return [m for m in each if m.pairs.height]


def _cleaning(
    sides: OpenSides, spec: FieldSpec, missed: list[Missed], size: int, steps: tuple[CleanName, ...], fits: pl.DataFrame
) -> Cause:
    explained = _explained(missed, fits)
    best = max(explained, key=lambda m: (m.pairs.height, -m.number))
    both: SideSteps = {"left": steps, "right": steps}
    told = f"{spec.name} agrees after {', '.join(steps)}"
    own = cleaned_rule_change(sides.plan, best.rule, best.condition, both, told)
    return Cause(told, size, (clean_change(spec.name, both), own), every_pair(explained))


def _own_rules(
    sides: OpenSides, missed: list[Missed], fits: pl.DataFrame, size: int, told: str, condition: Condition
) -> Iterator[Cause]:
    """A rule with `condition` in the place of equality; like the rule that explains most, then the next."""
    explained = _explained(missed, fits) if fits.height else []
    while explained:
        best = max(explained, key=lambda m: (m.pairs.height, -m.number))
        # That two keys are alike is a reason to look at them, and not to be sure.
        change = rule_change(sides.plan, best.rule, best.condition, condition, told, outcome="suggested")
        yield Cause(told, size, (change,), best.pairs)
        explained = without([m for m in explained if m is not best], best.pairs)


def _one_edit(texts: pl.DataFrame) -> pl.DataFrame:
    """The pairs whose texts are one edit apart, or two neighbouring characters exchanged, with their likeness."""
    import polars_ds as pds

    ordered = texts.with_columns(
        x=pl.min_horizontal("l", "r").str.to_lowercase(), y=pl.max_horizontal("l", "r").str.to_lowercase()
    )
    longest = pl.max_horizontal(pl.col("x").str.len_chars(), pl.col("y").str.len_chars())
    close = ordered.with_columns(edits=pds.str_leven("x", "y"), length=longest).filter(
        (pl.col("edits") <= 2) & (pl.col("length") >= SHORTEST_EMBEDDED)
    )
    is_one = (close["edits"] == 1) | pl.Series(
        [_exchanged(x, y) for x, y in close.select("x", "y").iter_rows()], dtype=pl.Boolean
    )
    return close.filter(is_one).select("a", "b", like=1 - pl.col("edits") / pl.col("length"))


def _exchanged(x: str, y: str) -> bool:
    apart = [k for k, (a, b) in enumerate(zip(x, y, strict=False)) if a != b]
    if len(x) != len(y) or len(apart) != 2 or apart[1] != apart[0] + 1:
        return False
    return x[apart[0]] == y[apart[1]] and x[apart[1]] == y[apart[0]]
