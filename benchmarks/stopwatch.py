"""How long a page takes to show what was asked for: from the person's click to the last thing drawn for it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

QUIET_MS, LONGEST_MS = 400, 30_000
"""A page is drawn when it has stood still for so long; the quiet itself does not count."""

# Tables are drawn on a canvas: a text that was not drawn before is new content. What browsers read aloud of a canvas
# follows after a pause of its own and says nothing of what is seen, so changes inside of it are left out.
PROBE = """
(() => {
  const watch = {began: 0, drawn: 0, armed: false, moved: 0, texts: new Set()};
  window.stopwatch = watch;
  const shown = () => requestAnimationFrame(() => { watch.drawn = performance.now(); });
  const begin = event => { if (watch.armed) { watch.began = event.timeStamp; watch.armed = false; watch.moved = 0; } };
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, begin, true);
  const fillText = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    if (!watch.texts.has(text)) { watch.texts.add(text); watch.moved++; shown(); }
    return fillText.call(this, text, ...rest);
  };
  new MutationObserver(changes => {
    const seen = changes.filter(({target}) => {
      const element = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
      return element?.closest("[data-testid=stMain], [data-testid=stDialog]") && !element.closest("canvas");
    });
    if (seen.length) { watch.moved += seen.length; shown(); }
  }).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
})();
"""
SETTLED = """
([quiet, longest]) => new Promise((told, failed) => {
  const until = performance.now() + longest;
  const look = () => {
    const watch = window.stopwatch, now = performance.now();
    const app = document.querySelector("[data-testid=stApp]");
    const idle = app?.getAttribute("data-test-script-state") === "notRunning";
    const waiting = document.querySelector("[data-testid=stMain] [data-testid=stSkeleton]");
    if (watch.moved && idle && !waiting && now - Math.max(watch.drawn, watch.began) > quiet) {
      const paint = performance.getEntriesByName("first-contentful-paint")[0];
      told({seconds: (watch.drawn - watch.began) / 1000, paint: (paint?.startTime ?? Infinity) / 1000});
    } else if (now > until) failed(new Error("the page does not come to rest"));
    else setTimeout(look, 20);
  };
  look();
})
"""


def install(page: Page) -> None:
    """Watch the page from its first script on."""
    page.add_init_script(PROBE)


def arm(page: Page) -> None:
    """The next press of a button or a key is what begins."""
    page.evaluate("window.stopwatch.armed = true")


def settled(page: Page) -> dict[str, Any]:
    """Wait until the page stands still. `seconds` since what began it, the address or the press; `paint`: the first."""
    told: dict[str, Any] = page.evaluate(SETTLED, [QUIET_MS, LONGEST_MS])
    assert page.get_by_test_id("stException").count() == 0, "the page shows an exception"
    return told
