"""Signing in and out over HTTP."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Discriminator, Field, SecretStr, Tag

from services.api.accounts import AccountOut
from services.api.described import problems
from services.api.identity import (
    Caller,
    Services,
    address_of,
    agent_of,
    clear_cookie,
    refuse_cross_site,
    set_cookie,
    token_of,
)
from services.api.inputs import Text
from services.errors import NotAllowed, NotSignedIn

router = APIRouter(prefix="/auth", tags=["sign-in"])


Email = Annotated[Text, Field(max_length=254, examples=["ada@example.org"])]


class Login(BaseModel):
    """E-mail address and password."""

    email: Email
    password: Annotated[SecretStr, Field(max_length=1000)]


class LoginCode(BaseModel):
    """The token of the answer to a right password, and the code of the second factor or a recovery code."""

    challenge: Annotated[SecretStr, Field(max_length=200)]
    code: Annotated[SecretStr, Field(max_length=100)]


def _step(given: object) -> str:
    return "code" if isinstance(given, dict) and "challenge" in given else "password"


LoginStep = Annotated[
    Annotated[Login, Tag("password")] | Annotated[LoginCode, Tag("code")],
    Discriminator(_step),
]


class Registration(BaseModel):
    """Who asks for an account. The first account, the administrator's, is made at once and needs the password.

    Everyone else chooses the password through the link that is mailed to them; one given here is not looked at.
    """

    email: Email
    name: Annotated[Text, Field(max_length=200)]
    password: Annotated[SecretStr, Field(max_length=1000)] = SecretStr("")


class Forgotten(BaseModel):
    """Whose password is forgotten."""

    email: Email


class NewPassword(BaseModel):
    """The token of a mailed link, and the password to set."""

    token: Annotated[SecretStr, Field(max_length=200)]
    password: Annotated[SecretStr, Field(max_length=1000)]


class PasswordChange(BaseModel):
    """The present password and the new one."""

    current: Annotated[SecretStr, Field(max_length=1000)]
    new: Annotated[SecretStr, Field(max_length=1000)]


class Told(BaseModel):
    """What happens next, in one sentence."""

    message: str


class SignedIn(BaseModel):
    """The session's token, for `Authorization: Bearer`, and whose it is."""

    token: str
    account: AccountOut


@router.post("/login", responses=problems(401))
def login(given: LoginStep, request: Request, response: Response, services: Services) -> SignedIn:
    """Sign in: the token comes in the answer and as a cookie.

    An account with a second factor gets a 401 of the type `second-factor-needed` for a right password, with a
    `challenge`: call again with it and the `code`, within five minutes.
    """
    address = address_of(request)
    if isinstance(given, LoginCode):
        account = services.second_factor.answer(
            given.challenge.get_secret_value(), given.code.get_secret_value(), address
        )
    else:
        account = services.sessions.prove(given.email, given.password.get_secret_value(), address)
    token = services.sessions.start(account, address, agent_of(request), second_factor=isinstance(given, LoginCode))
    services.sessions.end(token_of(request))  # the session before this one, of whoever it was
    set_cookie(response, services, token)
    return SignedIn(token=token, account=AccountOut.model_validate(account))


@router.post(
    "/register",
    status_code=201,
    responses={202: {"model": Told, "description": "The request is noted."}, **problems(403, 409)},
)
def register(given: Registration, request: Request, response: Response, services: Services) -> SignedIn | Told:
    """Create the first account, the administrator's (201); later, ask for an account (202, for every address alike)."""
    if not services.accounts.first_run():
        response.status_code = 202
        return Told(message=services.registration.request(given.name, given.email, address_of(request)))
    account = services.accounts.create_first_admin(
        given.name, given.email, given.password.get_secret_value(), address_of(request)
    )
    token = services.sessions.start(account, address_of(request), agent_of(request))
    set_cookie(response, services, token)
    return SignedIn(token=token, account=AccountOut.model_validate(account))


@router.post("/password/forgot", status_code=202)
def forgot(given: Forgotten, request: Request, services: Services) -> Told:
    """Have a link mailed with which to set a new password; the answer is the same for every address."""
    return Told(message=services.password_links.forgot(given.email, address_of(request)))


@router.post("/password/reset", status_code=204, responses=problems(404))
def reset(given: NewPassword, request: Request, services: Services) -> None:
    """Set the password with the token of a mailed link, once. Every session of the account ends."""
    services.password_links.redeem(
        given.token.get_secret_value(), given.password.get_secret_value(), address_of(request)
    )


@router.post("/password/change", status_code=204)
def change(given: PasswordChange, actor: Caller, response: Response, services: Services) -> None:
    """Change one's own password. Every session ends, this one too: sign in again."""
    services.accounts.change_password(actor, given.current.get_secret_value(), given.new.get_secret_value())
    clear_cookie(response, services)


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


@router.get(
    "/leave", responses=problems(403), status_code=303, response_class=RedirectResponse, operation_id="leave_by_link"
)
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
