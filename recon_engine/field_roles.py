"""Which field is the amount, which the day, which the currency: what makes records transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recon_engine.column_names import concepts
from recon_engine.rule_proposals import MappedField, called


@dataclass(frozen=True)
class Roles:
    """The fields that carry the amount, the day and the currency; None where none does."""

    amount: MappedField | None
    date: MappedField | None
    currency: MappedField | None

    @classmethod
    def of(cls, fields: Sequence[MappedField]) -> Roles:
        """Found by name first, then by score. A whole number is an amount only where it is called one."""
        counted = [f for f in fields if "amount" in called(f) or not _whole(f)]
        amount = _main_field(counted, ("decimal", "integer"), "amount")
        date = _main_field(fields, ("date", "datetime"), "date")
        return cls(amount, date, next((f for f in fields if is_currency(f)), None))

    @property
    def transactions(self) -> bool:
        """Whether records are transactions rather than things: they have an amount and a day."""
        return self.amount is not None and self.date is not None


def _main_field(fields: Sequence[MappedField], types: tuple[str, ...], concept: str) -> MappedField | None:
    """The field of these types that best carries `concept` (amount, date): by both names first, then by score."""
    fitting = [f for f in fields if f.spec.type in types]
    return max(fitting, key=lambda f: (concept in called(f), f.pair.score), default=None)


def is_currency(mapped: MappedField) -> bool:
    """True for the field that says in which currency an amount is."""
    return mapped.spec.type == "text" and "currency" in concepts(mapped.spec.name)


def _whole(mapped: MappedField) -> bool:
    """Whether all values are whole numbers, also where a program has written 6 as 6.0 since other records have none."""
    ends = (mapped.pair.left, mapped.pair.right)
    return mapped.spec.type == "integer" or all(bool(c.raw.str.contains(r"^\s*-?\d+(\.0)?\s*$").all()) for c in ends)
