"""Amazon's services, or anything that speaks as they do: the one module that knows boto3.

Clients find their endpoint and credentials as boto3 does (AWS_ENDPOINT_URL, the role of the machine, ...). They try
once and give up soon: trying again is decided in one place, services.resilience.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig
    from types_boto3_s3 import S3Client
    from types_boto3_secretsmanager import SecretsManagerClient

CONNECT_SECONDS = 2
READ_SECONDS = 10
PART_BYTES = 8 << 20
"""Files larger than this travel in parts of this size."""

_MISSING = frozenset({"404", "NoSuchKey", "NotFound", "ResourceNotFoundException"})
_TRANSIENT = frozenset({"RequestTimeout", "RequestTimeTooSkewed", "SlowDown", "Throttling", "ThrottlingException"})


class AwsError(Exception):
    """A call that did not succeed. Its text is Amazon's code or the kind of failure, never data."""

    def __init__(self, code: str, *, transient: bool) -> None:
        super().__init__(code)
        self.code = code
        self.transient = transient
        """True when the same call may succeed later: no connection, no answer in time, overload."""

    @property
    def missing(self) -> bool:
        """True when there is nothing by that name."""
        return self.code in _MISSING


def transient(error: BaseException) -> bool:
    """Whether the error says that the service is away, in the form that services.resilience asks for."""
    return isinstance(error, AwsError) and error.transient


@contextmanager
def translated() -> Iterator[None]:
    """Turn boto3's errors into AwsError."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
    from s3transfer.exceptions import RetriesExceededError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        raise AwsError(code, transient=status >= 500 or status == 429 or code in _TRANSIENT) from error
    except (BotoCoreError, Boto3Error, RetriesExceededError) as error:
        raise AwsError(type(error).__name__, transient=not isinstance(error, NoCredentialsError)) from error


def s3_client(region: str) -> S3Client:
    """A client of S3; any thread may use it."""
    return cast("S3Client", _client("s3", region))


def secrets_client(region: str) -> SecretsManagerClient:
    """A client of Secrets Manager; any thread may use it."""
    return cast("SecretsManagerClient", _client("secretsmanager", region))


def transfers() -> TransferConfig:
    """How files travel: large ones in parts, a few at a time."""
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)


def _client(service: Literal["s3", "secretsmanager"], region: str) -> Any:
    from boto3.session import Session
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=20,
    )
    return Session(region_name=region or None).client(service, config=config)
