"""The final read: when all is healed and all queues are empty, what is there, seen behind the product's back."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, defaultdict
from typing import Any

import httpx
from sqlalchemy import func, select

from services.container import Container
from services.database.models import Account, AuditEntry, Job, Mail, SpooledObject, StoredFile, UserSession
from tests.aws_server import UPLOADS
from tests.fault.soak.checker import FileFound, Final, JobFound, MailsFound
from tests.fault.soak.system import System

UNDER_WAY = {
    "runs": select(func.count()).select_from(Job).where(Job.finished_at.is_(None)),
    "mails": select(func.count()).select_from(Mail).where(Mail.status.in_(("queued", "sending"))),
    "kept objects": select(func.count()).select_from(SpooledObject),
}


def drain(container: Container, seconds: float) -> dict[str, int]:
    """Wait until nothing is under way; gives what still is when the time is over."""
    until = time.monotonic() + seconds
    while True:
        with container.session() as session:
            left = {what: count for what, query in UNDER_WAY.items() if (count := session.scalar(query) or 0)}
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.5)


def read(container: Container, system: System, api: httpx.Client) -> Final:
    """Everything, once."""
    examined, s3 = container.audit.examine(), system.aws.client("s3")
    return Final(
        files=_files(container, s3),
        jobs=_jobs(container, s3, api),
        mails=_mails(container, system),
        sessions=_sessions(container),
        audit=None if examined.whole else examined.reason or "not whole",
    )


def _files(container: Container, s3: Any) -> dict[str, list[FileFound]]:
    found = defaultdict(list)
    with container.session() as session:
        for row in session.scalars(select(StoredFile)):
            content = _content(s3, row.storage_key)
            stored = hashlib.sha256(content).hexdigest() if content is not None else None
            found[row.name].append(FileFound(row.sha256, stored, row.options_json))
    return found


def _jobs(container: Container, s3: Any, api: httpx.Client) -> dict[str, list[JobFound]]:
    with container.session() as session:
        jobs = session.scalars(select(Job)).all()
        endings = Counter(
            session.scalars(
                select(AuditEntry.target_id).where(AuditEntry.action.like("job.%"), AuditEntry.account_id.is_(None))
            )
        )
    found = defaultdict(list)
    for job in jobs:
        inputs = matches = None
        if job.status == "succeeded" and job.result_prefix:
            inputs = _inputs(s3, job.result_prefix)
            answer = api.get(f"/api/reconciliation/jobs/{job.id}/results/matches")
            matches = answer.json().get("total")
        found[job.plan_json["name"]].append(JobFound(job.id, job.status, endings[job.id], inputs, matches))
    return found


def _inputs(s3: Any, prefix: str) -> tuple[str, str] | None:
    """The hashes of the files that a result is of, when all that it names is there as it names it."""
    content = _content(s3, f"{prefix}/manifest.json")
    if content is None:
        return None
    manifest: dict[str, Any] = json.loads(content)
    for name, digest in manifest["outputs"].items():
        output = _content(s3, f"{prefix}/{name}")
        if output is None or hashlib.sha256(output).hexdigest() != digest:
            return None
    left, right = (manifest["inputs"][side][0]["sha256"] for side in ("left", "right"))
    return left, right


def _mails(container: Container, system: System) -> dict[str, MailsFound]:
    found: dict[str, MailsFound] = defaultdict(MailsFound)
    with container.session() as session:
        for mail in session.scalars(select(Mail)):
            found[mail.recipient].queued.append(mail.message_id)
            found[mail.recipient].unsent += mail.status != "sent"
    for message in system.mail.mails():
        found[message["To"]].arrived.append(message["Message-ID"])
    return found


def _sessions(container: Container) -> dict[str, int]:
    counting = select(Account.email, func.count()).join(UserSession, UserSession.account_id == Account.id)
    with container.session() as session:
        return dict(session.execute(counting.group_by(Account.email)).all())


def _content(s3: Any, key: str) -> bytes | None:
    try:
        return bytes(s3.get_object(Bucket=UPLOADS, Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey:
        return None
