"""Passwords: what is accepted, and bcrypt."""

from __future__ import annotations

import re
from pathlib import Path

import bcrypt

from services.errors import Invalid

MIN_CHARACTERS = 10
MAX_BYTES = 72  # bcrypt reads no further

# Words that open most guessing lists; digits and signs around them do not help.
COMMON = frozenset(Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8").split())
DIGIT_RUNS = "01234567890123456789 98765432109876543210 1357924680 2468013579 1122334455 3141592653 112233445566"


def hash_password(password: str, rounds: int) -> str:
    """The bcrypt hash of an accepted password."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def matches(password: str, password_hash: str) -> bool:
    """Whether the password belongs to the hash. One longer than can be stored never does, in the same time."""
    raw = password.encode()
    return bcrypt.checkpw(raw[:MAX_BYTES], password_hash.encode()) and len(raw) <= MAX_BYTES


def check_new_password(password: str, email: str) -> None:
    """Raise Invalid with the reason when a new password is too weak."""
    if len(password) < MIN_CHARACTERS:
        raise Invalid(
            f"The password needs at least {MIN_CHARACTERS} characters; a few words in a row are easy to keep."
        )
    if len(password.encode()) > MAX_BYTES:
        raise Invalid(f"The password is longer than {MAX_BYTES} bytes; shorten it.")
    if password != password.strip():
        raise Invalid("The password begins or ends with a space, which the sign-in form leaves out; choose another.")
    if "\0" in password:
        raise Invalid("The password holds a character that cannot be typed; choose another.")
    plain = password.casefold()
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", plain)
    if core in COMMON or plain in COMMON or plain in DIGIT_RUNS or len(set(plain)) < 4:
        raise Invalid("The password is among the first that anyone would guess; choose another.")
    if plain in email or email.split("@", maxsplit=1)[0] == core:
        raise Invalid("The password must not be made of the e-mail address; choose another.")
