"""Settings: defaults, names, wrong values, and .env.example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.errors import ConfigurationError
from services.settings import Settings, load_settings, variable

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def load(**given: object) -> Settings:
    """Settings without the developer's .env."""
    return load_settings(_env_file=None, **given)


def test_defaults_need_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without any variable the product runs in development on SQLite in .data."""
    monkeypatch.chdir(tmp_path)
    settings = load()
    assert not settings.is_production
    assert settings.database_address == f"sqlite:///{tmp_path}/.data/recon.db"


def test_example_lists_every_setting() -> None:
    """.env.example names every variable once, with its default and its meaning."""
    listed = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(listed) == {variable(name) for name in Settings.model_fields}
    assert load_settings(_env_file=EXAMPLE) == load()
    text = EXAMPLE.read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert f"# {field.description}\n{variable(name)}=" in text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgres://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgresql+psycopg://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("sqlite:////x.db", "sqlite:////x.db"),
    ],
)
def test_database_address_names_its_driver(monkeypatch: pytest.MonkeyPatch, given: str, expected: str) -> None:
    """The addresses that hosters hand out work as they are."""
    monkeypatch.setenv("DATABASE_URL", given)
    assert load().database_address == expected


def test_database_address_from_a_mounted_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """DATABASE_URL_FILE names a file that holds the address."""
    (tmp_path / "url").write_text("postgresql://u:p@h/db\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    assert load().database_address == "postgresql+psycopg://u:p@h/db"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECON_JOB_SLOTS", "0"),
        ("RECON_UPLOAD_MAX_MB", "many"),
        ("APP_ENV", "staging"),
        ("RECON_JOB_LEASE_SECONDS", "6"),
    ],
)
def test_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A wrong value stops the start with one line that names the variable."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as caught:
        load()
    assert "\n" not in caught.value.message


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wrong variable has a line of its own, also those that are wrong only beside others."""
    for name, value in {"RECON_JOB_SLOTS": "0", "RECON_UPLOAD_MAX_MB": "many", "RECON_JOB_LEASE_SECONDS": "6"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load()
    lines = caught.value.message.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == [
        "RECON_JOB_SLOTS",
        "RECON_UPLOAD_MAX_MB",
        "RECON_JOB_HEARTBEAT_SECONDS",
    ]


def test_secrets_stay_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database password appears neither in the settings' text nor in an error about another setting."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hidden@h/db")  # pragma: allowlist secret
    assert "hidden" not in repr(load())
    monkeypatch.setenv("RECON_JOB_SLOTS", "0")
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert "hidden" not in caught.value.message
