// The workspace's settings, for administrators.

import { call } from "./api.js";
import { announce } from "./announce.js";
import { confirm } from "./dialogs.js";
import { byId, setError } from "./dom.js";

let shown = null;
let asked = 0;

function fill(settings) {
  shown = settings;
  byId("tokens-enabled").checked = settings.tokensEnabled;
  byId("users-may-generate").checked = settings.usersMayGenerate;
  byId("longest").value = String(settings.longestLifetimeDays);
}

// What differs from what the server said: what others changed meanwhile stays as they left it.
function changes() {
  const text = byId("longest").value.trim();
  const days = /^-?\d{1,7}$/.test(text) ? Number(text) : NaN;
  if (!(days === -1 || (days >= 1 && days <= 36_500))) return null;
  const wanted = {
    tokensEnabled: byId("tokens-enabled").checked,
    usersMayGenerate: byId("users-may-generate").checked,
    longestLifetimeDays: days,
  };
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => value !== shown[name]));
}

// Until the settings are there, nobody can change what they would then overwrite. An answer that comes after another
// was asked for is left alone, for the same reason.
export async function openWorkspace() {
  const mine = ++asked;
  byId("workspace-error").textContent = "";
  setError(byId("longest"), byId("longest-error"), "");
  byId("workspace-fields").disabled = true;
  shown = null;
  try {
    const settings = await call("GET", "v4/admin/workspace");
    if (mine !== asked) return;
    fill(settings);
    byId("workspace-fields").disabled = false;
  } catch (problem) {
    if (mine === asked && problem.status !== 401) byId("workspace-error").textContent = problem.message;
  }
}

async function save(wanted) {
  fill(await call("PATCH", "v4/admin/workspace", wanted));
  announce("Settings saved.");
}

export function initWorkspace({ onSaved }) {
  byId("workspace-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = byId("workspace-error");
    error.textContent = "";
    setError(byId("longest"), byId("longest-error"), "");
    if (!shown) return openWorkspace();
    const wanted = changes();
    if (!wanted) {
      setError(byId("longest"), byId("longest-error"), "Enter 1 to 36500 days, or -1 for no limit.");
      byId("longest").focus();
      return;
    }
    if (Object.keys(wanted).length === 0) return announce("There is nothing to save.");
    try {
      if (wanted.tokensEnabled === false) {
        const done = await confirm({
          title: "Switch tokens off",
          text: "Every token of this workspace stops working at once, and nobody can generate one. Nothing is deleted: when you switch tokens on again, they work again.",
          verb: "Switch off",
          action: () => save(wanted),
        });
        if (!done) byId("tokens-enabled").checked = true;
        byId("tokens-enabled").focus();
      } else {
        await save(wanted);
      }
      onSaved();
    } catch (problem) {
      if (problem.status !== 401) error.textContent = problem.message;
    }
  });
}
