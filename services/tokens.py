"""Random tokens for sessions and links, signed with `jwt_secret`: the database alone makes no valid token.

Who can write to the database, or restores another one, can invent a row, but no token that belongs to it. A token that
the previous version of the key has signed stays valid, so that a rotation ends nobody's session.
"""

from __future__ import annotations

import hashlib
import secrets

from itsdangerous import Signer

from services.secrets import Secrets


class Tokens:
    """Issues tokens and recognises its own."""

    def __init__(self, keys: Secrets) -> None:
        self._keys = keys

    def issue(self) -> str:
        """A new token of 256 random bits."""
        return self._signer().sign(secrets.token_urlsafe(32)).decode()

    def digest(self, token: str) -> str:
        """What the database keeps of a token. Empty, which no row has, when it is none of ours.

        Another machine may have signed it with a key that was rotated since this one asked: then it is asked for.
        """
        if not self._signer().validate(token):
            self._keys.refresh("jwt_secret")
            if not self._signer().validate(token):
                return ""
        return hashlib.sha256(token.encode()).hexdigest()

    def _signer(self) -> Signer:
        newest_last = [key.get_secret_value() for key in reversed(self._keys.accepted("jwt_secret"))]
        return Signer(newest_last, salt="token", key_derivation="hmac", digest_method=hashlib.sha256)
