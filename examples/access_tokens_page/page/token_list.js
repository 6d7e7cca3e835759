// The table of tokens: search, filter, pages, and what can be done to each. The same for one's own tokens
// and, for administrators, for everyone's.

import { call } from "./api.js";
import { announce } from "./announce.js";
import { confirm } from "./dialogs.js";
import { byId, element, show } from "./dom.js";
import { menuButton } from "./menu.js";
import { describe } from "./times.js";

const PAGE = 25;
const SOON = 7 * 86_400_000;
const STATUS = { active: "Active", expired: "Expired", revoked: "Revoked", pending: "Pending", damaged: "Damaged" };

const state = { everyone: false, cursors: [""], page: 0, next: "", newest: "", timeStyle: "exact", asked: 0 };

const root = () => (state.everyone ? "v4/admin/apiAccessTokens" : "v4/apiAccessTokens");
const nameOf = (token) => (token.description ? `“${token.description}” (${token.tokenId})` : token.tokenId);

function timeElement(iso) {
  const made = element("time", { datetime: iso });
  const [text, hover] = describe(iso, state.timeStyle);
  made.textContent = text;
  made.title = hover;
  return made;
}

function timeCell(label, iso, otherwise, soon = false) {
  return element("td", { role: "cell", "data-label": label, class: soon ? "time soon" : "time" },
    iso ? timeElement(iso) : element("span", { class: "quiet" }, otherwise));
}

function expiresSoon(token) {
  return token.status === "active" && token.expiredAt !== null && new Date(token.expiredAt) - Date.now() < SOON;
}

function descriptionCell(token) {
  const cell = element("td", { role: "cell", "data-label": "Description", class: "description" },
    token.description ? element("span", {}, token.description) : element("span", { class: "quiet" }, "No description"));
  if (token.scopes.length > 0) {
    cell.append(element("ul", { class: "scopes", "aria-label": "Scopes" },
      ...token.scopes.map((scope) => element("li", {}, scope))));
  }
  if (token.revokeReason) cell.append(element("span", { class: "hint" }, `Revoked: ${token.revokeReason}`));
  return cell;
}

function actionsOf(token) {
  const actions = [{ label: "Copy token ID", run: () => copyId(token) }];
  const ended = token.status === "expired" || token.status === "revoked";
  if (!ended && token.status !== "damaged") actions.push({ label: "Expire now…", run: () => expireNow(token) });
  if (!ended && token.status !== "damaged") actions.push({ label: "Revoke…", run: () => revoke(token) });
  actions.push({ label: "Delete token…", danger: true, run: () => remove(token) });
  return actions;
}

function rowOf(token) {
  return element("tr", { role: "row", "data-id": token.tokenId, class: token.tokenId === state.newest ? "new" : null },
    element("th", { role: "rowheader", scope: "row", "data-label": "Token ID" }, element("code", {}, token.tokenId)),
    state.everyone ? element("td", { role: "cell", "data-label": "Owner" }, token.owner) : null,
    descriptionCell(token),
    element("td", { role: "cell", "data-label": "Status" },
      element("span", { class: `status ${token.status}` }, STATUS[token.status] ?? token.status)),
    timeCell("Created", token.createdAt, "Unknown"),
    timeCell("Expires", token.expiredAt, token.status === "damaged" ? "Unknown" : "Never", expiresSoon(token)),
    timeCell("Last used", token.lastUsed, token.status === "damaged" ? "Unknown" : "Never"),
    element("td", { role: "cell", class: "row-menu" },
      menuButton(`Actions for ${token.description || token.tokenId}`, () => actionsOf(token))));
}

function query() {
  const parameters = new URLSearchParams({ limit: PAGE });
  const text = byId("search").value.trim();
  const status = byId("status").value;
  const owner = byId("owner").value.trim();
  if (text) parameters.set("text", text);
  if (status) parameters.set("status", status);
  if (state.everyone && owner) parameters.set("owner", owner);
  if (state.cursors[state.page]) parameters.set("cursor", state.cursors[state.page]);
  return parameters;
}

const isFiltered = () => byId("search").value.trim() !== "" || byId("status").value !== "" ||
  (state.everyone && byId("owner").value.trim() !== "");

function nothingText() {
  if (isFiltered()) return "No token matches. Change the search or the status.";
  return state.everyone ? "Nobody has a token yet." : "You have no tokens yet. Generate one to let a program act for you.";
}

function countText(count) {
  if (count === 0) return "";
  const tokens = count === 1 ? "1 token" : `${count} tokens`;
  return state.page === 0 && !state.next ? tokens : `Page ${state.page + 1}, ${tokens}`;
}

// A button that has the focus stays in the page, or the focus would be lost.
function setPager() {
  for (const [id, able] of [["newer", state.page > 0], ["older", state.next !== ""]]) {
    byId(id).setAttribute("aria-disabled", String(!able));
  }
  const needed = state.page > 0 || state.next !== "";
  show(byId("newer"), needed);
  show(byId("older"), needed);
}

function focusRow(...ids) {
  const button = (id) => byId("rows").querySelector(`[data-id="${CSS.escape(id)}"] .dots`);
  (ids.map(button).find(Boolean) ?? byId("tokens-title")).focus();
}

// Whoever was on a row is on it again afterwards, or on its `heir`; whoever was elsewhere stays there.
function draw(tokens, heir) {
  const left = document.activeElement?.closest("#rows tr")?.dataset.id;
  byId("rows").replaceChildren(...tokens.map(rowOf));
  show(byId("rows").closest("table"), tokens.length > 0);
  byId("nothing-text").textContent = nothingText();
  show(byId("nothing"), tokens.length === 0);
  byId("count").textContent = countText(tokens.length);
  setPager();
  if (left) focusRow(left, heir);
}

