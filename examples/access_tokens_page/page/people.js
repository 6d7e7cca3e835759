// People, for administrators: who may generate tokens, and whose tokens work.

import { call } from "./api.js";
import { announce } from "./announce.js";
import { byId, element, show } from "./dom.js";

const ROLE = { user: "User", administrator: "Administrator", service: "Service" };
let next = "";
let asked = 0;

function problemShown(message) {
  byId("people-problem").textContent = message;
  show(byId("people-problem"), message !== "");
}

// A switch that tells the server at once, and goes back if the server refuses.
function switchCell(person, field, label, said) {
  const box = element("input", { type: "checkbox", class: "switch", "aria-label": `${label}: ${person.name}` });
  box.checked = person[field];
  box.addEventListener("change", async () => {
    const wanted = box.checked;
    problemShown("");
    try {
      const answer = await call("PATCH", `v4/admin/people/${encodeURIComponent(person.name)}`, { [field]: wanted });
      box.checked = answer[field];
      announce(said(answer[field]));
    } catch (problem) {
      box.checked = !wanted;
      problemShown(problem.message);
    }
  });
  return element("td", { role: "cell", "data-label": label }, box);
}

function rowOf(person, onShowTokens) {
  const link = element("button", { type: "button", class: "link", "aria-label": `Show tokens: ${person.name}` }, "Show tokens");
  link.addEventListener("click", () => onShowTokens(person.name));
  return element("tr", { role: "row", "data-name": person.name },
    element("th", { role: "rowheader", scope: "row", "data-label": "Name" }, person.name,
      person.suspended ? element("span", { class: "status revoked" }, "Suspended") : null),
    element("td", { role: "cell", "data-label": "Role" }, ROLE[person.role] ?? person.role),
    switchCell(person, "mayGenerate", "May generate",
      (on) => (on ? `${person.name} may generate tokens.` : `${person.name} may not generate tokens.`)),
    switchCell(person, "mayUse", "Tokens work",
      (on) => (on ? `The tokens of ${person.name} work.` : `The tokens of ${person.name} do not work.`)),
    element("td", { role: "cell" }, link));
}

// An answer that comes after another was asked for is left alone, or people would stand there twice.
async function loadMore(onShowTokens) {
  const mine = ++asked;
  try {
    const parameters = new URLSearchParams({ limit: 100, ...(next ? { cursor: next } : {}) });
    const answer = await call("GET", `v4/admin/people?${parameters}`);
    if (mine !== asked) return;
    problemShown("");
    next = answer.next ?? "";
    byId("people-rows").append(...answer.data.map((person) => rowOf(person, onShowTokens)));
    show(byId("people-more"), next !== "");
  } catch (problem) {
    if (mine === asked && problem.status !== 401) problemShown(problem.message);
  }
}

export function openPeople(onShowTokens) {
  next = "";
  byId("people-rows").replaceChildren();
  byId("people-more").onclick = () => loadMore(onShowTokens);
  return loadMore(onShowTokens);
}
