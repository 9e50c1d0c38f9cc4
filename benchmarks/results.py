"""How quick the screens are with a large result: what a person does on Results, and the first sight of every page.

    python -m benchmarks.results [--matches 5000000] [--breaks 1000000] [--turns 6]

The result is made once by the application itself and kept under build/bench. Times are taken in a browser, from the
press of the button (or from asking for the address, with nothing cached) to the last thing drawn. Prints P50, P95 and
the longest of each kind and exits with 1 where one passes its goal.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.large_result import ENVIRONMENT, opened, ready, signed_in
from benchmarks.load import percentile
from benchmarks.stopwatch import arm, install, settled
from tests.browser.conftest import FLAGS
from tests.browser.server import Server

BENCH = Path(__file__).parent.parent / "build" / "bench"
GOAL_SECONDS, FIRST_SIGHT_SECONDS = 0.3, 1.5
SECTIONS = ("Breaks", "Matches", "Differences", "Duplicates", "Rejected", "Balance", "Rules", "Overview")
PAGES = ("", "plans", "upload?r", "map?r", "run?r", "results?job", "account", "health", "users", "backups", "rollout",
         "audit")  # fmt: skip
ROWS_SHOWN = 6


class Person:
    """One at work on Results: does something, and notes how long the page took."""

    def __init__(self, page: Page, address: str, seed: int) -> None:
        self._page, self._address, self._chance = page, address, random.Random(seed)
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def visit(self, section: str, number: int = 1) -> None:
        """Come by the address, not timed."""
        self._page.goto(f"{self._address}&section={section}&{section.lower()}-page={number}")
        settled(self._page)

    def timed(self, kind: str, act: Callable[[], None]) -> None:
        """Do it and take the time."""
        arm(self._page)
        act()
        self.seconds[kind].append(settled(self._page)["seconds"])

    def choose(self, key: str, label: str) -> None:
        """One of some buttons side by side."""
        self._page.locator(f".st-key-{key}").get_by_role("radio", name=label, exact=True).click()

    def pick(self, kind: str, key: str, place: int) -> None:
        """An entry of a list that opens; only the choice is timed."""
        self._page.locator(f".st-key-{key}").get_by_role("combobox").click()
        self.timed(kind, self._page.get_by_role("option").nth(place).click)

    def turn(self) -> None:
        """Everything there is to do, once."""
        self.visit("Overview")
        for section in SECTIONS:
            self.timed("switch section", lambda name=section: self.choose("section", name))  # type: ignore[misc]
        for section, chart, place in (("Rules", "rules", 1), ("Overview", "categories", 0)):
            self.timed("switch section", lambda section=section: self.choose("section", section))  # type: ignore[misc]
            self.timed("click a chart", lambda chart=chart, place=place: self._press_bar(chart, place))  # type: ignore[misc]
        for section, pages in (("Breaks", 20_000), ("Matches", 200_000), ("Differences", 6_000)):
            name = section.lower()
            self.visit(section, self._chance.randrange(2, pages - 2))
            for label in ("Next page", "Next page", "Previous page"):
                self.timed("turn the page", self._page.get_by_role("button", name=label).click)
            for _ in range(3):
                self.timed("open a row", lambda name=name: self._open_row(name))  # type: ignore[misc]
        self.visit("Matches")
        for side in ("Ledger", "Bank", "Both sides"):
            self.timed("filter", lambda side=side: self.choose("matches-side", side))  # type: ignore[misc]
        for place in (1, 4, 0):
            self.pick("filter", "matches-rule", place)
            self.timed("turn the page", self._page.get_by_role("button", name="Next page").click)
        for place in (1, 0):
            self.pick("sort", "matches-order", place)
        self.visit("Breaks")
        for side in ("Ledger", "Bank", "Both sides"):
            self.timed("filter", lambda side=side: self.choose("breaks-side", side))  # type: ignore[misc]
        for category in ("No counterpart", "Value mismatch", "All"):
            self.timed("filter", lambda label=category: self.choose("breaks-category", label))  # type: ignore[misc]
        for place in (1, 2, 3, 4, 0):
            self.pick("sort", "breaks-order", place)
            self.timed("turn the page", self._page.get_by_role("button", name="Next page").click)

    def _press_bar(self, chart: str, place: int) -> None:
        bar = self._page.locator(f".st-key-{chart} .point path").nth(place)
        bar.scroll_into_view_if_needed()
        box = bar.bounding_box()
        assert box is not None
        self._page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def _open_row(self, name: str) -> None:
        place = {"x": 16, "y": 33 + 33 * self._chance.randrange(ROWS_SHOWN) + 17}
        self._page.locator(f".st-key-{name}-table [data-testid=stDataFrame]").click(position=place)  # type: ignore[arg-type]


@contextmanager
def window(browser: Browser, server: Server, token: str) -> Iterator[Page]:
    """A browser with nothing cached, signed in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=server.address)
    context.add_cookies([{"name": "recon_session", "value": token, "url": server.address}])
    page = context.new_page()
    page.set_default_timeout(60_000)
    install(page)
    yield page
    context.close()


