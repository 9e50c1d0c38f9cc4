"""Object storage: uploads and results, kept under keys. The rest of the application sees only `ObjectStorage`."""

from services.settings import Settings
from services.storage.base import ObjectStorage
from services.storage.local import LocalStorage

__all__ = ["ObjectStorage", "build_storage"]


def build_storage(settings: Settings) -> ObjectStorage:
    """The storage that the settings ask for: a folder under the data directory."""
    return LocalStorage(settings.data_dir / "objects")
