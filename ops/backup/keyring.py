"""The backup key: an age identity. age encrypts what is stored; the same secret signs the small headers beside it."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyrage

from ops.errors import Damaged, Refused
from services.errors import ConfigurationError

PREFIX = "AGE-SECRET-KEY-1"


class Keyring:
    """The age identities that the backup key stands for. The first encrypts and signs, all of them decrypt.

    A key may be an age identity file: one identity a line, the newest first, comments begin with `#`. Any other key
    stands for one identity that is derived from it, always the same. Previous keys come after the present one.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._secrets = [secret for key in keys for secret in identities_of(key)]
        if not self._secrets:
            raise Refused("There is no backup key (backup_encryption_key): without it no backup can be made or opened.")
        try:
            self._identities = [pyrage.x25519.Identity.from_str(secret) for secret in self._secrets]
        except pyrage.IdentityError as error:
            raise ConfigurationError(
                f"The backup key (backup_encryption_key) begins with {PREFIX} but is no age identity; copy it again."
            ) from error
        self.recipient = str(self._identities[0].to_public())

    def identity_file(self) -> str:
        """The keys in the form that `age -i` reads."""
        head = "# Opens the backups of this installation: age -d -i THIS_FILE BACKUP.age | zstd -d | tar x\n"
        return head + "".join(f"{secret}\n" for secret in self._secrets)

    def encrypt(self, plain: Any, encrypted: Any) -> None:
        """Read `plain` to its end and write it encrypted; both are binary files."""
        try:
            pyrage.encrypt_io(plain, encrypted, [self._identities[0].to_public()])
        except pyrage.EncryptError as error:  # its text is that of the disk's error
            raise Refused(f"The backup cannot be written: {error}. Make room, then try again.") from error

    def decrypt(self, encrypted: Path, plain: Path) -> None:
        """Decrypt into the new file `plain`, mode 0600. It is there only when every byte, up to the last, was
        authentic. Raises Damaged.
        """
        descriptor = os.open(plain, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with encrypted.open("rb") as source, os.fdopen(descriptor, "wb") as target:
                pyrage.decrypt_io(source, target, self._identities)
        except (pyrage.DecryptError, OSError) as error:
            plain.unlink()
            if isinstance(error, OSError) and error.errno is not None:  # the disk's own; pyrage's have no number
                raise
            raise Damaged(
                "The backup cannot be decrypted: it is damaged or cut off, or was made with a key that is not among "
                "those of backup_encryption_key. Choose another backup, or add the key that made it."
            ) from error
        except BaseException:
            plain.unlink(missing_ok=True)
            raise

    def sign(self, message: bytes) -> str:
        """A signature that only holders of the first key can make."""
        return _mac(self._secrets[0], message)

    def signed(self, message: bytes, signature: str) -> bool:
        """Whether one of our keys made the signature."""
        return any(hmac.compare_digest(_mac(secret, message), signature) for secret in self._secrets)


def identities_of(key: str) -> list[str]:
    """The age identities that a key stands for; none for an empty key."""
    lines = [line.strip() for line in key.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if all(line.startswith(PREFIX) for line in lines):
        return lines
    derived = hmac.new(b"recon backup identity", key.strip().encode(), hashlib.sha256).digest()
    return [_bech32("age-secret-key-", derived).upper()]


def _bech32(prefix: str, content: bytes) -> str:
    """BIP 173, the form of age's keys."""
    number = int.from_bytes(content) << (-len(content) * 8 % 5)
    digits = -(-len(content) * 8 // 5)
    values = [number >> 5 * (digits - 1 - place) & 31 for place in range(digits)]
    checked = 1
    for value in [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *values, *[0] * 6]:
        top = checked >> 25
        checked = (checked & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checked ^= generator * (top >> place & 1)
    values += [(checked ^ 1) >> 5 * (5 - place) & 31 for place in range(6)]
    return prefix + "1" + "".join("qpzry9x8gf2tvdw0s3jn54khce6mua7l"[value] for value in values)


def _mac(secret: str, message: bytes) -> str:
    key = hashlib.sha256(b"recon backup header\0" + secret.encode()).digest()
    return hmac.new(key, message, hashlib.sha256).hexdigest()
