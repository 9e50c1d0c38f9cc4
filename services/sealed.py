"""Small secrets kept in the database, encrypted with a key made from `jwt_secret`, which is not in the database."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.secrets import Secrets


class Seal:
    """Encrypts and decrypts for one purpose. What the key before the last rotation has sealed can still be opened."""

    def __init__(self, keys: Secrets, purpose: str) -> None:
        self._keys, self._purpose = keys, purpose.encode()

    def close(self, text: str) -> str:
        """The text, sealed with the present key."""
        return self._fernets()[0].encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str | None:
        """The text; None when no accepted key has sealed it.

        Another machine may have sealed it with a key that was rotated since this one asked: then it is asked for.
        """
        for retry in (False, True):
            if retry:
                self._keys.refresh("jwt_secret")
            try:
                return MultiFernet(self._fernets()).decrypt(sealed).decode()
            except InvalidToken:
                continue
        return None

    def is_current(self, sealed: str) -> bool:
        """Whether the present key has sealed this."""
        try:
            self._fernets()[0].decrypt(sealed)
        except InvalidToken:
            return False
        return True

    def present(self) -> str:
        """What tells the present key from others, and tells nothing about it."""
        return hashlib.sha256(self._derived(self._keys.get("jwt_secret").get_secret_value())).hexdigest()

    def _fernets(self) -> list[Fernet]:
        return [Fernet(self._derived(key.get_secret_value())) for key in self._keys.accepted("jwt_secret")]

    def _derived(self, secret: str) -> bytes:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=self._purpose).derive(secret.encode())
        return base64.urlsafe_b64encode(key)
