"""A clock that ticks while the page changes: the new page stays."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser import steps


class Ticks:
    """Lets all messages through; after the press of a button, once its part or the next page has begun to be drawn,
    the last tick of the old page once more.
    """

    def __init__(self, page: Page, label: str, begun: int) -> None:
        self._label, self._begun, self._tick = label, begun, b""
        self._pressed, self.late = False, 0
        page.route_web_socket(re.compile("/_stcore/stream"), self._connect)

    @property
    def heard(self) -> bool:
        """Whether the page has asked for a part of it by the clock."""
        return bool(self._tick)

    def _connect(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def to_server(data: str | bytes) -> None:
            server.send(data)
            asked = BackMsg.FromString(bytes(data)).rerun_script  # type: ignore[arg-type]
            if asked.is_auto_rerun:
                self._tick = self._tick or bytes(data)  # type: ignore[arg-type]
            self._pressed |= any(w.trigger_value and w.id.endswith(self._label) for w in asked.widget_states.widgets)

        def to_page(data: str | bytes) -> None:
            socket.send(data)
            if self._pressed and ForwardMsg.FromString(bytes(data)).WhichOneof("type") == "new_session":  # type: ignore[arg-type]
                self._begun -= 1
                if self._begun == 0:
                    server.send(self._tick)
                    self.late += 1

        socket.on_message(to_server)
        server.on_message(to_page)


@pytest.mark.parametrize("begun", [1, 2])
def test_a_late_tick_of_the_page_before_leaves_no_empty_page(page: Page, begun: int) -> None:
    """The session is watched every three seconds; the server has changed the page when such a question arrives."""
    steps.create_administrator(page)
    ticks = Ticks(page, "Start", begun)
    page.reload()
    for _ in range(80):
        if ticks.heard:
            break
        page.wait_for_timeout(100)
    steps.button(page, "New reconciliation").click()
    page.get_by_label("Name").fill("Late")
    steps.button(page, "Start").click()
    expect(page).to_have_url(re.compile(r"/upload\?r="))
    page.wait_for_timeout(1500)  # for the late answer
    assert ticks.late == 1
    expect(page.get_by_role("heading", name="Late")).to_be_visible(timeout=2000)
    expect(page.get_by_text("Left side").first).to_be_visible(timeout=2000)
    expect(page).to_have_url(re.compile(r"/upload\?r="))
