"""Runs duckdb_cascade.sql in memory, as DuckDB does by default. Arguments: LEFT RIGHT OUT."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

left, right, out = sys.argv[1:4]
Path(out).mkdir(parents=True)
connection = duckdb.connect()
connection.execute(Path(__file__).with_suffix(".sql").read_text().format(left=left, right=right, out=out))
matches = connection.execute("SELECT count(*) FROM matches").fetchone()[0]
print(f"{matches} matches")
