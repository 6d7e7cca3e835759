// Administration by mouse: everyone's tokens, people, and the workspace's settings.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, Server, signIn } from "./support.mjs";

let server;
let browser;
before(async () => {
  server = await Server.start();
  browser = await Browser.start();
});
after(async () => {
  await browser?.stop();
  await server?.stop();
});

async function inWindow(user, work) {
  const page = await browser.person(server);
  try {
    await signIn(page, user);
    await work(page);
    assert.deepEqual(page.errors, [], "the browser complains about nothing");
  } finally {
    await page.context().close();
  }
}

async function open(page, name) {
  await page.getByRole("link", { name, exact: true }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
  await page.locator("#list:not([aria-busy])").waitFor({ state: "attached" });
}

test("who is no administrator sees no administration, whatever the address says", async () => {
  await inWindow("alice", async (page) => {
    assert.ok(await page.getByRole("navigation", { name: "Pages", exact: true }).isHidden());
    await page.goto(`${server.url}/#people`);
    await page.getByRole("heading", { level: 1, name: "Access tokens" }).waitFor();
    assert.ok(await page.locator("#view-people").isHidden());
  });
});

test("an administrator sees everyone's tokens with their owners, and deletes those of others", async () => {
  await server.generate("alice", "Of alice");
  const { tokenValue } = await server.generate("bob", "Of bob");
  await inWindow("ada", async (page) => {
    await open(page, "Everyone's tokens");
    const bobs = page.getByRole("row", { name: /Of bob/ });
    await bobs.waitFor();
    assert.equal(await bobs.getByRole("cell").first().textContent(), "bob");
    await page.getByLabel("Owner").fill("alice");
    await bobs.waitFor({ state: "detached" });
    assert.equal(await page.locator("#rows tr").count(), 1);
    await page.getByLabel("Owner").fill("");
    await bobs.waitFor();
    await bobs.getByRole("button", { name: /Actions/ }).click();
    await page.getByRole("menuitem", { name: "Delete token" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete token" }).click();
    await bobs.waitFor({ state: "detached" });
    const answer = await fetch(`${server.url}/v4/apiAccessTokens`, { headers: { Authorization: `Bearer ${tokenValue}` } });
    assert.equal(answer.status, 401);
    assert.ok(await page.getByRole("button", { name: "Generate new token" }).isHidden(), "it issues for nobody else");
  });
});

test("people are stopped from generating and from using, and their page says why", async () => {
  const { tokenValue } = await server.generate("bob", "Of bob");
  const use = () => fetch(`${server.url}/v4/apiAccessTokens`, { headers: { Authorization: `Bearer ${tokenValue}` } });
  assert.equal((await use()).status, 200);
  await inWindow("ada", async (page) => {
    await open(page, "People");
    await page.getByRole("checkbox", { name: "May generate: bob" }).click();
    await page.getByText("bob may not generate tokens.").waitFor();
    await page.getByRole("checkbox", { name: "Tokens work: bob" }).click();
    await page.getByText("The tokens of bob do not work.").waitFor();
    assert.equal((await use()).status, 401);
    await page.getByRole("button", { name: "Show tokens: bob" }).click();
    await page.getByRole("heading", { level: 1, name: "Everyone's tokens" }).waitFor();
    assert.equal(await page.getByLabel("Owner").inputValue(), "bob");
  });
  await inWindow("bob", async (page) => {
    await page.getByText("An administrator does not allow you to generate tokens.").waitFor();
    await page.getByText("none of them works").waitFor();
    assert.ok(await page.getByRole("button", { name: "Generate new token" }).isHidden());
  });
  await server.ask("ada", "PATCH", "/v4/admin/people/bob", { mayGenerate: true, mayUse: true });
  assert.equal((await use()).status, 200);
});

test("the workspace's settings are saved, checked, and hold", async () => {
  await inWindow("ada", async (page) => {
    await open(page, "Workspace");
    await page.waitForFunction(() => document.querySelector("#longest").value === "366");
    const longest = page.getByLabel("Longest lifetime in days");
    for (const text of ["0", "-2", "x", "36501", ""]) {
      await longest.fill(text);
      await page.getByRole("button", { name: "Save settings" }).click();
      await page.getByText("Enter 1 to 36500 days, or -1").waitFor();
    }
    await longest.fill("-1");
    await page.getByLabel("Users may generate tokens").uncheck();
    await page.getByRole("button", { name: "Save settings" }).click();
    await page.getByText("Settings saved.").waitFor();
    const { body } = await server.ask("ada", "GET", "/v4/admin/workspace");
    assert.deepEqual([body.longestLifetimeDays, body.neverAllowed, body.usersMayGenerate], [-1, true, false]);
  });
  await inWindow("alice", async (page) => {
    await page.getByText("Only administrators may generate tokens in this workspace.").waitFor();
  });
  await server.ask("ada", "PATCH", "/v4/admin/workspace", { longestLifetimeDays: 366, usersMayGenerate: true });
});

test("tokens are switched off after a question, and on again", async () => {
  await inWindow("ada", async (page) => {
    await open(page, "Workspace");
    await page.waitForFunction(() => document.querySelector("#longest").value !== "");
    await page.getByLabel("Tokens are switched on").uncheck();
    await page.getByRole("button", { name: "Save settings" }).click();
    await page.getByRole("dialog").getByText("stops working at once").waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.waitForFunction(() => document.querySelector("#tokens-enabled").checked);
    await page.getByLabel("Tokens are switched on").uncheck();
    await page.getByRole("button", { name: "Save settings" }).click();
    await page.getByRole("button", { name: "Switch off" }).click();
    await page.getByText("Settings saved.").waitFor();
    assert.equal((await server.ask("alice", "GET", "/v4/apiAccessTokens")).status, 404);
  });
  await inWindowOff("alice");
  await inWindow("ada", async (page) => {
    await open(page, "Workspace");
    await page.getByLabel("Tokens are switched on").check();
    await page.getByRole("button", { name: "Save settings" }).click();
    await page.getByText("Settings saved.").waitFor();
    assert.equal((await server.ask("alice", "GET", "/v4/apiAccessTokens")).status, 200);
  });
});

async function inWindowOff(user) {
  await inWindow(user, async (page) => {
    await page.getByText("Access tokens are switched off in this workspace.").waitFor();
    assert.ok(await page.locator("#tokens-body").isHidden());
  });
}
