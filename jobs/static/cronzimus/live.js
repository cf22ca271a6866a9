// Keeps a page fresh: asks the server for the parts marked data-live, and changes only what differs, so that focus,
// ticks, open menus and what somebody types survive. Counts relative times on, and sends no form twice. Works in any
// admin, with or without our shell.
"use strict";

window.cronzimus = (() => {
  const ACTIVE = 60_000; // ms after the last movement in which "auto" asks often
  const OFTEN = 5_000;
  const SELDOM = 30_000;
  const LONGEST = 20_000; // for an answer: a connection that was lost unnoticed never gives one
  const places = document.querySelectorAll("[data-live-url]");
  let url = places.length ? places[places.length - 1].dataset.liveUrl : "";
  let etag = "";
  let timer = 0;
  let asking = null;
  let asksAgain = false; // the answer on its way may be older than the latest change
  let swaps = 0;
  let moved = Date.now();

  // --- morph: make `to` of `from`, node by node ------------------------------------------------------------------

  // What acts is known by its address: “Cancel” must not become “Retry” under somebody's finger.
  const addressOf = (node) => node.getAttribute("formaction") || (node.nodeName === "FORM" && node.getAttribute("action")) || "";
  const keyOf = (node) => (node.nodeType === 1 ? node.id || node.dataset.key || addressOf(node) : "");

  function sameKind(one, other) {
    if (one.nodeType !== other.nodeType || one.nodeName !== other.nodeName || keyOf(one) !== keyOf(other)) return false;
    // Without a key the first class tells what it is: a banner that comes must not take the place of the grid below it.
    return Boolean(keyOf(one)) || one.classList?.[0] === other.classList?.[0];
  }

  // The next node without a key that is of the kind of `wanted`. A text counts only where it stands.
  function nextLike(wanted, current) {
    for (let node = current; node; node = node.nextSibling) {
      if (keyOf(node)) continue;
      if (sameKind(node, wanted)) return node;
      if (wanted.nodeType !== 1) return null;
    }
    return null;
  }

  function afterRemoving(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  function morphAttributes(from, to) {
    for (const { name, value } of [...to.attributes]) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    for (const { name } of [...from.attributes]) {
      // An open <details> was opened by the user; a popover and a <dialog> have no such attribute.
      if (!to.hasAttribute(name) && !(name === "open" && from.nodeName === "DETAILS")) from.removeAttribute(name);
    }
  }

  function morph(from, to) {
    if (from.nodeType === 3) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.nodeType !== 1 || from.isEqualNode(to) || from.hasAttribute("data-keep")) return;
    morphAttributes(from, to);
    // Never the value: it may have been changed by the user.
    if (!from.matches("input, select, textarea")) morphChildren(from, to);
  }

  function morphChildren(from, to) {
    const wantedKeys = new Set([...to.childNodes].map(keyOf));
    const byKey = new Map();
    for (const child of [...from.childNodes]) {
      const key = keyOf(child);
      if (key && wantedKeys.has(key)) byKey.set(key, [...(byKey.get(key) ?? []), child]);
      else if (key) child.remove(); // first, or all behind it would be moved, and lose focus and scroll place
    }
    let current = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const key = keyOf(wanted);
      const match = key ? byKey.get(key)?.shift() : nextLike(wanted, current);
      if (match && sameKind(match, wanted)) {
        while (!key && current !== match && !keyOf(current)) current = afterRemoving(current);
        if (match !== current) from.insertBefore(match, current);
        morph(match, wanted);
        current = match.nextSibling;
      } else {
        from.insertBefore(document.importNode(wanted, true), current);
      }
    }
    while (current) current = afterRemoving(current);
  }

  // --- polling ---------------------------------------------------------------------------------------------------

  function interval() {
    const chosen = localStorage.getItem("cronzimus_refresh") || "auto";
    if (chosen === "off") return 0;
    if (chosen !== "auto") return Number(chosen) * 1000;
    return Date.now() - moved < ACTIVE ? OFTEN : SELDOM;
  }

  function busy() {
    // What is in the user's hands is not taken away: a menu, a dialog, a form that is folded out.
    const held = ".cronzimus :popover-open:not(#nav-sidebar), dialog[open], details.more[open]:focus-within";
    return Boolean(document.querySelector(held));
  }

  async function refresh() {
    if (!url) return false;
    if (asking) {
      asksAgain = true;
      return false;
    }
    const mine = (asking = new AbortController());
    asksAgain = false;
    const limit = setTimeout(() => mine.abort(new DOMException("no answer in time", "TimeoutError")), LONGEST);
    try {
      const headers = { "X-Cronzimus-Live": "1", ...(etag && { "If-None-Match": etag }) };
      const asked = Date.now();
      const answer = await fetch(url, { headers, signal: mine.signal, cache: "no-store" });
      setClock(answer.headers.get("X-Cronzimus-Now"), asked, Date.now());
      if (answer.redirected || [401, 403].includes(answer.status)) {
        showStale(answer.redirected);
        return false;
      }
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (busy()) return false;
        etag = answer.headers.get("ETag") || "";
        apply(page);
      }
      document.body.classList.remove("stale");
      document.getElementById("stale")?.remove();
      return true;
    } catch (error) {
      if (error.name !== "AbortError") showStale();
      return false;
    } finally {
      clearTimeout(limit);
      if (asking === mine) {
        asking = null;
        if (asksAgain) refresh();
      }
    }
  }

  function apply(page) {
    notePlaces();
    const focused = document.activeElement;
    for (const region of document.querySelectorAll("[data-live], #favicon")) {
      const fresh = region.id && page.getElementById(region.id);
      if (fresh) morph(region, fresh);
    }
    // A row that was moved has lost the focus.
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
    showTitle(page.title);
    const said = page.getElementById("live-announcement");
    const place = document.getElementById("announcement");
    if (said && place && place.textContent !== said.textContent) place.textContent = said.textContent;
    document.dispatchEvent(new CustomEvent("cronzimus:live"));
    tick();
  }

  // --- a click that was meant for what stood there before -----------------------------------------------------------

  const REACTION = 500; // ms that people need to see a change
  let stood = []; // buttons before the latest refreshes

  const deedOf = (button) => `${addressOf(button) || button.form?.getAttribute("action") || ""} ${button.value}`;

  function notePlaces() {
    const now = performance.now();
    const buttons = document.querySelectorAll(".cronzimus [data-live] button, .cronzimus[data-live] button");
    const places = [...buttons].map((button) => (
      { deed: deedOf(button), box: button.getBoundingClientRect(), until: now + REACTION }
    ));
    stood = [...stood.filter((place) => place.until > now), ...places];
  }

  function isAt({ box }, { clientX, clientY }) {
    return box.left <= clientX && clientX < box.right && box.top <= clientY && clientY < box.bottom;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button || !event.isTrusted || !event.detail) return; // a key has no place
    const [now, deed] = [performance.now(), deedOf(button)];
    if (!stood.some((place) => place.until > now && place.deed !== deed && isAt(place, event))) return;
    event.preventDefault();
    event.stopPropagation();
    announce("The page changed just now; click again.");
  }, true);

  // --- the title, and the address to ask --------------------------------------------------------------------------------

  // The address of a form's polls knows the number of failing jobs, and no title.
  const FAILING = /^\(\d+\)\s*/;
  let title = document.title.replace(FAILING, "");

  function showTitle(given) {
    title = given.replace(FAILING, "") || title;
    const words = `${FAILING.exec(given)?.[0].trim() ?? ""} ${title}`.trim();
    if (document.title !== words) document.title = words;
  }

  // A link to the same page in another state, such as one with an open log, names the address to ask from now on.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || !url || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    asking?.abort();
    asking = null;
    etag = "";
    url = link.dataset.swap;
    history.replaceState(null, "", link.href.split("#")[0]);
    const [mine, { href }] = [++swaps, link];
    if (!(await refresh()) && mine === swaps) location.assign(href);
  });

  let fresh = new Date();

  function showStale(loggedOut) {
    const words = {
      true: "You are logged out.", false: "You may no longer see this page.",
    }[loggedOut] ?? "The server did not answer; trying again.";
    let banner = document.getElementById("stale");
    if (banner?.dataset.words === words) return;
    banner?.remove();
    banner = document.createElement("div");
    banner.id = "stale";
    banner.className = "banner busy";
    banner.dataset.words = words;
    banner.setAttribute("role", "note");
    announce(words);
    document.querySelector("body.cronzimus #content, :not(body).cronzimus")?.prepend(banner); // no part of a live one
    const text = document.createElement("p");
    text.textContent = `${words} Showing data from ${fresh.toTimeString().slice(0, 8)}.`;
    banner.append(text);
    if (!loggedOut) return;
    const link = document.createElement("a");
    link.className = "row-button";
    link.href = location.href; // the server asks for the login, and leads back
    link.textContent = "Log in again";
    banner.append(link);
  }

  function schedule() {
    clearTimeout(timer);
    const wait = interval();
    if (!wait || document.hidden || !url) return;
    timer = setTimeout(async () => {
      if (!document.hidden && !busy()) {
        await refresh();
        if (!document.getElementById("stale")) fresh = new Date();
      }
      schedule();
    }, wait);
  }

  function onVisible() {
    if (document.hidden) return clearTimeout(timer);
    if (interval()) refresh();
    schedule();
  }

  // --- relative times: the same words as jobs/admin/times.py -------------------------------------------------------

  const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"]];
  const NEXT = { d: [3_600, "h", 1], h: [60, "min", 2], min: [1, "s", 2] };
  const WEEK = 7 * 86_400;

  function largest(seconds) {
    for (const [size, unit] of UNITS) {
      if (seconds >= size) return [`${Math.floor(seconds / size)} ${unit}`, seconds % size, unit];
    }
    return [`${seconds} s`, 0, "s"];
  }

  function relative(seconds) {
    if (seconds === 0) return "now";
    if (seconds < 0) return `${largest(-seconds)[0]} ago`;
    const [first, rest, unit] = largest(seconds);
    if (unit === "s" || seconds >= WEEK || rest < NEXT[unit][0]) return `in ${first}`;
    const [size, small, digits] = NEXT[unit];
    return `in ${first} ${String(Math.floor(rest / size)).padStart(digits, "0")} ${small}`;
  }

  function elapsed(seconds) {
    if (seconds < 59.95) return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
    const minutes = Math.floor(Math.round(seconds) / 60);
    const rest = Math.round(seconds) % 60;
    if (minutes >= 60) {
      return minutes % 60 ? `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} m` : `${minutes / 60} h`;
    }
    return rest && minutes < 30 ? `${minutes} m ${String(rest).padStart(2, "0")} s` : `${minutes} m`;
  }

  // The server's clock counts: the browser's may be wrong.
  const stamp = document.querySelector("[data-server-now]");
  const [arrival] = performance.getEntriesByType("navigation");
  const arrived = arrival?.responseStart ? performance.timeOrigin + arrival.responseStart : Date.now();
  let offset = stamp ? Date.parse(stamp.dataset.serverNow) - arrived : 0;

  // The first page may have been long on its way, and the browser's clock may be set since.
  function setClock(text, asked, answered) {
    const measured = Date.parse(text ?? "") - (asked + answered) / 2;
    if (Math.abs(measured - offset) > (answered - asked) / 2 + 500) offset = measured;
  }

  function tick() {
    const now = Date.now() + offset;
    for (const time of document.querySelectorAll("[data-ago]")) {
      const words = relative(Math.round((Date.parse(time.dateTime) - now) / 1000));
      if (time.textContent !== words) time.textContent = words;
    }
    for (const place of document.querySelectorAll("[data-since]")) {
      place.textContent = elapsed(Math.max((now - Date.parse(place.dataset.since)) / 1000, 0));
    }
    for (const clock of document.querySelectorAll("[data-clock]")) {
      const at = new Date(now);
      clock.dateTime = at.toISOString();
      clock.textContent = at.toLocaleTimeString("en-GB", { timeZone: clock.dataset.clock || "UTC" });
    }
  }

  // --- a form is sent once: two clicks on "Run now" are one run ----------------------------------------------------

  let sent = new WeakMap(); // no attributes: a refresh would take them away

  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.getAttribute("method") !== "post") return;
    // What opens in a tab of its own leaves the form behind, which may be saved right after.
    const leaves = event.submitter?.formTarget !== "_blank";
    const what = leaves ? event.target : event.submitter;
    const deed = event.submitter?.getAttribute("formaction") ?? ""; // one form serves all rows
    if (sent.get(what) === deed) {
      event.preventDefault();
      return announce("Already sent; waiting for the server.");
    }
    const now = sent;
    now.set(what, deed);
    setTimeout(() => now.delete(what), leaves ? 30_000 : 5_000);
  });
  document.addEventListener("input", (event) => { sent.delete(event.target.form); }); // no answer came, and people go on
  addEventListener("pageshow", () => { sent = new WeakMap(); }); // also when people come back to the page

  // --- copying: without https a browser has no navigator.clipboard -------------------------------------------------

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "visually-hidden";
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    announce("Copied");
  }

  function announce(words) {
    const place = document.getElementById("announcement");
    if (place) place.textContent = words;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    const text = button.dataset.copy ?? document.querySelector(button.dataset.copyFrom)?.innerText ?? "";
    copy(text === "link" ? location.href : text);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  });

  for (const name of ["pointermove", "keydown", "scroll"]) {
    addEventListener(name, () => { moved = Date.now(); }, { passive: true });
  }
  document.addEventListener("visibilitychange", onVisible);
  setInterval(() => { if (!document.hidden) tick(); }, 1000);
  tick();
  schedule();
  document.documentElement.classList.add("js"); // what only works with scripts shows from now on
  return { refresh, schedule, morph, relative, announce, elapsed };
})();
