// Looks after an open page from within the browser, so that nothing is drawn for it: the page is run anew only when the
// session has ended, or when the browser went from light to dark. A page that nobody sees asks nothing.

const EVERY_MS = 3000;
const DARK = matchMedia("(prefers-color-scheme: dark)");
const watched = new WeakMap();

export default function ({ parentElement, setTriggerValue }) {
  watched.get(parentElement)?.();
  let over = false;
  const ask = async () => {
    if (document.hidden || over) return;
    const answer = await fetch("/api/health/session", { cache: "no-store" }).catch(() => null);
    if (!answer?.ok || over || (await answer.json()).running) return; // whoever cannot tell has not said no
    over = true;
    setTriggerValue("over", true);
  };
  // The theme's own variables follow a moment later; the page asks for its colours when it runs.
  const recoloured = () => setTimeout(() => setTriggerValue("recoloured", DARK.matches), 200);
  const clock = setInterval(ask, EVERY_MS);
  document.addEventListener("visibilitychange", ask);
  DARK.addEventListener("change", recoloured);
  const end = () => {
    over = true;
    clearInterval(clock);
    document.removeEventListener("visibilitychange", ask);
    DARK.removeEventListener("change", recoloured);
  };
  watched.set(parentElement, end);
  return end;
}
