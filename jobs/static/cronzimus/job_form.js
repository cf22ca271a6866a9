// The form of a job: only the inputs of the chosen kind of trigger show, and the preview follows what is typed.
// Without this file all inputs show, each under its heading, and the preview opens in a page of its own.
"use strict";

(() => {
  const form = document.getElementById("job_form");
  const button = document.getElementById("preview-button");
  const box = document.getElementById("preview");
  if (!form || !button || !box) return;

  const DEBOUNCE = 250; // ms
  let timer = 0;
  let request = null;

  function showInputs() {
    const chosen = form.querySelector('input[name="trigger"]:checked');
    for (const inputs of form.querySelectorAll(".trigger-inputs")) {
      inputs.hidden = !chosen || !inputs.classList.contains(`trigger-${chosen.value}`);
    }
  }

  async function preview() {
    clearTimeout(timer);
    request?.abort();
    const mine = (request = new AbortController());
    try {
      const answer = await fetch(button.formAction, { method: "POST", body: new FormData(form), signal: mine.signal });
      if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html"); // scripts in it do not run
      box.replaceChildren(...page.body.childNodes);
    } catch (error) {
      if (error.name !== "AbortError") box.textContent = "No preview: the server did not answer as it should.";
    }
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(preview, DEBOUNCE);
  }

  form.addEventListener("change", showInputs);
  form.addEventListener("input", later);
  button.addEventListener("click", (event) => {
    event.preventDefault();
    preview();
  });
  showInputs();
  if (form.querySelector(".errornote")) preview();
})();
