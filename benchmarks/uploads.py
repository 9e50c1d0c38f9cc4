"""How much the server's memory grows while a large file arrives: by the page in a browser, and by the API.

    python -m benchmarks.uploads [--page-mb 500] [--api-mb 1000]

Prints the growth of the server's own resident memory over what it had before, at its highest (its reading children are
limited by RECON_READER_MEMORY_MB and end with the reading), and exits with 1 where it passes the promise.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import expect, sync_playwright

from services.container import build_container
from services.settings import load_settings
from tests.browser.conftest import FLAGS
from tests.browser.server import Server

PAGE_GROWS_MB, API_GROWS_MB = 700, 100
_PAGE = 4096


class Memory:
    """The resident memory of a process, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self._statm = Path(f"/proc/{pid}/statm")
        self.highest = 0.0

    def now(self) -> float:
        """Megabytes."""
        return int(self._statm.read_text(encoding="ascii").split()[1]) * _PAGE / 1e6

    @contextmanager
    def watched(self) -> Iterator[float]:
        """Note the highest while the block runs; gives what there was before."""
        before = self.highest = self.now()
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                self.highest = max(self.highest, self.now())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield before
        finally:
            done.set()
            watcher.join()


def write_csv(path: Path, megabytes: int) -> None:
    """Rows of a ledger, each another one."""
    with path.open("w", encoding="ascii") as file:
        file.write("ref,booked,amount,narrative\n")
        number = 0
        while file.tell() < megabytes * 1_000_000:
            file.writelines(
                f"INV-{n:09d},2026-{n % 12 + 1:02d}-{n % 28 + 1:02d},{n % 99_991}.{n % 100:02d},customer {n % 7919}\n"
                for n in range(number, number + 50_000)
            )
            number += 50_000


def by_page(server: Server, memory: Memory, token: str, reconciliation: str, path: Path) -> float:
    """Choose the file on the Upload page as a person does, and wait until its profile is shown."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=FLAGS)
        context = browser.new_context(base_url=server.address)
        context.add_cookies([{"name": "recon_session", "value": token, "url": server.address}])
        page = context.new_page()
        page.goto(f"/upload?r={reconciliation}")
        zone = page.locator(".st-key-upload-left input[type=file]")
        expect(zone).to_be_attached(timeout=60_000)
        with memory.watched() as before:
            zone.set_input_files(path)
            expect(page.get_by_text("rows ·").first).to_be_visible(timeout=600_000)
        browser.close()
    return memory.highest - before


def by_api(server: Server, memory: Memory, token: str, path: Path) -> float:
    """Send the file as the body of one request."""

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk

    with memory.watched() as before:
        answer = httpx.post(
            f"{server.address}/api/files/upload",
            params={"name": path.name},
            headers={"Authorization": f"Bearer {token}"},
            content=chunks(),
            timeout=900,
        )
    answer.raise_for_status()
    told = answer.json()
    print(f"  the API says: {told['status']} {told['refusal'] or ''}")
    return memory.highest - before


def main() -> int:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page-mb", type=int, default=500)
    parser.add_argument("--api-mb", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder)
        server.start()
        assert server._process is not None  # noqa: SLF001
        memory = Memory(server._process.pid)  # noqa: SLF001
        container = build_container(load_settings(password_hash_rounds=4, data_dir=folder))
        try:
            account = container.accounts.create_first_admin(
                "Ada", "ada@example.org", "violet-otter-42"
            )  # pragma: allowlist secret
            token = container.sessions.start(account, "127.0.0.1", "benchmark")
            actor = container.sessions.resolve(token)
            started = container.plans.start(actor, "Large")
            httpx.get(f"{server.address}/", timeout=60)
            path = folder / "large.csv"
            fits = True
            for what, size, allowed in (
                ("page", options.page_mb, PAGE_GROWS_MB),
                ("API", options.api_mb, API_GROWS_MB),
            ):
                if not size:
                    continue
                write_csv(path, size)
                began = time.monotonic()
                if what == "page":
                    grown = by_page(server, memory, token, started.id, path)
                else:
                    grown = by_api(server, memory, token, path)
                fits &= grown < allowed
                seconds = time.monotonic() - began
                print(
                    f"{size} MB by the {what}: memory grew by {grown:.0f} MB (allowed {allowed}), {seconds:.0f} s",
                    flush=True,
                )
        finally:
            container.close()
            server.stop()
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
