"""The tokens of the API over HTTP. Only people who have signed in manage them: a token cannot make another."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from services.api.described import problems
from services.api.identity import Caller, Services
from services.api.inputs import Id, ListOf
from services.api_tokens import LONGEST_NAME, MOST_DAYS, USUAL_DAYS
from services.permissions import Scope

router = APIRouter(prefix="/tokens", tags=["tokens"])


class TokenOut(BaseModel):
    """A token, without itself."""

    model_config = ConfigDict(from_attributes=True)

    id: Id
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = Field(description="Within a minute or so.")

    @field_validator("scopes", mode="before")
    @classmethod
    def _listed(cls, scopes: object) -> object:
        return scopes.split() if isinstance(scopes, str) else scopes


class TokenWanted(BaseModel):
    """What the token is called, what it is for and how long, and the password of its owner."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "nightly upload", "scopes": ["upload", "run", "read"], "days": 90, "password": "…"}]
        },
    )

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)]
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = USUAL_DAYS
    password: Annotated[SecretStr, Field(max_length=1000)]


class TokenMade(TokenOut):
    """A new token. `token` is given only here."""

    token: str


@router.get("", responses=problems(404))
def list_tokens(
    actor: Caller,
    services: Services,
    account_id: Annotated[Id | None, Query(description="A colleague's, for administrators and auditors.")] = None,
) -> ListOf[TokenOut]:
    """List the tokens that can be used, the newest first; all of them, for there are at most 20."""
    return ListOf(
        items=[TokenOut.model_validate(held) for held in services.api_tokens.list(actor, account_id)], next=None
    )


@router.post("", status_code=201, responses=problems(409))
def create_token(given: TokenWanted, actor: Caller, services: Services) -> TokenMade:
    """Make a token. It may do what its scopes and your role both allow, and is shown only in this answer."""
    token, held = services.api_tokens.create(
        actor, given.name, given.scopes, given.password.get_secret_value(), given.days
    )
    return TokenMade(token=token, **TokenOut.model_validate(held).model_dump())


@router.delete("/{token_id}", status_code=204, responses=problems(404))
def revoke_token(token_id: Id, actor: Caller, services: Services) -> None:
    """Revoke a token at once: your own, or a colleague's as an administrator."""
    services.api_tokens.revoke(actor, token_id)
