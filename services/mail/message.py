"""Mails as text: what may stand in a header, and the message that a row becomes."""

from __future__ import annotations

from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from services.database.models import Mail
from services.errors import Invalid

LONGEST_ADDRESS = 254


def one_line(text: str, what: str) -> str:
    """The text, when it fits a header line: a line break would let it add headers of its own. Raises Invalid."""
    if not text.strip() or len(text) > 300 or not text.isprintable():
        raise Invalid(f"{what} must be one line of at most 300 printable characters.")
    return text


def valid_address(text: str) -> str:
    """The address, when mail can be sent to it. Raises Invalid."""
    refusal = Invalid("A mail address looks like name@example.org.")
    if len(text) > LONGEST_ADDRESS or not text.isprintable() or not text.isascii():
        raise refusal
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError, HeaderParseError) as error:
        raise refusal from error
    if not address.username or not address.domain:
        raise refusal
    return text


def as_message(mail: Mail, sender: str) -> EmailMessage:
    """The row as a message. The same row always gives the same bytes."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Reconciliation", addr_spec=sender)
    message["To"] = Address(addr_spec=mail.recipient)
    message["Subject"] = mail.subject
    message["Date"] = mail.created_at
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"  # keeps out-of-office replies away
    message.set_content(mail.body, cte="quoted-printable")
    return message
