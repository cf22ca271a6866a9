// The log of a run: follows what is written until the reader scrolls up, finds text, and fetches earlier lines.
// Without this file the last lines show, and all of it is a download.
"use strict";

(() => {
  const log = document.getElementById("log");
  if (!log) return;

  const EVERY = 1000; // ms
  const AFTER_ERROR = 10_000;
  const LONGEST = 20_000;
  const MOST_ROWS = 10_000; // a page with more becomes slow
  const panel = log.closest(".log-panel");
  const newest = panel.querySelector("[data-newest]");
  const find = panel.querySelector("[data-find]");
  const found = panel.querySelector("[data-found]");
  const earlier = panel.querySelector("[data-earlier]");
  let unseen = 0;

  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  let follows = true;
  let end = 0; // where the scroll bar was left at the end

  async function lines(query) {
    const answer = await fetch(`${log.dataset.url}?${new URLSearchParams(query)}`, {
      cache: "no-store", signal: AbortSignal.timeout(LONGEST),
    });
    if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
    // The parser runs no script that is in it.
    return new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("ol");
  }

  function seen() {
    unseen = 0;
    if (newest) newest.hidden = true;
  }

  function showEnd() {
    log.scrollTop = log.scrollHeight;
    end = log.scrollTop;
    seen();
  }

  // A last line without its end is sent again each time.
  function isShown([row, ...more]) {
    const open = log.querySelector("[data-open]");
    return !more.length && open && row.hasAttribute("data-open") && row.textContent === open.textContent;
  }

  function dropOldest() {
    if (log.children.length <= MOST_ROWS) return;
    while (log.children.length > MOST_ROWS / 2) log.firstElementChild.remove();
    earlier?.remove();
    const gap = document.createElement("li");
    gap.className = "gap";
    gap.append(document.createElement("span"));
    gap.lastChild.textContent = "Earlier lines are in the download.";
    log.prepend(gap);
  }

  async function later() {
    const { offset, line } = log.dataset;
    const part = await lines({ offset, line });
    if (follows && log.scrollTop < end) follows = atEnd(); // the event of a scroll comes only with the next frame
    const rows = [...part.children];
    const isNew = part.dataset.offset !== offset || (rows.length && !isShown(rows));
    if (isNew) {
      log.querySelector("[data-open]")?.remove();
      log.append(...rows);
      if (follows) dropOldest();
      unseen += Number(part.dataset.line) - Number(line);
      panel.querySelector(".log-note")?.remove();
    }
    log.dataset.offset = part.dataset.offset;
    log.dataset.line = part.dataset.line;
    log.dataset.state = part.dataset.state;
    if (follows && isNew) showEnd();
    else if (newest && unseen > 0) {
      newest.hidden = false;
      newest.lastElementChild.textContent = `Show ${unseen} new line${unseen === 1 ? "" : "s"}`;
    }
    if (find.value && isNew) mark();
  }

  async function poll() {
    if (log.dataset.state !== "running") return;
    let wait = EVERY;
    try {
      if (!document.hidden && localStorage.getItem("cronzimus_refresh") !== "off") await later();
    } catch {
      wait = AFTER_ERROR; // the page itself says when its server does not answer, or asks for a login
    }
    if (log.dataset.state === "running") setTimeout(poll, wait);
    else window.cronzimus?.refresh();
  }

  log.addEventListener("scroll", () => {
    follows = atEnd();
    if (follows) seen();
  }, { passive: true });
  newest?.addEventListener("click", () => {
    follows = true;
    showEnd();
  });

  earlier?.addEventListener("click", async (event) => {
    event.preventDefault();
    if (earlier.dataset.asked) return;
    earlier.dataset.asked = "1";
    const part = await lines({ until: log.dataset.first }).catch(() => null);
    if (!part) {
      delete earlier.dataset.asked;
      return location.assign(earlier.href); // the download, as without this file
    }
    const height = log.scrollHeight - log.scrollTop;
    log.prepend(...part.children);
    log.scrollTop = log.scrollHeight - height;
    earlier.remove();
    if (find.value) mark();
  });

  // --- find ----------------------------------------------------------------------------------------------------------

  function hits() {
    return [...log.querySelectorAll(".hit")].filter((row) => row.getClientRects().length); // some may be filtered out
  }

  function mark() {
    const words = find.value.toLowerCase();
    for (const row of log.children) row.classList.toggle("hit", Boolean(words) && row.textContent.toLowerCase().includes(words));
    const count = hits().length;
    found.textContent = words ? `${count} line${count === 1 ? "" : "s"}` : "";
  }

  function next(step) {
    const rows = hits();
    if (!rows.length) return;
    const here = log.querySelector(".here");
    here?.classList.remove("here");
    const at = rows.indexOf(here);
    const row = at < 0 ? rows.at(step > 0 ? 0 : -1) : rows[(at + step + rows.length) % rows.length];
    row.classList.add("here");
    row.scrollIntoView({ block: "nearest" });
    follows = atEnd();
  }

  find.addEventListener("input", () => {
    log.querySelector(".here")?.classList.remove("here");
    mark();
    next(1);
  });
  panel.querySelector("[data-problems]")?.addEventListener("change", mark);
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    next(event.shiftKey ? -1 : 1);
  });

  showEnd();
  if (log.dataset.state === "running") setTimeout(poll, EVERY);
})();
