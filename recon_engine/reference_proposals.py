"""Codes of one file that the texts of the other speak of: an invoice's number in the words of a payment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Literal

import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.column_matching import Pair
from recon_engine.columns import Column
from recon_engine.dated_codes import Dated, dated, only_dates
from recon_engine.field_proposals import field_name, mapped_field
from recon_engine.matching.references import candidate_texts, folded, found
from recon_engine.plan import CleanName, FieldSpec
from recon_engine.reading.table import TextTable
from recon_engine.rule_proposals import MappedField, On, ProposedRule, Tables, days_apart, rule, sided_value
from recon_engine.rules import Cardinality

# Texts looked at, and codes looked for in them; pairs of a code and a text, and of columns, that are afforded.
_TEXTS, _CODES, _MOST, _COLUMNS = 2_000, 500_000, 2_000_000, 30
# A column of codes has values of at least so many characters, nearly all with a digit, hardly any with a space.
_SHORTEST, _DIGITS, _SPACES, _FEWEST = 4, 0.9, 0.1, 10
# Texts are longer than codes: so many have several words.
_WORDS = 0.3
# From this share of texts on it is how the files are; by chance it may come about in so much of that.
_HELD, _BY_CHANCE = 0.2, 0.2
_DIGITS_BETTER = 0.02
_VARIETY = 20
_CENT = 0.005
_SEEN, _SUMS_FIT, _FEWEST_SUMS, _USUAL = 0.005, 0.5, 3, 0.5
# Some are not paid in full yet: where so many are by several texts together, that is how they are paid.
_PARTS_FIT = 0.2
# Of more texts than these only those are looked at that hold a code as it is written.
_MANY_TEXTS = 100_000
_AMOUNTS = 6
Side = Literal["left", "right"]
_SIDES: tuple[Side, Side] = ("left", "right")


@dataclass(frozen=True)
class Spoken:
    """What texts that hold a code show, in shares of such texts.

    `field`: the codes' column and the texts' as one field; `codes`: the side of the codes; `held`: the share of texts
    that hold one; `lone`: that lead to a single record, some as the only one of several with their amount; `equal`:
    whose amount is that record's; `several`: how many lead to several records, and `fits`: the share of these whose
    amount is their sum. `same_day`: of lone ones. `parted`: how many records are spoken of by several texts, and
    `parts_fit`: the share of these to whose amount the texts' add up.
    `amount`: the field that adds up, where only that tells which columns it is of. `near`: what days tell of records
    whose code comes back, by `date`, which is of the plan.
    """

    field: MappedField
    codes: Side
    held: float
    lone: float
    equal: float
    several: int
    fits: float
    same_day: float
    parted: int = 0
    parts_fit: float = 0.0
    amount: MappedField | None = None
    near: Dated | None = None
    date: MappedField | None = None

    @property
    def cardinality(self) -> Cardinality:
        """Several records of the codes' side for one text."""
        return "many_to_one" if self.codes == "left" else "one_to_many"

    @property
    def has_amounts(self) -> bool:
        """Whether amounts are equal, or add up, where texts hold a code."""
        together = self.fits >= _SUMS_FIT and self.several >= _FEWEST_SUMS
        parts = self.parts_fit >= _PARTS_FIT and self.parted >= _FEWEST_SUMS
        return together or parts or self.lone * self.equal > _HELD

    @property
    def in_parts(self) -> Cardinality:
        """Several texts for one record of the codes' side."""
        return "one_to_many" if self.codes == "left" else "many_to_one"


@dataclass(frozen=True)
class _Held:
    """A column of codes on the side `codes`, the column of texts that hold them, and in which share of these."""

    share: float
    codes: Side
    code: Column
    text: Column
    steps: tuple[CleanName, ...] = ()


