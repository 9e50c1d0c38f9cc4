"""The checker: what was acknowledged against what is there at the end. It knows the log and one final read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.fault.soak.records import Record, Story, stories

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass
class FileFound:
    """A file at the end."""

    sha256: str
    stored_sha256: str | None
    """Of the content in the bucket; None when there is none."""
    options: dict[str, object] = field(default_factory=dict)


@dataclass
class JobFound:
    """A run at the end."""

    id: str
    status: str
    endings: int
    """Entries of the audit trail that say how it ended."""
    inputs: tuple[str, str] | None = None
    """Hashes of the files that its result says it is of; None without a whole result."""
    matches: int | None = None
    """Rows of its table of matches, as the API gives them."""


@dataclass
class MailsFound:
    """The mails to one address at the end."""

    queued: list[str] = field(default_factory=list)
    """Message-IDs in the outbox."""
    unsent: int = 0
    arrived: list[str] = field(default_factory=list)
    """Message-IDs in the mailbox."""


@dataclass
class Final:
    """What is there at the end, by the names that the users gave."""

    files: dict[str, list[FileFound]]
    jobs: dict[str, list[JobFound]]
    mails: dict[str, MailsFound]
    sessions: dict[str, int]
    audit: str | None = None
    """Why the audit trail is not whole; None when it is."""

    @property
    def counts(self) -> str:
        """How much there is, in a line."""
        files, runs = (sum(map(len, found.values())) for found in (self.files, self.jobs))
        mails = sum(len(found.queued) for found in self.mails.values())
        twice = sum(len(found.arrived) - len(set(found.arrived)) for found in self.mails.values())
        trail = self.audit or "whole"
        return f"{files} files, {runs} runs, {mails} mails ({twice} arrived twice), audit trail {trail}"


def check(records: list[Record], final: Final) -> list[str]:
    """Everything that is lost, doubled, made up or broken: one sentence each. Empty: all is as it was acknowledged."""
    found = [*_broken(records), *_files(records, final), *_jobs(records, final), *_mails(records, final)]
    found += [
        f"sign-in of {person}: acknowledged {ok} times, {final.sessions.get(person, 0)} sessions are there"
        for person, ok in _acknowledged_sign_ins(records).items()
        if final.sessions.get(person, 0) < ok
    ]
    return found + ([f"audit trail: {final.audit}"] if final.audit else [])


def _broken(records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        if record.kind == "broken":
            yield f"{record.op} {record.item}: {record.told} during {record.during}"


def _acknowledged_sign_ins(records: Iterable[Record]) -> dict[str, int]:
    counted: dict[str, int] = defaultdict(int)
    for record in records:
        if (record.op, record.kind) == ("sign in", "ok"):
            counted[record.item] += 1
    return counted


def _present(what: str, asked: dict[str, Story], counts: dict[str, int]) -> Iterator[str]:
    """What holds for everything: acknowledged once, there once; refused, not there; never asked for, not there."""
    for name, story in asked.items():
        count = counts.get(name, 0)
        if story.ended in ("ok", "broken") and count == 0:
            yield f"{what} {name}: acknowledged and lost"
        if story.ended == "fail" and count:
            yield f"{what} {name}: refused ({story.told}) and there all the same"
        if count > 1:
            yield f"{what} {name}: there {count} times"
    for name in counts.keys() - asked.keys():
        if counts[name]:
            yield f"{what} {name}: nobody asked for it"


def _files(records: list[Record], final: Final) -> Iterator[str]:
    asked = stories(records, "upload")
    yield from _present("file", asked, {name: len(found) for name, found in final.files.items()})
    for name, found in final.files.items():
        for file in found:
            if name in asked and file.sha256 != asked[name].told["sha256"]:
                yield f"file {name}: its hash is not that of what was sent"
            if file.stored_sha256 != file.sha256:
                yield f"file {name}: its content is {'damaged' if file.stored_sha256 else 'not in the bucket'}"
    for name, story in stories(records, "options").items():
        if story.ended == "ok" and [file.options for file in final.files.get(name, [])] != [story.told["options"]]:
            yield f"file {name}: the way of reading that was acknowledged is lost"


def _jobs(records: list[Record], final: Final) -> Iterator[str]:
    asked, files = stories(records, "launch"), stories(records, "upload")
    cancels = stories(records, "cancel")
    yield from _present("run", asked, {name: len(found) for name, found in final.jobs.items()})
    for name, found in final.jobs.items():
        story, cancel = asked.get(name), cancels.get(name)
        for job in found:
            if story is not None and story.told.get("id", job.id) != job.id:
                yield f"run {name}: another one than was acknowledged"
            yield from (f"run {name}: {fault}" for fault in _ending(job, cancel))
            if job.status != "succeeded" or story is None:
                continue
            sides = tuple(files[f"{name}-{side}.csv"].told["sha256"] for side in ("left", "right"))
            if job.inputs != sides:
                yield f"run {name}: its result is {'of other files' if job.inputs else 'not whole'}"
            if job.matches != 2 * (story.told["rows"] - 1):
                yield f"run {name}: its result has {job.matches} rows of matches"


def _ending(job: JobFound, cancel: Story | None) -> Iterator[str]:
    if job.status not in TERMINAL:
        yield f"has not ended: {job.status}"
        return
    at_once = job.status == "cancelled" and cancel is not None and job.endings == 0  # it had not begun
    if job.endings != 1 and not at_once:
        yield f"ended {job.endings} times"
    if job.status == "failed":
        yield "failed"
    if cancel is None and job.status == "cancelled":
        yield "cancelled, and nobody asked for that"
    if cancel is not None and cancel.ended == "ok" and job.status != "cancelled":
        yield f"cancelling was acknowledged, and it is {job.status}"
    if cancel is not None and cancel.ended == "fail" and job.status == "cancelled":
        yield f"cancelling was refused ({cancel.told}), and it is cancelled"


def _mails(records: list[Record], final: Final) -> Iterator[str]:
    asked = stories(records, "mail")
    yield from _present("mail to", asked, {name: len(found.queued) for name, found in final.mails.items()})
    for name, found in final.mails.items():
        if found.unsent:
            yield f"mail to {name}: not sent"
        if set(found.arrived) != set(found.queued):
            lost, made_up = set(found.queued) - set(found.arrived), set(found.arrived) - set(found.queued)
            yield f"mail to {name}: {len(lost)} never arrived, {len(made_up)} with a Message-ID of their own"
