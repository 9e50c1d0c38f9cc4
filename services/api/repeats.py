"""Requests under an Idempotency-Key: the first carries it out, every other one gets its answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from services.container import Container
from services.errors import NotFound
from services.idempotency import Attempt, KeyReused
from services.permissions import Action, Actor

Made = TypeVar("Made")


def answered_once(
    services: Container,
    actor: Actor,
    action: Action,
    key: str,
    request: list[Any],
    status: int,
    carry_out: Callable[[Attempt], BaseModel],
    same: Callable[[dict[str, Any]], bool] = lambda _answer: True,
) -> JSONResponse:
    """The answer to a request that has its effect once. `request` is what makes it the same as another; what arrives
    too late for it is compared by `same` with the answer that was given. Raises KeyReused.
    """
    said = json.dumps([action, *request], sort_keys=True, default=str)
    with services.idempotency.once(actor, action, key.strip('"'), hashlib.sha256(said.encode()).hexdigest()) as attempt:
        if attempt.answer is None:
            answer = carry_out(attempt)
            attempt.made = True
            attempt.answer = answer.model_dump(mode="json")
            services.idempotency.finish(attempt, attempt.answer)
        elif not same(attempt.answer):
            raise KeyReused
    return JSONResponse(attempt.answer, status)


def made_before(attempt: Attempt | None, look: Callable[[str], Made]) -> Made | None:
    """What an earlier attempt has made, if it came so far."""
    if attempt is None or not attempt.made:
        return None
    try:
        return look(attempt.target_id)
    except NotFound:
        return None


def beating(services: Container, attempt: Attempt, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, with a sign of life now and then: a large upload takes longer than a lease."""
    for chunk in chunks:
        services.idempotency.renew(attempt)
        yield chunk
