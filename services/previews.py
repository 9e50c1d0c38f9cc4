"""What each rule of a plan would match, counted in the background on a sample of the files.

Counting takes a child process like every look into a file. What was counted is kept by plan and content; a sample of
large files is kept on this machine's disk and serves as long as the fields and the keys of the rules stay the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import Pair, SidesPlan
from recon_engine.nway.preview import only
from recon_engine.plan import SIDES, Plan
from services.database.models import StoredFile
from services.errors import Invalid, ServiceError, Unavailable
from services.files import FileIds, find_file, link_object, listed, patient, places
from services.jobs import child
from services.jobs.queue import as_read
from services.permissions import Action, Actor, check
from services.reconciliations import PlanLike, valid_plan
from services.sides import by_name, with_files

if TYPE_CHECKING:
    from services.container import Container

WHOLE_ROWS = 20_000  # of both sides: fewer are counted as they are
KEPT_SECONDS = 3600
KEPT_SAMPLES = 20
Counts = dict[str, Any]
Files = dict[Any, list[StoredFile]]


class PreviewService:
    """Counts of plans under edit. `look` never waits: it answers what is known, and sees to it that more becomes so."""

    def __init__(self, container: Container) -> None:
        self._container = container
        settings = container.settings
        self._limits = child.Limits(settings.reader_memory_mb, settings.reader_cpu_seconds)
        self._folder = settings.data_dir / "samples"
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="preview")
        self._lock = threading.Lock()
        self._pending: dict[str, Future[Counts]] = {}

    def look(self, actor: Actor, plan: PlanLike, left: FileIds, right: FileIds) -> Counts | None:
        """The counts of a plan of two sides, or None while they are being made. `error` says in a sentence why there
        are none.
        """
        [(_, found)] = self.look_at_pairs(actor, plan, left, right)
        return found

    def look_at_pairs(self, actor: Actor, plan: PlanLike, *file_ids: FileIds) -> list[tuple[Pair, Counts | None]]:
        """The same for each two sides that rules look at, with their names: of a plan of two sides once. `file_ids`:
        of each side, in their order. Raises Invalid when these are of more or fewer sides than the plan.
        """
        check(actor, Action.PLAN_READ)
        model = valid_plan(plan)
        with self._container.session() as session:
            given = [[find_file(session, actor.workspace_id, one) for one in listed(ids)] for ids in file_ids]
        of_sides = by_name(model, given) if len(given) == len(model.labels) else None
        if of_sides is None:
            raise Invalid(f"The plan has {len(model.labels)} sides, the files are of {len(given)}.")
        asked = []
        for pair, own in _pairs(model):
            files = {side: of_sides[side] for side in own.labels}
            asked.append((pair, own, files, _key(own.to_yaml(), files)))
        self._forget({key for *_, key in asked})
        return [(pair, self._look(own, files, key)) for pair, own, files, key in asked]

    def _forget(self, wanted: Collection[str]) -> None:
        """Drop what waits to be counted, or was, of a plan that has been edited since."""
        with self._lock:
            if all(key in self._pending for key in wanted):
                return
            for other in [k for k, one in self._pending.items() if k not in wanted and (one.done() or one.cancel())]:
                del self._pending[other]

    def _look(self, plan: AnyPlan, files: Files, key: str) -> Counts | None:
        with self._lock:
            counting = self._pending.get(key)
            if counting is None:
                counting = self._pending[key] = self._pool.submit(self._kept, key, plan, files)
        if not counting.done():
            return None
        try:
            return counting.result()
        except (ServiceError, OSError) as error:  # of this moment: the next look counts anew
            with self._lock:
                self._pending.pop(key, None)
            return {"error": str(error)}

    def _kept(self, key: str, plan: AnyPlan, files: Files) -> Counts:
        def make() -> Counts:
            return self._count(plan, files)

        found: Counts = self._container.cache.get_json(("preview", key), KEPT_SECONDS, make)
        return found

    def _count(self, plan: AnyPlan, files: Files) -> Counts:
        try:
            rows = sum(int((f.profile_json or {}).get("rows", 0)) for every in files.values() for f in every)
            if rows <= WHOLE_ROWS:
                return self._engine(plan, files, ["preview", "plan.yaml"])
            return self._engine(plan, files, ["preview", "plan.yaml", "--sample", "sample"], self._sample(plan, files))
        except (Invalid, _NoCountError) as error:
            return {"error": str(error)}

    def _sample(self, plan: AnyPlan, files: Files) -> Path:
        """The folder with the sample of these files for this plan's fields and keys; made when there is none."""
        keys = [sorted(c.field for c in rule.on if c.is_equality) for rule in plan.rules]
        fields = [spec.model_dump(mode="json") for spec in plan.fields]
        folder = self._folder / _key(json.dumps([fields, keys], sort_keys=True), files)
        if folder.is_dir():
            return folder
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(making := folder.with_suffix(".making"), ignore_errors=True)
        making.mkdir()
        self._engine(plan, files, ["preview", "plan.yaml", "--write-sample", "sample"], making)
        making.rename(folder)
        for old in sorted(self._folder.iterdir(), key=lambda one: one.stat().st_mtime)[:-KEPT_SAMPLES]:
            shutil.rmtree(old, ignore_errors=True)
        return folder

    def _engine(self, plan: AnyPlan, files: Files, command: Sequence[str], sample: Path | None = None) -> Counts:
        placed = {side: places(side, every) for side, every in files.items()}
        placed_plan = with_files(as_read(plan, files), {side: list(names) for side, names in placed.items()})

        def prepare(folder: Path) -> None:
            for names in placed.values():
                for name, file in names.items():
                    link_object(self._container, file.storage_key, folder / name)
            (folder / "plan.yaml").write_text(placed_plan.to_yaml(), encoding="utf-8")
            if sample is not None:
                (folder / "sample").symlink_to(sample.absolute())

        limits = patient(self._limits, [file for every in files.values() for file in every])
        ended = child.run(command, limits, prepare)
        if ended.code != 0:
            exceeded = ended.exceeded(limits)
            if ended.code < 0 and not exceeded:  # ended from outside: that says nothing about the plan
                raise Unavailable("Counting was interrupted.")
            raise _NoCountError(f"counting {exceeded}" if exceeded else ended.sentence if ended.code == 2 else "")
        told: Counts = json.loads(ended.stdout)
        return told["pairs"][0] if isinstance(plan, SidesPlan) else told  # of two sides alone, as they are asked for


def _pairs(plan: AnyPlan) -> list[tuple[Pair, AnyPlan]]:
    """Each two sides that rules look at, and the plan of them alone: an edit of others leaves their counts as known."""
    if isinstance(plan, Plan):
        return [(SIDES, plan)]
    nameless = plan.with_files({side: [] for side in plan.labels})  # the names come with the files
    return [(pair, only(nameless, pair)) for pair in plan.pairs]


class _NoCountError(Exception):
    """The engine gave no counts, and why."""


def _key(about: str, files: Files) -> str:
    contents = [[side, [[f.sha256, f.name, f.options_json] for f in every]] for side, every in files.items()]
    return hashlib.sha256(json.dumps([about, contents], sort_keys=True).encode()).hexdigest()
