"""The main job without a mouse: every step is reached by Tab, done by a key, and one sees where one is."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, TimeoutError, expect  # noqa: A004 - the browser's

from tests.browser import steps

FARTHEST = 120  # presses of Tab; the Map step has the most
# The element with the keyboard's focus, also inside a component: what it is called, and whether one sees that.
FOCUSED = """async () => {
    let element = document.activeElement;
    while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    const accent = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();
    const probe = document.createElement('i'); probe.style.color = accent; document.body.append(probe);
    const colour = getComputedStyle(probe).color; probe.remove();
    const chain = [];
    for (let part = element; part instanceof Element && chain.length < 4; part = part.parentElement) chain.push(part);
    await Promise.allSettled(chain.flatMap((part) => part.getAnimations().map((change) => change.finished)));
    let seen = false;
    for (const part of chain) {
        const style = getComputedStyle(part);
        seen ||= style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
        seen ||= style.boxShadow !== 'none' || (parseFloat(style.borderWidth) > 0 && style.borderColor === colour);
    }
    const name = element.getAttribute('aria-label') || element.innerText || element.dataset.testid || element.tagName;
    return [name.trim(), seen, element.tagName];
}"""

MADE_ANEW = """zone => {
    const made = zone.parentElement.parentElement;
    made.replaceWith(made.cloneNode(true));
}"""
"""The browser's side of Streamlit makes the elements of a component anew at times; what they do must not be lost."""


@pytest.mark.timeout(600)
def test_from_first_visit_to_a_break_by_keyboard(page: Page, tmp_path: Path) -> None:
    """Two files are reconciled and a break is opened with Tab, Enter, arrows and Space alone."""
    page.goto("/")
    expect(page.get_by_label("Your name")).to_be_visible()
    steps.quiet(page)
    for field, text in (
        ("Your name", "Ada Admin"), ("Email", steps.EMAIL), ("Password", steps.PASSWORD),
        ("Password again", steps.PASSWORD),
    ):  # fmt: skip
        to(page, f"{field}$")
        page.keyboard.type(text)
    press(page, "Create administrator")
    expect(steps.button(page, "New reconciliation")).to_be_visible()
    steps.quiet(page)

    press(page, "New reconciliation")
    expect(page.get_by_role("dialog").get_by_label("Name")).to_be_visible()
    to(page, "Name$")
    page.keyboard.type("By keyboard")
    press(page, "Start")
    expect(page.get_by_role("heading", name="By keyboard")).to_be_visible()
    steps.quiet(page)
    for number, path in enumerate(steps.write_files(tmp_path), start=1):
        page.locator(".zone").nth(number - 1).evaluate(MADE_ANEW)
        choose(page, f"Choose files: {('Left', 'Right')[number - 1]} side$", path)
        expect(page.get_by_text("Read it differently")).to_have_count(number)
        expect(page.locator("progress")).to_have_count(0)
        steps.quiet(page)

    press(page, "Continue to mapping")
    expect(page.get_by_role("heading", name="Rules")).to_be_visible()
    steps.quiet(page)
    press(page, "Continue to run")
    expect(steps.button(page, "Run reconciliation")).to_be_visible()
    steps.quiet(page)
    press(page, "Run reconciliation")
    steps.open_results(page)
    expect(page.get_by_text("Every row is accounted for")).to_be_visible()
    steps.quiet(page)

    to(page, "Overview$")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator(".st-key-breaks-table")).to_be_visible()
    steps.quiet(page)
    to(page, "data-grid-canvas$")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+Space")
    expect(page.locator(".st-key-break-detail")).to_be_visible()


def to(page: Page, name: str) -> None:
    """Press Tab until what is called so has the focus; every stop on the way must be seen."""
    met = []
    for _ in range(FARTHEST):
        page.keyboard.press("Tab")
        called, seen, tag = page.evaluate(FOCUSED)
        met.append(called)
        if tag == "BODY":  # past the last: the browser's own, then from the beginning
            continue
        assert seen, f"nothing shows that '{called}' ({tag}) has the focus"
        if re.search(rf"(^|\n){name}", called):  # the name of an icon stands on a line before
            return
    pytest.fail(f"'{name}' is not reached by Tab; there are {list(dict.fromkeys(met))}")


def choose(page: Page, name: str, path: Path) -> None:
    """Press the button that asks for files; again when the page was drawn anew just then and the focus was lost."""
    for _ in range(3):
        to(page, name)
        with suppress(TimeoutError):
            with page.expect_file_chooser(timeout=8_000) as chooser:
                page.keyboard.press("Enter")
            chooser.value.set_files(path)
            return
    pytest.fail(f"'{name}' does not ask for a file")


def press(page: Page, name: str) -> None:
    """Go to the button and press it."""
    to(page, f"{name}$")
    page.keyboard.press("Enter")
