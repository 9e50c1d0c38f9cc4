"""The IAM policy is the least one: it allows exactly what the product calls, on exactly what it uses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.backup.contents import PREFIXES
from ops.backup.store import FOLDER
from services.container import build_container
from services.database.engine import migrate
from services.resilience import Breakers
from services.secrets import CATALOGUE, build_secrets
from services.settings import Settings
from services.storage import S3Storage
from services.storage.spooling import SpoolingStorage
from tests.aws_server import BACKUPS, REGION, UPLOADS, AwsServer, aws_server, behind
from tests.cutting_proxy import CuttingProxy
from tests.service.conftest import make_settings

POLICY = json.loads((Path(__file__).parents[2] / "ops/deploy/iam-policy.json").read_text(encoding="utf-8"))
# What Amazon calls the permission for an operation, where the two differ.
PERMISSION = {
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "GetSecretValue": "secretsmanager:GetSecretValue",
}


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    """A running S3 and Secrets Manager."""
    with aws_server() as running:
        yield running


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Every call to Amazon that the product makes: the operation and its parameters."""
    from botocore.client import BaseClient

    made: list[tuple[str, dict[str, Any]]] = []
    plain = BaseClient._make_api_call

    def recorded(self: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        made.append((operation, parameters))
        return plain(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
    return made


def use_everything(settings: Settings, server: AwsServer, proxy: CuttingProxy, folder: Path) -> None:
    """Every method of both storages, small and large objects, a multipart upload that breaks, and every secret."""
    container = build_container(settings)
    migrate(container.engine)
    large = folder / "large"
    large.write_bytes(b"x" * (17 << 20))
    kept = [(container.storage, prefix) for prefix in PREFIXES]
    for storage, prefix in (*kept, (container.backup_storage, FOLDER)):
        storage.put_stream(f"{prefix}/a", [b"small"])
        storage.put_file(f"{prefix}/b", large)
        container.settings.data_dir.joinpath("cache", prefix, "b").unlink(missing_ok=True)
        with storage.open(f"{prefix}/b") as stored:
            assert stored.read(1) == b"x"
        assert storage.size(f"{prefix}/a") == 5
        assert list(storage.list(prefix)) == [f"{prefix}/a", f"{prefix}/b"]
        storage.delete(f"{prefix}/a")
        storage.ping()
    assert isinstance(container.storage, SpoolingStorage)
    remote = container.storage.remote
    assert isinstance(remote, S3Storage)
    assert remote.sha256("uploads/b")
    plain = remote._client.upload_part

    def broken(**given: Any) -> Any:
        if given["PartNumber"] == 2:
            raise ValueError("a part that cannot be sent")
        return plain(**given)

    remote._client.upload_part = broken  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a part that cannot be sent"):
        remote.put_file("uploads/c", large)
    server.put_secrets({secret.stored_as: "x" for secret in CATALOGUE.values()})
    secrets = build_secrets(settings.model_copy(update={"app_env": "production"}), Breakers(settings))
    for name in CATALOGUE:
        secrets.get(name)
    container.close()


def test_the_policy_allows_what_the_product_calls_and_nothing_else(
    server: AwsServer, calls: list[tuple[str, dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permissions of all recorded calls are those of the policy; the resources that it names are those used."""
    settings = make_settings(
        tmp_path, aws_region=REGION, uploads_s3_bucket=UPLOADS, backup_s3_bucket=BACKUPS, retry_attempts=1
    )
    with CuttingProxy(server.port) as proxy:
        behind(monkeypatch, server, proxy.port)
        use_everything(settings, server, proxy, tmp_path)
    ours = [
        (operation, given)
        for operation, given in calls
        if operation not in ("CreateBucket", "CreateSecret", "PutSecretValue")
    ]
    needed = {PERMISSION[operation] for operation, _ in ours}
    statements = {statement["Sid"]: statement for statement in POLICY["Statement"]}
    assert {action for statement in statements.values() for action in statement["Action"]} == needed
    assert all(statement["Effect"] == "Allow" and "*" not in statement["Action"] for statement in statements.values())
    names = {"UPLOADS_S3_BUCKET": UPLOADS, "BACKUP_S3_BUCKET": BACKUPS}
    folders = {f"{given['Bucket']}/{given['Key'].split('/')[0]}/*" for _, given in ours if "Key" in given}
    assert folders == resources(statements["KeepOwnObjects"], "arn:aws:s3:::", names)
    buckets = {given["Bucket"] for operation, given in ours if PERMISSION[operation] == "s3:ListBucket"}
    assert buckets == resources(statements["FindOwnObjects"], "arn:aws:s3:::", names)
    secrets = {f"{given['SecretId']}-*" for _, given in ours if "SecretId" in given}
    assert secrets == resources(statements["ReadOwnSecrets"], "arn:aws:secretsmanager:REGION:ACCOUNT:secret:", names)


def resources(statement: dict[str, Any], prefix: str, names: dict[str, str]) -> set[str]:
    """The statement's resources without their common beginning, with the buckets' real names."""
    found = set()
    for resource in statement["Resource"]:
        assert resource.startswith(prefix)
        bucket, slash, rest = resource.removeprefix(prefix).partition("/")
        found.add(names.get(bucket, bucket) + slash + rest)
    return found
