"""The services outside: how they are called, Redis, the object storage, secrets and mail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr

from services.settings.kinds import Count, Group, Seconds


class OutsideSettings(Group):
    """The services outside: how they are called, Redis, the object storage, secrets and mail."""

    plain_text_hosts: str = ""
    """Hosts (with commas) that production may call without TLS: this machine, a private network. Empty means none."""

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

    enable_automated_backups: bool | None = Field(None, validation_alias="ENABLE_AUTOMATED_BACKUPS")
    """Whether backups are made every hour; empty means yes in production only."""

    jwt_secret_file: Path | None = Field(None, validation_alias="JWT_SECRET_FILE")
    """A mounted file holding the key that signs sessions and links; development generates one."""

    secrets_cache_seconds: Seconds = 300
    """Age at which a secret is asked for again, in the background."""

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

    @property
    def mail_sender(self) -> str:
        """The address that mails come from."""
        if self.mail_from:
            return self.mail_from
        user = unquote(urlsplit(self.smtp_url.get_secret_value()).username or "")
        return user if "@" in user else "reconciliation@localhost"
