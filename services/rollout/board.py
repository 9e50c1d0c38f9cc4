"""The go / no-go board: five measures, each with a value that is well and one with which nothing goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Literal

from services.rollout.counts import Counts

LEAST_CALLS = 100
"""Of fewer calls a P95 calls nothing slow: less than five slow ones would decide it."""
LEAST_FAILURES = 5
"""Fewer failures call no rate bad where people are told of it; the alerts ask for as many."""

Name = Literal["crash_free", "p95", "error_rate", "database_cpu", "backup_age"]


class Verdict(StrEnum):
    """What a measure, or the board, says."""

    GO = "go"
    WATCH = "watch"
    UNKNOWN = "unknown"
    NO_GO = "no-go"


ORDER = (Verdict.GO, Verdict.WATCH, Verdict.UNKNOWN, Verdict.NO_GO)
"""From good to bad: a board is as good as its worst measure."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured, and its two thresholds. `rising`: larger is better.

    `least` is how much there must be to call it bad: calls for a time, failures for a rate. One slow sign-in in an idle
    hour is no slow service.
    """

    name: Name
    title: str
    unit: Literal["%", "ms", "h"]
    go: float
    no_go: float
    rising: bool = False
    least: int = 0

    def judge(self, value: float | None, evidence: float = inf) -> Verdict:
        """As the promise words it: a crash-free rate of exactly 99.8 % is go, a P95 of exactly 500 ms is not.

        What is not well by less `evidence` than `least` is not known.
        """
        if value is None:
            return Verdict.UNKNOWN
        if value >= self.go if self.rising else value < self.go:
            return Verdict.GO
        if evidence < self.least:
            return Verdict.UNKNOWN
        return Verdict.NO_GO if (value < self.no_go if self.rising else value > self.no_go) else Verdict.WATCH

    def shown(self, value: float | None) -> str:
        """The value for people."""
        if value is None:
            return "not known"
        if self.unit == "ms":
            return f"{value * 1000:,.0f} ms"
        return f"{value * 100:.2f} %" if self.unit == "%" else f"{value / 3600:.1f} h"


MEASURES: tuple[Measure, ...] = (
    Measure("crash_free", "Crash-free rate", "%", 0.998, 0.995, rising=True, least=LEAST_FAILURES),
    Measure("p95", "Response time (P95)", "ms", 0.5, 1.0, least=LEAST_CALLS),
    Measure("error_rate", "Error rate", "%", 0.001, 0.01, least=LEAST_FAILURES),
    Measure("database_cpu", "Database processor", "%", 0.80, 0.90),
    Measure("backup_age", "Age of the last backup", "h", 3600, 7200),
)
BY_NAME: Mapping[str, Measure] = {measure.name: measure for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class Line:
    """One measure with its value: a share, or seconds."""

    measure: Measure
    value: float | None
    verdict: Verdict

    @property
    def shown(self) -> str:
        """The value for people."""
        return self.measure.shown(self.value)

    @property
    def bounds(self) -> str:
        """When it is go and when no-go, and from how many calls on."""
        measure = self.measure
        better, worse = ("≥", "<") if measure.rising else ("<", ">")
        of = f" of {measure.least} calls or more" if measure.name == "p95" else ""
        return f"go {better} {measure.shown(measure.go)}, no-go {worse} {measure.shown(measure.no_go)}{of}"


@dataclass(frozen=True, slots=True)
class Board:
    """The measures and the whole."""

    lines: Sequence[Line]

    @property
    def verdict(self) -> Verdict:
        """The worst of all lines."""
        return max((line.verdict for line in self.lines), key=ORDER.index)

    def of(self, *verdicts: Verdict) -> list[Line]:
        """The lines with one of these verdicts."""
        return [line for line in self.lines if line.verdict in verdicts]

    def hindrances(self, accepted: Iterable[str] = ()) -> list[Line]:
        """What keeps a rollout from going on: every no-go, and what is not well and was not accepted by name."""
        taken = set(accepted)
        return [
            line
            for line in self.lines
            if line.verdict is Verdict.NO_GO or (line.verdict is not Verdict.GO and line.measure.name not in taken)
        ]


def judged(values: Mapping[Name, float | None], calls: float) -> Board:
    """Judge values: shares and seconds. The P95 is of so many `calls`; of rates a single failure speaks here, for to
    wait a window costs little.
    """
    evidence = {"p95": calls}
    return Board(
        [
            Line(measure, values[measure.name], measure.judge(values[measure.name], evidence.get(measure.name, inf)))
            for measure in MEASURES
        ]
    )


def board(counts: Counts, *, database_cpu: float | None, backup_age_seconds: float | None) -> Board:
    """Judge what was counted."""
    values: dict[Name, float | None] = {
        "crash_free": counts.crash_free,
        "p95": counts.p95_seconds,
        "error_rate": counts.error_rate,
        "database_cpu": database_cpu,
        "backup_age": backup_age_seconds,
    }
    return judged(values, counts.timed)
