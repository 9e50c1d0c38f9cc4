// Looks after an open page from within the browser, so that nothing is drawn for it: the page is run anew only when the
// session has ended, or when the browser went from light to dark. A page that nobody sees asks nothing.

import { loadAhead } from "./ahead.js";

const EVERY_MS = 3000;
const AT_REST_MS = 1000;
const OCCUPIED = "[data-testid=stDialog], [data-testid=stApp]:not([data-test-script-state=notRunning])";
const DARK = matchMedia("(prefers-color-scheme: dark)");
const PRESSES = ["pointerdown", "keydown"];
const watched = new WeakMap();

let touched = 0;
for (const kind of PRESSES) document.addEventListener(kind, () => (touched = Date.now()), true);

const isBusy = () => Date.now() - touched < AT_REST_MS || document.querySelector(OCCUPIED) !== null;

export default function ({ parentElement, data, setTriggerValue }) {
  watched.get(parentElement)?.();
  let over = !data.session;
  let waiting;
  const ask = async () => {
    if (document.hidden || over) return;
    const answer = await fetch("/api/health/session", { cache: "no-store" }).catch(() => null);
    if (!answer?.ok || over || (await answer.json()).running) return; // whoever cannot tell has not said no
    over = true;
    setTriggerValue("over", true);
  };
  // A page that is run anew closes its dialogs, and with them goes what was typed there; and it takes the place of a run
  // that somebody has just asked for: the colours wait until the page has been at rest for a second.
  const recoloured = () => {
    if (isBusy()) recolourIn(300);
    else setTriggerValue("recoloured", DARK.matches);
  };
  const recolourIn = (milliseconds) => {
    clearTimeout(waiting);
    waiting = setTimeout(recoloured, milliseconds);
  };
  const later = () => recolourIn(200); // the theme itself follows a moment later
  const clock = setInterval(ask, EVERY_MS);
  document.addEventListener("visibilitychange", ask);
  DARK.addEventListener("change", later);
  const end = () => {
    over = true;
    clearInterval(clock);
    document.removeEventListener("visibilitychange", ask);
    DARK.removeEventListener("change", later);
  };
  watched.set(parentElement, end);
  loadAhead(data.ahead, isBusy);
  return end;
}
