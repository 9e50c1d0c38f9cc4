"""Mail by outbox, on both databases, against a real mail server that is stopped, paused and made to refuse."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import AuditEntry, Mail
from services.errors import ConfigurationError, Invalid, NotAllowed
from services.mail.relay import MailRelay
from services.mail.smtp import Smtp
from services.permissions import Actor, Role
from services.resilience import BreakerOpen
from services.settings import Settings
from tests.service.test_app import wait_for
from tests.smtp_server import MailServer, mail_server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    """One mail server for the tests that do not stop it."""
    with mail_server(tmp_path_factory.mktemp("smtp")) as server:
        yield server


@pytest.fixture
def server(shared_server: MailServer) -> MailServer:
    """The shared server, taking mail again."""
    shared_server.answer("")
    return shared_server


@pytest.fixture
def mailing(settings: Settings, clock: FakeClock, server: MailServer) -> Iterator[Container]:
    """The services, sending to the server."""
    built = build_container(with_server(settings, server), clock)
    yield built
    built.close()


def with_server(settings: Settings, server: MailServer, **given: object) -> Settings:
    """Settings that name the server."""
    short = {"smtp_url": type(settings.smtp_url)(server.url), "mail_lease_seconds": 2, "mail_from": "app@example.org"}
    return settings.model_copy(update={**short, **given})


def queue(container: Container, key: str = "event:1", recipient: str = "bo@example.org", **given: str) -> bool:
    """Queue a small mail."""
    text = {"subject": "Ihr Zugang – Köln", "body": "Guten Tag,\n\nhere is €1.\n", **given}
    with container.transaction() as session:
        return container.mail.enqueue(session, key=key, recipient=recipient, **text)


def only(container: Container) -> Mail:
    """The one mail of the outbox."""
    with container.session() as session:
        return session.scalars(select(Mail)).one()


def received(server: MailServer, container: Container) -> int:
    """How often the server has taken this container's mail."""
    return sum(mail["Message-ID"] == only(container).message_id for mail in server.mails())


def test_a_mail_is_sent_once_with_its_cause(mailing: Container, server: MailServer) -> None:
    """What is queued arrives as it was written; a rolled-back cause queues nothing; the row stays, without its text."""
    key = f"welcome:{time.time_ns()}"
    with mailing.transaction() as session:
        assert mailing.mail.enqueue(session, key=key, recipient="bo@example.org", subject="Never", body="")
        session.rollback()
    assert mailing.mail.backlog().waiting == 0
    assert queue(mailing, key)
    relay = MailRelay(mailing)
    assert relay.send_next()
    assert not relay.send_next()
    sent = only(mailing)
    assert (sent.status, sent.attempts, sent.owner, sent.body) == ("sent", 1, None, "")
    (mail,) = [m for m in server.mails() if m["Message-ID"] == sent.message_id]
    assert mail.get_payload(decode=True) == "Guten Tag,\r\n\r\nhere is €1.\r\n".encode()
    assert (mail["To"], mail["From"]) == ("bo@example.org", "Reconciliation <app@example.org>")


def test_a_repeated_event_queues_nothing(mailing: Container) -> None:
    """The same event, kind and recipient is one mail, also when many ask at once; another recipient is another mail."""
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(queue(mailing))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 5 + [True]
    assert queue(mailing, recipient="cy@example.org")
    assert mailing.mail.backlog().waiting == 2


@pytest.mark.parametrize(
    ("recipient", "subject"),
    [
        ("bo@example.org", "Hello\r\nBcc: all@example.org"),
        ("bo@example.org", "Hello\nBcc: all@example.org"),
        ("bo@example.org", ""),
        ("bo@example.org\r\nBcc: all@example.org", "Hello"),
        ("bo@example.org, cy@example.org", "Hello"),
        ("bo", "Hello"),
        ("", "Hello"),
    ],
)
def test_no_header_can_be_smuggled_in(mailing: Container, recipient: str, subject: str) -> None:
    """Line breaks and second addresses are refused before anything is queued."""
    with pytest.raises(Invalid):
        queue(mailing, recipient=recipient, subject=subject)
    assert mailing.mail.backlog().waiting == 0


