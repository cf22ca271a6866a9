// Lists: what is selected and what its buttons do to it, the menu of a row, and which run of the bars the pointer is on.
// Without scripts the buttons act on the ticked rows, the menu is the page of the row, and the bars lead to its runs.
"use strict";

(() => {
  // --- selection ---------------------------------------------------------------------------------------------------

  const list = () => document.querySelector("[data-selection]");
  const boxes = () => [...document.querySelectorAll(".action-select")];
  let last = null;

  function label() {
    const form = list();
    if (!form) return;
    const ticked = boxes().filter((box) => box.checked).length;
    const across = form.querySelector("[name=select_across]");
    if (across && !ticked) across.checked = false;
    const number = across?.checked ? Number(form.dataset.total) : ticked;
    const noun = `${number.toLocaleString("en")} ${number === 1 ? form.dataset.selection : form.dataset.plural || `${form.dataset.selection}s`}`;
    const place = form.querySelector("[data-selected]");
    if (place) place.textContent = `${number.toLocaleString("en")} of ${Number(form.dataset.total).toLocaleString("en")} selected`;
    for (const button of form.querySelectorAll("[data-words]")) button.textContent = button.dataset.words.replace("{}", noun);
    const page = form.querySelector("[data-select-page]");
    if (page) {
      page.checked = ticked > 0 && ticked === boxes().length;
      page.indeterminate = ticked > 0 && !page.checked;
    }
  }

  document.addEventListener("click", (event) => {
    const box = event.target.closest(".action-select");
    if (!box) return;
    const all = boxes();
    if (event.shiftKey && all.includes(last)) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((one, other) => one - other);
      for (const between of all.slice(from, to + 1)) between.checked = box.checked;
    }
    last = box;
    label();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-page]")) {
      for (const box of boxes()) box.checked = event.target.checked;
    }
    if (event.target.closest("[data-selection]")) label();
  });
  document.addEventListener("cronzimus:live", label);
  addEventListener("pageshow", label);
  label();

  // --- the menu of a row -------------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-menu]");
    const menu = opener && document.getElementById(opener.dataset.menu);
    if (!menu?.showPopover) return;
    event.preventDefault();
    for (const item of menu.querySelectorAll("[data-path]")) {
      item[item.nodeName === "A" ? "href" : "formAction"] = opener.dataset.url + item.dataset.path;
    }
    const runs = menu.querySelector("[data-runs]");
    if (runs) runs.href = opener.dataset.runsUrl;
    menu.showPopover();
    const place = opener.getBoundingClientRect();
    const below = place.bottom + 4 + menu.offsetHeight <= innerHeight;
    menu.style.inset = "auto";
    menu.style.top = `${below ? place.bottom + 4 : Math.max(place.top - 4 - menu.offsetHeight, 8)}px`;
    menu.style.left = `${Math.max(place.right - menu.offsetWidth, 8)}px`;
    menu.querySelector(".menu-item")?.focus();
  });

  // --- bars: the run under the pointer -----------------------------------------------------------------------------

  const STATUSES = ["queued", "running", "succeeded", "failed", "timed out", "cancelled", "lost", "missed", "skipped"];
  const SHOWN = 40;

  function runsOf(bars) {
    let [id, at] = [0, 0];
    return (bars.dataset.runs || "").split(" ").filter(Boolean).map((text) => {
      const [step, time, status, length] = text.split(",").map(Number);
      id += step;
      at += time;
      return { id, at, status: STATUSES[status] ?? "", length };
    });
  }

  function words(run) {
    const zone = document.querySelector("[data-clock]")?.dataset.clock || "UTC";
    const at = new Date(run.at * 1000).toLocaleString("en-GB", { timeZone: zone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
    return `${run.status}, ${at.replace(",", "")}${run.length ? `, ${window.cronzimus.elapsed(run.length / 1000)}` : ""}`;
  }

  let pointer = null;

  function point(target) {
    const link = target?.closest?.(".bars-link");
    const bars = link?.querySelector("svg");
    if (!bars) return;
    const box = bars.getBoundingClientRect();
    const slot = Math.min(Math.floor(((pointer.clientX - box.left) / box.width) * SHOWN), SHOWN - 1);
    const run = runsOf(bars)[SHOWN - 1 - slot];
    link.dataset.all ||= link.getAttribute("href");
    const [list] = link.dataset.all.split("?");
    link.href = run ? `${list}${run.id}/change/` : link.dataset.all;
    link.title = run ? words(run) : "";
  }

  document.addEventListener("pointermove", (event) => {
    pointer = event;
    point(event.target);
  });
  // A refresh gives the link its own address back, and the pointer may rest on it.
  document.addEventListener("cronzimus:live", () => {
    if (pointer) point(document.elementFromPoint(pointer.clientX, pointer.clientY));
  });
})();
