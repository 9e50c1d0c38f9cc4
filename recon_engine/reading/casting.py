"""Text becomes typed values, by us: every cell that fails is known, with its reason; nothing is rounded or guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from recon_engine.errors import UndecidedError
from recon_engine.plan import ISO, FieldSpec, ReaderOptions, SideName
from recon_engine.reading.amounts import bare, currency_written, signed
from recon_engine.reading.table import NATIVE

# Numbers are kept as 18 significant digits: an integer of minor units fits in 64 bits, and so does the difference of
# two, so sums and keys are exact and fast.
DIGITS = 18
# A plan that names no scale keeps up to this many decimals; more than that is a rejected row, and a scale to give.
MOST_DECIMALS = 9
_SAMPLE_ROWS = 20_000

DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d.%m.%Y",
    "%m.%d.%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%m-%y",
    "%m-%d-%y",
    "%d.%m.%y",
    "%y%m%d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d/%b/%Y",
    "%d%b%y",
    "%a, %d %b %Y",
    "%Y年%m月%d日",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d , %Y",
    "%B %d , %Y",
    # Months, read as their first day. Not 05.2025: rates of exchange look the same.
    "%Y-%m",
    "%m/%Y",
    "%b %Y",
    "%B %Y",
    "%b-%Y",
    "%b-%y",
)
# Offsets are read and turned to UTC; a time without offset is taken as it stands.
DATETIME_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%d/%m/%Y %H:%M:%S%.f",
    "%m/%d/%Y %H:%M:%S%.f",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y %I:%M %p",
    "%m/%d/%Y %I:%M %p",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y %H:%M:%S%.f",
    "%m-%d-%Y %H:%M:%S%.f",
    "%d-%m-%Y %H:%M",
    "%m-%d-%Y %H:%M",
    # Nobody who writes the month first has points within the time.
    "%d-%m-%Y %H.%M.%S",
    "%d %b %Y %H:%M:%S",
    "%Y%m%d%H%M%S",
    ISO,  # where a column has several of the forms above
)
_ISO = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2}(?:\.[0-9]+)?)?"
    r"(?:[Zz]|([+-][0-9]{2}):?([0-9]{2})?)?)?$"
)
# Seconds since 1970: as many digits as a reference may have, so only a plan says that a column is such.
EPOCH = "%s"
# A year of two digits read by a format for four is a misreading, not an ancient date.
_FIRST_DAY, _LAST_DAY = date(1000, 1, 1), date(9999, 12, 31)
_TRUE = ["true", "t", "yes", "y", "1"]
_FALSE = ["false", "f", "no", "n", "0"]


@dataclass(frozen=True, slots=True)
class Cast:
    """How one field of one source is read: the typed value, and why a cell can fail.

    `value` is an expression on the source's columns: null where the cell is null or cannot be read. `how` is the
    convention used, for people: a date format, a decimal mark. `reads`: the column that `value` looks at, the text or,
    where the file has the field's type already, the value itself.
    """

    field: FieldSpec
    column: str
    value: pl.Expr
    how: str
    reads: str

    @property
    def can_fail(self) -> bool:
        """False for text, which is taken as it stands."""
        return self.field.type != "text"

    @property
    def failed(self) -> pl.Expr:
        """True where the cell has text that cannot be read as the field's type."""
        return pl.col(self.reads).is_not_null() & self.value.is_null()

    @property
    def reason(self) -> str:
        """What the cell should have been, for the rejected row."""
        kind = self.field.type
        if kind == "decimal":
            places = self.field.digits
            before = DIGITS - places
            return f"not a number with at most {places} decimal places and {before} digits before ({self.how})"
        if kind == "integer":
            return f"not a whole number of at most {DIGITS} digits"
        if kind == "boolean":
            return "not a yes/no value (true, false, yes, no, 1, 0)"
        return f"not a {kind} written as {self.how}"