def first_sights(browser: Browser, server: Server, token: str, ids: dict[str, str]) -> dict[str, tuple[float, float]]:
    """For each page the seconds to the first paint and to the whole page."""
    seen = {}
    for name in PAGES:
        path, _, needs = name.partition("?")
        with window(browser, server, token) as page:
            page.goto(f"/{path}" + (f"?{needs}={ids[needs]}" if needs else ""), wait_until="commit")
            told = settled(page)
        seen[path or "home"] = (told["paint"], told["seconds"])
    return seen


def line(kind: str, seconds: list[float], goal: float = math.inf) -> bool:
    """Print the figures of one kind; True when they keep to the goal, if there is one."""
    kept = percentile(seconds, 0.95) < goal
    aim = "" if goal == math.inf else f"   goal {goal * 1000:.0f} ms{'' if kept else '   MISSED'}"
    figures = "   ".join(
        f"{name} {value * 1000:6.0f} ms"
        for name, value in (
            ("P50", percentile(seconds, 0.5)),
            ("P95", percentile(seconds, 0.95)),
            ("longest", max(seconds)),
        )
    )
    print(f"{kind:24}{len(seconds):4}   {figures}{aim}", flush=True)
    return kept


def main() -> int:
    """Measure all of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("--matches", type=int, default=5_000_000)
    parser.add_argument("--breaks", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=6)
    given = parser.parse_args()
    folder = BENCH / f"results-{given.matches}-{given.breaks}"
    ready(folder, given.matches, given.breaks)
    container = opened(folder)
    token, actor = signed_in(container)
    job = container.jobs.get(actor, (folder / "job.txt").read_text(encoding="utf-8"))
    ids = {"job": job.id, "r": str(job.reconciliation_id)}
    container.close()
    print(f"{os.cpu_count()} cores, load before {psutil.getloadavg()[0]:.1f}")
    server = Server(folder / "data", **ENVIRONMENT)
    server.start()
    sights: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=FLAGS)
            with window(browser, server, token) as page:
                person = Person(page, f"/results?job={job.id}", given.turns)
                for _ in range(given.turns):
                    person.turn()
            kept = [line(kind, seconds, GOAL_SECONDS) for kind, seconds in person.seconds.items()]
            for _ in range(given.turns):
                for name, told in first_sights(browser, server, token, ids).items():
                    sights[name].append(told)
            browser.close()
    finally:
        server.stop()
    print(f"load after {psutil.getloadavg()[0]:.1f}")
    for name, both in sights.items():
        kept.append(line(f"{name}: first paint", [paint for paint, _ in both], FIRST_SIGHT_SECONDS))
        kept.append(line(f"{name}: whole", [whole for _, whole in both]))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
