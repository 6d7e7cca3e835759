// Generate New Token: asks for lifetime, description and scopes, then shows the value, once.
//
// The value is held by one element of one open dialog and by nothing else: closing the dialog takes it
// out of the page. It is never in an address, in storage or in a variable that outlives the dialog.

import { call } from "./api.js";
import { openModal } from "./dialogs.js";
import { byId, element, setError } from "./dom.js";
import { day } from "./times.js";

const DAY = 86_400_000;
let session = null;
let opening = null;  // ends when the form is closed

const limits = () => session.workspace;

function range() {
  const { longestLifetimeDays, neverAllowed } = limits();
  const days = longestLifetimeDays === -1 ? "1 or more days" : `1 to ${longestLifetimeDays} days`;
  return neverAllowed ? `${days}, or -1 for a token that never expires` : days;
}

// { days } or { problem }.
function readLifetime() {
  const text = byId("lifetime").value.trim();
  const { longestLifetimeDays, neverAllowed } = limits();
  if (!/^-?\d{1,7}$/.test(text)) return { problem: `Enter a whole number: ${range()}.` };
  const days = Number(text);
  if (days === -1) {
    return neverAllowed
      ? { days }
      : { problem: `This workspace does not allow tokens that never expire. Enter ${range()}.` };
  }
  if (days < 1) return { problem: `Enter ${range()}.` };
  if (longestLifetimeDays !== -1 && days > longestLifetimeDays) {
    return { problem: `This workspace allows at most ${longestLifetimeDays} days.` };
  }
  return { days };
}

function updateLifetime() {
  const { days } = readLifetime();
  const hint = byId("lifetime-hint");
  if (days === -1) hint.textContent = "The token never expires. Remember to revoke it when it is no longer needed.";
  else if (days && days < 2_000_000) hint.textContent = `Expires on ${day(new Date(Date.now() + days * DAY))}. Allowed: ${range()}.`;
  else hint.textContent = `Allowed: ${range()}.`;
  for (const preset of byId("presets").children) {
    preset.setAttribute("aria-pressed", String(preset.dataset.days === byId("lifetime").value.trim()));
  }
}

function fillPresets() {
  const { longestLifetimeDays, neverAllowed } = limits();
  const choices = [7, 30, 90, 365].filter((days) => longestLifetimeDays === -1 || days <= longestLifetimeDays);
  const buttons = choices.map((days) => [days, `${days}`, `${days} days`]);
  if (neverAllowed) buttons.push([-1, "Never", "Never expires"]);
  byId("presets").replaceChildren(...buttons.map(([days, text, label]) => {
    const button = element("button", { type: "button", class: "chip", "aria-label": label, "data-days": days }, text);
    button.addEventListener("click", () => {
      byId("lifetime").value = String(days);
      setError(byId("lifetime"), byId("lifetime-error"), "");
      updateLifetime();
    });
    return button;
  }));
}

function fillScopes() {
  byId("scope-list").replaceChildren(...session.scopes.map((scope, index) => {
    const id = `scope-${index}`;
    return element("p", { class: "check" },
      element("input", { type: "checkbox", id, value: scope.name, "aria-describedby": `${id}-hint` }),
      element("label", { for: id }, element("code", {}, scope.name)),
      element("span", { id: `${id}-hint`, class: "hint" }, scope.description));
  }));
}

function clearErrors() {
  setError(byId("lifetime"), byId("lifetime-error"), "");
  byId("scopes-error").textContent = "";
  byId("generate-error").textContent = "";
}

function reset() {
  byId("generate-form").reset();
  byId("lifetime").value = String(limits().defaultLifetimeDays);
  clearErrors();
}

function openForm() {
  updateLifetime();
  opening = openModal(byId("generate-dialog"));
  byId("description").focus();
}

// Opens the dialog for a person who may generate. What was typed when a session ended is still there.
export function startGenerating(current, { keep = false } = {}) {
  const sameRules = session && JSON.stringify(session.scopes) === JSON.stringify(current.scopes);
  session = current;
  fillPresets();
  if (!keep || !sameRules) {
    fillScopes();
    reset();
  }
  openForm();
}

function readForm() {
  clearErrors();
  const lifetime = readLifetime();
  const scopes = [...byId("scope-list").querySelectorAll("input:checked")].map((box) => box.value);
  if (lifetime.problem) {
    setError(byId("lifetime"), byId("lifetime-error"), lifetime.problem);
    byId("lifetime").focus();
    return null;
  }
  if (scopes.length === 0) {
    byId("scopes-error").textContent = "Choose at least one scope: a token without scopes can do nothing.";
    byId("scope-list").querySelector("input")?.focus();
    return null;
  }
  return {
    lifetimeSeconds: lifetime.days === -1 ? -1 : lifetime.days * 86_400,
    description: byId("description").value.trim(),
    scopes,
  };
}

// Resolves when the dialog with the value is closed.
function showValue(value) {
  const dialog = byId("value-dialog");
  const place = byId("value-place");
  const message = byId("value-message");
  const signal = openModal(dialog);
  const output = element("code", { id: "token-value", class: "value", tabindex: "0", "aria-label": "Token value" }, value);
  place.replaceChildren(output);
  message.textContent = "";
  let copied = false;
  let warned = false;

  return new Promise((resolve) => {
    const mayClose = () => {
      if (copied || warned) return true;
      warned = true;
      message.textContent = "You have not copied it yet. Close again to go on without it.";
      byId("value-copy").focus();
      return false;
    };
    byId("value-copy").addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(output.textContent);
        copied = true;
        message.textContent = "Copied to the clipboard.";
      } catch {
        getSelection().selectAllChildren(output);
        message.textContent = "The browser does not allow it. The token is selected: copy it with Ctrl+C or ⌘C.";
      }
    }, { signal });
    output.addEventListener("copy", () => {
      copied = true;
    }, { signal });
    byId("value-close").addEventListener("click", () => mayClose() && dialog.close(), { signal });
    dialog.addEventListener("cancel", (event) => {
      if (!mayClose()) event.preventDefault();
    }, { signal });
    // A page that is kept for the way back must not keep the value.
    window.addEventListener("pagehide", () => dialog.close(), { signal });
    signal.addEventListener("abort", () => {
      output.textContent = "";
      place.replaceChildren();
      message.textContent = "";
      getSelection().removeAllRanges();
      resolve();
    });
    byId("value-copy").focus();
  });
}

// `onGenerated(tokenInfo)` is called when the value has been shown and its dialog is closed.
export function initGenerating({ onGenerated, onSessionEnded }) {
  const dialog = byId("generate-dialog");
  const submit = byId("generate-submit");
  byId("lifetime").addEventListener("input", updateLifetime);
  byId("generate-cancel").addEventListener("click", () => dialog.close());
  byId("generate-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.getAttribute("aria-disabled") === "true") return;
    const wanted = readForm();
    if (!wanted) return;
    submit.setAttribute("aria-disabled", "true");
    const asked = opening;
    try {
      const answer = await call("POST", "v4/apiAccessTokens", wanted);
      if (!asked.aborted) dialog.close();
      const shown = showValue(answer.tokenValue);
      answer.tokenValue = "";
      await shown;
      onGenerated(answer.tokenInfo);
    } catch (problem) {
      if (problem.status === 401) onSessionEnded();
      else byId("generate-error").textContent = problem.message;
    } finally {
      submit.removeAttribute("aria-disabled");
    }
  });
}
