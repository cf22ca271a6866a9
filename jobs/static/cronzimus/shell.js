// The shell of the product's admin: theme, zone, refresh, keyboard, and command palette.
"use strict";

(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const page = window.cronzimus;

  // --- theme -----------------------------------------------------------------------------------------------------

  const THEMES = { auto: "light", light: "dark", dark: "auto" };

  function showTheme() {
    for (const name of document.querySelectorAll("[data-theme-name]")) name.textContent = document.documentElement.dataset.theme;
  }

  function nextTheme() {
    const theme = THEMES[document.documentElement.dataset.theme] || "auto";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
    showTheme();
  }

  showTheme();
  for (const button of document.querySelectorAll("[data-theme-toggle]")) button.addEventListener("click", nextTheme);

  // --- zone and refresh --------------------------------------------------------------------------------------------

  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const button of document.querySelectorAll("[data-browser-zone]")) {
    button.value = own;
    button.title = own;
    if (button.form?.dataset.zone === own) button.setAttribute("aria-pressed", "true");
  }

  const select = $("[data-refresh]");
  if (select) {
    select.value = localStorage.getItem("cronzimus_refresh") || "auto";
    select.addEventListener("change", () => {
      localStorage.setItem("cronzimus_refresh", select.value);
      page.schedule();
    });
  }

  const announce = page.announce;

  // --- command palette ---------------------------------------------------------------------------------------------

  // An input method takes Enter for the word that it offers; Safari says so only by this code.
  const isComposing = (event) => event.isComposing || event.keyCode === 229;
  const palette = $("#palette");
  const input = palette && $("input", palette);
  const list = palette && $("ul", palette);
  let found = [];
  let chosen = 0;
  let latest = 0;
  let isAsking = false;
  let isEntered = false; // before the answer about what is typed
  let steps = 0; // likewise

  function show() {
    list.replaceChildren(...found.map((entry, index) => {
      const item = document.createElement("li");
      item.id = `palette-${index}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(index === chosen));
      const label = document.createElement("span");
      label.textContent = entry.label;
      const hint = document.createElement("span");
      hint.className = "small";
      hint.textContent = entry.hint;
      item.append(label, hint);
      item.addEventListener("click", () => go(entry));
      return item;
    }));
    input.setAttribute("aria-activedescendant", found.length ? `palette-${chosen}` : "");
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
  }

  async function look() {
    const asked = ++latest;
    isAsking = true;
    isEntered = false;
    steps = 0;
    let entries = [];
    try {
      const answer = await fetch(`${palette.dataset.url}?${new URLSearchParams({ q: input.value })}`);
      if (answer.ok && !answer.redirected) entries = (await answer.json()).entries;
    } catch { /* nothing is found where the server does not answer; the page says so */ }
    if (asked !== latest) return;
    isAsking = false;
    found = entries;
    chosen = Math.min(Math.max(steps, 0), Math.max(found.length - 1, 0));
    show();
    // Nobody has seen yet what Enter would do: a page may open, but nothing is sent.
    if (isEntered && palette.open && !found[chosen]?.post) go(found[chosen]);
  }

  function go(entry) {
    if (!entry) return;
    palette.close();
    if (!entry.post) return location.assign(entry.url);
    const form = document.createElement("form");
    form.method = "post";
    form.action = entry.url;
    const token = $("[name=csrfmiddlewaretoken]").cloneNode();
    const from = document.createElement("input");
    from.type = "hidden";
    from.name = "from_page";
    from.value = "1";
    form.append(token, from);
    document.body.append(form);
    form.submit();
  }

  function openPalette() {
    if (!palette || palette.open) return;
    input.value = "";
    found = [];
    show();
    palette.showModal();
    look();
  }

  if (palette) {
    input.addEventListener("input", look);
    palette.addEventListener("keydown", (event) => {
      if (isComposing(event)) return;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && isAsking) {
        event.preventDefault();
        steps += step;
      } else if (step && found.length) {
        event.preventDefault();
        chosen = (chosen + step + found.length) % found.length;
        show();
      } else if (event.key === "Enter") {
        event.preventDefault();
        if (isAsking) isEntered = true;
        else go(found[chosen]);
      } else if (event.key === "Escape") {
        event.preventDefault(); // a search field would only be emptied
        palette.close();
      }
    });
    palette.addEventListener("click", (event) => { if (event.target === palette) palette.close(); });
    for (const button of document.querySelectorAll("[data-palette]")) {
      button.addEventListener("click", (event) => {
        event.preventDefault();
        openPalette();
      });
    }
  }

  // --- keyboard ----------------------------------------------------------------------------------------------------

  const keys = $("#keys");
  const keysOn = $("[data-keys-on]");
  if (keysOn) {
    keysOn.checked = localStorage.getItem("cronzimus_keys") !== "off";
    keysOn.addEventListener("change", () => localStorage.setItem("cronzimus_keys", keysOn.checked ? "on" : "off"));
  }
  for (const button of document.querySelectorAll("[data-keys]")) button.addEventListener("click", () => keys.showModal());

  const GO = { o: "Overview", j: "Jobs", r: "Runs", t: "Timeline", u: "Upcoming", f: "Failures", s: "Schedulers" };
  const PAUSE = 1500; // ms between the two keys
  let before = -Infinity; // when "g" was pressed

  function goTo(label) {
    for (const link of document.querySelectorAll("#nav-sidebar a")) {
      if ($(".nav-word", link)?.textContent === label) return location.assign(link.href);
    }
  }

  function moveRow(step) {
    const rows = [...document.querySelectorAll("#result_list tbody tr")].filter((row) => $("th a", row));
    const focused = document.activeElement.closest("tr");
    const at = rows.indexOf(rows.includes(focused) ? focused : focused?.previousElementSibling); // of an open log, its run
    const row = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
    $("th a", row)?.focus();
  }

  const ACTIONS = {
    "/": () => $("#content input[type=search]")?.focus(),
    r: () => page.refresh(),
    t: nextTheme,
    n: () => $("[data-new]")?.click(),
    j: () => moveRow(1),
    k: () => moveRow(-1),
    x: () => document.activeElement.closest("tr")?.querySelector(".action-select")?.click(),
    "?": () => keys?.showModal(),
    ".": () => {
      if (!select) return;
      select.value = select.value === "off" ? "auto" : "off";
      select.dispatchEvent(new Event("change"));
      announce(`Refresh ${select.value}`);
    },
  };

  // On a keyboard of another alphabet the places of the keys count.
  function letterOf(event) {
    const isLatin = /^[a-z]$/i.test(event.key) || !/^Key[A-Z]$/.test(event.code);
    return isLatin ? event.key : event.code.slice(3).toLowerCase();
  }

  document.addEventListener("keydown", (event) => {
    if (isComposing(event)) return;
    const key = letterOf(event);
    const isSecond = event.timeStamp - before < PAUSE;
    before = -Infinity;
    const isControl = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
    if (isControl && key.toLowerCase() === "k" && palette) {
      event.preventDefault();
      return openPalette();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    // A field of a dialog that was just closed keeps the focus, unseen, until the browser paints again.
    const field = event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
    if (field?.getClientRects().length || (keysOn && !keysOn.checked)) return;
    if (isSecond && GO[key]) return goTo(GO[key]);
    if (key === "g") { before = event.timeStamp; return; }
    const act = ACTIONS[key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
