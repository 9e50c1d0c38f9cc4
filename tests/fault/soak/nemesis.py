"""The nemesis: one fault at a time, healed before the next; and the pulse, which notices how long nobody was served."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product

import httpx

from tests.fault.soak.system import System

FAULTS = ("kill", "pause", "black hole")
PARTS = ("worker", "app", "postgresql", "redis", "s3", "smtp")
CALM = "none"
RECOVERY_SECONDS = 300.0  # of a machine that may be busy; the report says how long it took


@dataclass(frozen=True)
class Injected:
    """One fault that was injected and healed."""

    part: str
    fault: str
    began: float
    healed: float
    well: float | None
    """When health said again that all is well; None: not within the time it has."""

    @property
    def name(self) -> str:
        """As the log calls it."""
        return f"{self.part} {self.fault}"


def every_fault(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Each fault of each part, in a random order, again and again."""
    while True:
        deck = list(product(PARTS, FAULTS))
        chance.shuffle(deck)
        yield from deck


@dataclass
class Nemesis:
    """Injects faults until its time is over, or there are no more."""

    system: System
    injected: list[Injected] = field(default_factory=list)
    during: str = CALM

    def rage(
        self,
        faults: Iterator[tuple[str, str]],
        until: float,
        fault_seconds: float,
        calm_seconds: float,
        say: Callable[[str], None],
    ) -> None:
        """One fault after the other."""
        while time.monotonic() < until and (next_fault := next(faults, None)) is not None:
            self.inject(*next_fault, fault_seconds)
            done = self.injected[-1]
            say(f"{done.name}: " + (f"well after {done.well - done.healed:.1f} s" if done.well else "not well again"))
            time.sleep(calm_seconds)

    def inject(self, part: str, fault: str, seconds: float) -> None:
        """One fault from begin to end."""
        target = self.system.parts[part]
        began = time.monotonic()
        self.during = f"{part} {fault}"
        try:
            {"kill": target.kill, "pause": target.pause, "black hole": target.black_hole}[fault]()
            time.sleep(seconds)
        finally:
            target.heal()
        healed = time.monotonic()
        well = self.system.wait_until_well(RECOVERY_SECONDS)
        self.injected.append(Injected(part, fault, began, healed, time.monotonic() if well else None))
        self.during = CALM


class Pulse:
    """Asks for something that needs the database several times a second, and remembers when it was given."""

    EVERY_SECONDS, PATIENCE_SECONDS = 0.2, 2.0

    def __init__(self, address: str, token: str) -> None:
        self.served: list[float] = [time.monotonic()]
        self._stop = threading.Event()
        self._client = httpx.Client(
            base_url=address, timeout=self.PATIENCE_SECONDS, headers={"authorization": f"Bearer {token}"}
        )
        self.thread = threading.Thread(target=self._beat, name="pulse", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()
        self.thread.join(10)
        self._client.close()

    def longest_silence(self, begin: float, end: float) -> float:
        """The longest time without an answer that touches this stretch, in seconds."""
        gaps = zip(self.served, self.served[1:], strict=False)
        return max((after - before for before, after in gaps if before < end and after > begin), default=0.0)

    def _beat(self) -> None:
        while not self._stop.wait(self.EVERY_SECONDS):
            try:
                if self._client.get("/api/reconciliation/jobs", params={"limit": 1}).is_success:
                    self.served.append(time.monotonic())
            except httpx.HTTPError:
                continue
