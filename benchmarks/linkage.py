"""Linking two tables of made-up people, beside Splink 5 on DuckDB.

    python -m benchmarks.linkage [--rows 10000] [--runs 3] [--probability 0.95]

Each runs as a whole process; they take turns. Splink is given the blocking keys and comparisons that an expert would
write for this data; ours is told the fields only. `--rows 1000000` takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.cascade import BENCH, PEERS, Contestant, interpreter, table
from benchmarks.measure import Measurement, measure
from benchmarks.people import generate

CONTESTANTS = (
    Contestant("ours", "recon_engine's linkage, told the fields only", "our_link.py"),
    Contestant("splink", "Splink on DuckDB, keys and comparisons by hand", "splink_link.py", "splink==5.0.0"),
)


def run_once(contestant: Contestant, folder: Path, probability: float) -> Measurement:
    """One whole run; its last line says how well it did."""
    os.environ["PYTHONPATH"] = str(BENCH.parent.parent) if contestant.package is None else ""
    command = [interpreter(contestant.package), str(PEERS / str(contestant.script))]
    measured = measure([*command, "left.parquet", "right.parquet", str(probability)], folder)
    if measured.status:
        raise SystemExit(f"{contestant.name} failed with status {measured.status}: {measured.last_line}")
    return measured


def main() -> None:
    """Run the comparison and print it; the numbers are also written as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linkage", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--probability", type=float, default=0.95)
    options = parser.parse_args()

    folder = BENCH / f"people-{options.rows}"
    generate(folder, options.rows)
    for contestant in CONTESTANTS:
        interpreter(contestant.package)
    results: dict[str, list[Measurement]] = {c.name: [] for c in CONTESTANTS}
    for turn in range(options.runs):
        for contestant in CONTESTANTS:
            results[contestant.name].append(run_once(contestant, folder, options.probability))
            print(f"turn {turn + 1}: {contestant.name} {results[contestant.name][-1].last_line}", file=sys.stderr)
    rows = table(results, "splink")
    (BENCH / f"linkage-{options.rows}.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    print(f"{'contestant':<12}{'median s':>10}{'cpu s':>10}{'peak MB':>10}  said")
    for row in rows:
        print(
            f"{row['name']:<12}{row['median_seconds']:>10}{row['median_cpu_seconds']:>10}{row['peak_mb']:>10}"
            f"  {row['said']}"
        )


if __name__ == "__main__":
    main()