def spoken(
    tables: Tables,
    columns: tuple[Sequence[Column], Sequence[Column]],
    amount: MappedField | None,
    date: MappedField | None,
    fields: Sequence[MappedField],
    *,
    besides: Side | None = None,
) -> Spoken | None:
    """The column of codes and the column of texts that most go together; None where none do, or where the two are one
    of the `fields` of the plan and the same as they stand. `besides`: codes of this side have been found already.
    """
    taken = [f.spec.name for f in fields]
    sides = [(number, side) for number, side in enumerate(_SIDES) if side != besides]
    held = [h for number, side in sides for h in _held(tables, columns, number, side)]
    best = max(held, key=lambda h: h.share - _DIGITS_BETTER * len(h.steps), default=None)
    if best is None or best.share <= _HELD:
        return None
    date = date or only_dates(columns, taken)
    taken += [date.spec.name] if date and date not in fields else []
    seen = _seen(tables, best, amount, date, taken)
    if amount is None or not seen.has_amounts:  # of other columns, or with the other sign, they may add up
        others = [name for name in taken if not amount or name != amount.spec.name]
        added = _added_up(tables, columns, best, others)
        seen = replace(_seen(tables, best, added, date, [*others, added.spec.name]), amount=added) if added else seen
    ends = (seen.field.spec.left, seen.field.spec.right)
    same = any((f.spec.left, f.spec.right) == ends and f.pair.overlap >= _USUAL for f in fields)
    return None if same and seen.fits < _SUMS_FIT else replace(seen, date=date)


def _held(
    tables: Tables, columns: tuple[Sequence[Column], Sequence[Column]], codes: int, side: Side
) -> Iterator[_Held]:
    pairs = product(filter(_is_code, columns[codes]), filter(_is_text, columns[1 - codes]))
    for code, text in islice(pairs, _COLUMNS):
        wanted, words = _distinct(tables[codes], code), _sample(tables[1 - codes], text)
        share = _share(wanted, words)
        yield _Held(share, side, code, text)
        bare = wanted.str.replace_all(r"[^0-9]", "")
        if bare.str.len_chars().min() >= _SHORTEST and bare.n_unique() == len(wanted):  # type: ignore[operator]
            yield _Held(_share(bare, words), side, code, text, ("digits_only",))


def spoken_rules(seen: Spoken, amount: MappedField | None, currency: MappedField | None) -> list[ProposedRule]:
    """The code in the text with the amount, several that add up to it, then the code alone for a person to judge."""
    name = seen.field.spec.name
    code, text = (seen.field.pair.left.name, seen.field.pair.right.name)[:: 1 if seen.codes == "left" else -1]
    inside: On = [{"field": name, "found_in": name}]
    told = f"{seen.held:.0%} of the texts in {text} hold a value of {code}"
    if amount is None:
        if seen.lone >= _USUAL:
            return [rule(f"{name} in the text", inside, 0.5 + 0.45 * seen.held, told, stage=0)]
        why = f"{told}; most of these lead to several records, of which nothing tells that they are all"
        return [
            rule(f"{name} in the text", inside, 0.5, why, stage=0, outcome="suggested", cardinality=seen.cardinality)
        ]
    base: On = [*inside, *([currency.spec.name] if currency else [])]
    rules = []
    if seen.lone * seen.equal > _SEEN:
        why = f"{told}; in {seen.equal:.0%} of those that lead to one record the amounts are equal"
        rules.append(rule(f"amount, {name} in the text", [*base, amount.spec.name], 0.97, why, stage=0))
    if seen.several >= _FEWEST_SUMS and seen.fits >= _SUMS_FIT:
        on: On = [*base, {"field": amount.spec.name, "total": True}]
        why = f"{told}; in {seen.fits:.0%} of those that lead to several records these add up to the amount"
        rules.append(rule(f"adds up by {name} in the text", on, 0.95, why, stage=1, cardinality=seen.cardinality))
        if (1 - seen.fits) * seen.several >= _FEWEST_SUMS:
            why = f"{told}, but in {1 - seen.fits:.0%} of those that lead to several records these do not add up"
            last = rule(
                f"all by {name} in the text", base, 0.6, why, stage=3, outcome="suggested", cardinality=seen.cardinality
            )
            rules.append(last)
    if seen.parted >= _FEWEST_SUMS and seen.parts_fit >= _PARTS_FIT:
        on = [*base, {"field": amount.spec.name, "total": True}]
        why = f"{told}; in {seen.parts_fit:.0%} of the records that several speak of these add up to the amount"
        rules.append(rule(f"paid in parts by {name} in the text", on, 0.9, why, stage=1, cardinality=seen.in_parts))
    rules += _dated_rules(seen, base, amount, told)
    if seen.lone * (1 - seen.equal) > _SEEN:
        why = f"{told}, but of those that lead to one record {1 - seen.equal:.0%} have another amount"
        rules.append(rule(f"{name} in the text", base, 0.6, why, stage=3, outcome="suggested"))
    return rules


