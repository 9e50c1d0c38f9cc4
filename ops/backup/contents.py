"""What lies beside the database in a backup: the list of the stored objects, and the objects where we keep them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.backup.archive import OBJECT_LIST, OBJECTS, Packer
from ops.backup.manifest import Member
from ops.backup.site import Site
from ops.errors import Damaged
from recon_engine.hashing import hash_file

PREFIXES = ("uploads", "results", "audit")


@dataclass(frozen=True, slots=True)
class PackedObjects:
    """What was packed."""

    listing: Member
    count: int
    size_bytes: int


def pack_objects(site: Site, packer: Packer, folder: Path) -> PackedObjects:
    """Pack the objects, or only their names and hashes where the storage itself is durable.

    The list is made after the database's snapshot: whatever that names is in it. An object that is removed meanwhile
    is left out.
    """
    storage = site.container.storage
    count = total = 0
    path = folder / OBJECT_LIST
    with path.open("w", encoding="utf-8") as listing:
        for prefix in PREFIXES:
            for key, listed_size in storage.sizes(prefix):
                size, digest = listed_size, _named_hash(key)
                if site.embedded:
                    try:
                        with storage.local_path(key) as held:
                            member = packer.add_path(OBJECTS + key, held)
                    except FileNotFoundError:
                        continue
                    size, digest = member.size_bytes, member.sha256
                count, total = count + 1, total + size
                listing.write(json.dumps({"key": key, "size": size, "sha256": digest}) + "\n")
    return PackedObjects(packer.add_path(OBJECT_LIST, path), count, total)


def unpacked_objects(opened: Path) -> Iterator[tuple[str, Path, str]]:
    """Each object of an opened backup: key, file and hash. Raises Damaged when one is not as listed."""
    for entry in listed_objects(opened):
        path = opened / (OBJECTS + entry["key"])
        try:
            found = hash_file(path)
        except FileNotFoundError as error:
            raise Damaged(f"The backup lists an object that is not in it: {entry['key']}.") from error
        if found != entry["sha256"]:
            raise Damaged(f"The backup lists another content of the object {entry['key']} than it holds.")
        yield entry["key"], path, found


def listed_objects(opened: Path) -> Iterator[dict[str, Any]]:
    """Each line of the list of objects."""
    with (opened / OBJECT_LIST).open(encoding="utf-8") as listing:
        yield from (json.loads(line) for line in listing)


def _named_hash(key: str) -> str | None:
    """Uploads are named by their content's SHA-256."""
    name = key.rsplit("/", 1)[-1]
    return name if len(name) == 64 else None
