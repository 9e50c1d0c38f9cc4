"""The relay: takes mails from the outbox, one at a time, and hands them to the server. Any number may run."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import ColumnElement, and_, or_

from services import logs
from services.crash_points import reach
from services.database.models import Mail
from services.errors import ServiceError, Unavailable
from services.leadership import process_name
from services.leases import Lease, LeasedRows, over
from services.mail.message import as_message
from services.mail.transports import Deferred, PasswordRefused, Refused, ServerAway, Transport, build_transport
from services.resilience import BreakerOpen

if TYPE_CHECKING:
    from services.container import Container

LONGEST_WAIT = timedelta(hours=1)
_log = structlog.get_logger(__name__)


class MailRelay:
    """Sends what waits. At least once: a relay killed between the server's yes and our note leaves the mail to be
    sent again, with the same Message-ID. Nothing is sent inside a database transaction.
    """

    def __init__(self, container: Container, poll_seconds: float = 1.0) -> None:
        self._owner = process_name()
        self._container = container
        self._poll_seconds = poll_seconds
        self._span = timedelta(seconds=container.settings.mail_lease_seconds)
        self._rows = LeasedRows(container, Mail, ("sending",), self._span)
        self._transport()  # a wrong address is told at the start
        self._breaker = container.breakers.of("smtp")
        self._asked_to_stop = False

    def stop(self) -> None:
        """Ask the relay to return from `run` after the mail in hand. For signal handlers: it takes no lock."""
        self._asked_to_stop = True

    def run(self) -> None:
        """Send until `stop` is called."""
        while not self._asked_to_stop:
            try:
                busy = self.send_next()
            except BreakerOpen:
                busy = False
            except ServiceError as error:  # the database is away: the next round tries again
                _log.warning("no mail sent", reason=error.message)
                busy = False
            if not busy:
                time.sleep(self._poll_seconds)

    def send_next(self) -> bool:
        """Try the mail that has waited longest; False when none is due. Raises BreakerOpen while the server is away."""
        permit = self._breaker.acquire()
        claimed_at = time.monotonic()
        claimed = None
        try:
            claimed = self._rows.claim(self._owner, self._due, (Mail.next_at, Mail.id), lambda _: {"status": "sending"})
        finally:
            if claimed is None:
                permit.release()
        if claimed is None:
            return False
        lease, mail = claimed
        reach("mail claimed")
        with logs.unit(mail=mail.id, request=mail.request_id):
            try:
                self._transport().send(as_message(mail, self._container.settings.mail_sender))
            except ServerAway as error:
                permit.failed()
                if isinstance(error, PasswordRefused):  # it may have been rotated since we asked
                    self._container.secrets.refresh("smtp_url")
                self._put_off(lease, str(error))
            except Deferred as error:
                permit.succeeded()
                self._put_off(lease, str(error))
            except Refused as error:
                permit.succeeded()
                self._park(lease, f"The mail server refused it: {error}")
            except Exception as error:  # noqa: BLE001 - one mail that cannot be written must not keep the others
                permit.release()
                _log.error("relay failed", attempt=lease.attempt, error=type(error).__name__)
                self._put_off(lease, f"it could not be written or sent ({type(error).__name__})")
            else:
                reach("mail sent")
                permit.succeeded()
                self._note_sent(lease, claimed_at + self._span.total_seconds())
        return True

    def _transport(self) -> Transport:
        """For one mail: the address and its password may change while we run."""
        return build_transport(self._container.settings, self._container.secrets.get("smtp_url"))

    def _due(self, now: datetime) -> ColumnElement[bool]:
        waiting = and_(Mail.status == "queued", over(Mail.next_at, now, 2 * LONGEST_WAIT))
        return or_(waiting, self._rows.lapsed(now))

    def _note_sent(self, lease: Lease, until: float) -> None:
        """Mark the mail sent; while the database is away, for as long as nobody else can take it."""
        while True:
            try:
                with self._container.transaction() as session:
                    mail = self._rows.held(session, lease)
                    if mail is not None:
                        mail.status, mail.sent_at, mail.error = "sent", self._rows.now(session), None
                        mail.owner = mail.lease_until = None
                        mail.body = ""  # it may hold a one-time link
                reach("mail noted")
                _log.info("mail sent", attempt=lease.attempt, noted=mail is not None)
                return
            except Unavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def _put_off(self, lease: Lease, reason: str) -> None:
        with self._container.transaction() as session:
            mail = self._rows.held(session, lease)
            if mail is None:
                return
            now = self._rows.now(session)
            if now >= mail.give_up_at:
                _park(mail, f"Given up after {lease.attempt} attempts: {reason}", now)
            else:
                first = timedelta(seconds=self._container.settings.mail_first_wait_seconds)
                mail.status, mail.error = "queued", reason
                mail.next_at = now + min(first * 2 ** min(lease.attempt - 1, 20), LONGEST_WAIT)
                mail.owner = mail.lease_until = None
            _log.warning("mail not sent", attempt=lease.attempt, status=mail.status)

    def _park(self, lease: Lease, reason: str) -> None:
        with self._container.transaction() as session:
            mail = self._rows.held(session, lease)
            if mail is not None:
                _park(mail, reason, self._rows.now(session))
                _log.warning("mail not sent", attempt=lease.attempt, status=mail.status)


def _park(mail: Mail, reason: str, now: datetime) -> None:
    mail.status, mail.error, mail.next_at = "parked", reason, now
    mail.owner = mail.lease_until = None
