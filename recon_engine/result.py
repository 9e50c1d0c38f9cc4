"""The library's face: reconcile a plan, or two frames, and look at the result through lazy frames."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from recon_engine.errors import PlanError
from recon_engine.execution.local import OnProgress, run, tell_nobody
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import Plan

if TYPE_CHECKING:
    import pandas as pd


class Result:
    """A result directory, read lazily. Keep the Result while you use its frames: a temporary directory goes with it."""

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        self.path = path
        if temporary:
            weakref.finalize(self, shutil.rmtree, path.parent, ignore_errors=True)

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json: counts, control totals, rules, breaks, conservation."""
        found: dict[str, Any] = json.loads((self.path / "summary.json").read_text(encoding="utf-8"))
        return found

    def matches(self) -> pl.LazyFrame:
        """One row per record in a match."""
        return self._table("matches")

    def differences(self) -> pl.LazyFrame:
        """One row per differing compared field of a match."""
        return self._table("differences")

    def breaks(self) -> pl.LazyFrame:
        """One row per open record, with its category and reason."""
        return self._table("breaks")

    def rejected(self) -> pl.LazyFrame:
        """One row per unreadable row."""
        return self._table("rejected")

    def left(self) -> pl.LazyFrame:
        """The typed records of the left side."""
        return self._table("left")

    def right(self) -> pl.LazyFrame:
        """The typed records of the right side."""
        return self._table("right")

    def records(self, side: str) -> pl.LazyFrame:
        """The typed records of a side, by its name."""
        return self._table(side)

    def _table(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(self.path / f"{name}.parquet")


def reconcile(
    plan: Plan | SidesPlan,
    left: pl.DataFrame | pl.LazyFrame | pd.DataFrame | None = None,
    right: pl.DataFrame | pl.LazyFrame | pd.DataFrame | None = None,
    *,
    sides: Mapping[str, pl.DataFrame | pl.LazyFrame | pd.DataFrame] | None = None,
    out: str | Path | None = None,
    partitions: int | None = None,
    on_progress: OnProgress = tell_nobody,
) -> Result:
    """Reconcile the plan's files, or frames given in their place.

    Args:
        plan: what to match and how; see Plan.load.
        left: a frame instead of the left files (polars or pandas; its columns are named as the plan maps them).
        right: the same for the right side.
        sides: for a plan with `sides`, frames by the name of their side.
        out: where to write the result directory; None: a temporary one that lives as long as the Result.
        partitions: more than 1 runs out of core, with that many partitions on disk and the same answer; None takes
            as many as memory asks.
        on_progress: called with a Progress as the run goes on.

    Raises:
        ReconError: the plan or an input is wrong; the message says what, where and how to mend it.
    """
    base = Path(tempfile.mkdtemp(prefix="recon-"))
    try:
        given = {"left": left, "right": right} if isinstance(plan, Plan) else dict(sides or {})
        files = {side: _file(frame, base / f"{side}.parquet") for side, frame in given.items()}
        target = Path(out) if out is not None else base / "result"
        if isinstance(plan, Plan):
            run(plan.with_files(left=files["left"], right=files["right"]), target, partitions, on_progress)
        else:
            from recon_engine.nway.run import run_sides

            placed = plan.with_files({side: names for side, names in files.items() if names is not None})
            run_sides(placed, target, partitions, on_progress)
    except BaseException:
        shutil.rmtree(base, ignore_errors=True)
        raise
    result = Result(target, temporary=out is None)
    if out is not None:
        shutil.rmtree(base, ignore_errors=True)
    return result


def _file(frame: Any, path: Path) -> list[str] | None:
    """Writes a frame as a Parquet file for the reader; None stays None."""
    if frame is None:
        return None
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, pl.DataFrame):
        try:
            frame = pl.from_pandas(frame)
        except (TypeError, ValueError) as error:
            raise PlanError(f"the frames of sides must be polars or pandas frames: {error}") from error
    frame.write_parquet(path)
    return [str(path)]
