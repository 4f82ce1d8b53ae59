// Fetches the screen again when something has changed, unless a form is being filled in.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  const busy = () => [...main.querySelectorAll("input:not([type=hidden])")].some(
    (field) => field === document.activeElement || (field.type === "checkbox" ? field.checked : field.value !== field.defaultValue));
  const refresh = async () => {
    if (document.hidden || busy()) return;
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main[data-live]");
    // Identical content is not replaced, so that a pending click keeps its target.
    if (fresh && fresh.innerHTML !== main.innerHTML && !busy()) main.replaceChildren(...fresh.childNodes);
  };
  let source;
  const open = () => {
    source = new EventSource("/ops/changes");
    source.addEventListener("change", refresh);
  };
  open();
  // A page kept for the back button would keep its connection, of which a browser has few.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
})();
