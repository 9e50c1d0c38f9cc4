"""Uploaded files: stored by their hash, read only in limited child processes, described by a profile or a refusal."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import structlog
import yaml
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from recon_engine.nway.any_plan import build_plan
from recon_engine.nway.suggest import sides_of
from recon_engine.plan import SIDES, ReaderOptions
from services import metrics
from services.crash_points import reach
from services.database.models import StoredFile, new_id
from services.errors import Invalid, NotFound, ServiceError, TooLarge, Unavailable, UploadFailed
from services.jobs import child
from services.limits import Limited
from services.paging import Part, part_of
from services.permissions import Action, Actor, check
from services.sides import EVERY, by_name, with_files

if TYPE_CHECKING:
    from services.container import Container

CHUNK_BYTES = 1024 * 1024
KEPT_LOCALLY = (
    "The object storage is away just now: this file is kept safely on the server and is moved there by itself later. "
    "You can go on."
)
_log = structlog.get_logger(__name__)
Source = Path | BinaryIO | Iterable[bytes]
FileIds = str | Sequence[str]
WALL_SECONDS = 60.0
SLOWEST_BYTES_A_SECOND = 5_000_000  # a large file may take longer
MOST_AHEAD = 50
Sides = Mapping[str, Sequence[StoredFile]]
Command = Callable[[Sequence[str]], Sequence[str]]
NOTHING: Mapping[str, str] = {}


class FileService:
    """Use cases on uploaded files. Every method takes the person who asks and sees only that person's workspace."""

    def __init__(self, container: Container) -> None:
        self._container = container
        settings = container.settings
        self._limit_bytes = settings.upload_max_mb * 1024 * 1024
        self._limits = child.Limits(settings.reader_memory_mb, settings.reader_cpu_seconds, WALL_SECONDS)
        self._readers = threading.BoundedSemaphore(settings.job_slots)  # each may take reader_memory_mb
        self._ahead: dict[str, Future[dict[str, Any]]] = {}
        self._ahead_lock = threading.Lock()
        self._ahead_pool = ThreadPoolExecutor(1, thread_name_prefix="suggest")

    def upload(self, actor: Actor, name: str, source: Source, file_id: str | None = None) -> StoredFile:
        """Store the content (a path, an open file, or chunks of bytes) under `name`. Raises TooLarge, UploadFailed.

        `file_id` is the id it gets, where that was chosen before.
        """
        check(actor, Action.FILE_UPLOAD)
        self._container.limits.hit(Limited.UPLOAD, actor)
        metrics.file_uploads.inc()
        try:
            return self._store(actor, clean_name(name), source, file_id or new_id())
        except Exception as error:
            if isinstance(error, TooLarge):
                raise
            metrics.file_uploads_failed.inc()
            if isinstance(error, OSError) and not isinstance(error, ConnectionError):
                _log.exception("upload failed")
                raise UploadFailed from error
            raise

    def note(self, actor: Actor, file: StoredFile) -> str | None:
        """What its owner should know about where the file is kept; None when all is well."""
        check(actor, Action.FILE_READ)
        spools = bool(self._container.settings.uploads_s3_bucket)
        return KEPT_LOCALLY if spools and self._container.spool.waiting(file.storage_key) else None

    def _store(self, actor: Actor, name: str, source: Source, file_id: str) -> StoredFile:
        folder = self._container.settings.data_dir / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        digest, size, room = hashlib.sha256(), 0, self._room_bytes(actor)
        # A folder of its own: it goes even when a full disk makes closing the file fail.
        with tempfile.TemporaryDirectory(dir=folder) as own, (Path(own) / "content").open("wb") as incoming:
            for chunk in _chunks(source):
                size += len(chunk)
                if size > self._limit_bytes:
                    limit = self._container.settings.upload_max_mb
                    raise TooLarge(f"{name} is larger than the {limit} MB allowed; split it or compress it.")
                if size > room:
                    quota = self._container.settings.storage_quota_mb
                    raise TooLarge(
                        f"{name} does not fit: one person may keep {quota} MB. Ask an administrator for more."
                    )
                digest.update(chunk)
                incoming.write(chunk)
            incoming.flush()
            reach("upload received")
            sha256 = digest.hexdigest()
            key = f"uploads/{sha256[:2]}/{sha256}"
            self._container.storage.put_file(key, Path(incoming.name))
        reach("upload stored")
        file = StoredFile(
            id=file_id,
            workspace_id=actor.workspace_id,
            name=name,
            size_bytes=size,
            sha256=sha256,
            storage_key=key,
            uploaded_by=actor.account_id,
            created_at=self._container.clock.now(),
            status="uploaded",
            options_json={},
        )
        with self._container.transaction() as session:
            session.add(file)
            session.flush()
            self._container.audit.record(
                session, actor, Action.FILE_UPLOAD, "file", file.id, name=file.name, size_bytes=size, sha256=sha256
            )
        reach("upload recorded")
        return file

    def _room_bytes(self, actor: Actor) -> int:
        """How much more the person may keep."""
        kept = select(func.coalesce(func.sum(StoredFile.size_bytes), 0)).where(
            StoredFile.uploaded_by == actor.account_id
        )
        with self._container.session() as session:
            return (self._container.settings.storage_quota_mb << 20) - int(session.scalar(kept) or 0)

    def get(self, actor: Actor, file_id: str) -> StoredFile:
        """One file. Raises NotFound."""
        check(actor, Action.FILE_READ)
        with self._container.session() as session:
            return find_file(session, actor.workspace_id, file_id)

    def list(self, actor: Actor, limit: int = 100, cursor: str | None = None) -> Part[StoredFile]:
        """The newest files of the workspace."""
        check(actor, Action.FILE_READ)
        own = select(StoredFile).where(StoredFile.workspace_id == actor.workspace_id)
        with self._container.session() as session:
            return part_of(session, own, (StoredFile.created_at, StoredFile.id), limit, cursor)

    def twins(self, actor: Actor, file_id: str) -> Sequence[StoredFile]:
        """Earlier uploads of the same content in the workspace, the newest first."""
        file = self.get(actor, file_id)
        same = select(StoredFile).where(
            StoredFile.workspace_id == actor.workspace_id,
            StoredFile.sha256 == file.sha256,
            StoredFile.id != file.id,
            StoredFile.created_at <= file.created_at,
        )
        with self._container.session() as session:
            return session.scalars(same.order_by(StoredFile.created_at.desc()).limit(5)).all()

    def profile(self, actor: Actor, file_id: str) -> StoredFile:
        """Read the file and keep what it looks like (`profile_json`) or why it cannot be read (`refusal`)."""
        check(actor, Action.FILE_UPLOAD)
        with self._container.session() as session:
            file = find_file(session, actor.workspace_id, file_id)
        ended = self._read(lambda names: ["profile", *names, "--json", *_options(file)], {"left": [file]})
        damaged = f"{file.name} could not be read; it seems damaged. Save it again as CSV and upload that."
        refusal = _refusal(ended, patient(self._limits, [file]), file.name, damaged)
        with self._container.transaction() as session:
            file = find_file(session, actor.workspace_id, file_id)
            file.status = "refused" if refusal else "profiled"
            file.refusal = refusal
            file.profile_json = None if refusal else json.loads(ended.stdout)
        return file

    def set_options(self, actor: Actor, file_id: str, options: dict[str, Any]) -> StoredFile:
        """Say how the file is read (delimiter, encoding, sheet, …) and profile it again. Raises Invalid."""
        check(actor, Action.FILE_UPLOAD)
        try:
            given = ReaderOptions.model_validate(options).model_dump(mode="json", exclude_defaults=True)
        except ValidationError as error:
            first = error.errors()[0]
            raise Invalid(f"Reading option {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
        with self._container.transaction() as session:
            find_file(session, actor.workspace_id, file_id).options_json = given
            self._container.audit.record(session, actor, "file.options", "file", file_id, options=given)
        return self.profile(actor, file_id)

    def suggest(self, actor: Actor, left_file_id: FileIds, right_file_id: FileIds, *further: FileIds) -> dict[str, Any]:
        """Propose a plan for the files of two sides or more: `plan`, `fields`, `rules`, `questions`. Raises Invalid."""
        sides = self._sides(actor, left_file_id, right_file_id, *further)
        with self._ahead_lock:
            begun = self._ahead.pop(_key(sides), None)
        if begun is None or begun.cancel():  # one that has not begun would have to wait for others
            return self._suggested(sides)
        return begun.result()

    def suggest_ahead(self, actor: Actor, left_file_id: FileIds, right_file_id: FileIds, *further: FileIds) -> None:
        """Begin in the background what `suggest` will be asked for; that then takes no longer than is left of it. What
        the proposed rules match, which is asked for next, is counted thereafter.
        """
        sides = self._sides(actor, left_file_id, right_file_id, *further)
        key = _key(sides)
        with self._ahead_lock:
            if key not in self._ahead:
                for old in list(self._ahead)[: len(self._ahead) + 1 - MOST_AHEAD]:
                    self._ahead.pop(old).cancel()
                begun = self._ahead[key] = self._ahead_pool.submit(self._suggested, sides)
                begun.add_done_callback(lambda done: self._count_ahead(actor, sides, done))

    def _count_ahead(self, actor: Actor, sides: Sides, suggested: Future[dict[str, Any]]) -> None:
        if not suggested.cancelled() and suggested.exception() is None:
            plan = build_plan(suggested.result()["plan"])
            named = with_files(plan, by_name(plan, [[f.name for f in files] for files in sides.values()]))
            with suppress(ServiceError):  # nobody waits for it: whoever will asks again
                self._container.previews.look_at_pairs(actor, named, *([f.id for f in one] for one in sides.values()))

    def _sides(self, actor: Actor, *file_ids: FileIds) -> Sides:
        check(actor, Action.PLAN_EDIT)
        with self._container.session() as session:
            return {
                side: [find_file(session, actor.workspace_id, one) for one in listed(given)]
                for side, given in zip(EVERY, file_ids, strict=False)
            }

    def _suggested(self, sides: Sides) -> dict[str, Any]:
        return self._proposed(sides, *(_two_sided(sides) if len(sides) == len(SIDES) else _named(sides)))

    def _proposed(self, sides: Sides, command: Command, written: Mapping[str, str]) -> dict[str, Any]:
        ended = self._read(command, sides, written)
        every = [file for files in sides.values() for file in files]
        names = " and ".join(", ".join(f.name for f in files) for files in sides.values())
        by_hand = f"No plan could be proposed for {names}; map their columns by hand."
        refusal = _refusal(ended, patient(self._limits, every), names, by_hand)
        if refusal:
            raise Invalid(refusal)
        suggestion: dict[str, Any] = json.loads(ended.stdout)
        plan = suggestion["plan"]
        for side in plan.get("sides") or [plan["left"], plan["right"]]:
            side["files"] = [Path(file).name for file in side["files"]]  # where they lay in the child concerns nobody
        return suggestion

    def _read(self, command: Command, sides: Sides, written: Mapping[str, str] = NOTHING) -> child.Ended:
        """Run the engine on the files, each linked under its own name into the child's folder, beside what is
        `written` there.
        """
        placed = {name: file for side, files in sides.items() for name, file in places(side, files).items()}

        def prepare(folder: Path) -> None:
            for name, file in placed.items():
                link_object(self._container, file.storage_key, folder / name)
            for name, text in written.items():
                (folder / name).write_text(text, encoding="utf-8")

        with self._readers:
            return child.run(command(list(placed)), patient(self._limits, placed.values()), prepare)


def _two_sided(sides: Sides) -> tuple[Command, Mapping[str, str]]:
    """How a plan for two sides is asked for."""
    left, right = sides.values()
    given = [*_options(left[0], "--left-options"), *_options(right[0], "--right-options")]

    def command(names: Sequence[str]) -> Sequence[str]:
        ours, theirs = names[: len(left)], names[len(left) :]
        more = [["--more-left", *ours[1:]] if ours[1:] else [], ["--more-right", *theirs[1:]] if theirs[1:] else []]
        return ["suggest", ours[0], theirs[0], "--json", *given, *more[0], *more[1]]

    return command, NOTHING


def _named(sides: Sides) -> tuple[Command, Mapping[str, str]]:
    """How a plan for more sides is asked for: each is named after its first file, and read as that is."""
    named = sides_of([files[0].name for files in sides.values()])
    told = [
        {"name": side.name, "label": side.label, "files": list(places(key, files)), **files[0].options_json}
        for side, (key, files) in zip(named, sides.items(), strict=True)
    ]
    text = yaml.safe_dump({"sides": told}, sort_keys=False, allow_unicode=True)
    return lambda _names: ["suggest", "--sides", "sides.yaml", "--json"], {"sides.yaml": text}


def _key(sides: Sides) -> str:
    """What a proposal depends on: the files, and how they are read."""
    return json.dumps([[[f.id, f.options_json] for f in files] for files in sides.values()], sort_keys=True)


def patient(limits: child.Limits, files: Iterable[StoredFile]) -> child.Limits:
    """The limits of a look into these files: a large one may take longer."""
    size = max(file.size_bytes for file in files)
    return replace(limits, wall_seconds=round(WALL_SECONDS + size / SLOWEST_BYTES_A_SECOND))


def listed(file_ids: FileIds) -> Sequence[str]:
    """One file or several, as several."""
    return [file_ids] if isinstance(file_ids, str) else file_ids


def places(side: str, files: Sequence[StoredFile]) -> dict[str, StoredFile]:
    """Where the files of a side stand in a child's folder: each under its own name, several in folders of their own."""
    if len(files) == 1:
        return {f"{side}/{files[0].name}": files[0]}
    return {f"{side}/{number}/{file.name}": file for number, file in enumerate(files, start=1)}


def find_file(session: Session, workspace_id: str, file_id: str) -> StoredFile:
    """The workspace's file. Raises NotFound."""
    file = session.get(StoredFile, file_id)
    if file is None or file.workspace_id != workspace_id:
        raise NotFound("There is no such file; upload it again.")
    return file


def clean_name(name: str) -> str:
    """The last part of a file's name as given by a browser, fit to be a file name here: the suffix survives."""
    last = name.replace("\\", "/").rsplit("/", maxsplit=1)[-1]
    printable = "".join(c for c in last if c.isprintable()).strip().strip(".")
    suffix = Path(printable).suffix[:20]
    room = 200 - len(suffix.encode())
    stem = printable.removesuffix(suffix).encode()[:room].decode(errors="ignore")
    return (stem or "file") + suffix


def link_object(container: Container, key: str, path: Path) -> None:
    """Make the stored object readable under `path`: a hard link on the same disk, else a symbolic link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with container.storage.local_path(key) as stored:
        try:
            os.link(stored, path)
        except OSError:
            path.symlink_to(stored)


def _chunks(source: Source) -> Iterator[bytes]:
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield from _chunks(file)
    elif hasattr(source, "read"):
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
    else:
        yield from source


def _options(file: StoredFile, flag: str = "--options") -> list[str]:
    return [flag, json.dumps(file.options_json)] if file.options_json else []


def _refusal(ended: child.Ended, limits: child.Limits, name: str, otherwise: str) -> str | None:
    """Why the child gave no answer, in one sentence; None when it did. Raises Unavailable when it was interrupted."""
    if ended.code == 0:
        return None
    exceeded = ended.exceeded(limits)
    if exceeded:
        return f"{name}: reading it {exceeded}"
    if ended.code == 2 and ended.sentence:
        return ended.sentence
    if ended.code < 0:  # ended from outside: that says nothing about the file
        raise Unavailable(f"Reading {name} was interrupted; please try again.")
    return otherwise
