// Starts the real server and a real browser for the tests of the page.
//
// ACCESS_TOKENS_PAGE names the server's program; CHROMIUM the browser (default /usr/bin/chromium). What is
// missing fails the test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";

import { chromium } from "playwright-core";

const SERVER = process.env.ACCESS_TOKENS_PAGE ?? "";
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

export const PASSWORDS = { alice: "alice-demo", bob: "bob-demo", ada: "ada-demo" };
export const AXE = createRequire(import.meta.url)("axe-core").source;

export class Server {
  // `database`: keep the store there; without it the demo has one of its own, with a history.
  static async start(...options) {
    assert.notEqual(SERVER, "", "ACCESS_TOKENS_PAGE is not set");
    const server = new Server();
    server.folder = await mkdtemp(path.join(tmpdir(), "page-test-"));
    server.database = path.join(server.folder, "tokens.db");
    const place = options.includes("--history") ? [] : ["--db", server.database];
    server.process = spawn(SERVER, ["--demo", "--port", "0", "--sign-in-burst", "1000", ...place,
      ...options.filter((option) => option !== "--history")], { stdio: ["ignore", "pipe", "pipe"] });
    server.log = "";
    server.process.stderr.on("data", (text) => (server.log += text));
    server.url = await new Promise((resolve, reject) => {
      let output = "";
      server.process.stdout.on("data", (text) => {
        output += text;
        const match = /(http:\/\/127\.0\.0\.1:\d+)\//.exec(output);
        if (match) resolve(match[1]);
      });
      server.process.on("exit", () => reject(new Error(`the server ended: ${server.log}`)));
    });
    return server;
  }

  async stop() {
    const ended = new Promise((resolve) => this.process.on("exit", resolve));
    this.process.removeAllListeners("exit");
    this.process.on("exit", (code) => (this.code = code));
    const done = new Promise((resolve) => this.process.on("exit", resolve));
    this.process.kill("SIGTERM");
    await Promise.race([ended, done]);
    await rm(this.folder, { recursive: true, force: true });
    assert.equal(this.code, 0, "the server stops cleanly");
  }

  // As a program would ask, with a user and password.
  async ask(user, method, where, body) {
    const response = await fetch(this.url + where, {
      method,
      headers: {
        Authorization: `Basic ${Buffer.from(`${user}:${PASSWORDS[user]}`).toString("base64")}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const answer = response.status === 204 ? null : await response.json();
    return { status: response.status, body: answer };
  }

  async generate(user, description, rest = {}) {
    const { status, body } = await this.ask(user, "POST", "/v4/apiAccessTokens",
      { description, lifetimeSeconds: 864_000, ...rest });
    assert.equal(status, 201, JSON.stringify(body));
    return body;
  }
}

export class Browser {
  static async start() {
    const browser = new Browser();
    browser.chromium = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
    return browser;
  }

  // A person's window, with nothing of anybody else's. A script error or a refused resource fails the test.
  async person(server, options = {}) {
    const context = await this.chromium.newContext({ locale: "en-GB", timezoneId: "Europe/Madrid",
      viewport: { width: 1280, height: 800 }, permissions: ["clipboard-read", "clipboard-write"], ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);  // a busy machine is no failure
    page.errors = [];
    page.on("pageerror", (error) => page.errors.push(String(error)));
    page.on("console", (message) => {
      const expected = /Failed to load resource: the server responded with a status of (4\d\d|503)/;
      if (message.type() === "error" && !expected.test(message.text())) page.errors.push(message.text());
    });
    await page.goto(server.url);
    return page;
  }

  async stop() {
    await this.chromium.close();
  }
}

export async function signIn(page, user) {
  await page.getByLabel("User name").fill(user);
  await page.getByLabel("Password").fill(PASSWORDS[user]);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1, name: "Access tokens" }).waitFor();
  await page.locator("#list:not([aria-busy])").waitFor({ state: "attached" });
}

// Fails with what axe found, in words.
export const row = (page, name) => page.getByRole("row", { name: new RegExp(name) });

export async function fromMenu(page, name, item) {
  await row(page, name).getByRole("button", { name: /Actions/ }).click();
  await page.getByRole("menuitem", { name: item }).click();
}

export async function assertAccessible(page, where) {
  await page.evaluate(`if (!window.axe) { ${AXE} }`);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  const said = violations.map((found) => `${found.id}: ${found.help}: ${found.nodes.map((node) => `${node.html} ${node.failureSummary}`).join(" | ")}`);
  assert.deepEqual(said, [], where);
  assert.ok(passes.length > 10, "axe looked at something");
}

// Whether a text is anywhere that outlives a closed dialog: markup, fields, addresses, storage.
export async function traces(page, secret) {
  return page.evaluate(async (wanted) => {
    const places = [];
    const look = (name, text) => String(text).includes(wanted) && places.push(name);
    look("markup", document.documentElement.outerHTML);
    for (const field of document.querySelectorAll("input, textarea, output, select")) look(`field ${field.id}`, field.value);
    look("address", location.href);
    look("history", JSON.stringify(history.state));
    look("title", document.title);
    look("window name", window.name);
    look("cookies", document.cookie);
    look("local storage", JSON.stringify({ ...localStorage }));
    look("session storage", JSON.stringify({ ...sessionStorage }));
    look("databases", JSON.stringify(await indexedDB.databases()));
    look("caches", JSON.stringify(await caches.keys()));
    look("selection", getSelection());
    look("globals", Object.keys(window).map((key) => { try { return JSON.stringify(window[key]); } catch { return ""; } }).join());
    return places;
  }, secret);
}
