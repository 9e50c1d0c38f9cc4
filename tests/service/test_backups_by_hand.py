"""A backup is opened without the product, by exactly the commands that the documentation gives."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from ops.__main__ import main
from ops.backup.make import back_up
from services.container import Container
from services.permissions import Actor
from tests.service.backups import add_objects, fill, other_database, site_of

PAGE = Path(__file__).parents[2] / "docs/how-to/restore-without-the-product.md"


@pytest.fixture
def by_hand(container: Container, admin: Actor, tmp_path: Path) -> Path:
    """A folder in which somebody ran the documented lines on a backup with the written key."""
    missing = [program for program in ("age", "zstd", "tar") if shutil.which(program) is None]
    if missing:
        pytest.fail(f"needs {', '.join(missing)}: make system-packages")
    fill(container, 2_000)
    add_objects(container, 2)
    site = site_of(container)
    header = back_up(site)
    assert header is not None
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    assert main(["backup", "key", str(folder / "key.txt")], container) == 0
    assert (folder / "key.txt").stat().st_mode & 0o777 == 0o600
    (stored,) = (container.settings.data_dir / "backups/backups").glob("*.age")
    shutil.copy(stored, folder / "BACKUP.age")
    (lines,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(lines.splitlines()) == 3
    subprocess.run(["sh", "-c", lines], cwd=folder, check=True)
    return folder


def test_three_lines_open_a_backup(by_hand: Path, container: Container) -> None:
    """What comes out is what the manifest says, and the database answers."""
    manifest = json.loads((by_hand / "manifest.json").read_text(encoding="utf-8"))
    database = by_hand / manifest["database"]["name"]
    assert hashlib.sha256(database.read_bytes()).hexdigest() == manifest["database"]["sha256"]
    assert len([path for path in (by_hand / "objects").rglob("*") if path.is_file()]) == 2
    assert manifest["tables"]["workspace"]["rows"] == 2001
    assert _workspaces(database, container) == 2001


def test_the_wrong_key_opens_nothing(by_hand: Path) -> None:
    """Another key makes the first line fail, and the others are not run."""
    subprocess.run(["age-keygen", "-o", by_hand / "other.txt"], check=True, capture_output=True)
    command = ["age", "--decrypt", "--identity", "other.txt", "--output", "x", "BACKUP.age"]
    assert subprocess.run(command, cwd=by_hand, check=False, capture_output=True).returncode != 0
    assert not (by_hand / "x").exists()


def _workspaces(database: Path, container: Container) -> int:
    if database.suffix == ".sqlite":
        with closing(sqlite3.connect(database)) as opened:
            return int(opened.execute("SELECT count(*) FROM workspace").fetchone()[0])
    url = other_database(container, "by_hand")
    admin = create_engine(make_url(container.settings.database_address), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{url.database}" TEMPLATE template0'))
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    subprocess.run(["pg_restore", "--no-owner", f"--dbname={plain}", database], check=True)
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.scalars(text("SELECT count(*) FROM workspace")).one()
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{url.database}"'))
    admin.dispose()
    return int(found)
