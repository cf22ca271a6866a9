// Loaded in the head, so that the page never shows in the wrong colours. The key is that of Django's admin.
"use strict";

{
  const stored = localStorage.getItem("theme");
  document.documentElement.dataset.theme = stored === "light" || stored === "dark" ? stored : "auto";
  document.documentElement.classList.add("js"); // what only works with scripts shows from now on
}
