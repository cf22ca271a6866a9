// The log of a run: follows what is written until the reader scrolls up, finds text, and fetches earlier lines.
// Without this file the last lines show, and all of it is a download.
"use strict";

(() => {
  const log = document.getElementById("log");
  if (!log) return;

  const EVERY = 1000; // ms
  const AFTER_ERROR = 10_000;
  const LONGEST = 20_000;
  const panel = log.closest(".log-panel");
  const newest = panel.querySelector("[data-newest]");
  const find = panel.querySelector("[data-find]");
  const found = panel.querySelector("[data-found]");
  const earlier = panel.querySelector("[data-earlier]");
  let unseen = 0;
  let hit = -1;

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

  async function later() {
    const { offset, line } = log.dataset;
    const part = await lines({ offset, line });
    if (follows && log.scrollTop < end) follows = atEnd(); // the event of a scroll comes only with the next frame
    const rows = [...part.children];
    const isNew = part.dataset.offset !== offset || rows.length;
    if (isNew) {
      log.querySelector("[data-open]")?.remove();
      log.append(...rows);
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
    if (!part) return location.assign(earlier.href); // the download, as without this file
    const height = log.scrollHeight - log.scrollTop;
    log.prepend(...part.children);
    log.scrollTop = log.scrollHeight - height;
    earlier.remove();
    if (find.value) mark();
  });

  // --- find ----------------------------------------------------------------------------------------------------------

  function hits() {
    return [...log.querySelectorAll(".hit")];
  }

  function mark() {
    const words = find.value.toLowerCase();
    let count = 0;
    for (const row of log.children) {
      const is = Boolean(words) && row.textContent.toLowerCase().includes(words);
      row.classList.toggle("hit", is);
      count += is;
    }
    found.textContent = words ? `${count} line${count === 1 ? "" : "s"}` : "";
  }

  function next(step) {
    const rows = hits();
    if (!rows.length) return;
    log.querySelector(".here")?.classList.remove("here");
    hit = (hit + step + rows.length) % rows.length;
    rows[hit].classList.add("here");
    rows[hit].scrollIntoView({ block: "nearest" });
    follows = atEnd();
  }

  find.addEventListener("input", () => {
    hit = -1;
    mark();
    next(1);
  });
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    next(event.shiftKey ? -1 : 1);
  });

  showEnd();
  if (log.dataset.state === "running") setTimeout(poll, EVERY);
})();
