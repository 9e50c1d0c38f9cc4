"""Uploads: stored by hash, read in limited children, described or refused."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from recon_engine.plan import Plan
from services.container import Container, build_container
from services.errors import Invalid, NotAllowed, NotFound, TooLarge
from services.files import clean_name
from services.jobs import child
from services.permissions import Actor, Role
from services.settings import Settings
from tests.work import BANK, LEDGER, upload_pair


def test_an_upload_is_stored_by_its_hash(container: Container, admin: Actor, tmp_path: Path) -> None:
    """Chunks, an open file and a path give the same object; each upload is a row of its own."""
    path = tmp_path / "x.csv"
    path.write_bytes(LEDGER)
    sources = ([LEDGER[:7], LEDGER[7:]], io.BytesIO(LEDGER), path)
    files = [container.files.upload(admin, "ledger.csv", source) for source in sources]
    assert {(f.sha256, f.size_bytes) for f in files} == {(hashlib.sha256(LEDGER).hexdigest(), len(LEDGER))}
    with container.storage.open(files[0].storage_key) as stored:
        assert stored.read() == LEDGER
    assert {f.id for f in container.files.list(admin)} == {f.id for f in files}
    assert list((container.settings.data_dir / "incoming").iterdir()) == []


def test_an_upload_over_the_limit_leaves_nothing(settings: Settings, admin: Actor) -> None:
    """The size is checked while the bytes arrive, whatever was announced."""
    small = build_container(settings.model_copy(update={"upload_max_mb": 1}))

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 100_000

    with pytest.raises(TooLarge, match=r"big\.csv is larger than the 1 MB allowed"):
        small.files.upload(admin, "big.csv", endless())
    assert list(small.files.list(admin)) == []
    assert list(small.storage.list("uploads")) == []
    small.close()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("ledger.csv", "ledger.csv"),
        ("C:\\Users\\ann\\March 2026.xlsx", "March 2026.xlsx"),
        ("../../etc/passwd", "passwd"),
        ("a\r\nb\0.csv", "ab.csv"),
        ("...", "file"),
        ("", "file"),
        ("é" * 300 + ".csv.gz", "é" * 98 + ".gz"),
    ],
)
def test_names_are_made_safe(given: str, kept: str) -> None:
    """A name keeps its last part and its suffix, without control characters, short enough for every disk."""
    assert clean_name(given) == kept


def test_a_profile_is_kept(container: Container, admin: Actor) -> None:
    """A readable file is profiled, and its profile stays."""
    left, _ = upload_pair(container, admin)
    assert container.files.profile(admin, left).status == "profiled"
    kept = container.files.get(admin, left).profile_json
    assert kept is not None
    assert (kept["name"], kept["rows"]) == ("ledger.csv", 3)


def test_a_file_that_cannot_be_read_says_why(container: Container, admin: Actor) -> None:
    """An unreadable file is refused with one sentence that names it; a reading option can mend that."""
    empty = container.files.upload(admin, "empty.csv", [b""])
    refused = container.files.profile(admin, empty.id)
    assert refused.status == "refused"
    assert "empty.csv" in str(refused.refusal)
    assert "\n" not in str(refused.refusal)
    with pytest.raises(Invalid, match="delimiter"):
        container.files.set_options(admin, empty.id, {"delimiter": "||"})
    odd = container.files.upload(admin, "odd.csv", [LEDGER.replace(b",", b"^")])
    mended = container.files.set_options(admin, odd.id, {"delimiter": "^"})
    assert (mended.status, mended.options_json) == ("profiled", {"delimiter": "^"})
    assert mended.profile_json is not None
    assert len(mended.profile_json["columns"]) == 3


def test_a_reader_that_takes_too_much_memory_is_a_refusal(settings: Settings, admin: Actor) -> None:
    """A file whose reading asks for more memory than allowed is refused; the application is not affected."""
    tight = build_container(settings.model_copy(update={"reader_memory_mb": 64}))
    file = tight.files.upload(admin, "ledger.csv", [LEDGER])
    refused = tight.files.profile(admin, file.id)
    assert refused.status == "refused"
    assert "ledger.csv" in str(refused.refusal)
    tight.close()


def test_a_plan_is_suggested_for_two_files(container: Container, admin: Actor) -> None:
    """The suggestion is plain data with a plan that can be launched."""
    left, right = upload_pair(container, admin)
    suggestion = container.files.suggest(admin, left, right)
    assert {"plan", "fields", "rules", "questions"} <= set(suggestion)
    named = [[container.files.get(admin, file_id).name] for file_id in (left, right)]
    assert [suggestion["plan"][side]["files"] for side in ("left", "right")] == named, "no path of this machine"
    assert container.jobs.launch(admin, None, suggestion["plan"], left, right).status == "queued"


def test_a_plan_begun_ahead_is_made_once_and_for_these_files(
    container: Container, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for however often, it is worked out once; for files that are read in another way it is worked out anew.
    What its rules match is counted after it: whoever opens the plan finds that known.
    """
    left, right = upload_pair(container, admin)
    asked: list[str] = []
    counts: list[str] = []
    run = child.run

    def counted(arguments: Sequence[str], *rest: Any) -> child.Ended:
        (counts if arguments[0] == "preview" else asked).append(arguments[0])
        return run(arguments, *rest)

    monkeypatch.setattr(child, "run", counted)
    for _ in range(3):
        container.files.suggest_ahead(admin, left, right)
    until = time.monotonic() + 30
    while not asked and time.monotonic() < until:  # it has begun: asked for now, it is waited for
        time.sleep(0.01)
    ahead = container.files.suggest(admin, left, right)
    assert asked == ["suggest"]
    assert ahead["fields"] == container.files.suggest(admin, left, right)["fields"], "not kept for ever"
    assert asked == ["suggest", "suggest"]
    plan = Plan.build(ahead["plan"]).with_files(["ledger.csv"], ["bank.csv"])
    until = time.monotonic() + 30
    while container.previews.look(admin, plan, left, right) is None and time.monotonic() < until:
        time.sleep(0.01)
    assert counts == ["preview"], "the count begun ahead is of this very plan"
    container.files.suggest_ahead(admin, left, right)
    container.files.set_options(admin, left, {"nulls": ["x"]})
    asked.clear()
    container.files.suggest(admin, left, right)
    assert "suggest" in asked


def test_the_file_s_options_reach_the_plan(container: Container, admin: Actor) -> None:
    """What was said about a file is used by its run, unless the plan says otherwise."""
    from tests.work import PLAN

    left = container.files.upload(admin, "ledger.csv", [LEDGER.replace(b",", b";")])
    right = container.files.upload(admin, "bank.csv", [BANK])
    container.files.set_options(admin, left.id, {"delimiter": ";"})
    job = container.jobs.launch(admin, None, PLAN, left.id, right.id)
    assert job.plan_json["left"] == {"label": "Ledger", "files": ["ledger.csv"], "delimiter": ";"}


def test_roles_and_workspaces(container: Container, admin: Actor, actor_of: Callable[[Role], Actor]) -> None:
    """An auditor reads files and uploads none; another workspace sees nothing."""
    left, _ = upload_pair(container, admin)
    auditor = actor_of(Role.AUDITOR)
    assert container.files.get(auditor, left).name == "ledger.csv"
    with pytest.raises(NotAllowed):
        container.files.upload(auditor, "x.csv", [LEDGER])
    stranger = Actor(admin.account_id, "0" * 32, "x@example.org", "X", Role.ADMIN, "s", "127.0.0.1")
    with pytest.raises(NotFound):
        container.files.get(stranger, left)
    assert list(container.files.list(stranger)) == []
