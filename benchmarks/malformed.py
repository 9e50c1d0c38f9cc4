"""A thousand malformed files, uploaded to the running app: by the page's way and by that of other programs.

    python -m benchmarks.malformed [--files 1000] [--corpus DIR]

The files of the corpus come first, then damaged copies of good files, the same on every run. Each must be read or
refused for a plain reason within a minute, and the server must keep its size. Exits with 1 where that fails.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from benchmarks.uploads import Memory
from services.container import build_container
from services.settings import load_settings
from tests.browser.server import Server
from tests.fault.test_uploads import SEED, mutant

LONGEST_SECONDS, GROWS_MB, LONGEST_REASON = 60.0, 200, 1000
CORPUS = Path(__file__).parents[2] / "shared" / "data" / "nasty"
LIMITS = {f"RECON_LIMIT_{name}": "1000000/hour" for name in ("UPLOAD", "OTHER")}


def malformed(corpus: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents."""
    found = sorted(path for path in corpus.rglob("*") if path.is_file())[:count]
    yield from ((path.name, path.read_bytes()) for path in found)
    dice = random.Random(SEED)
    for number in range(len(found), count):
        name, content = mutant(dice)
        yield f"{number:04d}-{name}", content


def ended(answer: httpx.Response) -> str:
    """What became of a file: `profiled`, `refused`, or what is wrong with the answer."""
    if answer.status_code == 201:
        told = answer.json()
        reason, status = told["refusal"], str(told["status"])
        good = status == "profiled" or (status == "refused" and reason)
    else:
        told = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        reason, status, good = told.get("detail"), "refused", 400 <= answer.status_code < 500 and told.get("detail")
    if not good or (reason and (len(reason) > LONGEST_REASON or "\n" in reason or "Traceback" in reason)):
        return f"WRONG: {answer.status_code} {status} {str(reason)[:200]}"
    return status


def main() -> int:
    """Upload them all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.malformed", description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    given = parser.parse_args()
    ends: Counter[str] = Counter()
    seconds: list[float] = []
    with tempfile.TemporaryDirectory(prefix="recon-malformed-") as name:
        folder = Path(name)
        server = Server(folder, **LIMITS)
        server.start()
        container = build_container(load_settings(_env_file=None, password_hash_rounds=4, data_dir=folder))
        try:
            account = container.accounts.create_first_admin("Ada", "ada@example.org", "violet-otter-42")
            token = container.sessions.start(account, "127.0.0.1", "benchmark")
            actor = container.sessions.resolve(token)
            page = {"reconciliation": container.plans.start(actor, "Malformed").id, "side": "left"}
            ways = (
                ({"Cookie": f"{container.sessions.cookie}={token}"}, page),
                ({"Authorization": f"Bearer {token}"}, {}),
            )
            with httpx.Client(base_url=server.address, timeout=3 * LONGEST_SECONDS) as client:
                client.get("/")
                memory = Memory(server._process.pid)  # type: ignore[union-attr]  # noqa: SLF001
                kind = {"Content-Type": "application/octet-stream", "Origin": server.address}

                def sent(numbered: tuple[int, tuple[str, bytes]]) -> None:
                    number, (file, content) = numbered
                    headers, place = ways[number % 2]
                    asked = {"params": {"name": file, **place}, "headers": headers | kind}
                    began = time.monotonic()
                    end = ended(client.post("/api/files/upload", **asked, content=content))  # type: ignore[arg-type]
                    seconds.append(time.monotonic() - began)
                    ends[end] += 1
                    if end.startswith("WRONG"):
                        print(f"{file}: {end}", flush=True)

                with memory.watched() as before, ThreadPoolExecutor(2) as pool:
                    list(pool.map(sent, enumerate(malformed(given.corpus, given.files))))
                alive = client.get("/api/health/live").status_code == 200
        finally:
            container.close()
            server.stop()
    print(f"{given.files} files: " + ", ".join(f"{count} {end}" for end, count in ends.most_common()))
    print(f"longest {max(seconds):.1f} s (allowed {LONGEST_SECONDS:.0f}), median {statistics.median(seconds):.2f} s")
    print(
        f"server {'alive' if alive else 'DEAD'}; memory grew by {memory.highest - before:.0f} MB (allowed {GROWS_MB})"
    )
    kept = alive and max(seconds) < LONGEST_SECONDS and memory.highest - before < GROWS_MB
    return 0 if kept and set(ends) <= {"profiled", "refused"} else 1


if __name__ == "__main__":
    sys.exit(main())
