// The confirmation dialog: asks, does it, and stays open with a message if it could not be done.

import { announce } from "./announce.js";
import { byId, show } from "./dom.js";

const openings = new WeakMap();

// Opens a dialog. The signal ends with this opening, and listeners with it: a dialog's close event comes so
// late that it may be open again by then, for something else.
export function openModal(dialog) {
  openings.get(dialog)?.abort();
  const opening = new AbortController();
  openings.set(dialog, opening);
  dialog.addEventListener("close", () => dialog.open || opening.abort(), { signal: opening.signal });
  dialog.showModal();
  return opening.signal;
}

// Resolves to true when it was done, to false when the person thought better of it.
// `action(reason)` does it; what it throws is shown in the dialog.
export function confirm({ title, text, subject = "", verb, withReason = false, action }) {
  const dialog = byId("confirm-dialog");
  const form = byId("confirm-form");
  const error = byId("confirm-error");
  const button = byId("confirm-do");
  const signal = openModal(dialog);
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-subject").textContent = subject;
  show(byId("confirm-subject"), subject !== "");
  byId("reason").value = "";
  show(byId("reason-field"), withReason);
  button.textContent = verb;
  button.removeAttribute("aria-disabled");
  error.textContent = "";

  return new Promise((resolve) => {
    let done = false;
    let underWay = null;
    const act = async () => {
      button.setAttribute("aria-disabled", "true");
      error.textContent = "";
      try {
        await action(byId("reason").value.trim());
        done = true;
        if (!signal.aborted) dialog.close();
      } catch (problem) {
        if (!signal.aborted) error.textContent = problem.message;
        else announce(problem.message);
      } finally {
        if (!signal.aborted) button.removeAttribute("aria-disabled");
      }
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (button.getAttribute("aria-disabled") !== "true") underWay = act();
    }, { signal });
    byId("confirm-cancel").addEventListener("click", () => dialog.close(), { signal });
    // What has been sent cannot be called back by closing the dialog: it is waited for.
    signal.addEventListener("abort", async () => {
      await underWay;
      resolve(done);
    });
    // The safe way out comes first: Enter by habit deletes nothing.
    (withReason ? byId("reason") : byId("confirm-cancel")).focus();
  });
}

// When a session ends, nothing of it stays on the screen.
export function closeAllDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}
