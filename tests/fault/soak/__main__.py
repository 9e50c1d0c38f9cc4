"""`python -m tests.fault.soak`: faults under load, for as long as is said, and a report."""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from tests.fault.soak.nemesis import every_fault
from tests.fault.soak.soak import Plan, soak


def main() -> None:
    """Exit status 0: nothing lost, nothing doubled. 1: see what is printed, and the logs in the folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the order of the faults")
    parser.add_argument("--fault-seconds", type=float, default=8)
    parser.add_argument("--out", type=Path, default=Path("build/soak"), help="where the logs of each run are kept")
    given = parser.parse_args()
    folder = (given.out / time.strftime("%Y%m%dT%H%M%S")).resolve()
    print(f"seed {given.seed}, logs in {folder}", flush=True)  # noqa: T201 - it reports to a person
    faults = every_fault(random.Random(given.seed))
    verdict = soak(folder, Plan(given.minutes * 60, given.users, faults, given.fault_seconds))
    print(verdict.text)  # noqa: T201
    (folder / "report.txt").write_text(verdict.text, encoding="utf-8")
    sys.exit(bool(verdict.findings))


if __name__ == "__main__":
    main()
