"""The engine's error tree, and Issue: bad data as a value.

Exceptions are for broken contracts (a wrong plan, an unreadable file); bad rows become rejected rows and
`Issue`s beside the result.
"""

from __future__ import annotations

from dataclasses import dataclass


class ReconError(Exception):
    """The reconciliation cannot go on. The message says what, where and how to mend it, in one line."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a plan: where in it, such as `rules[2].on[0].within` (empty: the whole plan), and
    what, in words.
    """

    place: str
    says: str


class PlanError(ReconError):
    """The plan is wrong: names the place in the plan, what was found and what is allowed."""

    def __init__(self, message: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults
        """Each by itself, where the plan's own text is wrong."""


class InputError(ReconError):
    """An input file cannot be read as the plan says: names the file, the place and the mend."""


class LimitError(InputError):
    """An input exceeds a stated limit (columns, cells, unpacked size, field length)."""


class UndecidedError(InputError):
    """The data cannot decide how to read it (date order, decimal mark): asks for the setting, never guesses."""


class EvidenceError(ReconError):
    """An output directory cannot be verified because a part of it is missing or malformed."""


@dataclass(frozen=True, slots=True)
class Issue:
    """Something about the data worth telling, that did not stop the run.

    `source` is the file's name, `row` the 1-based data row (None: the whole file), `column` the file's own
    column name (None: the whole row), `code` a stable snake_case word, `message` one sentence.
    """

    source: str
    row: int | None
    column: str | None
    code: str
    message: str
