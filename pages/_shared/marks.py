"""Faults of a plan beside the widgets that they concern, with one line at the top that counts them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._shared.wording import count, literal
from recon_engine.errors import Fault

# These are written in percent here, and as shares of 1 in the plan.
_PERCENT = ("at_least", "probability", "max_false_rate")
WRITE_PERCENT = "write a percentage between 0 and 100, such as 92 or 99.5"


class Marks:
    """The places on a form where faults can be shown. They are taken while it is drawn, and filled when it is read."""

    def __init__(self) -> None:
        self._top = st.container()
        self._places: dict[str, tuple[DeltaGenerator, str]] = {}

    def below(self, *places: str, name: str = "") -> None:
        """Faults at these places of the plan, or inside of them, are shown here, after `name`."""
        self._places |= dict.fromkeys(places, (st.container(), name))

    def show(self, faults: Iterable[Fault]) -> bool:
        """Show each fault at the innermost place that holds it, the others at the top; whether there are any."""
        placed = [(fault, self._place(fault.place)) for fault in faults]
        marked = {fault.says for fault, place in placed if place is not None}
        # What two parts of a plan have wrong together, such as one name for both, is one mistake here.
        placed = [(fault, place) for fault, place in placed if place is not None or fault.says not in marked]
        found = [fault for fault, _ in placed]
        elsewhere = [fault for fault, place in placed if place is None]
        if found:
            beside = len(found) - len(elsewhere)
            which = {0: "", len(found): "marked below" if beside == 1 else "each marked below"}
            told = [f"Not saved yet: {count(len(found), 'mistake')}", which.get(beside, f"{beside} marked below")]
            said = " ".join(f"{_sentence(fault)}." for fault in elsewhere)
            self._top.error(f"{', '.join(filter(None, told))}. {said}", icon=":material/error:")
        for fault, place in placed:
            if place is not None:
                where, name = self._places[place]
                about = f"**{literal(name)}**: " if name else ""
                where.markdown(f":red[:material/error: {about}{_sentence(fault)}.]")
        return bool(found)

    def show_here(self, faults: Iterable[Fault], names: Mapping[str, str]) -> bool:
        """Show every fault here, one below the other, called by the name of its place."""
        found = list(faults)
        for fault in found:
            self.below(fault.place, name=names[fault.place])
        return self.show(found)

    def _place(self, place: str) -> str | None:
        holding = [p for p in self._places if place == p or place.startswith((f"{p}.", f"{p}["))]
        return max(holding, key=len, default=None)


def named(place: str, data: Mapping[str, Any], cells: Mapping[str, str]) -> str:
    """What a place in the plan `data` is called on the screen; `cells`: what the parts of a field are called."""
    part, number, rest = re.fullmatch(r"(\w*)(?:\[(\d+)\])?\.?(.*)", place, re.DOTALL).groups()  # type: ignore[union-attr]
    if part in ("fields", "rules") and number is not None:
        item = data[part][int(number)]
        about = item.get("name") or f"line {int(number) + 1}"
        return (
            f"rule {about}" if part == "rules" else ", ".join(filter(None, (about, cells.get(_without_number(rest)))))
        )
    return part


def _without_number(place: str) -> str:
    return re.sub(r"\[\d+\]$", "", place)


def inside(faults: Iterable[Fault], part: str) -> list[Fault]:
    """The faults as a form of one part of the plan sees them: `rules[2].name` is `name` of `rules[2]`."""
    return [
        Fault(fault.place.removeprefix(part).removeprefix("."), fault.says)
        if fault.place == part or fault.place.startswith((f"{part}.", f"{part}["))
        else fault
        for fault in faults
    ]


def _sentence(fault: Fault) -> str:
    """What is wrong, in the words of the form."""
    says = WRITE_PERCENT if fault.place.rpartition(".")[2] in _PERCENT else fault.says
    if says.startswith("rule '"):  # the form is of that rule
        says = says.partition("': ")[2] or says
    return literal(says[:1].upper() + says[1:])
