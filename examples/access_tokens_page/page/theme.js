// Runs before the page is painted: the theme that this person chose here before. Not a module on purpose.
"use strict";

(function () {
  let chosen = "system";
  try {
    chosen = localStorage.getItem("theme") || "system";
  } catch {
    // Storage may be forbidden: then the system's theme it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
