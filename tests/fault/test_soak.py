"""Users at work while one thing after the other is killed, paused and cut off; and the checker that judges it."""

from __future__ import annotations

import time
from copy import deepcopy
from itertools import product
from pathlib import Path

import httpx
import pytest

from tests.fault.conftest import FULL
from tests.fault.soak.checker import FileFound, Final, JobFound, MailsFound, check
from tests.fault.soak.nemesis import FAULTS, PARTS, Injected
from tests.fault.soak.records import Kind, Record
from tests.fault.soak.report import table
from tests.fault.soak.soak import Plan, soak
from tests.fault.soak.users import judged

SAMPLE = [("worker", "kill"), ("postgresql", "kill"), ("s3", "black hole"), ("app", "pause")]


@pytest.mark.timeout(900)
@pytest.mark.skipif(FULL, reason="make fault runs the whole soak instead")
def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    """Five users through four faults: what was acknowledged is there once and whole, what was refused is not there."""
    plan = Plan(seconds=60, users=5, faults=iter(SAMPLE), fault_seconds=4, calm_seconds=1)
    verdict = soak(tmp_path, plan)
    print(verdict.text)  # noqa: T201 - shown when it fails
    assert verdict.findings == []
    assert verdict.injected
    ended = {op for op in ("upload", "launch", "mail") for r in verdict.records if (r.op, r.kind) == (op, "ok")}
    assert ended == {"upload", "launch", "mail"}
    assert any(job.status == "succeeded" for found in verdict.final.jobs.values() for job in found)


def record(op: str, item: str, kind: Kind, **told: object) -> list[Record]:
    """What is noted of one thing: asked, and told."""
    asked = Record(time.monotonic(), "u", op, item, "invoke", "none", told)
    return [asked, Record(time.monotonic(), "u", op, item, kind, "none", told)]


RECORDS = [
    *record("sign in", "u@example.org", "ok"),
    *record("upload", "a-left.csv", "ok", sha256="l"),
    *record("upload", "a-right.csv", "ok", sha256="r"),
    *record("upload", "b.csv", "fail", sha256="b"),
    *record("upload", "c.csv", "unknown", sha256="c"),
    *record("options", "a-left.csv", "ok", options={"nulls": ["a"]}),
    *record("launch", "a", "ok", id="1", rows=3),
    *record("upload", "d-left.csv", "unknown", sha256="l"),
    *record("upload", "d-right.csv", "unknown", sha256="r"),
    *record("launch", "d", "ok", id="2", rows=3),
    *record("cancel", "d", "ok"),
    *record("mail", "m@example.org", "ok"),
]
FINAL = Final(
    files={"a-left.csv": [FileFound("l", "l", {"nulls": ["a"]})], "a-right.csv": [FileFound("r", "r")]},
    jobs={"a": [JobFound("1", "succeeded", 1, ("l", "r"), 4)], "d": [JobFound("2", "cancelled", 0)]},
    mails={"m@example.org": MailsFound(["<1>"], 0, ["<1>", "<1>"])},
    sessions={"u@example.org": 1},
)


