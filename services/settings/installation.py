"""Where the app stands: the environment, the folder of its data, and the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from services.settings.kinds import Count, Group, Seconds


class InstallationSettings(Group):
    """Where the app stands: the environment, the folder of its data, and the database."""

    app_env: Literal["development", "production"] = Field("development", validation_alias="APP_ENV")
    """development needs nothing installed but Python; production refuses to start without its services."""

    data_dir: Path = Path(".data")
    """Folder for the embedded database, the stored files and the results."""

    database_url: SecretStr = Field(SecretStr(""), validation_alias="DATABASE_URL")
    """SQLAlchemy address of the database; empty means SQLite in the data folder."""

    database_url_file: Path | None = Field(None, validation_alias="DATABASE_URL_FILE")
    """A mounted file holding DATABASE_URL, for secrets that must not be in the environment."""

    database_app_role: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=63)] | None = None
    """PostgreSQL role that the app runs as, where another one owns the tables; empty means that it owns them itself."""

    database_pool_size: Count = 5
    """Database connections kept open."""

    database_pool_overflow: Annotated[int, Field(ge=0)] = 10
    """Further database connections opened under load."""

    database_pool_timeout_seconds: Count = 5
    """Longest wait for a free database connection."""

    database_pool_recycle_seconds: Count = 1800
    """Age at which an idle database connection is replaced."""

    database_connect_timeout_seconds: Annotated[int, Field(ge=2)] = 3
    """Longest wait for a new database connection, for each host of DATABASE_URL."""

    database_ping_timeout_seconds: Seconds = 2
    """Longest wait for the sign of life that a kept database connection gives before it is used."""

    database_statement_timeout_seconds: Count = 10
    """Longest time for one statement; after it the statement is ended, or the connection given up."""

    database_lock_timeout_seconds: Count = 5
    """Longest wait for a lock in PostgreSQL."""

    database_retry_seconds: Seconds = 4
    """Time within which a person's request tries again to connect to the database, before it is refused."""

    @property
    def is_production(self) -> bool:
        """True when the strict rules of production hold."""
        return self.app_env == "production"

    @property
    def database_address(self) -> str:
        """The database address in use, with the driver named. It may hold a password: never log it."""
        given = self.database_url.get_secret_value()
        if not given and self.database_url_file is not None:
            try:
                given = self.database_url_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ValueError(f"DATABASE_URL_FILE cannot be read: {error.strerror}") from error
        if not given:
            return f"sqlite:///{self.data_dir.resolve() / 'recon.db'}"
        for plain in ("postgres://", "postgresql://"):
            if given.startswith(plain):
                return "postgresql+psycopg://" + given.removeprefix(plain)
        return given
