"""Many people at once, each in a browser of their own, go from two files to a break, again and again.

    python -m benchmarks.browsers [--people 20] [--minutes 6] [--pause 20]

The app runs as `make run` runs it, with its worker; the browsers share the machine with it. One person has gone the
whole way before, so that the app is warm; every window begins with nothing cached. The people come within the first
minute, and each takes about fifteen pauses for a walk: five minutes. An interaction lasts from the press to the last
thing drawn. Prints P50, P95 and the longest of each kind, and ends with 1 at an error or where P95 of all passes half a
second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
from playwright.async_api import Browser, Error, Locator, Page, async_playwright

from benchmarks.load import all_runs, app, warnings
from benchmarks.results import line
from benchmarks.stopwatch import LONGEST_MS, PROBE, QUIET_MS, SETTLED
from services.container import build_container
from services.permissions import Role
from services.settings import load_settings
from tests.browser.conftest import FLAGS
from tests.browser.steps import write_files

GOAL_SECONDS = 0.5
PASSWORD = "violet-otter-42"  # noqa: S105  # pragma: allowlist secret
WAIT_MS = 60_000
ARRIVAL_SECONDS = 60.0
PAUSES = 15  # of one walk


class Measured:
    """What all people together saw: seconds by kind of interaction, and what went wrong."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.errors: Counter[str] = Counter()
        self.walks = 0


class Person:
    """One at work: acts, waits until the page stands still, thinks, and acts again."""

    def __init__(self, page: Page, measured: Measured, chance: random.Random, pause: float) -> None:
        self._page, self._measured, self._chance, self._pause = page, measured, chance, pause
        self.doing = "arrive"

    async def timed(self, kind: str, act: Callable[[], Awaitable[object]]) -> None:
        """Do it, take the time, and think."""
        self.doing = kind
        await self._page.evaluate("window.stopwatch.armed = true")
        await act()
        told = await self._page.evaluate(SETTLED, [QUIET_MS, LONGEST_MS])
        if await self._page.get_by_test_id("stException").count():
            raise AssertionError(f"{kind}: the page shows an exception")
        self._measured.seconds[kind].append(told["seconds"])
        await self.think()

    async def think(self) -> None:
        """A person reads before the next step."""
        self.doing = f"after {self.doing}"
        await asyncio.sleep(self._chance.uniform(0.5, 1.5) * self._pause)

    def button(self, name: str) -> Locator:
        """A button by the text on it, behind its icon."""
        return self._page.get_by_role("button", name=re.compile(rf"{re.escape(name)}$")).first

    async def press(self, name: str) -> None:
        """Press a button, timed under its own name."""
        await self.timed(name, self.button(name).click)

    async def walk(self, name: str, files: tuple[Path, Path]) -> None:
        """From Home through the wizard to a break and back to Home."""
        page = self._page
        if page.url == "about:blank":
            await page.goto("/")
        else:
            await self.timed("Home", page.get_by_role("link", name=re.compile("Home$")).last.click)
        await self.button("New reconciliation").wait_for()
        await self.think()
        await self.press("New reconciliation")
        await page.get_by_label("Name").fill(name)
        await self.press("Start")
        for number, (side, path) in enumerate(zip(("left", "right"), files, strict=True)):
            await page.locator(f".st-key-upload-{side} input[type=file]").set_input_files(path)
            await page.get_by_role("button", name=re.compile("Remove$")).nth(number).wait_for()
            await self.think()
        await self.press("Continue to mapping")
        await self.press("Continue to run")
        await self.button("Run reconciliation").click()
        await page.get_by_text("Every row is accounted for").wait_for()  # the page of a run that ends opens its results
        await self.think()
        for section in ("Breaks", "Matches", "Differences", "Breaks"):
            await self.timed("section", page.get_by_role("radio", name=section).click)
        for row in self._chance.sample(range(2), 2):
            table = page.locator(".st-key-breaks-table [data-testid=stDataFrame]")
            place = {"x": 16, "y": 33 + 33 * row + 17}
            await self.timed("open a break", lambda place=place, table=table: table.click(position=place))  # type: ignore[misc]
        self._measured.walks += 1


