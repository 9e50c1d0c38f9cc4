"""Reads many files as the application does, in a child with limits, and tells what became of each."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS_A_BATCH = 60
MEMORY_BYTES = 2 << 30

# What `python -m recon_engine profile FILE` does, for several files: a JSON line before and after each.
CHILD = """
import json, sys
from recon_engine.__main__ import main
from contextlib import redirect_stdout, redirect_stderr
from io import StringIO
for path in sys.argv[1:]:
    print(json.dumps({"begin": path}), flush=True)
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["profile", path])
    print(json.dumps({"path": path, "code": code, "err": err.getvalue(), "chars": len(out.getvalue())}), flush=True)
"""


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def profiled(paths: list[str]) -> dict[str, tuple[int | None, str]]:
    """Exit code and stderr of each file; code None where the child died on it."""
    found: dict[str, tuple[int | None, str]] = {}
    waiting = list(paths)
    while waiting:
        child = subprocess.run(
            [sys.executable, "-c", CHILD, *waiting],
            capture_output=True,
            text=True,
            timeout=SECONDS_A_BATCH + 5 * len(waiting),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            preexec_fn=_limits,
            check=False,
            env={"PATH": os.environ["PATH"], "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        lines = [json.loads(line) for line in child.stdout.splitlines()]
        found |= {line["path"]: (line["code"], line["err"]) for line in lines if "path" in line}
        dead = [line["begin"] for line in lines if "begin" in line and line["begin"] not in found]
        assert lines, child.stderr
        assert "Traceback" not in child.stderr, child.stderr
        found |= dict.fromkeys(dead, (None, f"ended by signal {-child.returncode}"))
        waiting = [path for path in waiting if path not in found]
    return found
