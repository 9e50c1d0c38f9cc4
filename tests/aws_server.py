"""Amazon's services on this machine: moto's server as a process, to be paused or put behind a proxy."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Stoppable, free_port

REGION = "eu-west-1"
UPLOADS, BACKUPS = "the-uploads", "the-backups"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}


class AwsServer(Stoppable):
    """A running server. Its state is in memory: a fault is a pause, or a proxy between it and the product."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self._process = port, process

    @property
    def address(self) -> str:
        """For AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, port: int | None = None) -> dict[str, str]:
        """What boto3 needs to find this server, or a proxy before it."""
        return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}", **CREDENTIALS}

    def client(self, service: str) -> Any:
        """A plain client that goes to the server itself, to prepare and to look behind the product's back."""
        from boto3.session import Session

        session = Session("testing", "testing", region_name=REGION)
        return session.client(service, endpoint_url=self.address)  # type: ignore[call-overload]  # any service

    def reset(self) -> None:
        """Empty it, and make the two buckets."""
        urllib.request.urlopen(urllib.request.Request(f"{self.address}/moto-api/reset", method="POST")).close()
        for bucket in (UPLOADS, BACKUPS):
            self.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def put_secrets(self, values: dict[str, str]) -> None:
        """Create the secrets, or rotate those that are there."""
        manager = self.client("secretsmanager")
        for name, value in values.items():
            try:
                manager.put_secret_value(SecretId=name, SecretString=value)
            except manager.exceptions.ResourceNotFoundException:
                manager.create_secret(Name=name, SecretString=value)

    def objects(self, bucket: str = UPLOADS) -> dict[str, bytes]:
        """Everything in a bucket."""
        s3 = self.client("s3")
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@contextmanager
def aws_server() -> Iterator[AwsServer]:
    """Start the server on a free port and end it."""
    port = free_port()
    program = Path(sys.executable).with_name("moto_server")
    process = subprocess.Popen(
        [sys.executable, program, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MOTO_S3_CUSTOM_ENDPOINTS": ""},
    )
    server = AwsServer(port, process)
    try:
        _wait_until_open(server, process)
        server.reset()
        yield server
    finally:
        server.kill()


def _wait_until_open(server: AwsServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"{server.address}/moto-api/data.json", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def behind(monkeypatch: pytest.MonkeyPatch, server: AwsServer, port: int | None = None) -> None:
    """Let the product in this process find the server, or a proxy before it."""
    for name, value in server.environment(port).items():
        monkeypatch.setenv(name, value)
