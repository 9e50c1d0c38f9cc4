"""The four-pass cascade over two large CSV files, beside its peers.

    python -m benchmarks.cascade [--rows 5000000] [--runs 3] [--only ours bare_join ...]

Every contestant runs as a whole process, from start to the last file written; contestants take turns, so that a busy
moment of the machine does not fall on one of them. Peers live in environments of their own under build/bench.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.data import generate
from benchmarks.measure import Measurement, measure

BENCH = Path(__file__).parent.parent / "build" / "bench"
PEERS = Path(__file__).parent / "peers"
OURS, FLOOR = "ours", "bare_join"


@dataclass(frozen=True)
class Contestant:
    """A program to run: `package` names what its own environment needs, the first its name (None: ours)."""

    name: str
    what: str
    script: str | None = None
    package: str | None = None
    writes: bool = False
    arguments: tuple[str, ...] = ()


CONTESTANTS = (
    Contestant(OURS, "python -m recon_engine run: the whole contract", writes=True),
    Contestant(FLOOR, "one polars full join, only its length kept", "bare_join.py"),
    Contestant("full_join", "the same join with all columns in memory", "bare_join.py", arguments=("columns",)),
    Contestant("duckdb", "the same cascade in DuckDB SQL", "duckdb_cascade.py", "duckdb==2.0.0", writes=True),
    Contestant("datacompy", "one keyed comparison (polars)", "datacompy_compare.py", "datacompy==1.1.0"),
    Contestant("fastrecon", "one keyed comparison", "fastrecon_compare.py", "fastrecon==0.9.3"),
)


def interpreter(package: str | None) -> str:
    """The Python that runs a contestant; a missing environment is created and the package installed in it."""
    if package is None:
        return sys.executable
    home = BENCH / f"venv-{package.split('=', maxsplit=1)[0]}"
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *package.split()], check=True)
        (home / "installed").touch()
    return str(python)


def run_once(contestant: Contestant, folder: Path, partitions: int | None) -> Measurement:
    """One whole run, its output removed before and after."""
    out = folder / f"out-{contestant.name}"
    shutil.rmtree(out, ignore_errors=True)
    if contestant.script is None:
        command = [sys.executable, "-m", "recon_engine", "run", str(folder / "plan.yaml"), "--out", str(out)]
        command += ["--partitions", str(partitions)] if partitions else []
    else:
        command = [interpreter(contestant.package), str(PEERS / contestant.script)]
        command += [str(folder / "left.csv"), str(folder / "right.csv"), *([str(out)] if contestant.writes else [])]
        command += contestant.arguments
    os.environ["PYTHONPATH"] = str(BENCH.parent.parent) if contestant.script is None else ""
    measured = measure(command, folder)
    if measured.status not in ((0, 1) if contestant.script is None else (0,)):
        raise SystemExit(f"{contestant.name} failed with status {measured.status}: {measured.last_line}")
    shutil.rmtree(out, ignore_errors=True)
    return measured


def table(results: dict[str, list[Measurement]], unit: str) -> list[dict[str, object]]:
    """One row per contestant: median seconds, its ratio to `unit`, processor seconds, the largest peak memory.

    On a machine that does other work too, processor seconds say more than the clock.
    """
    medians = {name: statistics.median(m.seconds for m in runs) for name, runs in results.items()}
    base = medians.get(unit)
    return [
        {
            "name": name,
            "median_seconds": round(medians[name], 2),
            "times_the_floor": round(medians[name] / base, 2) if base else None,
            "median_cpu_seconds": round(statistics.median(m.cpu_seconds for m in runs), 2),
            "peak_mb": round(max(m.peak_bytes for m in runs) / 2**20),
            "seconds": [round(m.seconds, 2) for m in runs],
            "said": runs[-1].last_line,
        }
        for name, runs in results.items()
    ]


def main() -> None:
    """Run the comparison and print it; the numbers are also written as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cascade", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=[c.name for c in CONTESTANTS], default=None)
    parser.add_argument("--partitions", type=int, default=None, help="passed to recon_engine; default: its own choice")
    options = parser.parse_args()

    BENCH.mkdir(parents=True, exist_ok=True)
    turnstile = (BENCH / "running").open("w")
    try:
        fcntl.flock(turnstile, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit("another benchmark is running here; two at once would spoil both") from None
    folder = BENCH / f"cascade-{options.rows}"
    # In a process of its own: what this one has held would count as the peak of those it starts.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        counts = pool.apply(generate, (folder, options.rows))
    chosen = [c for c in CONTESTANTS if options.only is None or c.name in options.only]
    for contestant in chosen:
        interpreter(contestant.package)
    results: dict[str, list[Measurement]] = {c.name: [] for c in chosen}
    for turn in range(options.runs):
        for contestant in chosen:
            measured = run_once(contestant, folder, options.partitions)
            results[contestant.name].append(measured)
            print(f"turn {turn + 1}: {contestant.name} {measured.seconds:.2f} s", file=sys.stderr, flush=True)

    rows = table(results, FLOOR)
    report = {
        "rows_per_side": options.rows,
        "planted": counts,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "contestants": {c.name: asdict(c) for c in chosen},
        "results": rows,
    }
    (BENCH / f"cascade-{options.rows}.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    heads = ("median s", "x floor", "cpu s", "peak MB")
    print(f"{'contestant':<12}" + "".join(f"{head:>10}" for head in heads) + "  what")
    for contestant, row in zip(chosen, rows, strict=True):
        keys = ("median_seconds", "times_the_floor", "median_cpu_seconds", "peak_mb")
        cells = "".join(f"{'-' if row[key] is None else row[key]:>10}" for key in keys)
        print(f"{contestant.name:<12}{cells}  {contestant.what}")


if __name__ == "__main__":
    main()
