// Looks after an open page from within the browser, so that nothing is drawn for it: the page is run anew only when the
// session has ended, or when the browser went from light to dark. A page that nobody sees asks nothing.

const EVERY_MS = 3000;
const DARK = matchMedia("(prefers-color-scheme: dark)");
const watched = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  watched.get(parentElement)?.();
  let over = !data.session;
  const ask = async () => {
    if (document.hidden || over) return;
    const answer = await fetch("/api/health/session", { cache: "no-store" }).catch(() => null);
    if (!answer?.ok || over || (await answer.json()).running) return; // whoever cannot tell has not said no
    over = true;
    setTriggerValue("over", true);
  };
  // A page that is run anew closes its dialogs, and with them goes what was typed there.
  const recoloured = () =>
    document.querySelector("[data-testid=stDialog]")
      ? setTimeout(recoloured, 1000)
      : setTriggerValue("recoloured", DARK.matches);
  const later = () => setTimeout(recoloured, 200); // the theme itself follows a moment later
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
  return end;
}
