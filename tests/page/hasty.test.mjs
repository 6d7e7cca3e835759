// Quicker than the page: what was once lost or taken over because two things happened at once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, Server, fromMenu, row, signIn } from "./support.mjs";

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

// Every request of this method waits until the function that this returns is called.
async function held(page, method) {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  await page.route("**/v4/**", async (route) => {
    if (route.request().method() === method) await released;
    await route.continue();
  });
  return release;
}

// Bob generates a token and closes the form; the answer comes when it is released.
async function closedWhileGenerating() {
  const page = await browser.person(server);
  await signIn(page, "bob");
  const release = await held(page, "POST");
  await page.getByRole("button", { name: "Generate new token" }).click();
  await page.getByLabel("data:read").check();
  await page.getByRole("button", { name: "Generate token" }).click();
  await page.keyboard.press("Escape");
  return { page, release };
}

test("a dialog that is opened again before its close event arrives does what it says", async () => {
  await server.generate("alice", "Asked twice");
  const page = await browser.person(server);
  await signIn(page, "alice");
  await fromMenu(page, "Asked twice", "Delete token");
  await page.evaluate(() => {  // in one task, so that the event of the first closing comes after the second opening
    document.querySelector("#confirm-cancel").click();
    document.querySelector(".dots").click();
    [...document.querySelectorAll("[role=menuitem]")].at(-1).click();
  });
  await page.waitForTimeout(200);
  await page.getByRole("dialog").getByRole("button", { name: "Delete token" }).click();
  await row(page, "Asked twice").waitFor({ state: "detached" });
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("a change that is under way when its dialog is closed is shown when it is done, and closes no other dialog", async () => {
  await server.generate("alice", "Keeps");
  await server.generate("alice", "Goes");
  const page = await browser.person(server);
  await signIn(page, "alice");
  const release = await held(page, "DELETE");
  await fromMenu(page, "Goes", "Delete token");
  await page.getByRole("dialog").getByRole("button", { name: "Delete token" }).click();
  await page.keyboard.press("Escape");
  await fromMenu(page, "Keeps", "Revoke");
  await page.getByLabel(/^Reason/).fill("still typing");
  release();
  await row(page, "Goes").waitFor({ state: "detached" });
  assert.equal(await page.getByLabel(/^Reason/).inputValue(), "still typing");
  await page.getByRole("dialog").getByRole("button", { name: "Revoke token" }).click();
  await row(page, "Keeps").getByText("Revoked", { exact: true }).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("a token that arrives after its form was closed is shown all the same", async () => {
  const { page, release } = await closedWhileGenerating();
  release();
  await page.locator("#token-value").waitFor();
  await page.context().close();
});

test("a token that arrives when its form is open again leaves what is being typed there", async () => {
  const { page, release } = await closedWhileGenerating();
  await page.getByRole("button", { name: "Generate new token" }).click();
  await page.getByLabel("Description").fill("still typing");
  release();
  await page.locator("#token-value").waitFor();
  await page.getByRole("button", { name: "Copy to clipboard" }).click();
  await page.locator("#value-close").click();
  await page.locator("#value-dialog").waitFor({ state: "hidden" });
  assert.equal(await page.getByLabel("Description").inputValue(), "still typing");
  assert.ok(await page.locator("#generate-dialog").isVisible());
  await page.context().close();
});

// Until the settings are there the box is not checked either, and to uncheck it then is to do nothing.
async function uncheckMayGenerate(page) {
  await page.locator("#users-may-generate:checked:enabled").waitFor();
  await page.getByLabel("Users may generate tokens").uncheck();
}

test("settings cannot be changed before they are there", async () => {
  const page = await browser.person(server);
  await signIn(page, "ada");
  const release = await held(page, "GET");
  await page.getByRole("link", { name: "Workspace" }).click();
  await page.getByRole("heading", { level: 1, name: "Workspace" }).waitFor();
  assert.ok(await page.getByLabel("Users may generate tokens").isDisabled());
  release();
  await uncheckMayGenerate(page);
  await page.getByRole("button", { name: "Save settings" }).click();
  await page.getByText("Settings saved.").waitFor();
  await server.ask("ada", "PATCH", "/v4/admin/workspace", { usersMayGenerate: true });
  await page.context().close();
});

test("an older answer does not undo what is being changed in the settings", async () => {
  const page = await browser.person(server);
  await signIn(page, "ada");
  let release;
  let first = true;
  await page.route("**/v4/admin/workspace", async (route) => {
    const older = first;
    first = false;
    if (older) await new Promise((resolve) => (release = resolve));
    await route.continue();
  });
  for (const name of ["Workspace", "People", "Workspace"]) {
    await page.getByRole("link", { name, exact: true }).click();
  }
  await uncheckMayGenerate(page);
  const late = page.waitForEvent("requestfinished", (request) => request.url().endsWith("/v4/admin/workspace"));
  release();
  await late;
  await page.waitForTimeout(200);  // the answer has had its time
  assert.equal(await page.getByLabel("Users may generate tokens").isChecked(), false);
  await page.context().close();
});

test("people stand there once, however quickly one comes back to them", async () => {
  const page = await browser.person(server);
  await signIn(page, "ada");
  const release = await held(page, "GET");
  for (const name of ["People", "Workspace", "People"]) await page.getByRole("link", { name, exact: true }).click();
  let answers = 0;
  page.on("requestfinished", (request) => (answers += /people/.test(request.url()) ? 1 : 0));
  release();
  while (answers < 2) await page.waitForTimeout(50);
  await page.getByRole("row", { name: /bob/ }).first().waitFor();
  await page.waitForTimeout(200);  // whatever came second has had its time
  assert.equal(await page.getByRole("row", { name: /bob/ }).count(), 1);
  await page.context().close();
});

test("the list takes the focus from nobody who has gone on", async () => {
  await server.generate("ada", "Ends");
  const page = await browser.person(server);
  await signIn(page, "ada");
  const release = await held(page, "GET");
  await fromMenu(page, "Ends", "Expire now");
  await page.getByRole("dialog").getByRole("button", { name: "Expire now" }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await page.getByLabel("Search").focus();
  release();
  await row(page, "Ends").getByText("Expired").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.context().close();
});
