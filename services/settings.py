"""All configuration, read once at start from the environment and `.env`; a wrong value names its variable."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from limits import parse as parse_rate
from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.errors import ConfigurationError

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


def _rate(text: str) -> str:
    try:
        parse_rate(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is no rate; write it as 10/hour or 20/15 minutes") from error
    return text


def _networks(text: str) -> str:
    for part in filter(None, (part.strip() for part in text.split(","))):
        ip_network(part)  # its ValueError names the part
    return text


RateLimit = Annotated[str, AfterValidator(_rate)]
Networks = Annotated[str, AfterValidator(_networks)]


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

    database_app_role: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=63)] | None = None
    """PostgreSQL role that the app runs as, where another one owns the tables; empty means that it owns them itself."""

    plain_text_hosts: str = ""
    """Hosts (with commas) that production may call without TLS: this machine, a private network. Empty means none."""

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

    redis_url_file: Path | None = Field(None, validation_alias="REDIS_URL_FILE")
    """A mounted file holding REDIS_URL."""

    redis_timeout_seconds: Seconds = 0.25
    """Longest wait for Redis; after it the work goes on without."""

    redis_reconnect_seconds: Seconds = 30
    """How long Redis is left alone after it failed, before it is tried again."""

    cache_memory_mb: Count = 64
    """Memory of one process for cached pages of results and numbers; the rest is in Redis, or computed again."""

    cache_seconds: Count = 900
    """Age at which a cached page of a result is forgotten."""

    limit_sign_in: RateLimit = "10/hour"
    """Attempts to sign in from one address, right or wrong, as NUMBER/hour or NUMBER/15 minutes."""

    limit_register: RateLimit = "5/hour"
    """Registrations from one address."""

    limit_job_start: RateLimit = "50/hour"
    """Runs that one person may start."""

    limit_upload: RateLimit = "100/hour"
    """Files that one person may upload."""

    limit_list_users: RateLimit = "1000/hour"
    """Times that one person may read the list of accounts."""

    limit_analytics: RateLimit = "500/hour"
    """Times that one person may read the dashboard's numbers."""

    limit_other: RateLimit = "1000/hour"
    """All other calls of the API by one person, or from one address when nobody is signed in."""

    trusted_proxies: Networks = ""
    """Addresses or networks (CIDR, with commas) of proxies whose X-Forwarded-For is believed; empty means none."""

    metrics_networks: Networks = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
    """Networks (CIDR, with commas) from which /api/metrics may be read without a token; empty means none."""

    metrics_token: SecretStr = SecretStr("")
    """Bearer token with which /api/metrics may be read from anywhere; empty means none."""

    aws_region: str = Field("", validation_alias="AWS_REGION")
    """Region of S3 and Secrets Manager."""

    aws_endpoint_url: str = Field("", validation_alias="AWS_ENDPOINT_URL")
    """Where S3 and Secrets Manager are, if not at Amazon; boto3 reads it from the environment itself."""

    uploads_s3_bucket: str = Field("", validation_alias="UPLOADS_S3_BUCKET")
    """Bucket of the uploads and results; empty means the data folder."""

    storage_cache_mb: Count = 10_240
    """Disk space in the data folder for copies of objects that were read from the bucket."""

    spool_sync_seconds: Seconds = 30
    """Time between two looks for objects kept locally that can be moved to the bucket."""

    backup_s3_bucket: str = Field("", validation_alias="BACKUP_S3_BUCKET")
    """Bucket of the backups; empty means the data folder."""

    backup_encryption_key: SecretStr = Field(SecretStr(""), validation_alias="BACKUP_ENCRYPTION_KEY")
    """Key of the backups, development only; empty means one generated for this installation."""

    backup_encryption_key_file: Path | None = Field(None, validation_alias="BACKUP_ENCRYPTION_KEY_FILE")
    """A mounted file holding the key of the backups."""

    jwt_secret_file: Path | None = Field(None, validation_alias="JWT_SECRET_FILE")
    """A mounted file holding the key that signs sessions and links; development generates one."""

    secrets_cache_seconds: Seconds = 300
    """Age at which a secret is asked for again, in the background."""

    enable_automated_backups: bool | None = Field(None, validation_alias="ENABLE_AUTOMATED_BACKUPS")
    """Whether backups are made every hour; empty means yes in production only."""

    smtp_url: SecretStr = Field(SecretStr(""), validation_alias="SMTP_URL")
    """Mail server as smtp://user:password@host:587 or smtps://host:465; empty means a folder of .eml files."""

    smtp_url_file: Path | None = Field(None, validation_alias="SMTP_URL_FILE")
    """A mounted file holding SMTP_URL."""

    mail_from: str = ""
    """Sender of the mails, as name@example.org; empty means the user of SMTP_URL."""

    mail_lease_seconds: Annotated[int, Field(ge=2)] = 60
    """Time after which a mail that a relay has taken is taken over by another; sending may take half of it."""

    mail_first_wait_seconds: Count = 15
    """Wait before a mail is tried a second time; it doubles up to an hour, for a day."""

    embedded_worker: bool = True
    """Whether the app starts a job worker beside itself; false where workers run on their own."""

    job_slots: Count = 2
    """Jobs that one worker runs at the same time."""

    job_memory_mb: Count = 4096
    """Memory one job may take; files that it only reads do not count."""

    job_cpu_seconds: Count = 3600
    """Processor time one job may take."""

    job_lease_seconds: Count = 30
    """Time without a heartbeat after which a job is given to another worker."""

    job_heartbeat_seconds: Count = 5
    """Time between two heartbeats of a running job; well below the lease."""

    job_drain_seconds: Annotated[int, Field(ge=0)] = 8
    """Time that running jobs have to end after SIGTERM; after it they are given to another worker."""

    job_max_attempts: Count = 3
    """Attempts after which a job whose worker keeps dying is marked failed."""

    upload_max_mb: Count = 2048
    """Largest accepted upload."""

    storage_quota_mb: Count = 51_200
    """Megabytes of uploads that one person may keep."""

    reader_memory_mb: Count = 2048
    """Memory for reading and profiling one uploaded file; the file itself does not count."""

    reader_cpu_seconds: Count = 60
    """Processor time for reading and profiling one uploaded file."""

    session_idle_minutes: Count = 30
    """A session without a request for this long is over."""

    session_absolute_hours: Count = 12
    """A session is over after this long, used or not."""

    password_hash_rounds: Annotated[int, Field(ge=4, le=16)] = 12
    """bcrypt cost: each step doubles the time to check one password. Production takes 12 or more."""

    public_url: str = "http://localhost:2000"
    """The address at which people reach the app; links in mails begin with it."""

    registration: Literal["approval", "off"] = "approval"
    """approval: anyone may ask for an account, an administrator decides; off: administrators invite people."""

    registration_domains: str = ""
    """Mail domains (with commas) whose people need no approval once their address is confirmed; empty means none."""

    limit_reset: RateLimit = "5/hour"
    """Requests for a new password from one address."""

    sign_in_free_failures: Count = 5
    """Wrong passwords for one account within an hour after which each further attempt is answered slowly."""

    second_factor: Literal["optional", "admins", "everyone"] | None = None
    """Who must have a second factor; optional: whoever wants one. Empty means everyone in production, else optional."""

    audit_anchor_seconds: Count = 300
    """Time between two looks at the audit trail's end, which is noted outside the database when it has moved."""

    version: str = Field("development", max_length=64, pattern=r"^[A-Za-z0-9._+-]+$")
    """Name of the version that is deployed, as people and metrics see it; the image sets it."""

    prometheus_url: str = Field("", validation_alias="PROMETHEUS_URL")
    """Prometheus that a rollout reads from; empty means that it asks each process of the app for its metrics."""

    rollout_proxy: str = ""
    """HAProxy's admin socket that carries out a rollout, as a path or host:port; empty means there is no proxy."""

    rollout_blue: str = ""
    """Addresses (with commas) of the app's processes in the slot blue, as http://app-blue:2000."""

    rollout_green: str = ""
    """Addresses (with commas) of the app's processes in the slot green."""

    rollout_watch_seconds: Seconds = 30
    """Time between two readings of a rollout's numbers."""

    rollout_window_seconds: Seconds = 300
    """Time over which the rates of the go / no-go board are taken."""

    rollout_crash_seconds: Seconds = 3600
    """A crash-free rate that is too low for this long takes the new version back."""

    rollout_slow_seconds: Seconds = 1800
    """A P95 that is too high for this long takes the new version back."""

    rollout_grace_seconds: Annotated[float, Field(ge=0)] = 10
    """Time that requests under way have to end when a version is taken back, before its connections are cut."""

    limit_feedback: RateLimit = "20/hour"
    """Times that one person may say what they think of a page."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severity that is logged."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.job_heartbeat_seconds * 2 > self.job_lease_seconds:
            raise ValueError("RECON_JOB_HEARTBEAT_SECONDS must be at most half of RECON_JOB_LEASE_SECONDS")
        return self

    def given_secret(self, name: str) -> str:
        """A secret as the environment, or services.startup, gave it; empty when it was not given."""
        value = getattr(self, name, None)
        return value.get_secret_value() if isinstance(value, SecretStr) else ""

    @property
    def automated_backups(self) -> bool:
        """Whether backups are made every hour."""
        return self.is_production if self.enable_automated_backups is None else self.enable_automated_backups

    @property
    def is_production(self) -> bool:
        """True when the strict rules of production hold."""
        return self.app_env == "production"

    @property
    def second_factor_rule(self) -> str:
        """Who must have a second factor: optional, admins or everyone."""
        return self.second_factor or ("everyone" if self.is_production else "optional")

    @property
    def mail_sender(self) -> str:
        """The address that mails come from."""
        if self.mail_from:
            return self.mail_from
        user = unquote(urlsplit(self.smtp_url.get_secret_value()).username or "")
        return user if "@" in user else "reconciliation@localhost"

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


def load_settings(**given: Any) -> Settings:
    """Read the settings. Raises ConfigurationError with a line for every wrong variable."""
    settings, faults = read_settings(**given)
    if settings is None or faults:
        raise ConfigurationError("\n".join(faults))
    return settings


def read_settings(**given: Any) -> tuple[Settings | None, list[str]]:
    """The settings and a line for every wrong variable, which then has its default; None when they do not fit."""
    try:
        return Settings(**given), []
    except ValidationError as error:
        faults: list[str] = []
        wrong: dict[str, Any] = {}
        for mistake in error.errors():
            message = str(mistake["msg"]).removeprefix("Value error, ")
            place = str(mistake["loc"][0]) if mistake["loc"] else ""
            faults.append(f"settings: {variable(place)}: {message}" if place else f"settings: {message}")
            # pydantic calls a field by the name that it was given under
            meant = [name for name, field in Settings.model_fields.items() if place in (name, field.validation_alias)]
            wrong |= {name: Settings.model_fields[name].default for name in meant if place}
        if not wrong:
            return None, faults
    settings, others = read_settings(**given | wrong)
    return settings, faults + others


def variable(field_or_alias: str) -> str:
    """The environment variable of a settings field."""
    field = Settings.model_fields.get(field_or_alias)
    if field is None:
        return field_or_alias.upper()
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias) if alias else f"RECON_{field_or_alias.upper()}"