async def one(
    browser: Browser, address: str, token: str, number: int, files: tuple[Path, Path], pause: float, until: float,
    measured: Measured,
) -> None:  # fmt: skip
    """One person works until the time is over; what goes wrong is counted, and the work begun again."""
    chance = random.Random(number)
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, base_url=address)
    await context.add_cookies([{"name": "recon_session", "value": token, "url": address}])
    page = await context.new_page()
    page.set_default_timeout(WAIT_MS)
    await page.add_init_script(PROBE)
    page.on("pageerror", lambda error: measured.errors.update([f"in the page: {error}"[:200]]))
    person = Person(page, measured, chance, pause)
    await asyncio.sleep(chance.uniform(0, min(ARRIVAL_SECONDS, (until - time.monotonic()) / 4)))
    walk = 0
    while not walk or until - time.monotonic() > PAUSES * pause:  # what is begun is brought to its end
        walk += 1
        try:
            await person.walk(f"Walk {number}-{walk}", files)
        except (Error, AssertionError) as error:
            measured.errors[f"{person.doing}: {error}"[:1000]] += 1
    await context.close()


def invited(data: Path, people: int) -> list[str]:
    """A session's token for each person."""
    container = build_container(
        load_settings(_env_file=None, data_dir=data, password_hash_rounds=4, embedded_worker=False)
    )
    admin = container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
    actor = container.sessions.resolve(container.sessions.start(admin, "127.0.0.1", "load"))
    made = [
        container.accounts.create(actor, f"Person {n}", f"p{n}@example.org", PASSWORD, Role.ANALYST)
        for n in range(people)
    ]
    tokens = [container.sessions.start(account, "127.0.0.1", "load") for account in made]
    container.close()
    return tokens


async def everybody(
    address: str, tokens: list[str], files: tuple[Path, Path], pause: float, seconds: float
) -> Measured:
    """All people at once, in windows of one browser that share nothing; the first has been there before, alone."""
    measured = Measured()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=FLAGS)
        await one(browser, address, tokens[0], 0, files, 0, 0, rehearsal := Measured())
        measured.errors.update(rehearsal.errors)
        until = time.monotonic() + seconds
        people = (one(browser, address, token, n, files, pause, until, measured) for n, token in enumerate(tokens))
        await asyncio.gather(*people)
        await browser.close()
    return measured


def busy_seconds() -> float:
    """Processor time that this machine has spent, on all cores."""
    spent = psutil.cpu_times()
    return float(spent.user + spent.nice + spent.system)


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browsers", description=__doc__)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--pause", type=float, default=20, help="mean seconds between two actions of a person")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recon-browsers-") as name:
        (folder := Path(name) / "files").mkdir()
        files = write_files(folder)
        with app(Path(name)) as (address, process):
            tokens = invited(Path(name), given.people)
            cores, load = os.cpu_count(), psutil.getloadavg()[0]
            print(f"{given.people} browsers for {given.minutes:g} minutes; {cores} cores, load before {load:.1f}")
            before = busy_seconds()
            measured = asyncio.run(everybody(address, tokens, files, given.pause, given.minutes * 60))
            print(f"load after {psutil.getloadavg()[0]:.1f}; the app has {process.memory_info().rss >> 20} MB")
            spent = [each.cpu_times() for each in (process, *process.children(recursive=True))]
            app_seconds = spent[0].user + spent[0].system
            child_seconds = sum(s.user + s.system for s in spent[1:]) + sum(
                s.children_user + s.children_system for s in spent
            )
            all_seconds = busy_seconds() - before
            print(
                f"seconds of processor: {app_seconds:.0f} the app, {child_seconds:.0f} its readers and runs, "
                f"{all_seconds - app_seconds - child_seconds:.0f} the browsers and all else"
            )
            complaints = warnings(Path(name) / "app.log")
    for kind, seconds in measured.seconds.items():
        line(kind, seconds)
    kept = line("all", all_runs(measured.seconds), GOAL_SECONDS)
    print(f"whole walks: {measured.walks}; errors: {measured.errors.total()}; the app's log: {complaints}")
    for error, count in measured.errors.most_common():
        print(f"  {count} x {error}")
    return 0 if kept and not measured.errors and measured.walks >= given.people else 1


if __name__ == "__main__":
    sys.exit(main())
