// Fetches the screen again when something has changed, unless somebody is filling in a form.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  let first = true;
  const busy = () => [...main.querySelectorAll("input:not([type=hidden])")].some(
    (field) => field === document.activeElement || (field.type === "checkbox" ? field.checked : field.value !== field.defaultValue));
  const refresh = async () => {
    if (first) { first = false; return; }
    if (document.hidden || busy()) return;
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main[data-live]");
    if (fresh && !busy()) main.replaceChildren(...fresh.childNodes);
  };
  new EventSource("/ops/changes").addEventListener("change", refresh);
})();