def test_a_server_that_defers_is_asked_again_for_a_day(
    mailing: Container, server: MailServer, clock: FakeClock, admin: Actor, actor_of: Callable[[Role], Actor]
) -> None:
    """Waits double up to an hour; after a day the mail is parked with the reason, until an administrator retries it."""
    server.answer("450 4.2.0 greylisted")
    queue(mailing, f"defer:{time.time_ns()}")
    relay, began, waits = MailRelay(mailing), clock.now(), []
    while relay.send_next() and only(mailing).status == "queued":
        waits.append((only(mailing).next_at - clock.now()).total_seconds())
        clock.advance(seconds=waits[-1])
    assert waits[:5] == [15, 30, 60, 120, 240]
    assert max(waits) == 3600
    assert 24 * 3600 <= (clock.now() - began).total_seconds() <= 25 * 3600
    assert mailing.mail.backlog().parked == 1
    assert "greylisted" in str(only(mailing).error)
    server.answer("")
    with pytest.raises(NotAllowed):
        mailing.mail.retry_parked(actor_of(Role.AUDITOR))
    assert len(mailing.mail.parked(admin)) == 1
    assert mailing.mail.retry_parked(admin) == 1
    assert relay.send_next()
    assert received(server, mailing) == 1
    with mailing.session() as session:
        assert session.scalars(select(AuditEntry.detail_json).where(AuditEntry.action == "mail.retry")).one() == {
            "mails": 1
        }


def test_a_refused_mail_is_parked_at_once(mailing: Container, server: MailServer) -> None:
    """5xx is final; the reason is kept and the breaker stays closed: the server is well."""
    server.answer("550 5.1.1 no such user")
    queue(mailing)
    assert MailRelay(mailing).send_next()
    assert (only(mailing).status, mailing.breakers.of("smtp").state) == ("parked", "closed")
    assert "550 5.1.1 no such user" in str(only(mailing).error)


def test_a_server_that_is_away_costs_no_mail_and_little_time(
    settings: Settings, tmp_path: Path, clock: FakeClock
) -> None:
    """Stopped: the breaker opens after five tries and the others wait untouched; back again: all are sent once."""
    with mail_server(tmp_path / "smtp") as server:
        server.kill()
        container = build_container(with_server(settings, server, breaker_open_seconds=1), clock)
        for number in range(8):
            queue(container, f"event:{number}")
        relay = MailRelay(container)
        for _ in range(5):
            assert relay.send_next()
        with pytest.raises(BreakerOpen):
            relay.send_next()
        with container.session() as session:
            assert sorted(session.scalars(select(Mail.attempts))) == [0, 0, 0, 1, 1, 1, 1, 1]
        server.start()
        time.sleep(1.05)
        clock.advance(seconds=15)
        while relay.send_next():
            pass
        assert len({mail["Message-ID"] for mail in server.mails()}) == len(server.mails()) == 8
        container.close()


def test_a_paused_server_holds_nobody_up(settings: Settings, tmp_path: Path, clock: FakeClock) -> None:
    """A server that takes the connection and says nothing is given up in half the lease; the mail goes later."""
    with mail_server(tmp_path / "smtp") as server:
        container = build_container(with_server(settings, server), clock)
        queue(container)
        server.pause()
        began = time.monotonic()
        assert MailRelay(container).send_next()
        assert time.monotonic() - began < 2
        assert only(container).status == "queued"
        server.resume()
        clock.advance(seconds=15)
        assert MailRelay(container).send_next()
        assert only(container).status == "sent"
        container.close()


def test_a_mail_taken_by_a_dead_relay_goes_to_another(mailing: Container, clock: FakeClock, server: MailServer) -> None:
    """A relay that vanished with a mail in hand is followed when its lease is over; its late note is refused."""
    queue(mailing, f"dead:{time.time_ns()}")
    late, other = MailRelay(mailing), MailRelay(mailing)
    taken = late._rows.claim("late", late._due, (Mail.next_at,), lambda _: {"status": "sending"})
    assert taken is not None
    assert not other.send_next()
    clock.advance(seconds=3)
    assert other.send_next()
    late._put_off(taken[0], "late")
    late._park(taken[0], "late")
    assert (only(mailing).status, only(mailing).attempts, only(mailing).error) == ("sent", 2, None)
    assert received(server, mailing) == 1


