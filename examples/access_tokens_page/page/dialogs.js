// The confirmation dialog: asks, does it, and stays open with a message if it could not be done.

import { byId, show } from "./dom.js";

// Resolves to true when it was done, to false when the person thought better of it.
// `action(reason)` does it; what it throws is shown in the dialog.
export function confirm({ title, text, subject = "", verb, withReason = false, action }) {
  const dialog = byId("confirm-dialog");
  const form = byId("confirm-form");
  const error = byId("confirm-error");
  const button = byId("confirm-do");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-subject").textContent = subject;
  show(byId("confirm-subject"), subject !== "");
  byId("reason").value = "";
  show(byId("reason-field"), withReason);
  button.textContent = verb;
  error.textContent = "";

  return new Promise((resolve) => {
    let done = false;
    const listeners = new AbortController();
    const options = { signal: listeners.signal };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (button.getAttribute("aria-disabled") === "true") return;
      button.setAttribute("aria-disabled", "true");
      error.textContent = "";
      try {
        await action(byId("reason").value.trim());
        done = true;
        dialog.close();
      } catch (problem) {
        error.textContent = problem.message;
      } finally {
        button.removeAttribute("aria-disabled");
      }
    }, options);
    byId("confirm-cancel").addEventListener("click", () => dialog.close(), options);
    dialog.addEventListener("close", () => {
      listeners.abort();
      resolve(done);
    }, options);
    dialog.showModal();
    // The safe way out comes first: Enter by habit deletes nothing.
    (withReason ? byId("reason") : byId("confirm-cancel")).focus();
  });
}

// When a session ends, nothing of it stays on the screen.
export function closeAllDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}