def _dated_rules(seen: Spoken, base: On, amount: MappedField, told: str) -> list[ProposedRule]:
    """Where a code comes back, and its records do not add up: the one of near days, with the amount, then without."""
    if seen.near is None or seen.date is None or seen.fits >= _SUMS_FIT:
        return []
    name, days = seen.field.spec.name, {"field": seen.date.spec.name, "days": list(seen.near.lag)}
    why = f"{told}; {seen.near.share:.0%} of those that lead to several records lead to one that is as near as usual, "
    why += days_apart(*seen.near.lag)
    rules, sure = [], 0.5 + 0.4 * seen.near.share
    if seen.near.equal > _SEEN:
        on: On = [*base, amount.spec.name, days]
        rules.append(rule(f"amount, {name} in the text, near dates", on, sure, why, stage=1, gated=True))
    if seen.near.equal < 1 - _SEEN:
        on = [*base, days]
        rules.append(rule(f"{name} in the text, near dates", on, 0.8 * sure, why, stage=2, outcome="suggested"))
    return rules


def _is_code(column: Column) -> bool:
    values = column.raw.drop_nulls()
    if column.kind not in ("text", "integer") or len(values) < _FEWEST:
        return False
    has_digit, has_space, length = (
        values.alias("v")
        .to_frame()
        .select(
            pl.col("v").str.contains(r"\d").mean(),
            pl.col("v").str.contains(r"\S\s+\S").mean().alias("s"),
            pl.col("v").str.replace_all(r"[^\p{L}\p{N}]", "").str.len_chars().median().alias("n"),
        )
        .row(0)
    )
    return bool(has_digit >= _DIGITS and has_space <= _SPACES and length >= _SHORTEST)


def _is_text(column: Column) -> bool:
    return column.kind == "text" and float(column.raw.str.contains(r"\S\s+\S").mean() or 0) >= _WORDS  # type: ignore[arg-type]


def _distinct(table: TextTable, column: Column) -> pl.Series:
    values = table.frame.select(pl.col(column.name).str.strip_chars().drop_nulls().unique())
    return values.collect(engine="streaming").to_series().sort().head(_CODES)


