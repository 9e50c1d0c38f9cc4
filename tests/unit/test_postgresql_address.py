"""Addresses of PostgreSQL: several hosts, as libpq writes them, and what the driver is told about time."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.database.postgresql import connect_arguments, parse_address
from services.settings import load_settings

DRIVER = "postgresql+psycopg://"


@pytest.mark.parametrize(
    ("given", "hosts", "ports", "attributes"),
    [
        (f"{DRIVER}u:p@a:5432,b:5433/db?target_session_attrs=read-write", "a,b", "5432,5433", "read-write"),
        (f"{DRIVER}u:p@a,b/db", "a,b", "5432,5432", "read-write"),
        (f"{DRIVER}a,b:6000/db?target_session_attrs=any", "a,b", "5432,6000", "any"),
        (f"{DRIVER}u@[::1]:5432,b/db", "::1,b", "5432,5432", "read-write"),
    ],
)
def test_several_hosts(given: str, hosts: str, ports: str, attributes: str) -> None:
    """Libpq's form reaches the driver whole; the host that takes writes is used unless the address says otherwise."""
    url = parse_address(given)
    _, named = url.get_dialect()().create_connect_args(url)
    assert (named["host"], named["port"], named["target_session_attrs"]) == (hosts, ports, attributes)
    assert named["dbname"] == "db"


def test_one_host_stays_as_it_is() -> None:
    """An address with one host is SQLAlchemy's own form already; so is SQLite's."""
    assert parse_address(f"{DRIVER}u:p@h:5432/db?sslmode=require").host == "h"
    assert parse_address("sqlite:////tmp/a,b/recon.db").database == "/tmp/a,b/recon.db"


def test_address_comes_before_the_settings(tmp_path: Path) -> None:
    """What the address says about time wins; the server is told the limits of a statement and of a lock."""
    settings = load_settings(_env_file=None, data_dir=tmp_path)
    url = parse_address(f"{DRIVER}h/db?connect_timeout=9&options=-c%20lock_timeout=1")
    told = connect_arguments(settings, url)
    assert "connect_timeout" not in told
    assert told["options"].startswith("-c statement_timeout=10000 ")
    assert told["options"].endswith("-c lock_timeout=1")