def cast_native(spec: FieldSpec, side: SideName, options: ReaderOptions, kind: pl.DataType) -> Cast | None:
    """How `spec` is read from a column of type `kind`, when that says the same as reading its text would; else None."""
    column = spec.column(side)
    name = f"{NATIVE}{column}"
    value, given = pl.col(name), spec.formats.left if side == "left" else spec.formats.right
    if options.nulls or options.decimal or options.thousands or given:
        return None
    if spec.type == "date" and kind == pl.Date:
        return Cast(spec, column, pl.when(value.is_between(_FIRST_DAY, _LAST_DAY)).then(value), DATE_FORMATS[0], name)
    is_exact = isinstance(kind, pl.Decimal) and kind.scale <= spec.digits
    if spec.type == "decimal" and (kind.is_integer() or is_exact):
        exact = value.cast(pl.Decimal(DIGITS, spec.digits), strict=False)
        return Cast(spec, column, exact, "decimal mark '.'", name)
    if spec.type == "integer" and kind.is_integer():
        whole, most = value.cast(pl.Int64, strict=False), 10**DIGITS
        return Cast(spec, column, pl.when((-most < whole) & (whole < most)).then(whole), "whole", name)
    if spec.type == "boolean" and kind == pl.Boolean:
        return Cast(spec, column, value, "yes/no", name)
    return None


def cast_for(
    spec: FieldSpec, side: SideName, options: ReaderOptions, text: pl.LazyFrame, file: str, *, padded: bool = True
) -> Cast:
    """How `spec` is read from `text` (String columns of one source) on `side`.

    Settings in the plan win; otherwise the data decides, and where it cannot, UndecidedError says what to set.
    `padded`: space around a value counts for nothing, nor do a currency and brackets around an amount; without it,
    which is faster, such a cell fails.
    """
    column = spec.column(side)
    source = pl.col(column)
    if spec.type == "text":
        return Cast(spec, column, source, "text", column)
    trimmed = source.str.strip_chars() if padded else source
    if padded and spec.type in ("decimal", "integer"):
        trimmed = signed(source, currency_written(column, text))
    if spec.type == "decimal":
        mark, thousands = _number_marks(text, column, options, file, spec.name, side)
        number = _plain_number(trimmed, mark, thousands)
        return Cast(spec, column, decimal_value(number, spec.digits), f"decimal mark '{mark}'", column)
    if spec.type == "integer":
        number = _plain_number(trimmed, options.decimal or ".", options.thousands)
        whole = number.str.replace(r"\.0*$", "")
        plain = whole.str.contains(rf"^[+-]?[0-9]{{1,{DIGITS}}}$")
        return Cast(spec, column, pl.when(plain).then(whole.cast(pl.Int64, strict=False)), "whole", column)
    if spec.type == "boolean":
        lower = trimmed.str.to_lowercase()
        yes_or_no = pl.when(lower.is_in(_TRUE)).then(True).when(lower.is_in(_FALSE)).then(False)
        return Cast(spec, column, yes_or_no, "yes/no", column)
    given = spec.formats.left if side == "left" else spec.formats.right
    form = given or _date_format(text, column, spec, file, side)
    value = date_value(trimmed, form) if spec.type == "date" else datetime_value(trimmed, form)
    return Cast(spec, column, value, form, column)


def decimal_value(number: pl.Expr, digits: int) -> pl.Expr:
    """A plain number text ('-12.50') as Decimal(18, digits); null when it is no number or has more decimals.

    Zeros beyond `digits` are allowed ('1.5000' with two digits), other digits are not: nothing is rounded.
    """
    fraction = rf"(?:\.[0-9]{{0,{digits}}}0*)?" if digits else r"(?:\.0*)?"
    plain = number.str.contains(rf"^[+-]?[0-9]*{fraction}$")
    return pl.when(plain).then(number.cast(pl.Decimal(DIGITS, digits), strict=False))


