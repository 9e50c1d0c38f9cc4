"""What is written on data, keys and logs is complete: compared with tables, secrets, containers and code."""

from __future__ import annotations

import ast
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from services.database import models
from services.logs import configure_logs
from services.secrets import CATALOGUE
from services.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
EXPLANATION = ROOT / "docs/explanation"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SHIPPED: dict[str, Any] = yaml.safe_load((ROOT / "ops/deploy/compose.logs.yaml").read_text(encoding="utf-8"))
TABLES = set(models.Base.metadata.tables)


def rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose header begins with `head`."""
    table = (EXPLANATION / page).read_text(encoding="utf-8").split(f"\n| {head} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def named(cells: list[list[str]]) -> list[str]:
    """What stands in backticks in the first column."""
    return [name for cell, *_ in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_table_has_a_level() -> None:
    """Each table of the database stands once, with one of the levels and how long it is kept."""
    kept = rows("data-and-keys.md", "where | level | holds")
    assert sorted(named(kept)) == sorted(TABLES)
    assert {level for _, level, *_ in kept} == {"secret", "confidential", "internal"}
    assert all(until for *_, until in kept)


def test_columns_that_are_secret_are_told() -> None:
    """A column named like a secret is in a table of that level, or is named as an exception."""
    kept = rows("data-and-keys.md", "where | level | holds")
    told = " ".join(cell for row in kept for cell in row)
    secret = {name for row in kept if row[1] == "secret" for name in named([row])}
    like = re.compile(r"password|secret$|token_hash|code_hash")
    columns = {(table, column.name) for table in TABLES for column in models.Base.metadata.tables[table].columns}
    found = {(table, column) for table, column in columns if like.search(column)}
    assert {("account", "password_hash"), ("session", "token_hash")} <= found
    assert [(table, column) for table, column in found if table not in secret and f"`{column}`" not in told] == []


def test_every_key_has_a_schedule() -> None:
    """Each secret of the product and of compose.yaml has its kind, who knows it, when it is replaced, and its end."""
    schedule = rows("data-and-keys.md", "key | kind, algorithm")
    keys = set(named(schedule))
    derived = {"redis_password"}  # a part of redis_url and redis_conf
    settings = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    secrets = {*CATALOGUE, *COMPOSE["secrets"], *settings} - derived
    assert keys == secrets
    assert all(len(row) == 5 and all(row) for row in schedule)


def test_every_container_is_in_the_inventory_of_logs() -> None:
    """The inventory names each service of compose.yaml, and nothing else as one; what a machine keeps is bounded."""
    layers = rows("logs.md", "layer")
    assert set(named(layers)) == set(COMPOSE["services"])
    assert all(len(row) == 4 and all(row) for row in layers)
    for service in COMPOSE["services"].values():
        assert service["logging"] == {"driver": "local", "options": {"max-size": "20m", "max-file": "5"}}


def test_every_container_ships_its_log_by_tls() -> None:
    """With the second file no log stays on its machine alone, and the other side is checked."""
    assert set(SHIPPED["services"]) == set(COMPOSE["services"])
    for service in SHIPPED["services"].values():
        assert set(service) == {"logging"}
        options = service["logging"]["options"]
        assert service["logging"]["driver"] == "syslog"
        assert re.fullmatch(r"tcp\+tls://\$\{RECON_LOG_HOST:\?[^}]+\}:6514", options["syslog-address"])
        assert re.fullmatch(r"\$\{RECON_LOG_CA:\?[^}]+\}", options["syslog-tls-ca-cert"])
        assert "syslog-tls-skip-verify" not in options
        assert options["mode"] == "non-blocking"


def test_logs_go_to_standard_output_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither our lines nor those of libraries have another way out, and no module makes one."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    try:
        configure_logs(load_settings(_env_file=None))
        ways = {getattr(handler, "stream", handler) for handler in root.handlers}
        assert ways == {sys.stdout}
        assert isinstance(structlog.get_config()["logger_factory"](), structlog.WriteLogger)
    finally:
        structlog.reset_defaults()
    assert sorted(makers()) == ["services/logs.py: StreamHandler"]


def makers() -> Iterator[str]:
    """Every place of the product that makes a way out for logs."""
    for folder in ("recon_engine", "services", "ops", "pages"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called = node.func if isinstance(node, ast.Call) else None
                name = getattr(called, "attr", getattr(called, "id", ""))
                if name.endswith("Handler") or name in {"basicConfig", "openlog", "syslog"}:
                    yield f"{path.relative_to(ROOT)}: {name}"