def test_one_broken_mail_does_not_keep_the_others(mailing: Container, server: MailServer) -> None:
    """A row that no message can be made of is put off with a reason, and the next mail goes out."""
    queue(mailing, "broken")
    with mailing.transaction() as session:
        session.scalars(select(Mail)).one().recipient = "no address"
    queue(mailing, f"whole:{time.time_ns()}")
    relay = MailRelay(mailing)
    assert relay.send_next()
    assert relay.send_next()
    with mailing.session() as session:
        rows = {mail.key.split(":")[0]: (mail.status, mail.error) for mail in session.scalars(select(Mail))}
    assert rows["whole"] == ("sent", None)
    assert rows["broken"][0] == "queued"
    assert "could not be written or sent" in str(rows["broken"][1])


def test_without_a_server_mails_are_files(container: Container) -> None:
    """With no SMTP_URL a mail becomes one .eml file that only its owner may read."""
    queue(container)
    assert MailRelay(container).send_next()
    (file,) = (container.settings.data_dir / "mail").iterdir()
    assert file.suffix == ".eml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"To: bo@example.org" in file.read_bytes()


def self_signed(folder: Path) -> tuple[str, str]:
    """A certificate for this machine, and its key."""
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    subject = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*make, *subject], check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_running_relay_follows_the_password(
    settings: Settings, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail that the server refused with the old password is sent with the new one, by the same relay."""
    certificate, key = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    address = tmp_path / "smtp_url"
    with mail_server(tmp_path / "smtp", ("app", "right", certificate, key)) as secure:
        address.write_text(f"smtp://app:old@localhost:{secure.port}")
        following = settings.model_copy(update={"smtp_url_file": address, "secrets_cache_seconds": 0.05})
        container = build_container(following, clock)
        queue(container)
        relay = MailRelay(container)
        assert relay.send_next()
        assert (only(container).status, secure.mails()) == ("queued", [])
        address.write_text(address.read_text().replace("old", "right"))
        wait_for(lambda: "right" in container.secrets.get("smtp_url").get_secret_value(), 60)
        clock.advance(hours=1)
        assert relay.send_next()
        assert (only(container).status, len(secure.mails())) == ("sent", 1)
        container.close()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_passwords_travel_encrypted_only(
    settings: Settings, tmp_path: Path, clock: FakeClock, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STARTTLS and sign-in work with a trusted certificate; without encryption or trust nothing is sent, and kept."""
    certificate, key = self_signed(tmp_path)

    def tries(port: int, password: str) -> tuple[str, str | None]:
        url = type(settings.smtp_url)(f"smtp://app:{password}@localhost:{port}")
        container = build_container(settings.model_copy(update={"smtp_url": url}), clock)
        key = f"sign-in:{time.time_ns()}"
        queue(container, key)
        MailRelay(container).send_next()
        with container.session() as session:
            newest = session.scalars(select(Mail).where(Mail.key.startswith(key))).one()
        container.close()
        return newest.status, newest.error

    with mail_server(tmp_path / "smtp", ("app", "right", certificate, key)) as secure:
        assert tries(secure.port, "right") == (
            "queued",
            "the server does not answer as it should (SSLCertVerificationError)",
        )
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        assert tries(secure.port, "wrong") == ("queued", "the server refuses the password of SMTP_URL (535)")
        assert tries(secure.port, "right") == ("sent", None)
        assert len(secure.mails()) == 1
    status, error = tries(server.port, "right")
    assert status == "queued"
    assert "offers no encryption" in str(error)


@pytest.mark.parametrize("url", ["mail.example.org:587", "http://u:s3cret@mail", "smtp://", "smtp://u:s3cret@m:port"])
def test_a_wrong_address_is_named(url: str) -> None:
    """A wrong SMTP_URL stops the start with a sentence that names it and does not tell its password."""
    with pytest.raises(ConfigurationError, match=r"^SMTP_URL: must look like") as caught:
        Smtp(url, encrypted=False, seconds=1)
    assert "s3cret" not in caught.value.message
