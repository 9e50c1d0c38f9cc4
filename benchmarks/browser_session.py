"""One browser tab without the browser: Streamlit's own protocol over its WebSocket, as the page's scripts speak it.

It opens pages by their address, clicks buttons and fills fields by their label, and runs the parts of a page that are
drawn by the clock as often as the page asks for. What is drawn is not looked at, but for errors.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

DONE = ForwardMsg.FINISHED_SUCCESSFULLY
LONGEST_SECONDS = 60.0


class NotShownError(LookupError):
    """What was to be clicked is not on the page."""


@dataclass
class Measured:
    """What all sessions saw together."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Times of whole runs, by the page that was asked for: from sending to the end of the script."""
    polls: int = 0
    errors: Counter[str] = field(default_factory=Counter)


class BrowserSession:
    """A tab of a signed-in person."""

    def __init__(self, address: str, cookie: str, measured: Measured) -> None:
        self._address, self._cookie, self._measured = address.replace("http", "ws", 1), cookie, measured
        self._controls: dict[str, str] = {}
        self._page_hash = self._query = ""
        self._finished, self._awaited = asyncio.Event(), False
        self._polling: dict[str, asyncio.Task[None]] = {}
        self._socket: ClientConnection
        self._listening: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        """Connect."""
        self._socket = await connect(
            f"{self._address}/_stcore/stream",
            additional_headers={"Cookie": self._cookie},
            subprotocols=["streamlit"],  # type: ignore[list-item]  # a NewType of str
            max_size=None,
            open_timeout=LONGEST_SECONDS,
            ping_interval=None,  # browsers send none
        )
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the tab."""
        for task in (*self._polling.values(), self._listening):
            task.cancel()
        await self._socket.close()

    async def open(self, page: str, query: str = "") -> None:
        """Go to a page by its address."""
        self._query = query
        message = BackMsg()
        message.rerun_script.page_name = page
        await self._run(page or "home", message)

    async def click(self, page: str, label: str) -> None:
        """Click the button with this label. Raises NotShownError."""
        message = self._change()
        message.rerun_script.widget_states.widgets.add(id=self._id(label), trigger_value=True)
        await self._run(page, message)

    async def fill(self, page: str, label: str, text: str) -> None:
        """Write into the text field with this label. Raises NotShownError."""
        message = self._change()
        message.rerun_script.widget_states.widgets.add(id=self._id(label), string_value=text)
        await self._run(page, message)

    def shows(self, label: str) -> bool:
        """Whether there is a button or a field with this label."""
        return label in self._controls

    def _id(self, label: str) -> str:
        if label not in self._controls:
            raise NotShownError(f"no '{label}' among {sorted(self._controls)}")
        return self._controls[label]

    def _change(self) -> BackMsg:
        message = BackMsg()
        message.rerun_script.page_script_hash = self._page_hash
        return message

    async def _run(self, page: str, message: BackMsg) -> None:
        message.rerun_script.query_string = self._query
        self._finished.clear()
        self._awaited = True
        began = time.perf_counter()
        await self._socket.send(message.SerializeToString())
        try:
            await asyncio.wait_for(self._finished.wait(), LONGEST_SECONDS)
        except TimeoutError:
            self._measured.errors[f"{page}: no end within {LONGEST_SECONDS:.0f} s"] += 1
            return
        finally:
            self._awaited = False
        self._measured.seconds.setdefault(page, []).append(time.perf_counter() - began)

    async def _listen(self) -> None:
        try:
            async for data in self._socket:
                if isinstance(data, bytes):
                    self._hear(ForwardMsg.FromString(data))
        except Exception as error:  # noqa: BLE001 - whatever ends the connection is what is to be counted
            self._measured.errors[f"connection: {type(error).__name__}"] += 1
        else:
            self._measured.errors["connection: closed by the server"] += 1

    def _hear(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            if not message.metadata.run.fragment_ids:  # the whole page is drawn anew
                self._controls.clear()
                self._stop_polling(list(self._polling))
        elif kind == "navigation":
            self._page_hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._see(message.delta.new_element)
        elif kind == "auto_rerun":
            self._poll(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            self._stop_polling(message.stop_auto_rerun.fragment_ids)
        elif kind == "script_finished":
            if message.script_finished == DONE:
                self._finished.set()
            elif message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                self._measured.errors["script does not compile"] += 1

    def _see(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            self._measured.errors[f"{element.exception.type}: {element.exception.message[:100]}"] += 1
        elif kind in ("button", "text_input"):
            shown = getattr(element, kind)
            self._controls[shown.label] = shown.id

    def _poll(self, fragment: str, seconds: float) -> None:
        async def polling() -> None:
            while True:
                await asyncio.sleep(seconds)
                if self._awaited:  # it draws this part too, and begins the timers anew
                    continue
                message = self._change()
                message.rerun_script.query_string = self._query
                message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, True
                await self._socket.send(message.SerializeToString())
                self._measured.polls += 1

        self._stop_polling([fragment])
        self._polling[fragment] = asyncio.create_task(polling())

    def _stop_polling(self, fragments: Any) -> None:
        for fragment in fragments:
            if task := self._polling.pop(fragment, None):
                task.cancel()