def decimals_written(text: pl.LazyFrame, column: str, options: ReaderOptions) -> int:
    """The most digits after the decimal mark of any number in the column, zeros at the end not counted."""
    given = options.decimal or options.thousands
    thousands = options.thousands
    marks = [options.decimal or ("," if thousands == "." else ".")] if given else [".", ","]
    digits = [
        _plain_number(bare(pl.col(column)), m, thousands if given else "," if m == "." else ".")
        .str.extract(r"^[+-]?[0-9]*\.([0-9]*[1-9])0*$")
        .str.len_bytes()
        .max()
        .alias(m)
        for m in marks
    ]
    found = text.select(digits).collect(engine="streaming").row(0)
    return max(int(d or 0) for d in found)


def date_value(text: pl.Expr, form: str) -> pl.Expr:
    """`text` as Date by a strptime format; null when it does not fit, or has a year of fewer than four digits."""
    if form == EPOCH:
        return datetime_value(text, form).dt.date()
    if form == ISO:
        text, form = pl.when(datetime_value(text, form).is_not_null()).then(text.str.head(10)), DATE_FORMATS[0]
    value = text.str.to_date(form, strict=False, cache=False)
    return pl.when(value.is_between(_FIRST_DAY, _LAST_DAY)).then(value)


def datetime_value(text: pl.Expr, form: str) -> pl.Expr:
    """`text` as Datetime(us) without zone: offsets are turned to UTC. Null when it does not fit."""
    if form == ISO:
        day, time, seconds, hours, minutes = (text.str.extract(_ISO, group) for group in range(1, 6))
        offset = pl.concat_str(hours.fill_null("+00"), minutes.fill_null("00"))
        text = pl.concat_str(day, pl.lit("T"), time.fill_null("00:00"), seconds.fill_null(":00"), offset)
        form = "%Y-%m-%dT%H:%M:%S%.f%z"
    value = text.str.to_datetime(form, strict=False, time_unit="us", cache=False)
    value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if "z" in form else value
    return pl.when(value.dt.year().is_between(1000, 9999)).then(value)


def fitting_formats(values: pl.Series, kind: str) -> list[str]:
    """The known formats that read every non-null value of `values` (String), in order of preference.

    For type date, formats of timestamps count too: the date is taken from them.
    """
    return usual(_fitting(values, kind, _known(kind)))


def _known(kind: str) -> Sequence[str]:
    return DATE_FORMATS + DATETIME_FORMATS if kind == "date" else DATETIME_FORMATS + DATE_FORMATS


def _fitting(values: pl.Series, kind: str, forms: Sequence[str]) -> list[str]:
    """Those of the formats that read every value."""
    frame = values.drop_nulls().str.strip_chars().unique().to_frame("text")
    checks = [_reader(kind)(pl.col("text"), form).is_not_null().all().alias(form) for form in forms]
    row = frame.select(checks).row(0, named=True)
    return [form for form in forms if row[form]]


def usual(forms: list[str]) -> list[str]:
    """Without the month first between points, which nobody writes, where the day can be first; without the norm that
    has many forms where one of them alone will do, and without a space before the comma where there is none.
    """
    sparing = [f for f in forms if f != ISO] or forms
    sparing = [f for f in sparing if " , " not in f or f.replace(" , ", ", ") not in sparing]
    return [f for f in sparing if f != "%m.%d.%Y" or "%d.%m.%Y" not in sparing]


def _reader(kind: str) -> Callable[[pl.Expr, str], pl.Expr]:
    return date_value if kind == "date" else datetime_value


