"""How long a database of a gigabyte takes to back up, to drill and to restore in place, on the real commands.

    python -m benchmarks.restore [--mb 1024] [--engine postgresql|sqlite]

PostgreSQL runs as it does by default, vacuuming by itself, on a port of its own. Ends with status 1 when a command
fails, when the restored database is not the snapshot, or when the restore takes two minutes or more.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, func, insert, select

from benchmarks.measure import measure
from services.container import Container, build_container
from services.database.engine import migrate
from services.database.models import Mail
from services.settings import load_settings
from tests.postgresql_cluster import running
from tests.servers import postgresql_programs

ROOT = Path(__file__).parents[1]
GOAL_SECONDS = 120
BODY = 3000  # characters a row, random: nothing that packs well
BATCH = 2000


@contextmanager
def database(engine: str) -> Iterator[str]:
    """The address of a new database; empty: the one in the data folder."""
    if engine == "sqlite":
        yield ""
    else:
        with running(postgresql_programs(), options=()) as server:
            yield f"{server.address}/postgres"


def fill(container: Container, megabytes: int) -> int:
    """Add mails of long ago until the database holds so much; gives how many."""
    chance, rows = random.Random(378), megabytes * (1 << 20) // (BODY + 300)
    now = container.clock.now()
    common = {"recipient": "a@example.org", "subject": "s", "status": "sent", "next_at": now, "created_at": now}
    common |= {"give_up_at": now + timedelta(days=1), "sent_at": now}
    for start in range(0, rows, BATCH):
        numbers = range(start, min(rows, start + BATCH))
        bodies = [base64.b85encode(chance.randbytes(BODY * 4 // 5)).decode() for _ in numbers]
        batch = [
            {**common, "key": f"k{number}", "message_id": f"<{number}@example.org>", "body": body}
            for number, body in zip(numbers, bodies, strict=True)
        ]
        with container.transaction() as session:
            session.execute(insert(Mail), batch)
    return rows


def command(folder: Path, *words: str) -> float:
    """Run a command of operations, print what it took, give its seconds; ends all when it fails."""
    measured = measure([sys.executable, "-m", "ops", *words], folder)
    peak, said = measured.peak_bytes / 2**20, measured.last_line
    print(f"ops {' '.join(words):<12} {measured.seconds:6.1f} s, {peak:5.0f} MB at most: {said}", flush=True)
    if measured.status:
        sys.exit(measured.printed)
    return measured.seconds


def main() -> None:
    """Exit status 0: all done, and the restore in less than two minutes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restore", description=__doc__)
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--engine", choices=["postgresql", "sqlite"], default="postgresql")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recon-restore-") as name, database(given.engine) as address:
        folder = Path(name)
        os.environ |= {"RECON_DATA_DIR": name, "DATABASE_URL": address, "PYTHONPATH": str(ROOT)}
        container = build_container(load_settings(_env_file=None))
        migrate(container.engine)
        rows = fill(container, given.mb)
        print(f"{given.engine}: {rows:,} rows, {given.mb} MB")
        container.engine.dispose()
        command(folder, "backup", "now")
        command(folder, "drill")
        with container.transaction() as session:
            session.execute(delete(Mail).where(Mail.key.like("k1%")))
        container.engine.dispose()
        seconds = command(folder, "restore")
        with container.session() as session:
            held = session.scalars(select(func.count()).select_from(Mail)).one()
        container.close()
    print(f"{held:,} of {rows:,} rows are there again")
    sys.exit(held != rows or seconds >= GOAL_SECONDS)


if __name__ == "__main__":
    main()
