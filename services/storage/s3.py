"""Object storage in an S3 bucket: checked by SHA-256 on the way in, encrypted at rest, read by way of the disk."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from services.aws import AwsError, transfers, transient, translated
from services.resilience import BreakerOpen, Breakers
from services.storage.base import StorageAway, checked_key
from services.storage.by_file import ByFile
from services.storage.read_cache import ReadCache

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import PaginatorConfigTypeDef

T = TypeVar("T")
_CHUNK_BYTES = 1 << 20
_STORED = {"ServerSideEncryption": "AES256", "ChecksumAlgorithm": "SHA256"}


class S3Storage(ByFile):
    """Objects of one bucket. Every call is tried as often as the settings say, unless S3 is known to be away.

    Objects are read whole into a file, from the cache if there is one, else into a passing file under `scratch`.
    """

    def __init__(
        self, client: S3Client, bucket: str, breakers: Breakers, scratch: Path, cache: ReadCache | None = None
    ) -> None:
        self.bucket, self.scratch = bucket, scratch
        self._client, self._breakers, self._cache = client, breakers, cache
        scratch.mkdir(parents=True, exist_ok=True)

    def put_file(self, key: str, path: Path) -> None:
        """Store the content of `path`. S3 compares each part with its SHA-256 and takes nothing that differs."""

        def send() -> None:
            with path.open("rb") as file:
                self._client.upload_fileobj(file, self.bucket, key, ExtraArgs=_STORED, Config=transfers())

        checked_key(key)
        self._call(key, send)
        if self._cache is not None:
            self._cache.keep(key, path)

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        """A copy of the object on this machine."""
        if self._cache is not None:
            yield self._cache.path(key, lambda path: self.fetch(key, path))
            return
        with tempfile.NamedTemporaryFile(dir=self.scratch) as file:
            self.fetch(key, Path(file.name))
            yield Path(file.name)

    def size(self, key: str) -> int:
        """The object's size in bytes."""
        head = self._call(key, lambda: self._client.head_object(Bucket=self.bucket, Key=checked_key(key)))
        return head["ContentLength"]

    def exists(self, key: str) -> bool:
        """True when the key holds an object."""
        try:
            self.size(key)
        except FileNotFoundError:
            return False
        return True

    def sha256(self, key: str) -> str:
        """The hash of what S3 gives back now, byte for byte."""

        def read() -> str:
            digest = hashlib.sha256()
            body = self._client.get_object(Bucket=self.bucket, Key=checked_key(key))["Body"]
            for chunk in body.iter_chunks(_CHUNK_BYTES):
                digest.update(chunk)
            return digest.hexdigest()

        return self._call(key, read)

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when it is not there."""
        self._call(key, lambda: self._client.delete_object(Bucket=self.bucket, Key=checked_key(key)))
        if self._cache is not None:
            self._cache.drop(key)

    def list(self, prefix: str, limit: int | None = None) -> Iterator[str]:
        """The keys under the folder `prefix`, sorted; no more than the first `limit`."""
        return (key for key, _ in self.sizes(prefix, limit))

    def sizes(self, prefix: str, limit: int | None = None) -> Iterator[tuple[str, int]]:
        """The keys under the folder `prefix` with their sizes, sorted: one call for a thousand."""
        folder = checked_key(prefix.rstrip("/")) + "/"

        def pages() -> list[tuple[str, int]]:
            pager = self._client.get_paginator("list_objects_v2")
            few: PaginatorConfigTypeDef = {} if limit is None else {"MaxItems": limit, "PageSize": limit}
            found = pager.paginate(Bucket=self.bucket, Prefix=folder, PaginationConfig=few)
            return [(entry["Key"], entry["Size"]) for page in found for entry in page.get("Contents", [])]

        return iter(sorted(self._call(prefix, pages)))

    def ping(self) -> None:
        """Ask for the bucket, once. Raises FileNotFoundError or StorageAway."""
        self._call(self.bucket, lambda: self._client.head_bucket(Bucket=self.bucket), attempts=1)

    def fetch(self, key: str, path: Path) -> None:
        """Write the object's content to `path`."""

        def receive() -> None:
            with path.open("wb") as file:
                self._client.download_fileobj(self.bucket, checked_key(key), file, Config=transfers())

        self._call(key, receive)

    def _call(self, key: str, function: Callable[[], T], attempts: int | None = None) -> T:
        try:
            for attempt in self._breakers.retrying("s3", on=transient, attempts=attempts):
                with attempt, self._breakers.of("s3").guard(failures=transient), translated():
                    return function()
        except AwsError as error:
            if error.missing:
                raise FileNotFoundError(f"no object under {key}") from error
            raise StorageAway from error
        except BreakerOpen as error:
            raise StorageAway from error
        raise AssertionError("an attempt returns or raises")
