// Keeps the order's progress fresh: an event says that something changed, the page itself
// says what. The server renders both times, so there is one source of words.
"use strict";
(() => {
  const part = document.getElementById("progress");
  if (!part || part.dataset.over === "true") return;
  let source;
  const refresh = async () => {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("progress");
    if (!fresh) return;
    part.dataset.over = fresh.dataset.over;
    if (fresh.dataset.over === "true") source.close();
    if (fresh.dataset.status === part.dataset.status) return;
    part.dataset.status = fresh.dataset.status;
    part.replaceChildren(...fresh.childNodes);
  };
  const open = () => {
    if (part.dataset.over === "true") return;
    source = new EventSource("/api/orders/" + part.dataset.order + "/events");
    source.addEventListener("status", refresh);
  };
  open();
  // A page kept for the back button would keep its connection, of which a browser has few.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
})();