def _sample(table: TextTable, column: Column) -> pl.Series:
    texts = table.frame.select(pl.col(column.name)).drop_nulls().collect(engine="streaming").to_series()
    return texts.gather_every(max(1, len(texts) // _TEXTS))


def _pairs(codes: pl.Series, texts: pl.Series) -> pl.DataFrame:
    """Positions (a, b) of codes and of the texts that hold them; of codes inside each other only the longest."""
    pairs, _ = candidate_texts(codes, texts, _MOST)
    both = pl.DataFrame({"code": codes.gather(pairs["a"]), "text": texts.gather(pairs["b"])})
    held = pairs.filter(found(both, [("code", "text")]).fill_null(0.0) > 0)
    length = codes.to_frame("c").select(folded(pl.col("c")).str.len_chars()).to_series().gather(held["a"])
    return held.filter(length == held.with_columns(n=length).select(pl.col("n").max().over("b")).to_series())


def _share(codes: pl.Series, texts: pl.Series) -> float:
    """The share of texts that hold a code, less what other codes of the same form would be held as often."""
    if not len(codes) or not len(texts):
        return 0.0
    # Noughts stay: before a number they do not count.
    others = codes.str.replace_many([str(d) for d in range(1, 10)], [str((d + 3) % 9 + 1) for d in range(1, 10)])
    others = others.filter(~others.is_in(codes.implode()))
    if len(others) < _BY_CHANCE * len(codes):
        return 0.0  # nearly all numbers of the form are codes: nothing tells what chance does
    found_in, strange_in = (_pairs(c, texts) for c in (codes, others))
    texts_with = found_in["b"].n_unique()
    # Where few codes stand in many texts they are something else, such as years.
    if found_in["a"].n_unique() < min(_VARIETY, _BY_CHANCE * texts_with):
        return 0.0
    return texts_with / len(texts) if strange_in["b"].n_unique() <= _BY_CHANCE * texts_with else 0.0


def _seen(
    tables: Tables, held: _Held, amount: MappedField | None, date: MappedField | None, taken: Sequence[str]
) -> Spoken:
    number = _SIDES.index(held.codes)
    one, two = (
        _valued(tables[k], column, _SIDES[k], amount, date)
        for k, column in ((number, held.code), (1 - number, held.text))
    )
    one = one.with_columns(cleaned(pl.col("v").str.strip_chars(), held.steps))
    records = one.group_by("v").agg(pl.len(), pl.col("amount").sum(), pl.col("day").first()).sort("v").head(_CODES)
    texts = two.gather_every(max(1, two.height // _TEXTS))
    pairs = _pairs(records["v"], texts["v"])
    led = pl.DataFrame([pairs["b"], *(records[c].gather(pairs["a"]) for c in ("len", "amount", "day"))])
    led = led.with_columns(wanted=texts["amount"].gather(led["b"]), on=texts["day"].gather(led["b"]))
    fits = (pl.col("amount") - pl.col("wanted")).abs() < _CENT
    led = led.group_by("b").agg(
        pl.col("len", "amount").sum(),
        pl.col("wanted", "on").first(),
        pl.col("day").sort_by(fits, descending=True).first(),
        meant=fits.sum(),
    )
    # A text may hold what is a code by chance, as the year is: the amount tells which of several it speaks of.
    by_amount = (pl.col("len") > 1) & (pl.col("meant") == 1) & ~fits.fill_null(value=False)
    led = led.with_columns(fits=fits | by_amount, lone=(pl.col("len") == 1) | by_amount)
    led = led.with_columns(same_day=pl.col("day") == pl.col("on"))
    lone, several = led.filter("lone"), led.filter(~pl.col("lone"))
    near = _near_days(records, pairs, one, texts, held.codes)
    records = records.filter(pl.col("len") == 1).select("v", whole="amount")
    parted = _in_parts(records.gather_every(max(1, records.height // _TEXTS)), two.select("v", part="amount"))
    return Spoken(
        field=_as_field(held, taken),
        codes=held.codes,
        held=held.share,
        lone=lone.height / max(1, led.height),
        equal=_mean(lone["fits"]),
        several=several.height,
        fits=_mean(several["fits"]),
        same_day=_mean(lone["same_day"]),
        near=near,
        parted=parted.height,
        parts_fit=_mean((parted["whole"] - parted["part"]).abs() < _CENT),
    )


def _near_days(
    records: pl.DataFrame, pairs: pl.DataFrame, one: pl.DataFrame, texts: pl.DataFrame, codes: Side
) -> Dated | None:
    """What days tell of texts (at b) whose code (at a, in `records`) several of the records `one` have."""
    led = pl.DataFrame([pairs["b"], records["v"].gather(pairs["a"]), records["len"].gather(pairs["a"])])
    led = led.with_columns(wanted=texts["amount"].gather(led["b"]), on=texts["day"].gather(led["b"]))
    # A few codes may be those of nearly all records: so many pairs tell as much as all.
    led = led.filter(pl.col("len") > 1).sort("b").filter(pl.col("len").cast(pl.Int64).cum_sum() <= _MOST)
    each = led.join(one.drop_nulls("day"), on="v").drop_nulls("on")
    days = (pl.col("on") - pl.col("day")).dt.total_days() * (1 if codes == "left" else -1)
    return dated(each.select("b", days=days, same=(pl.col("amount") - pl.col("wanted")).abs() < _CENT))


def _in_parts(records: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Of the records (v: the code, and amounts) that several texts (v, and other amounts) speak of: their amounts, and
    the sums of the texts'.
    """
    if texts.height > _MANY_TEXTS:
        texts = texts.filter(pl.col("v").str.contains_any(records["v"].implode(), ascii_case_insensitive=True))
    pairs = _pairs(records["v"], texts["v"])
    held = texts.drop("v")[pairs["b"]].with_columns(a=pairs["a"])
    sums = held.group_by("a").agg(pl.len(), pl.exclude("len").sum()).filter(pl.col("len") > 1).sort("a")
    return sums.drop("a", "len").hstack(records.drop("v")[sums["a"]])


def _added_up(
    tables: Tables, columns: tuple[Sequence[Column], Sequence[Column]], held: _Held, taken: Sequence[str]
) -> MappedField | None:
    """The columns of both sides that add up, where texts lead to several records, or several texts to one: such columns
    have few values in common.
    """
    number = _SIDES.index(held.codes)
    parts, wholes = ([c for c in columns[k] if c.kind == "decimal"][:_AMOUNTS] for k in (number, 1 - number))
    if not parts or not wholes:
        return None
    one, two = (
        t.frame.select(
            pl.col(c.name).alias("v"), *(a.readings[0].value(a.name).alias(str(n)) for n, a in enumerate(own))
        )
        .filter(pl.col("v").is_not_null())
        .collect(engine="streaming")
        for t, c, own in ((tables[number], held.code, parts), (tables[1 - number], held.text, wholes))
    )
    one = one.with_columns(cleaned(pl.col("v").str.strip_chars(), held.steps))
    records = one.group_by("v").agg(pl.len(), pl.exclude("v").sum()).sort("v").head(_CODES)
    texts = two.gather_every(max(1, two.height // _TEXTS))
    pairs = _pairs(records["v"], texts["v"])
    led = records.select("len", pl.exclude("v", "len").name.prefix("a"))[pairs["a"]].with_columns(b=pairs["b"])
    led = led.group_by("b").agg(pl.all().sum()).filter(pl.col("len") > 1)
    together = led.hstack(texts.select(pl.exclude("v").name.prefix("b"))[led["b"]])
    single = records.filter(pl.col("len") == 1).select("v", pl.exclude("v", "len").name.prefix("a"))
    single = single.gather_every(max(1, single.height // _TEXTS))
    parted = _in_parts(single, two.select("v", pl.exclude("v").name.prefix("b")))
    fits = [
        (share / least, share, i, j, sign)
        for sums, least in ((together, _SUMS_FIT), (parted, _PARTS_FIT))
        for i, j, sign in product(range(len(parts)), range(len(wholes)), (1, -1))
        if sums.height >= _FEWEST_SUMS
        for share in (_mean((sums[f"a{i}"] - sign * sums[f"b{j}"]).abs() < _CENT),)
    ]
    enough, share, i, j, sign = max(fits, default=(0.0, 0.0, 0, 0, 1))
    if enough < 1:
        return None
    left, right = (parts[i], wholes[j]) if held.codes == "left" else (wholes[j], parts[i])
    why = f"where several belong to one, by the codes in {held.text.name}, {parts[i].name} and {wholes[j].name} add up"
    pair = Pair(left, right, round(share, 2), 0.0, why, negated=sign < 0)
    return mapped_field(pair, taken)


def _as_field(held: _Held, taken: Sequence[str]) -> MappedField:
    """The codes' column and the texts' as one field, which is looked for in itself."""
    ends = (held.code, held.text) if held.codes == "left" else (held.text, held.code)
    data = {
        "name": field_name(held.code.name, taken),
        "left": ends[0].name,
        "right": ends[1].name,
        "clean": {held.codes: list(held.steps)} if held.steps else (),
    }
    why = f"{held.share:.0%} of the texts in {held.text.name} hold a value of {held.code.name}"
    return MappedField(FieldSpec.model_validate(data), Pair(*ends, round(held.share, 2), 0.0, why))


def _mean(values: pl.Series) -> float:
    return float(values.mean() or 0.0)  # type: ignore[arg-type]


def _valued(
    table: TextTable, column: Column, side: Side, amount: MappedField | None, date: MappedField | None
) -> pl.DataFrame:
    """Of every record that has a text in the column: v (the text), amount, day."""
    value = sided_value(amount, side).cast(pl.Float64) if amount else pl.lit(None, pl.Float64)
    day = sided_value(date, side).cast(pl.Date) if date else pl.lit(None, pl.Date)
    frame = table.frame.select(v=pl.col(column.name), amount=value, day=day).filter(pl.col("v").is_not_null())
    return frame.collect(engine="streaming")
