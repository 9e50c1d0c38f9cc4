"""Passwords: what is accepted, and how they are kept.

bcrypt reads 72 bytes and stops at a NUL: it is given the SHA-256 of the password instead, so that every byte counts.
Hashes written before that, without the mark, are still understood and replaced at the next sign-in.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
import threading
from pathlib import Path

import bcrypt

from services.errors import Invalid

MIN_CHARACTERS = 10
MAX_CHARACTERS = 200
MARK = "sha256"  # what stands before the bcrypt hash of a hashed password
_BCRYPT_BYTES = 72

# The most common passwords of known breaches: those long enough for the rule above, and the words that, with digits
# and signs around them, open most guessing lists. From the lists of zxcvbn (MIT) and Django (BSD), and a few more.
_HERE = Path(__file__).parent
COMMON = frozenset(
    (_HERE / "common_passwords.txt").read_text(encoding="utf-8").split()
    + gzip.decompress((_HERE / "common_passwords.txt.gz").read_bytes()).decode().split()
)
# Words of this product: guessed first by whoever knows where they are.
CONTEXT = frozenset({"reconciliation", "reconcile", "recon", "ledger", "statement", "analyst", "reviewer", "auditor"})
DIGIT_RUNS = "01234567890123456789 98765432109876543210 1357924680 2468013579 1122334455 3141592653 112233445566"

# A hash takes a processor for a quarter of a second: more at once than processors only slows everybody.
_AT_ONCE = threading.BoundedSemaphore(max(2, os.cpu_count() or 2))


def hash_password(password: str, rounds: int) -> str:
    """The hash of an accepted password, as it is kept."""
    with _AT_ONCE:
        return MARK + bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds)).decode()


def matches(password: str, kept: str) -> bool:
    """Whether the password belongs to the hash, in the same time for every password."""
    with _AT_ONCE:
        if kept.startswith(MARK):
            return bcrypt.checkpw(_digest(password), kept.removeprefix(MARK).encode())
        raw = password.encode()
        return bcrypt.checkpw(raw[:_BCRYPT_BYTES], kept.encode()) and len(raw) <= _BCRYPT_BYTES


def outdated(kept: str, rounds: int) -> bool:
    """Whether a hash was made in an older way or at another cost than asked for now."""
    return re.match(rf"{MARK}\$2b\${rounds:02}\$", kept) is None


def check_new_password(password: str, email: str) -> None:
    """Raise Invalid with the reason when a new password is too weak. Any characters may be used, in any mixture."""
    if len(password) < MIN_CHARACTERS:
        raise Invalid(
            f"The password needs at least {MIN_CHARACTERS} characters; a few words in a row are easy to keep."
        )
    if len(password) > MAX_CHARACTERS:
        raise Invalid(f"The password is longer than {MAX_CHARACTERS} characters; shorten it.")
    plain = password.casefold()
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", plain)
    half = plain[: len(plain) // 2]
    if core in CONTEXT:
        raise Invalid("The password is a word of this product; choose another.")
    doubled = plain == half * 2 and half in COMMON
    if {plain, core} & COMMON or doubled or plain in DIGIT_RUNS or len(set(plain)) < 4:
        raise Invalid("The password is among the first that anyone would guess; choose another.")
    if plain in email or email.split("@", maxsplit=1)[0] == core:
        raise Invalid("The password must not be made of the e-mail address; choose another.")


def _digest(password: str) -> bytes:
    return base64.b64encode(hashlib.sha256(password.encode()).digest())