def _plain_number(text: pl.Expr, mark: str, thousands: str | None) -> pl.Expr:
    """A number's text without thousands marks and with a decimal point; null where the marks stand in wrong places."""
    if thousands:
        t, m = re.escape(thousands), re.escape(mark)
        grouped = text.str.contains(rf"^[+-]?[0-9]{{1,3}}(?:{t}[0-9]{{3}})+(?:{m}[0-9]*)?$")
        ungrouped = pl.when(~text.str.contains(thousands, literal=True)).then(text)
        text = pl.when(grouped).then(text.str.replace_all(thousands, "", literal=True)).otherwise(ungrouped)
    if mark == ",":
        # A point cannot stand in such a number: keep it visible as a failure instead of reading it as the mark.
        return pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(",", ".", literal=True))
    return text


def _column(text: pl.LazyFrame, column: str) -> pl.Series:
    return text.select(pl.col(column).drop_nulls()).collect(engine="streaming").to_series()


def _number_marks(
    text: pl.LazyFrame, column: str, options: ReaderOptions, file: str, field: str, side: SideName
) -> tuple[str, str | None]:
    """The decimal and thousands marks: as given, else "." and none; where values have commas, the data decides."""
    if options.decimal or options.thousands:
        return options.decimal or ("," if options.thousands == "." else "."), options.thousands
    value = bare(pl.col(column))
    has_comma = value.str.contains(",", literal=True)
    if not text.head(_SAMPLE_ROWS).select(has_comma.any()).collect().item():
        return ".", None
    comma_groups, comma_decimals, could_be_both = (
        text.filter(has_comma)
        .select(
            a=value.str.contains(r"^[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]*$|^[+-]?[0-9]{1,3}(,[0-9]{3}){2,}$").any(),
            b=value.str.contains(r"^[+-]?[0-9.]*,([0-9]{1,2}|[0-9]{4,})$|^[+-]?0?,[0-9]+$|\..*,").any(),
            c=value.str.contains(r"^[+-]?[1-9][0-9]{0,2},[0-9]{3}$").any(),
        )
        .collect(engine="streaming")
        .row(0)
    )
    if comma_decimals and not comma_groups:
        return ",", "."
    if comma_groups and not comma_decimals:
        return ".", ","
    if could_be_both:
        raise UndecidedError(
            f"{file}: column '{column}' (field {field}) has values such as 1,234 that can be thousands or decimals; "
            f'set {side}.thousands: "," or {side}.decimal: "," in the plan'
        )
    return ".", None


def _date_format(text: pl.LazyFrame, column: str, spec: FieldSpec, file: str, side: SideName) -> str:
    """The one format that fits; when a sample leaves several, every value is asked, for these alone."""
    sample = _column(text.head(_SAMPLE_ROWS), column)
    fitting = _fitting(sample, spec.type, _known(spec.type))
    if usual(fitting) != [DATE_FORMATS[0]]:
        sample = _column(text, column)
        fitting = _fitting(sample, spec.type, fitting) if fitting else []
    forms = usual(fitting) or _most_fitting(sample, spec.type)
    readings = {tuple(_readings(sample, spec.type, form)) for form in forms}
    if len(readings) > 1:
        shown = " or ".join(forms)
        raise UndecidedError(
            f"{file}: the dates in column '{column}' (field {spec.name}) can be read as {shown} and no value decides; "
            f'set formats: {{{side}: "{forms[0]}"}} for this field in the plan'
        )
    return forms[0]


def _readings(values: pl.Series, kind: str, form: str) -> list[object]:
    text = values.str.strip_chars().unique().sort()
    return text.to_frame("t").select(_reader(kind)(pl.col("t"), form)).to_series().to_list()


def _most_fitting(values: pl.Series, kind: str) -> list[str]:
    """When no format reads every value: those that read most, so that the others show up as rejected rows."""
    forms = _known(kind)
    frame = values.str.strip_chars().to_frame("t")
    counts = frame.select(_reader(kind)(pl.col("t"), f).is_not_null().sum().alias(f) for f in forms).row(0)
    best = max(counts)
    return usual([form for form, count in zip(forms, counts, strict=True) if count == best]) if best else [forms[0]]
