"""What each rule of a plan of several sides would link, between each two sides: counted as for a plan of two."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from recon_engine.execution import preview as of_two
from recon_engine.execution.local import tell_nobody
from recon_engine.nway.linking import Sides
from recon_engine.nway.plan import Pair, SidesPlan


def preview(plan: SidesPlan, sample: Path | None = None) -> dict[str, Any]:
    """`pairs`: for each two sides that rules look at `between`, and the counts of a preview of two sides, in records of
    the first of them. Runs on the plan's files, or on the folder of each pair in `sample`. Raises ReconError.
    """
    pairs = []
    for pair in plan.pairs:
        own = only(plan, pair)
        folder = None if sample is None else sample / _folder(pair)
        if folder is not None:
            own = own.with_files({name: [str(folder / f"{end}.parquet")] for name, end in _ends(pair)})
            own = own.model_copy(update={"sides": tuple(of_two.plain_reader(side) for side in own.sides)})
        pairs.append({"between": list(pair), **_counted(own, pair, folder)})
    return {"pairs": pairs}


def only(plan: SidesPlan, pair: Pair) -> SidesPlan:
    """The plan for two sides that rules look at, alone: with what it says of these two."""
    fields = []
    for spec in plan.fields:
        columns = {side: column for side, column in spec.columns.items() if side in pair}
        own = {
            key: {side: one for side, one in told.items() if side in pair} if isinstance(told, dict) else told
            for key, told in (("formats", spec.formats), ("clean", spec.clean))
        }
        fields += [spec.model_copy(update={"columns": columns, **own})] if columns else []
    known = {spec.name for spec in fields}
    update = {
        "sides": tuple(side for side in plan.sides if side.name in pair),
        "fields": tuple(fields),
        "rules": tuple(rule for rule in plan.rules if rule.net in pair or rule in plan.pairs[pair]),
        "compare": tuple(name for name in plan.compare if name in known),
        "currency": plan.currency if plan.currency and plan.currency.field in known else None,
        "duplicates": {name: search for name, search in plan.duplicates.items() if name in pair},
    }
    return SidesPlan.model_validate({name: update.get(name, getattr(plan, name)) for name in SidesPlan.model_fields})


def _counted(plan: SidesPlan, pair: Pair, sample: Path | None) -> dict[str, Any]:
    """The two sides read, searched for duplicates and linked as in a run, which stops there."""
    with tempfile.TemporaryDirectory(prefix="recon-preview-") as temporary:
        work = Path(temporary)
        (work / "result").mkdir()
        run, sides = Sides(plan, work, 1, tell_nobody).run_of(pair, work / "pair", tell_nobody)
        return of_two.counts(run.plan, sides[0], run.decided(sides), sample)


def write_sample(plan: SidesPlan, out: Path) -> dict[str, Any]:
    """Write a sample for each two sides that rules look at, into a folder of its own in `out`. Returns how many rows
    of both ends each holds. Raises ReconError.
    """
    pairs = []
    for pair in plan.pairs:
        folder = out / _folder(pair)
        folder.mkdir(parents=True, exist_ok=True)
        rows = of_two.write_sample(plan.pair_plan(*pair), folder)
        pairs.append({"between": list(pair), "rows": {name: rows[end] for name, end in _ends(pair)}})
    return {"pairs": pairs}


def _ends(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    return (pair[0], "left"), (pair[1], "right")


def _folder(pair: Pair) -> str:
    return "-".join(pair)
