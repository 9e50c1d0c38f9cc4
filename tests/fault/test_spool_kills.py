"""The mover is killed at random moments: what the spool has promised is in the bucket in the end, each byte of it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from services.container import Container, build_container
from services.permissions import Actor
from services.settings import Settings
from tests.aws_server import REGION, UPLOADS, AwsServer, aws_server, behind
from tests.cutting_proxy import CuttingProxy
from tests.work import ROOT, worker_environment

OBJECTS, KILLS, SEED = 24, 6, 20261124
MOVER = """
import time
from services.container import get_container
mover = get_container().mover
print("ready", flush=True)
while mover.move_due() >= 0:
    time.sleep(0.05)
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsServer]:
    """A running S3."""
    with aws_server() as running:
        behind(monkeypatch, running)
        yield running


@pytest.fixture
def container(impatient: Settings, server: AwsServer) -> Iterator[Container]:
    """The services with their files on S3."""
    on_s3 = {"uploads_s3_bucket": UPLOADS, "aws_region": REGION, "retry_first_wait_seconds": 0.01}
    built = build_container(impatient.model_copy(update=on_s3))
    yield built
    built.close()


@pytest.mark.timeout(300)
def test_nothing_kept_locally_is_ever_lost(
    container: Container, admin: Actor, server: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 uploads while S3 is away, 6 kills of the mover: 24 objects arrive whole, no row and no file is left."""
    chance = random.Random(SEED)
    kept = {}
    with CuttingProxy(server.port) as proxy, monkeypatch.context() as patch:
        behind(patch, server, proxy.port)
        proxy.refuse()
        for number in range(OBJECTS):
            content = f"ref,amount\nA{number},1.00\n".encode() * 20_000
            kept[container.files.upload(admin, f"{number}.csv", [content]).storage_key] = content
    environment = {
        **worker_environment(container.settings),
        **server.environment(),
        "UPLOADS_S3_BUCKET": UPLOADS,
        "AWS_REGION": REGION,
    }
    deadline = time.monotonic() + 200
    kills = 0
    while container.spool.count():
        assert time.monotonic() < deadline, f"{container.spool.count()} still wait"
        mover = subprocess.Popen(
            [sys.executable, "-c", MOVER], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert mover.stdout is not None
        mover.stdout.readline()
        left = container.spool.count() - chance.randint(1, 3) if kills < KILLS else 0
        while container.spool.count() > left and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.03))
        mover.kill()
        mover.wait()
        mover.stdout.close()
        kills += 1
    assert kills > KILLS / 2
    assert server.objects() == kept
    monkeypatch.setattr("services.storage.spool._FORGOTTEN_SECONDS", -1)
    container.spool.sweep()
    assert not [name for _, _, names in os.walk(container.settings.data_dir / "spool" / "objects") for name in names]
