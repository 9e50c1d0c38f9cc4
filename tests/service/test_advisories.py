"""`make audit`: a release waits for as long as a locked library has a known weakness, or nobody could be asked."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.servers import free_port

ROOT = Path(__file__).parents[2]
LOCKED = re.findall(r"^([\w.-]+)==([^ \\]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)


@contextmanager
def advisories(weak: str = "") -> Iterator[tuple[str, set[str]]]:
    """A list of advisories as osv.dev serves it, which knows one weak library; its address, and what it was asked."""
    asked: set[str] = set()
    known = {"id": "PYSEC-2026-1", "summary": "weak", "details": "weak", "aliases": [], "affected": []}

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            asked.add(name)
            found = json.dumps({"vulns": [known]} if name == weak else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
    finally:
        server.shutdown()
        server.server_close()


def audit(address: str, folder: Path) -> tuple[int, str]:
    """The exit status of the script, and what it said."""
    given = ["--vulnerability-service", "osv", "--osv-url", address, "--cache-dir", folder]
    ended = subprocess.run([ROOT / ".ci/audit", *given], capture_output=True, text=True, timeout=200, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_a_known_weakness_stops_the_release(tmp_path: Path) -> None:
    """Every locked library is asked for; one that is weak ends with 1 and its name."""
    with advisories() as (address, asked):
        status, said = audit(address, tmp_path)
        assert status == 0, said
        assert "No known weakness in the locked dependencies." in said
        assert {name for name, _ in LOCKED if name.lower() not in asked} <= markers_elsewhere()
    weak = next(name for name, _ in LOCKED if name in asked)
    with advisories(weak) as (address, _):
        status, said = audit(address, tmp_path / "other")
        assert status == 1
        assert re.search(rf"{weak}\s.*PYSEC-2026-1", said)


def test_nobody_to_ask_is_no_all_clear(tmp_path: Path) -> None:
    """Without the list it ends with 3 and says that nothing was checked."""
    status, said = audit(f"http://127.0.0.1:{free_port()}/v1/query", tmp_path)
    assert status == 3
    assert "nothing was checked" in said


def markers_elsewhere() -> set[str]:
    """Libraries that are locked for other systems only."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {line.partition("==")[0] for line in lines if re.match(r"[\w.-]+==", line) and ";" in line}
