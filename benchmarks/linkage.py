"""Records without a key: linking made-up people beside Splink 5 on DuckDB, or names of firms beside sparse matrices.

    python -m benchmarks.linkage [people|names] [--rows 10000] [--runs 3] [--at-least 0.95]

Each runs as a whole process; they take turns. Splink is given the blocking keys and comparisons that an expert would
write for this data; ours is told the fields only, and names are matched with all evidence written. `--rows` is per
table: 500000 links a million records.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from pathlib import Path

from benchmarks import names, people
from benchmarks.cascade import BENCH, PEERS, Contestant, interpreter, table
from benchmarks.measure import Measurement, measure

CONTESTANTS = {
    "people": (
        Contestant("ours", "recon_engine's linkage, told the fields only", "our_link.py"),
        Contestant("splink", "Splink on DuckDB, keys and comparisons by hand", "splink_link.py", "splink==5.0.0"),
    ),
    "names": (
        Contestant("ours", "a rule with tfidf, the whole contract", "our_texts.py"),
        Contestant(
            "topn", "sparse_dot_topn", "topn_texts.py", "sparse_dot_topn==1.2.0 scikit-learn==1.9.1 polars==2.1.0"
        ),
    ),
}
GENERATE = {"people": people.generate, "names": names.generate}


def run_once(contestant: Contestant, folder: Path, at_least: float) -> Measurement:
    """One whole run; its last line says how well it did."""
    os.environ["PYTHONPATH"] = str(BENCH.parent.parent) if contestant.package is None else ""
    command = [interpreter(contestant.package), str(PEERS / str(contestant.script))]
    measured = measure([*command, "left.parquet", "right.parquet", str(at_least)], folder)
    if measured.status:
        raise SystemExit(f"{contestant.name} failed with status {measured.status}: {measured.last_line}")
    return measured


def main() -> None:
    """Run the comparison and print it; the numbers are also written as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linkage", description=__doc__)
    parser.add_argument("what", nargs="?", choices=list(CONTESTANTS), default="people")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--at-least", type=float, default=0.95, help="probability, or likeness of names")
    options = parser.parse_args()

    folder, contestants = BENCH / f"{options.what}-{options.rows}", CONTESTANTS[options.what]
    # In a process of its own: what this one has held would count as the peak of those it starts.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(GENERATE[options.what], (folder, options.rows))
    for contestant in contestants:
        interpreter(contestant.package)
    results: dict[str, list[Measurement]] = {c.name: [] for c in contestants}
    for turn in range(options.runs):
        for contestant in contestants:
            results[contestant.name].append(run_once(contestant, folder, options.at_least))
            print(f"turn {turn + 1}: {contestant.name} {results[contestant.name][-1].last_line}", file=sys.stderr)
    rows = table(results, contestants[-1].name)
    (BENCH / f"{options.what}-{options.rows}.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    print(f"{'contestant':<12}{'median s':>10}{'x peer':>10}{'cpu s':>10}{'peak MB':>10}  said")
    for row in rows:
        print(
            f"{row['name']:<12}{row['median_seconds']:>10}{row['times_the_floor']:>10}{row['median_cpu_seconds']:>10}"
            f"{row['peak_mb']:>10}  {row['said']}"
        )


if __name__ == "__main__":
    main()
