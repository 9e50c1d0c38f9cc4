"""A clock that ticks while the page changes: the new page stays."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser import steps


class Ticks:
    """Lets all messages through; once armed, after the next press of a button, when its part or the next page has begun
    to be drawn, the last tick of the old page once more.
    """

    def __init__(self, page: Page, begun: int) -> None:
        self._begun, self._tick = begun, b""
        self.armed, self._pressed, self.late = False, False, 0
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
            self._pressed |= self.armed and any(widget.trigger_value for widget in asked.widget_states.widgets)

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
    """What the rules match is asked for until it is known; the server has changed the page when a question arrives."""
    steps.create_administrator(page)
    ticks = Ticks(page, begun)
    page.reload()
    steps.button(page, "Try the demo").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    assert ticks.heard
    ticks.armed = True
    steps.button(page, "Continue to run").click()
    expect(page).to_have_url(re.compile(r"/run\?r="))
    page.wait_for_timeout(1500)  # for the late answer
    assert ticks.late == 1
    expect(steps.button(page, "Run reconciliation")).to_be_visible(timeout=2000)
    expect(page).to_have_url(re.compile(r"/run\?r="))


def test_a_page_at_rest_is_not_drawn(page: Page) -> None:
    """On a page on which nothing goes on, the browser has nothing to do; it follows from light to dark at once."""
    messages: list[bytes | str] = []

    def note(message: bytes | str) -> None:
        messages.append(message)

    page.on("websocket", lambda socket: socket.on("framereceived", note))
    steps.create_administrator(page)
    steps.button(page, "Try the demo").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    steps.quiet(page)
    page.wait_for_timeout(1000)
    messages.clear()
    page.wait_for_timeout(7000)
    assert not messages
    assert page.evaluate("document.hidden") is False, "a page that is seen: its session is watched"
    accent = "getComputedStyle(document.documentElement).getPropertyValue('--accent').trim()"
    assert page.evaluate(accent) == "#22577a"
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(2000)
    assert page.evaluate(accent) == "#8cc4e4"


def test_what_the_next_pages_are_drawn_with_is_there_before_them(page: Page) -> None:
    """Tables and charts come in large scripts: they are loaded while Home is read, once, and the pages that need them
    ask for nothing more of that size.
    """
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url) if re.search(r"/js/(Data|Plot)", request.url) else None
    )
    steps.create_administrator(page)
    expect(steps.button(page, "Try the demo")).to_be_visible()
    while len(asked) < 2:
        page.wait_for_timeout(100)
    page.wait_for_load_state("networkidle")
    loaded = [url.rpartition("/")[2].partition(".")[0] for url in asked]
    assert loaded == ["DataFrame", "PlotlyChart"]
    steps.button(page, "Try the demo").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    assert len(asked) == 2


def test_a_plan_changed_after_the_run_is_what_runs_next(page: Page) -> None:
    """The result is still that of the plan before, and the page says so until the changed plan has run."""
    steps.create_administrator(page)
    steps.button(page, "Try the demo").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    steps.button(page, "Continue to run").click()
    steps.button(page, "Run reconciliation").click()
    steps.open_results(page)
    expect(page.get_by_text("Every row is accounted for")).to_be_visible()
    page.get_by_role("link", name=re.compile("Run$")).first.click()
    expect(steps.button(page, "Run again")).to_be_visible()
    changed = page.get_by_text("The plan was changed after this run")
    expect(changed).to_have_count(0)
    steps.button(page, "Back to mapping").click()
    expect(page.get_by_text("would stay open")).to_be_visible()
    page.locator("[class*=st-key-delete-] button").filter(visible=True).last.click()
    steps.quiet(page)
    steps.button(page, "Continue to run").click()
    expect(changed).to_be_visible()
    expect(steps.button(page, "Run again")).to_have_count(0)
    steps.button(page, "Run with the changed plan").click()
    expect(page.get_by_text("Every row is accounted for")).to_be_visible(timeout=90_000)
