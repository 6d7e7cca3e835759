// Puts the page together: who is signed in, which view is shown, and what happens when a session ends.

import { announce } from "./announce.js";
import { call, useCsrfToken } from "./api.js";
import { closeAllDialogs } from "./dialogs.js";
import { byId, show } from "./dom.js";
import { initGenerating, startGenerating } from "./generate.js";
import { openPeople } from "./people.js";
import { initTokenList, openTokenList, showNew } from "./token_list.js";
import { initWorkspace, openWorkspace } from "./workspace.js";

const TITLES = { tokens: "Access tokens", everyone: "Everyone's tokens", people: "People", workspace: "Workspace" };
let session = null;
let unfinished = null;  // who was generating a token when their session ended

const currentView = () => {
  const wanted = location.hash.slice(1);
  return session.administrator && wanted in TITLES ? wanted : "tokens";
};

function showOnly(view) {
  for (const name of ["sign-in", "tokens", "people", "workspace"]) show(byId(`view-${name}`), name === view);
}

async function refreshSession() {
  session = await call("GET", "session");
  useCsrfToken(session.csrfToken ?? "");
  return session.user !== null;
}

function drawObstacle(view) {
  const off = view === "tokens" && !session.workspace.tokensEnabled;
  const unusable = session.mayUse ? "" : "An administrator has switched your tokens off: none of them works.";
  const text = view === "tokens" ? [session.obstacle, unusable].filter(Boolean).join(" ") : "";
  byId("obstacle").textContent = text;
  show(byId("obstacle"), text !== "");
  show(byId("tokens-body"), !off);
  show(byId("generate"), view === "tokens" && session.mayGenerate);
}

function drawFrame(view) {
  show(byId("nav"), session.administrator);
  for (const link of byId("nav").children) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("who").textContent = session.user;
  show(byId("who"), true);
  show(byId("sign-out"), true);
  document.title = `${TITLES[view]} · ${session.user}`;
}

async function openView({ owner = null, focus = true } = {}) {
  const view = currentView();
  drawFrame(view);
  if (view === "tokens" || view === "everyone") {
    byId("tokens-title").textContent = TITLES[view];
    byId("tokens-lead").textContent = view === "tokens"
      ? "Programs use a token to act for you, without your password."
      : "All tokens of this workspace, with whose they are.";
    drawObstacle(view);
    showOnly("tokens");
    if (focus) byId("tokens-title").focus();
    if (view === "everyone" || session.workspace.tokensEnabled) await openTokenList(view === "everyone", owner);
  } else if (view === "people") {
    showOnly("people");
    if (focus) byId("people-title").focus();
    await openPeople((name) => {
      history.pushState(null, "", "#everyone");
      openView({ owner: name });
    });
  } else {
    showOnly("workspace");
    if (focus) byId("workspace-title").focus();
    await openWorkspace();
  }
}

function showSignIn(why = "") {
  closeAllDialogs();
  session = null;
  useCsrfToken("");
  for (const id of ["nav", "who", "sign-out"]) show(byId(id), false);
  for (const id of ["rows", "people-rows"]) byId(id).replaceChildren();
  byId("sign-in-why").textContent = why;
  show(byId("sign-in-why"), why !== "");
  byId("sign-in-error").textContent = "";
  document.title = "Sign in · Access tokens";
  showOnly("sign-in");
  byId("user").focus();
}

async function signIn(event) {
  event.preventDefault();
  const error = byId("sign-in-error");
  const password = byId("password");
  error.textContent = "";
  if (!byId("user").value || !password.value) {
    error.textContent = "Enter your user name and your password.";
    (byId("user").value ? password : byId("user")).focus();
    return;
  }
  try {
    session = await call("POST", "session", { user: byId("user").value, password: password.value });
  } catch (problem) {
    error.textContent = problem.message;
    password.focus();
    password.select();
    return;
  }
  password.value = "";
  useCsrfToken(session.csrfToken);
  await openView();
  if (unfinished === session.user && session.mayGenerate) startGenerating(session, { keep: true });
  else byId("generate-form").reset();
  unfinished = null;
}

async function signOut() {
  try {
    await call("DELETE", "session");
  } catch (problem) {
    return announce(problem.message);
  }
  unfinished = null;
  byId("generate-form").reset();
  history.replaceState(null, "", location.pathname);
  showSignIn("You have signed out.");
}

async function generate() {
  try {
    if (!(await refreshSession())) return showSignIn("Your session has ended. Sign in again.");
  } catch (problem) {
    return announce(problem.message);
  }
  if (byId("generate-dialog").open) return;  // asked for twice: what was typed meanwhile stays
  drawObstacle("tokens");
  if (session.mayGenerate) startGenerating(session);
  else byId("tokens-title").focus();
}

function initTheme() {
  const chosen = document.documentElement.dataset.theme ?? "system";
  byId("theme").value = chosen;
  byId("theme").addEventListener("change", (event) => {
    const theme = event.target.value;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // It is remembered for this visit only, then.
    }
  });
}

async function start() {
  initTheme();
  initTokenList();
  initWorkspace({ onSaved: () => refreshSession().catch(() => {}) });
  initGenerating({
    onGenerated: showNew,
    onSessionEnded: () => {
      unfinished = session?.user ?? unfinished;
    },
  });
  byId("sign-in-form").addEventListener("submit", signIn);
  byId("sign-out").addEventListener("click", signOut);
  byId("generate").addEventListener("click", generate);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();  // the hash is the view's
    byId("main").focus();
  });
  window.addEventListener("hashchange", () => session?.user && openView());
  window.addEventListener("session-ended", (event) => {
    if (!session) return;
    if (byId("generate-dialog").open) unfinished = session.user;
    showSignIn(event.detail);
  });
  try {
    if (await refreshSession()) await openView({ focus: false });
    else showSignIn();
  } catch (problem) {
    showSignIn();
    byId("sign-in-error").textContent = problem.message;
  }
}

start();
