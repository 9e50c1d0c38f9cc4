"""The entry of the screens: the sign-in gate and the role-aware navigation."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from pages._shared import feedback, gate_forms, layout, outage, sign_in, telemetry
from pages._shared.context import keep_to_the_page, known, may, signed_in
from pages._shared.messages import explained
from pages._shared.watcher import watch
from pages._shared.wording import literal
from services import logs
from services.permissions import Action, Actor

st.set_page_config(page_title="Reconciliation", page_icon="⚖️", layout="wide")

WORK = [
    st.Page("home.py", title="Home", icon=":material/home:", default=True),
    st.Page("plans.py", title="Plans", icon=":material/bookmark:"),
]
WIZARD = [
    st.Page("upload.py", title="Upload", icon=":material/upload_file:", visibility="hidden"),
    st.Page("map.py", title="Map", icon=":material/schema:", visibility="hidden"),
    st.Page("run.py", title="Run", icon=":material/play_circle:", visibility="hidden"),
    st.Page("results.py", title="Results", icon=":material/fact_check:", visibility="hidden"),
]
ACCOUNT = st.Page("account.py", title="Your account", icon=":material/manage_accounts:", visibility="hidden")
ADMINISTRATION = {
    Action.HEALTH_READ: st.Page("health.py", title="Health", icon=":material/monitor_heart:"),
    Action.ACCOUNT_MANAGE: st.Page("users.py", title="Users", icon=":material/group:"),
    Action.BACKUP_READ: st.Page("backups.py", title="Backups", icon=":material/backup:"),
    Action.ROLLOUT_READ: st.Page("rollout.py", title="Rollout", icon=":material/conversion_path:"),
    Action.AUDIT_READ: st.Page("audit.py", title="Audit", icon=":material/history_edu:"),
}

_SIGNED_IN = "signed-in-once"


def main() -> None:
    """Run the page that the address names, or the gate when nobody is signed in."""
    with logs.request(), telemetry.timed() as run, outage.waited_out():
        _show(run)


def _show(run: telemetry.Run) -> None:
    layout.style()
    layout.brand()
    person = signed_in()
    if person is None or gate_forms.LINK in st.query_params:
        run.page = "sign-in"
        watch(session=False)
        # Every page is registered, so that an address opened before signing in is still known afterwards.
        page = st.navigation([*WORK, *WIZARD, ACCOUNT, *ADMINISTRATION.values()], position="hidden")
        sign_in.show(f"/{page.url_path}{_parameters()}", ended=_SIGNED_IN in st.session_state)
        return
    st.session_state[_SIGNED_IN] = True
    with known(person):
        watch(session=True)
        page = _only_account() if person.must_enrol else _navigation(person)
        run.page = page.url_path or "home"
        keep_to_the_page()
        _account_corner(person, run.page)
        with explained(), outage.waited_out():  # a limit or an outage may meet any call of a page
            page.run()


def _navigation(person: Actor) -> StreamlitPage:
    """The pages that the person may open. Their links are drawn here: for screen readers Streamlit's list is none."""
    allowed = [page for action, page in ADMINISTRATION.items() if may(person, action)]
    page = st.navigation([*WORK, *WIZARD, ACCOUNT, *allowed], position="hidden")
    with st.sidebar, st.container(gap="xsmall", key="navigation"):
        for one in WORK:
            st.page_link(one)
        if allowed:
            st.caption("Administration")
        for one in allowed:
            st.page_link(one)
    return page


def _only_account() -> StreamlitPage:
    """Whatever the address says: first a second factor is set up."""
    page = st.navigation([*WORK, *WIZARD, ACCOUNT, *ADMINISTRATION.values()], position="hidden")
    if page.url_path != ACCOUNT.url_path:
        st.switch_page(ACCOUNT)
    return page


def _parameters() -> str:
    given = {name: st.query_params.get_all(name) for name in st.query_params}
    return "?" + urlencode(given, doseq=True) if given else ""


def _account_corner(person: Actor, page: str) -> None:
    with st.sidebar:
        st.space("stretch")
        st.markdown(f"**{literal(person.name)}**  \n:small[:gray[{person.role.capitalize()}]]")
        st.page_link(ACCOUNT)
        if not person.must_enrol:
            feedback.corner(person, page)
        if st.button("Sign out", icon=":material/logout:", type="tertiary"):
            sign_in.leave()
            st.stop()


main()