// Loads the page that `state` and the filters name. What was shown stays until the answer is there.
export async function load({ say = false, heir = "" } = {}) {
  const asked = ++state.asked;
  byId("list").setAttribute("aria-busy", "true");
  try {
    let answer = await call("GET", `${root()}?${query()}`);
    // A filter that matches little is answered in steps; an empty one with more to come is not the end.
    while (answer.data.length === 0 && answer.next && asked === state.asked) {
      state.cursors[state.page] = answer.next;
      answer = await call("GET", `${root()}?${query()}`);
    }
    if (asked !== state.asked) return;  // another one was asked for meanwhile
    state.next = answer.next ?? "";
    show(byId("list-problem"), false);
    draw(answer.data, heir);
    if (say) announce(answer.data.length === 0 ? nothingText() : `${countText(answer.data.length)} shown.`);
  } catch (problem) {
    if (asked !== state.asked || problem.status === 401) return;
    byId("list-problem-text").textContent = problem.message;
    show(byId("list-problem"), true);
  } finally {
    if (asked === state.asked) byId("list").removeAttribute("aria-busy");
  }
}

function fromStart(options) {
  state.cursors = [""];
  state.page = 0;
  state.next = "";
  return load(options);
}

async function copyId(token) {
  try {
    await navigator.clipboard.writeText(token.tokenId);
    announce("Token ID copied.");
  } catch {
    announce("The browser does not allow copying here.");
  }
}

async function expireNow(token) {
  const done = await confirm({
    title: "Expire token now",
    text: "Whatever uses this token stops working at once. It cannot be made valid again.",
    subject: nameOf(token),
    verb: "Expire now",
    action: () => call("POST", `${root()}/${token.tokenId}/expire`),
  });
  if (!done) return;
  await load();
  announce("Token expired.");
}

async function revoke(token) {
  const done = await confirm({
    title: "Revoke token",
    text: "Whatever uses this token stops working at once. Revoking cannot be undone; the token stays in the list.",
    subject: nameOf(token),
    verb: "Revoke token",
    withReason: true,
    action: (reason) => call("POST", `${root()}/${token.tokenId}/revoke`, { reason }),
  });
  if (!done) return;
  await load();
  announce("Token revoked.");
}

async function remove(token) {
  const row = byId("rows").querySelector(`[data-id="${CSS.escape(token.tokenId)}"]`);
  const neighbour = row?.nextElementSibling ?? row?.previousElementSibling;
  const done = await confirm({
    title: "Delete token",
    text: "This cannot be undone. The token disappears from the list, and whatever uses it stops working at once.",
    subject: nameOf(token),
    verb: "Delete token",
    action: async () => {
      try {
        await call("DELETE", `${root()}/${token.tokenId}`);
      } catch (problem) {
        if (problem.status !== 404 || problem.kind !== "not-found") throw problem;  // gone already: what was wanted
      }
    },
  });
  if (!done) return;
  await load({ heir: neighbour?.dataset.id ?? "" });
  announce("Token deleted.");
}

function setTimeStyle(style) {
  state.timeStyle = style === "relative" ? "relative" : "exact";
  byId("times").value = state.timeStyle;
  for (const time of byId("rows").querySelectorAll("time")) {
    const [text, hover] = describe(time.dateTime, state.timeStyle);
    time.textContent = text;
    time.title = hover;
  }
}

function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

// Shows the tokens of this person, or everyone's; `owner` fills in that filter.
export function openTokenList(everyone, owner = null) {
  if (everyone !== state.everyone || owner !== null) byId("filters").reset();
  if (owner !== null) byId("owner").value = owner;
  state.everyone = everyone;
  show(byId("owner-filter"), everyone);
  show(byId("columns").querySelector("[data-column=owner]"), everyone);
  byId("rows").replaceChildren();
  byId("count").textContent = "";
  show(byId("nothing"), false);
  show(byId("rows").closest("table"), false);
  setTimeStyle(remembered("times"));
  return fromStart();
}

export async function showNew(token) {
  byId("filters").reset();
  setTimeStyle(remembered("times"));
  state.newest = token.tokenId;
  const before = document.activeElement;
  await fromStart();
  // Whoever has not gone on from where the dialog gave the focus back is led to the new row.
  if (document.activeElement === before || document.activeElement === document.body) focusRow(token.tokenId);
  announce("Token generated.");
}

export function initTokenList() {
  let timer = 0;
  for (const id of ["search", "owner"]) {
    byId(id).addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => fromStart({ say: true }), 250);
    });
  }
  byId("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    fromStart({ say: true });
  });
  byId("status").addEventListener("change", () => fromStart({ say: true }));
  byId("times").addEventListener("change", (event) => {
    setTimeStyle(event.target.value);
    try {
      localStorage.setItem("times", state.timeStyle);
    } catch {
      // It is remembered for this visit only, then.
    }
  });
  byId("retry").addEventListener("click", () => load({ say: true }));
  byId("older").addEventListener("click", () => {
    if (!state.next) return;
    state.cursors[++state.page] = state.next;
    load({ say: true });
  });
  byId("newer").addEventListener("click", () => {
    if (state.page === 0) return;
    --state.page;
    load({ say: true });
  });
  // Relative times grow old while one looks at them.
  setInterval(() => state.timeStyle === "relative" && setTimeStyle("relative"), 30_000);
}
