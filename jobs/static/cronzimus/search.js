// The search of runs offers qualifiers for the word that is being typed. Without this file it offers them for the first.
"use strict";

(() => {
  const input = document.querySelector("input[data-qualifiers]");
  if (!input?.list) return;
  const all = [...input.list.options].map((option) => option.value);

  input.addEventListener("input", () => {
    const [, before, word] = /^(.*?)(\S*)$/s.exec(input.value);
    const fitting = all.filter((qualifier) => qualifier.startsWith(word) && qualifier !== word);
    input.list.replaceChildren(...fitting.map((qualifier) => new Option("", before + qualifier)));
  });
})();