def test_a_true_end_passes() -> None:
    """All that was acknowledged, a mail that came twice, and nothing else: no finding."""
    assert check(RECORDS, FINAL) == []


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (lambda f: f.files.pop("a-right.csv"), "file a-right.csv: acknowledged and lost"),
        (lambda f: f.files["a-right.csv"].append(FileFound("r", "r")), "file a-right.csv: there 2 times"),
        (lambda f: f.files.update({"b.csv": [FileFound("b", "b")]}), "file b.csv: refused"),
        (lambda f: f.files.update({"x.csv": [FileFound("x", "x")]}), "file x.csv: nobody asked for it"),
        (lambda f: f.files.update({"c.csv": [FileFound("c", None)]}), "file c.csv: its content is not in the bucket"),
        (lambda f: f.files["a-right.csv"].__setitem__(0, FileFound("r", "?")), "its content is damaged"),
        (lambda f: f.files["a-right.csv"].__setitem__(0, FileFound("?", "?")), "its hash is not that of what was sent"),
        (lambda f: f.files["a-left.csv"][0].options.clear(), "the way of reading that was acknowledged is lost"),
        (lambda f: f.jobs.pop("a"), "run a: acknowledged and lost"),
        (lambda f: setattr(f.jobs["a"][0], "id", "9"), "run a: another one than was acknowledged"),
        (lambda f: setattr(f.jobs["a"][0], "endings", 2), "run a: ended 2 times"),
        (lambda f: setattr(f.jobs["a"][0], "status", "running"), "run a: has not ended"),
        (lambda f: setattr(f.jobs["a"][0], "status", "failed"), "run a: failed"),
        (lambda f: setattr(f.jobs["a"][0], "status", "cancelled"), "run a: cancelled, and nobody asked for that"),
        (lambda f: setattr(f.jobs["a"][0], "inputs", None), "run a: its result is not whole"),
        (lambda f: setattr(f.jobs["a"][0], "inputs", ("l", "x")), "run a: its result is of other files"),
        (lambda f: setattr(f.jobs["a"][0], "matches", 3), "run a: its result has 3 rows of matches"),
        (lambda f: f.jobs.update(d=[JobFound("2", "succeeded", 1, ("l", "r"), 4)]), "run d: cancelling was"),
        (lambda f: f.mails.clear(), "mail to m@example.org: acknowledged and lost"),
        (lambda f: f.mails["m@example.org"].arrived.clear(), "1 never arrived"),
        (lambda f: f.mails["m@example.org"].arrived.append("<2>"), "1 with a Message-ID of their own"),
        (lambda f: f.mails["m@example.org"].queued.append("<1>"), "mail to m@example.org: there 2 times"),
        (lambda f: setattr(f.mails["m@example.org"], "unsent", 1), "mail to m@example.org: not sent"),
        (lambda f: f.sessions.clear(), "sign-in of u@example.org"),
        (lambda f: setattr(f, "audit", "entry 3 was altered"), "audit trail: entry 3 was altered"),
    ],
)
def test_the_checker_finds(spoil: object, finding: str) -> None:
    """Whatever is lost, doubled, made up, damaged or not ended is found and named."""
    final = deepcopy(FINAL)
    spoil(final)  # type: ignore[operator]  # each a function of the final read
    assert finding in "\n".join(check(RECORDS, final))


@pytest.mark.parametrize(
    ("status", "problem", "kind"),
    [
        (200, None, "ok"),
        (503, {"title": "Service unavailable", "detail": "Later."}, "fail"),
        (503, {"title": "Outcome unknown", "detail": "Look."}, "unknown"),
        (500, {"title": "Internal error", "detail": "Oh."}, "broken"),
        (502, None, "broken"),
    ],
)
def test_answers_are_judged(status: int, problem: dict[str, str] | None, kind: str) -> None:
    """A refusal is a problem document that says so; an error of ours, or an answer without one, is broken."""
    headers = {"content-type": "application/problem+json"} if problem else {}
    assert judged(httpx.Response(status, json=problem, headers=headers))[0] == kind


def test_the_report_counts_by_fault() -> None:
    """One line for each fault that was injected, with its answers and its times."""

    class Silent:
        served = (0.0, 1.0, 7.5, 8.0)

        def longest_silence(self, begin: float, end: float) -> float:
            """As the pulse tells it."""
            return 6.5

    told = [Record(2.0, "u", "upload", "x", kind, "redis kill", {}) for kind in ("invoke", "ok", "fail", "fail")]
    lines = table(told, [Injected("redis", "kill", 1.0, 5.0, 7.0)], Silent()).splitlines()  # type: ignore[arg-type]
    assert lines[2].split() == ["redis", "kill", "1", "1", "2", "0", "0", "6.5", "2.0"]


def test_every_part_meets_every_fault() -> None:
    """Six parts, three faults: the sample is of those, and the whole soak takes them all in turn."""
    assert set(SAMPLE) <= set(product(PARTS, FAULTS))
    assert (len(PARTS), len(FAULTS)) == (6, 3)
