"""Signing in and out over HTTP."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field, SecretStr

from services.api.accounts import AccountOut
from services.api.identity import (
    Services,
    address_of,
    agent_of,
    clear_cookie,
    refuse_cross_site,
    set_cookie,
    token_of,
)
from services.errors import NotAllowed, NotSignedIn

router = APIRouter(prefix="/auth", tags=["sign-in"])


class Login(BaseModel):
    """E-mail address and password."""

    email: Annotated[str, Field(max_length=254)]
    password: Annotated[SecretStr, Field(max_length=1000)]


class Registration(Login):
    """What a new account needs."""

    name: Annotated[str, Field(max_length=200)]


class SignedIn(BaseModel):
    """The session's token, for `Authorization: Bearer`, and whose it is."""

    token: str
    account: AccountOut


@router.post("/login")
def login(given: Login, request: Request, response: Response, services: Services) -> SignedIn:
    """Sign in: the token comes in the answer and as a cookie."""
    token, account = services.sessions.sign_in(
        given.email, given.password.get_secret_value(), address_of(request), agent_of(request)
    )
    set_cookie(response, services, token)
    return SignedIn(token=token, account=AccountOut.model_validate(account))


@router.post("/register", status_code=201)
def register(given: Registration, request: Request, response: Response, services: Services) -> SignedIn:
    """Create the first account, the administrator's. Later accounts are made by an administrator (409)."""
    account = services.accounts.create_first_admin(
        given.name, given.email, given.password.get_secret_value(), address_of(request)
    )
    token = services.sessions.start(account, address_of(request), agent_of(request))
    set_cookie(response, services, token)
    return SignedIn(token=token, account=AccountOut.model_validate(account))


@router.get("/enter", status_code=303, response_class=RedirectResponse)
def enter(
    request: Request,
    services: Services,
    ticket: Annotated[str, Query(max_length=200)],
    next: Annotated[str, Query(max_length=2000)] = "/",  # noqa: A002  # the parameter's name in the address
) -> RedirectResponse:
    """Exchange the sign-in form's ticket for the session cookie and go on to `next`, a path of this site."""
    try:
        refuse_cross_site(request)  # else another site could sign a visitor in to an account of its own
        token = services.sessions.redeem_ticket(ticket, address_of(request), agent_of(request))
    except (NotSignedIn, NotAllowed):
        return _redirect("/")  # a person's browser is here: the sign-in form says more than a problem document
    previous = token_of(request)
    services.sessions.end(previous)
    response = _redirect(local_path(next))
    set_cookie(response, services, token)
    return response


@router.get("/leave", status_code=303, response_class=RedirectResponse, operation_id="leave_by_link")
@router.post("/leave", status_code=303, response_class=RedirectResponse, operation_id="leave")
def leave(
    request: Request,
    services: Services,
    next: Annotated[str, Query(max_length=2000)] = "/",  # noqa: A002  # the parameter's name in the address
) -> RedirectResponse:
    """End the session on the server, clear the cookie and go on to `next`, a path of this site."""
    refuse_cross_site(request)
    services.sessions.end(token_of(request))
    response = _redirect(local_path(next))
    clear_cookie(response, services)
    return response


def local_path(path: str) -> str:
    """The path when it stays on this site, else `/`. Browsers take `//host` for another site, with backslashes too."""
    parts = urlsplit(path)
    stays = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return path if stays and path.isprintable() and "\\" not in path else "/"


def _redirect(path: str) -> RedirectResponse:
    return RedirectResponse(quote(path, safe="/?&=%:+,;@!$'()*~#-._"), 303, {"Cache-Control": "no-store"})
