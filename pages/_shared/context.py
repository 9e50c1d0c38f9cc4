"""What every screen needs to know: the services, who is signed in, and which reconciliation the address names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import streamlit as st
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequestType
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState

from pages._shared.outage import waited_out
from pages._shared.telemetry import counted_alone
from services import formats
from services.container import Container, get_container
from services.errors import NotSignedIn, Unavailable
from services.permissions import Action, Actor, refusal

P = ParamSpec("P")

_PAGE = "_page"
_in_this_run: ContextVar[Actor | None] = ContextVar("in_this_run", default=None)
ENDED = "Your session has ended. Sign in again to go on; nothing is lost."


def services() -> Container:
    """The process-wide services."""
    return get_container()


def signed_in(*, poll: bool = False) -> Actor | None:
    """Who is signed in, by the session cookie, or None; numbers and dates are shown as this person wants them.

    A `poll` does not count as something the person did.

    Asked once on every rerun: the browser's first request stays the source of the cookie for as long as the page is
    open, so only the server knows that a session has ended.
    """
    token = st.context.cookies.get(services().sessions.cookie)
    try:
        person = services().sessions.resolve(token, poll=poll) if token else None
    except NotSignedIn:
        person = None
    _use_formats_of(person)
    return person


def _use_formats_of(person: Actor | None) -> None:
    kept = (person.number_format, person.date_format) if person else ("", "")
    formats.use(formats.chosen(*kept, st.context.locale))


@contextmanager
def known(person: Actor) -> Iterator[None]:
    """While a whole page is drawn, its parts take this as the answer to who is signed in. One drawn alone asks anew."""
    token = _in_this_run.set(person)
    try:
        yield
    finally:
        _in_this_run.reset(token)


def actor(*, poll: bool = False) -> Actor:
    """Who is signed in. Ends this run with a notice when the session has ended meanwhile."""
    person = _in_this_run.get() or signed_in(poll=poll)
    if person is None:
        st.warning(ENDED, icon=":material/lock_clock:")
        st.stop()
    return person


def keep_to_the_page() -> None:
    """Forget the parts of the page before, as soon as another one is drawn.

    A clock may ask for a part of a page while the server changes it. Streamlit would take that for a change back, and
    leave the page empty, for it forgets the part only when the new page has been drawn. What was asked for before this
    becomes a whole drawing of the new page; what is asked for later finds no part.
    """
    context = get_script_run_ctx()
    if context is None or st.session_state.get(_PAGE) == context.page_script_hash:
        return
    st.session_state[_PAGE] = context.page_script_hash
    context.fragment_storage.clear()
    requests = context.script_requests
    if requests is not None and requests._state is ScriptRequestType.RERUN:  # noqa: SLF001  # no other way to ask
        st.rerun()


def dialog(title: str, **options: Any) -> Callable[[Callable[Concatenate[Actor, P], None]], Any]:
    """A dialog for the signed-in person, given first. A click runs the dialog alone: it asks again who that is."""
    return lambda function: st.dialog(title, **options)(_asked_again(function, poll=False))


def stop_the_clock() -> None:
    """The part of a page that is being drawn is not drawn by the clock any more."""
    context, message = get_script_run_ctx(), ForwardMsg()
    if context is not None and (part := ThreadState.get().fragment_id):
        message.stop_auto_rerun.fragment_ids.append(part)
        context.enqueue(message)


def fragment(
    run_every: float | None = None, *, through_outages: bool = False
) -> Callable[[Callable[Concatenate[Actor, P], None]], Any]:
    """A part of a page that is drawn anew alone, by the clock or when something in it is pressed, for the signed-in
    person, given first and asked for again.

    One that goes `through_outages` is drawn also while the database is away, when no session can be asked for, and
    none can be ended: for the person who was there before. It must not need the database.
    """
    return lambda function: st.fragment(run_every=run_every)(
        _asked_again(function, poll=run_every is not None, through_outages=through_outages)
    )


def _asked_again(
    function: Callable[Concatenate[Actor, P], None], *, poll: bool, through_outages: bool = False
) -> Callable[Concatenate[Actor, P], None]:
    @wraps(function)
    def asked(then: Actor, /, *args: P.args, **kwargs: P.kwargs) -> None:
        pressed = not poll and _in_this_run.get() is None
        with counted_alone() if pressed else nullcontext(), waited_out("fragment"):
            function(_there(then) if through_outages else actor(poll=poll), *args, **kwargs)

    return asked


def _there(then: Actor) -> Actor:
    """Who is signed in; while the database is away, who was."""
    _use_formats_of(then)
    if services().health.check().status == "down":
        return then
    try:
        return actor(poll=True)
    except Unavailable:
        return then


def may(person: Actor, action: Action) -> bool:
    """True when the person's role allows the action: decides what is shown, the service decides what is done."""
    return refusal(person, action) is None


def address_parameter(name: str) -> str | None:
    """A parameter of the page's address, such as the `r` of `/map?r=...`; None when absent."""
    value = st.query_params.get(name)
    return value or None
