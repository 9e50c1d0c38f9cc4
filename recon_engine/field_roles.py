"""Which field is the amount, which the day, which the currency: what makes records transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recon_engine.column_names import concepts
from recon_engine.rule_proposals import MappedField, main_field


@dataclass(frozen=True)
class Roles:
    """The fields that carry the amount, the day and the currency; None where none does."""

    amount: MappedField | None
    date: MappedField | None
    currency: MappedField | None

    @classmethod
    def of(cls, fields: Sequence[MappedField]) -> Roles:
        """Found by name first, then by score. A whole number is an amount only where it is called one."""
        amount = main_field(fields, ("decimal", "integer"), "amount")
        if amount is not None and "amount" not in concepts(amount.spec.name) and amount.spec.type == "integer":
            amount = None
        date = main_field(fields, ("date", "datetime"), "date")
        return cls(amount, date, next((f for f in fields if is_currency(f)), None))

    @property
    def transactions(self) -> bool:
        """Whether records are transactions rather than things: they have an amount and a day."""
        return self.amount is not None and self.date is not None


def is_currency(mapped: MappedField) -> bool:
    """True for the field that says in which currency an amount is."""
    return mapped.spec.type == "text" and "currency" in concepts(mapped.spec.name)
