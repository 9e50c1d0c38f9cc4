"""What a run will need, known before it starts: rows, memory, seconds; and how many partitions keep it in memory."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.execution.partitions import AT_ONCE
from recon_engine.matching.comparables import columns_of
from recon_engine.plan import SIDES, Plan, SideName
from recon_engine.reading import TextTable

# Measured on runs of 100 thousand to 10 million rows: what a run takes apart from its rows, how often a record's
# comparable values are held at the same time, and the rows that are read, matched and written in a second.
_FIXED_BYTES = 250 << 20
_COPIES = 4
_ROWS_A_SECOND = 800_000
_USABLE = 0.6  # of the memory that is free, the rest is for the system and for what a plan makes unexpectedly many of
# Parts cost little: a run that is larger than this is made in parts of that size, however much memory is free.
_IN_ONE_PIECE, _PART_BYTES = 5 << 30, 320 << 20
_KEPT_BYTES = 12
_MOST_PARTITIONS = 256


@dataclass(frozen=True, slots=True)
class Estimate:
    """Rows of each side, the memory that a run in one piece takes, its seconds, and the partitions that it should have.

    `partitions` is 1 when the run fits into the memory that is free for it.
    """

    left_rows: int
    right_rows: int
    memory_bytes: int
    seconds: float
    partitions: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def estimate(plan: Plan, tables: Mapping[SideName, list[TextTable]], memory: int | None = None) -> Estimate:
    """What running `plan` on the opened files will need. `memory`: bytes it may take; None: what is free here."""
    return estimate_of(plan, {side: sum(_rows(table) for table in tables[side]) for side in SIDES}, memory)


def estimate_of(plan: Plan, rows: Mapping[SideName, int], memory: int | None = None) -> Estimate:
    """The same for files whose rows are counted already."""
    total = sum(rows.values())
    needed = _FIXED_BYTES + total * _COPIES * _row_bytes(plan)
    usable = (memory if memory is not None else free_memory()) * _USABLE
    # What does not shrink with partitions: states, places and pairs of all records.
    fixed = _FIXED_BYTES + total * _KEPT_BYTES
    part = max(1, min(int(usable - fixed) // AT_ONCE, _PART_BYTES))
    parts = 1 if needed <= min(usable, _IN_ONE_PIECE) else -(-(needed - fixed) // part)
    return Estimate(
        left_rows=rows["left"],
        right_rows=rows["right"],
        memory_bytes=needed,
        seconds=round(0.5 + total / _ROWS_A_SECOND, 1),
        partitions=int(min(max(parts, 1), _MOST_PARTITIONS)) if usable > fixed else _MOST_PARTITIONS,
    )


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has free, within the process's own limit."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    facts = Path("/proc/meminfo")
    if facts.exists():
        lines = dict(line.split(":", 1) for line in facts.read_text(encoding="ascii").splitlines() if ":" in line)
        free = int(lines["MemAvailable"].split()[0]) << 10
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS)]
    return min([free, *(limit for limit in limits if limit != resource.RLIM_INFINITY)])


def _rows(table: TextTable) -> int:
    return int(table.frame.select(pl.len()).collect(engine="streaming").item())


def _row_bytes(plan: Plan) -> int:
    """Bytes of a record's comparable values: places and identity, and eight for each column that rules look at."""
    names = {name for rule in plan.all_rules for name in rule.fields} | set(plan.compare)
    texts = {name for rule in plan.all_rules for name in rule.text_fields}
    return 18 + 8 * sum(len(columns_of(plan.field(n))) for n in names) + 40 * len(texts)
