"""Object storage: uploads, results and backups, kept under keys. The rest of the application sees `ObjectStorage`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.storage.base import ObjectStorage, StorageAway
from services.storage.local import LocalStorage
from services.storage.read_cache import ReadCache
from services.storage.s3 import S3Storage
from services.storage.spooling import SpoolingStorage

if TYPE_CHECKING:
    from services.container import Container

__all__ = ["ObjectStorage", "StorageAway", "build_backup_storage", "build_storage"]


def build_storage(container: Container) -> ObjectStorage:
    """Uploads and results: a folder under the data directory, or a bucket with a local spool before it."""
    settings = container.settings
    if not settings.uploads_s3_bucket:
        return LocalStorage(settings.data_dir / "objects")
    cache = ReadCache(settings.data_dir / "cache", settings.storage_cache_mb << 20)
    remote = _bucket(container, settings.uploads_s3_bucket, cache)
    return SpoolingStorage(remote, container.spool, cache)


def build_backup_storage(container: Container) -> ObjectStorage:
    """Backups: a folder under the data directory, or a bucket. Never cached: what is read comes from the bucket."""
    settings = container.settings
    if not settings.backup_s3_bucket:
        return LocalStorage(settings.data_dir / "backups")
    return _bucket(container, settings.backup_s3_bucket)


def _bucket(container: Container, name: str, cache: ReadCache | None = None) -> S3Storage:
    from services.aws import s3_client

    settings = container.settings
    scratch = settings.data_dir / "incoming"
    return S3Storage(s3_client(settings.aws_region), name, container.breakers, scratch, cache)
