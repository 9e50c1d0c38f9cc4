// Loads what the next pages are drawn with, while nobody waits for it: tables and charts come in large scripts of their
// own, which the first page that shows one would otherwise stand still for.

const AT_REST_MS = 1500;
const asked = new Set();

const idle = () => new Promise((told) => (window.requestIdleCallback ?? setTimeout)(told));
const pause = () => new Promise((told) => setTimeout(told, AT_REST_MS));

// `names`: scripts beside the one that the page itself runs, in the order in which they will be needed.
export async function loadAhead(names, isBusy) {
  const own = document.querySelector("script[type=module][src*='/static/js/']")?.src;
  if (!own || navigator.connection?.saveData) return;
  for (const name of names) {
    if (asked.has(name)) continue;
    asked.add(name);
    do await pause();
    while (isBusy());
    await idle();
    await import(new URL(name, own)).catch(() => null); // the page that needs it asks again
  }
}
