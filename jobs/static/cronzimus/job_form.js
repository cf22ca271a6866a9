// The form of a job: shows what matters for the chosen trigger and function, keeps a crontab line and its fields in
// step, and follows what is typed with a preview. Without this file all inputs show, arguments are JSON, and the
// preview opens in a page of its own.
"use strict";

(() => {
  const form = document.getElementById("job_form");
  const button = document.getElementById("preview-button");
  const box = document.getElementById("preview");
  if (!form) return;

  const DEBOUNCE = 250; // ms
  const parse = async (answer) => {
    if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
    return new DOMParser().parseFromString(await answer.text(), "text/html").body; // scripts in it do not run
  };

  // --- only the inputs of the chosen trigger ----------------------------------------------------------------------

  function showInputs() {
    const chosen = form.querySelector('input[name="trigger"]:checked');
    for (const inputs of form.querySelectorAll(".trigger-inputs")) {
      inputs.hidden = !chosen || !inputs.classList.contains(`trigger-${chosen.value}`);
    }
    const overlap = form.elements.overlap?.value;
    const rows = { queue_limit: overlap === "queue", concurrency_limit: Boolean(form.elements.concurrency_group?.value) };
    for (const [name, shown] of Object.entries(rows)) {
      const row = form.querySelector(`.field-${name}`);
      if (row && !row.classList.contains("errors")) row.hidden = !shown;
    }
    const tried = Number(form.elements.retries_max?.value) > 0;
    for (const name of ["delay", "backoff", "max_delay", "jitter"]) {
      const row = form.querySelector(`.field-retries_${name}`);
      if (row && !row.classList.contains("errors")) row.hidden = !tried;
    }
  }

  // --- an input for each parameter of the function ----------------------------------------------------------------

  const place = document.getElementById("arguments");
  const json = ["args", "kwargs"].map((name) => form.querySelector(`.field-${name}`)).filter(Boolean);

  let asked = null;

  async function showArguments() {
    if (!place || !form.dataset.arguments) return;
    asked?.abort(); // a late answer about the function before must not take the place of this one
    for (const row of json) row.hidden = Boolean(form.elements.func.value); // or what is typed there may be lost
    const { signal } = (asked = new AbortController());
    try {
      const body = new FormData(form);
      const page = await parse(await fetch(form.dataset.arguments, { method: "POST", body, signal }));
      place.replaceChildren(...page.childNodes);
      // A function that is not registered has no inputs of its own: what is stored for it stays JSON.
      const typed = Boolean(place.querySelector("[name=typed]")) || !form.elements.func.value;
      for (const row of json) row.hidden = typed;
    } catch (error) {
      if (error.name === "AbortError") return;
      place.replaceChildren(); // the JSON inputs do as well
      for (const row of json) row.hidden = false;
    }
  }

  // --- preview -----------------------------------------------------------------------------------------------------

  const asText = document.getElementById("as-text");
  let timer = 0;
  let request = null;

  let said = "";

  function say(words) {
    if (words !== said) window.cronzimus.announce(words);
    said = words;
  }

  async function preview() {
    clearTimeout(timer);
    if (!button) return;
    request?.abort();
    const mine = (request = new AbortController());
    try {
      const answer = await fetch(button.formAction, { method: "POST", body: new FormData(form), signal: mine.signal });
      const page = await parse(answer);
      const [words, texts] = [".policies", ".as-text"].map((part) => page.querySelector(part));
      words?.remove();
      texts?.remove();
      asText?.replaceChildren(...(texts ? [texts] : []));
      box.replaceChildren(...page.childNodes);
      say(box.querySelector(".sentence, .errorlist")?.textContent.trim() ?? "");
      for (const spot of form.querySelectorAll(".policy-place")) {
        spot.replaceChildren(...(words?.querySelectorAll(`[data-for="${spot.dataset.policy}"]`) ?? []));
      }
    } catch (error) {
      if (error.name !== "AbortError") box.textContent = "No preview: the server did not answer as it should.";
    }
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(preview, DEBOUNCE);
  }

  button?.addEventListener("click", (event) => {
    event.preventDefault();
    preview();
  });

  // --- a crontab line and its fields ---------------------------------------------------------------------------------

  const line = form.elements.crontab;
  const fields = [...form.querySelectorAll("#crontab-fields input")];
  const pasted = document.getElementById("pasted");

  function toFields() {
    const parts = line.value.trim().split(/\s+/);
    const are = parts.length === 5 && !line.value.trim().startsWith("@");
    fields.forEach((field, index) => { field.value = are ? parts[index] : ""; });
  }

  function toLine() {
    line.value = fields.map((field) => field.value.trim() || "*").join(" ");
  }

  // A line of a crontab has its command behind the five fields, or behind a word such as @daily.
  function paste(event) {
    const text = event.clipboardData?.getData("text").trim().split("\n").find((one) => one && !one.startsWith("#"));
    const found = /^(@\w+|(?:\S+\s+){4}\S+)\s+(.+)$/.exec(text ?? "");
    if (!found) return;
    event.preventDefault();
    line.value = found[1].replace(/\s+/g, " ");
    pasted.textContent = `Left out of the pasted line: ${found[2]}`;
    line.dispatchEvent(new Event("input", { bubbles: true }));
  }

  if (line) {
    line.addEventListener("input", toFields);
    line.addEventListener("paste", paste);
    for (const field of fields) field.addEventListener("input", toLine);
    for (const preset of form.querySelectorAll("[data-crontab]")) {
      preset.addEventListener("click", () => {
        line.value = preset.dataset.crontab;
        line.dispatchEvent(new Event("input", { bubbles: true }));
      });
    }
    toFields();
  }

  // --- tags in use ---------------------------------------------------------------------------------------------------

  for (const button of form.querySelectorAll("[data-tag]")) {
    button.addEventListener("click", () => {
      const input = form.elements.tags;
      const tags = new Set(input.value.split(",").map((tag) => tag.trim()).filter(Boolean));
      if (!tags.delete(button.dataset.tag)) tags.add(button.dataset.tag);
      input.value = [...tags].join(", ");
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }

  // --- what is not saved ---------------------------------------------------------------------------------------------

  const unsaved = document.getElementById("unsaved");
  const summary = document.getElementById("summary");
  const changed = new Set();
  let sending = false;

  function note(event) {
    if (!event.target.name && !event.target.closest("#crontab-fields")) return;
    changed.add(event.target.name || "crontab");
    sending = false; // it led nowhere
    const words = `${changed.size} change${changed.size === 1 ? "" : "s"} not saved`;
    if (unsaved.textContent !== words) unsaved.textContent = words;
  }

  form.addEventListener("submit", (event) => { sending = event.submitter?.formTarget !== "_blank"; });
  addEventListener("pageshow", () => { sending = false; });
  // After an answer that nothing was saved, all of it is not.
  addEventListener("beforeunload", (event) => { if ((changed.size || summary) && !sending) event.preventDefault(); });

  form.addEventListener("change", (event) => {
    showInputs();
    if (event.target.name === "func") showArguments();
  });
  form.addEventListener("input", (event) => {
    note(event);
    showInputs();
    later();
  });
  showInputs();
  showArguments();
  if (summary) preview();
  if (document.activeElement === document.body) summary?.focus(); // or it would take the keys of somebody who types
})();
