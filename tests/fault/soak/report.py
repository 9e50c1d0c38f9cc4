"""The report of a soak: what users were told under each fault, how long nobody was served, how soon all was well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.fault.soak.nemesis import CALM, Injected, Pulse
from tests.fault.soak.records import Record

COLUMNS = ("fault", "times", "ok", "refused", "unknown", "broken", "silent s", "well after s")


def table(records: Iterable[Record], injected: list[Injected], pulse: Pulse) -> str:
    """A line for each fault: answers, the longest time without one, the longest time from the healing to health."""
    answers: dict[str, Counter[str]] = {}
    for record in records:
        if record.kind != "invoke":
            answers.setdefault(record.during, Counter())[record.kind] += 1
    lines = [COLUMNS]
    for name in [CALM, *sorted({one.name for one in injected})]:
        faults, told = [one for one in injected if one.name == name], answers.get(name, Counter())
        silent = max((pulse.longest_silence(one.began, one.well or one.healed) for one in faults), default=0.0)
        well = [one.well - one.healed for one in faults if one.well is not None]
        after = f"{max(well):.1f}" if len(well) == len(faults) and well else "never" if faults else ""
        counts = (str(told[kind]) for kind in ("ok", "fail", "unknown", "broken"))
        lines.append((name, str(len(faults) or ""), *counts, f"{silent:.1f}" if faults else "", after))
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (zip(line, widths, strict=True) for line in lines)
    )


def counts(records: Iterable[Record]) -> str:
    """What was done, in a line."""
    done = Counter(record.op for record in records if record.kind == "ok")
    return ", ".join(f"{count} {op}" for op, count in sorted(done.items()))
