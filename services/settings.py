"""All configuration, read once at start from the environment and `.env`; a wrong value names its variable."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.errors import ConfigurationError

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Typed settings. The variable of a field is RECON_<NAME> unless it has a name of its own."""

    model_config = SettingsConfigDict(
        env_prefix="RECON_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    app_env: Literal["development", "production"] = Field("development", validation_alias="APP_ENV")
    """development needs nothing installed but Python; production refuses to start without its services."""

    data_dir: Path = Path(".data")
    """Folder for the embedded database, the stored files and the results."""

    database_url: SecretStr = Field(SecretStr(""), validation_alias="DATABASE_URL")
    """SQLAlchemy address of the database; empty means SQLite in the data folder."""

    database_url_file: Path | None = Field(None, validation_alias="DATABASE_URL_FILE")
    """A mounted file holding DATABASE_URL, for secrets that must not be in the environment."""

    database_pool_size: Count = 5
    """Database connections kept open."""

    database_pool_overflow: Annotated[int, Field(ge=0)] = 10
    """Further database connections opened under load."""

    database_pool_timeout_seconds: Count = 5
    """Longest wait for a free database connection."""

    database_pool_recycle_seconds: Count = 1800
    """Age at which an idle database connection is replaced."""

    breaker_failures: Count = 5
    """Failures in a row after which a service is not called for a while."""

    breaker_open_seconds: Seconds = 60
    """How long a service that failed is left alone."""

    breaker_trials: Count = 3
    """Calls let through to see whether a service is back; the rest are refused until these have answered."""

    retry_attempts: Count = 3
    """Attempts at a call to an outside service that may be repeated."""

    retry_first_wait_seconds: Seconds = 1
    """Wait before the second attempt; each further wait is twice as long."""

    retry_longest_wait_seconds: Seconds = 30
    """Longest wait between two attempts."""

    redis_url: SecretStr = Field(SecretStr(""), validation_alias="REDIS_URL")
    """Redis for the cache and the shared windows of the limits; empty means in process."""

    aws_region: str = Field("", validation_alias="AWS_REGION")
    """Region of S3 and Secrets Manager."""

    uploads_s3_bucket: str = Field("", validation_alias="UPLOADS_S3_BUCKET")
    """Bucket of the uploads and results; empty means the data folder."""

    backup_s3_bucket: str = Field("", validation_alias="BACKUP_S3_BUCKET")
    """Bucket of the backups; empty means the data folder."""

    backup_encryption_key: SecretStr = Field(SecretStr(""), validation_alias="BACKUP_ENCRYPTION_KEY")
    """Key of the backups, development only; empty means one generated for this installation."""

    enable_automated_backups: bool | None = Field(None, validation_alias="ENABLE_AUTOMATED_BACKUPS")
    """Whether backups are made every hour; empty means yes in production only."""

    smtp_url: SecretStr = Field(SecretStr(""), validation_alias="SMTP_URL")
    """Mail server as smtp://user:password@host:587 or smtps://host:465; empty means a folder of .eml files."""

    mail_from: str = ""
    """Sender of the mails, as name@example.org; empty means the user of SMTP_URL."""

    mail_lease_seconds: Annotated[int, Field(ge=2)] = 60
    """Time to hand one mail to the server; after it, another relay may take the mail over."""

    embedded_worker: bool = True
    """Whether the app starts a job worker beside itself; false where workers run on their own."""

    job_slots: Count = 2
    """Jobs that one worker runs at the same time."""

    job_memory_mb: Count = 4096
    """Address space one job may take."""

    job_cpu_seconds: Count = 3600
    """Processor time one job may take."""

    job_lease_seconds: Count = 30
    """Time without a heartbeat after which a job is given to another worker."""

    job_heartbeat_seconds: Count = 5
    """Time between two heartbeats of a running job; well below the lease."""

    job_max_attempts: Count = 3
    """Attempts after which a job whose worker keeps dying is marked failed."""

    upload_max_mb: Count = 2048
    """Largest accepted upload."""

    reader_memory_mb: Count = 2048
    """Address space for reading and profiling one uploaded file."""

    reader_cpu_seconds: Count = 60
    """Processor time for reading and profiling one uploaded file."""

    session_idle_minutes: Count = 30
    """A session without a request for this long is over."""

    session_absolute_hours: Count = 12
    """A session is over after this long, used or not."""

    password_hash_rounds: Annotated[int, Field(ge=4, le=16)] = 12
    """bcrypt cost: each step doubles the time to check one password. Production takes 12 or more."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severity that is logged."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.job_heartbeat_seconds * 2 > self.job_lease_seconds:
            raise ValueError("RECON_JOB_HEARTBEAT_SECONDS must be at most half of RECON_JOB_LEASE_SECONDS")
        if self.is_production:
            if not self.database_address.startswith("postgresql"):
                raise ValueError("DATABASE_URL must be a postgresql:// address when APP_ENV=production")
            if self.password_hash_rounds < 12:
                raise ValueError("RECON_PASSWORD_HASH_ROUNDS must be 12 or more when APP_ENV=production")
        return self

    @property
    def is_production(self) -> bool:
        """True when the strict rules of production hold."""
        return self.app_env == "production"

    @property
    def mail_sender(self) -> str:
        """The address that mails come from."""
        if self.mail_from:
            return self.mail_from
        user = unquote(urlsplit(self.smtp_url.get_secret_value()).username or "")
        return user if "@" in user else "reconciliation@localhost"

    @cached_property
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


def load_settings(**given: Any) -> Settings:
    """Read the settings. Raises ConfigurationError with one line that names every wrong variable."""
    try:
        return Settings(**given)
    except ValidationError as error:
        reasons = []
        for mistake in error.errors():
            message = str(mistake["msg"]).removeprefix("Value error, ")
            name = variable(str(mistake["loc"][0])) + ": " if mistake["loc"] else ""
            reasons.append(f"{name}{message}")
        raise ConfigurationError("settings: " + "; ".join(reasons)) from error


def variable(field_or_alias: str) -> str:
    """The environment variable of a settings field."""
    field = Settings.model_fields.get(field_or_alias)
    if field is None:
        return field_or_alias.upper()
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias) if alias else f"RECON_{field_or_alias.upper()}"
