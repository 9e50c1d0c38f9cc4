"""Simulated users: they sign in, upload, launch, wait, read, cancel and ask for mails, and note what they were told."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx

from tests.fault.soak.records import Kind, Log
from tests.work import PLAN

PATIENCE_SECONDS = 30.0  # longer than any wait of the product
LEAST_ROWS, MOST_ROWS = 3, 8
UNCLEAR = "Outcome unknown"
ENDED = frozenset({"succeeded", "failed", "cancelled"})
READ = "read"


def pair(item: str, rows: int) -> tuple[bytes, bytes]:
    """Two files that nobody else has: all rows but the last match."""
    names = [f"{item}-{number},{number}.50,2026-01-01" for number in range(rows)]
    bank = [*names[:-1], f"{item}-other,1.00,2026-01-01"]
    return _csv("ref,amount,posted", names), _csv("txn,value,posted", bank)


def _csv(header: str, rows: list[str]) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def judged(answer: httpx.Response) -> tuple[Kind, dict[str, Any]]:
    """What an answer means to whoever asked, and what of it is worth noting."""
    if answer.is_success:
        return "ok", {}
    said: dict[str, Any] = {"status": answer.status_code}
    if answer.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
        return "broken", said | {"why": "no problem document", "text": answer.text[:200]}
    said |= {"detail": answer.json()["detail"]}
    if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        return "broken", said | {"why": "internal error"}
    if answer.json()["title"] == UNCLEAR:
        return "unknown", said
    return "fail", said


class User:
    """One person at work, in a thread of its own until `stop` is set."""

    def __init__(self, name: str, address: str, account: tuple[str, str], log: Log, stop: threading.Event) -> None:
        self.name = name
        self._account, self._log, self._stop = account, log, stop
        self._chance = random.Random(name)
        self._client = httpx.Client(base_url=address, timeout=PATIENCE_SECONDS)
        self._mailboxes: Iterator[str] = iter(())
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self, mailboxes: list[str]) -> None:
        """Begin to work; the mailboxes are the addresses whose password this user forgets, once each."""
        self._mailboxes = iter(mailboxes)
        self.thread.start()

    def _work(self) -> None:
        number = 0
        while not self._stop.is_set():
            if "authorization" not in self._client.headers and not self._sign_in():
                self._pause(1)
                continue
            number += 1
            self._reconcile(f"{self.name}-{number}")
            if self._chance.random() < 0.6 and (mailbox := next(self._mailboxes, None)):
                self._ask("mail", mailbox, "POST", "/api/auth/password/forgot", json={"email": mailbox})
            self._pause(self._chance.uniform(0.2, 1.5))
        self._client.close()

    def _sign_in(self) -> bool:
        email, password = self._account
        given = {"email": email, "password": password}
        answer = self._ask("sign in", email, "POST", "/api/auth/login", json=given)
        if answer is not None:
            self._client.headers["authorization"] = f"Bearer {answer.json()['token']}"
            self._client.cookies.clear()
        return answer is not None

    def _reconcile(self, item: str) -> None:
        rows = self._chance.randint(LEAST_ROWS, MOST_ROWS)
        sides = {}
        for side, content in zip(("left", "right"), pair(item, rows), strict=True):
            file = self._upload(f"{item}-{side}.csv", content)
            if file is None:
                return
            sides[side] = file
        if self._chance.random() < 0.2:
            name, chosen = f"{item}-left.csv", {"nulls": [item]}
            self._ask("options", name, "PUT", f"/api/files/{sides['left']}/options", {"options": chosen}, json=chosen)
        launch = {"plan": {**PLAN, "name": item}, "left_file_id": sides["left"], "right_file_id": sides["right"]}
        answer = self._ask("launch", item, "POST", "/api/reconciliation/jobs", {"rows": rows}, json=launch)
        if answer is None:
            return
        path = f"/api/reconciliation/jobs/{answer.json()['id']}"
        if self._chance.random() < 0.15:
            self._pause(self._chance.uniform(0, 2))
            self._ask("cancel", item, "DELETE", path)
        if self._wait(item, path) == "succeeded":
            page = self._ask(READ, item, "GET", f"{path}/results/matches")
            if page is not None and page.json()["total"] != 2 * (rows - 1):
                self._log.note(self.name, READ, item, "broken", why="not the result of these files", rows=rows)

    def _upload(self, name: str, content: bytes) -> str | None:
        sha256 = hashlib.sha256(content).hexdigest()
        told = {"sha256": sha256}
        answer = self._ask("upload", name, "POST", "/api/files/upload", told, params={"name": name}, content=content)
        if answer is None:
            return None
        file = answer.json()
        if file["sha256"] != sha256 or file["status"] == "refused":
            self._log.note(self.name, "upload", name, "broken", why="not the file that was sent", told=file)
        return str(file["id"])

    def _wait(self, item: str, path: str) -> str:
        """Ask until the run has ended; nobody waits for ever."""
        until = time.monotonic() + 120
        while not self._stop.is_set() and time.monotonic() < until:
            answer = self._ask(READ, item, "GET", path)
            if answer is not None and answer.json()["status"] in ENDED:
                return str(answer.json()["status"])
            self._pause(0.5)
        return "unknown"

    def _ask(
        self, op: str, item: str, method: str, path: str, told: dict[str, Any] | None = None, **given: Any
    ) -> httpx.Response | None:
        """The answer when all went well. What was asked and what came of it is in the log."""
        self._log.note(self.name, op, item, "invoke", **(told or {}))
        try:
            answer = self._client.request(method, path, **given)
        except httpx.ConnectError:
            self._log.note(self.name, op, item, "fail", why="not reached")
            return None
        except httpx.TransportError as error:
            self._log.note(self.name, op, item, "unknown", why=type(error).__name__)
            return None
        kind, said = judged(answer)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:  # nobody has ended this session
            kind, said = "broken", said | {"why": "signed out"}
            self._client.headers.pop("authorization", None)
        if op == "cancel" and answer.status_code == HTTPStatus.CONFLICT:
            said |= {"why": "has ended"}
        if op == "launch" and kind == "ok":
            said |= {"id": answer.json()["id"]}
        self._log.note(self.name, op, item, kind, **said)
        return answer if kind == "ok" else None

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)
