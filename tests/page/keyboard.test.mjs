// Everything by keyboard alone: no test here touches a mouse, or focuses what Tab does not reach.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, PASSWORDS, Server } from "./support.mjs";

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

const focused = (page) => page.evaluate(() => {
  const at = document.activeElement;
  const label = at.labels?.[0]?.textContent ?? "";
  return (at.getAttribute("aria-label") || label || at.textContent || at.id).trim().replace(/\s+/g, " ");
});

// Goes on with Tab until the focus is on what is called so.
async function tabTo(page, name, key = "Tab") {
  const seen = [];
  for (let i = 0; i < 60; ++i) {
    const at = await focused(page);
    if (name.test(at)) return;
    seen.push(at);
    await page.keyboard.press(key);
  }
  assert.fail(`Tab does not reach ${name}: ${seen.join(" > ")}`);
}

async function signInByKeys(page, user) {
  await page.locator("#user").waitFor();
  await tabTo(page, /^User name/);
  await page.keyboard.type(user);
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORDS[user]);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Access tokens" }).waitFor();
  await page.locator("#list:not([aria-busy])").waitFor();
}

async function openMenu(page, name) {
  await tabTo(page, new RegExp(`^Actions for ${name}`));
  await page.keyboard.press("Enter");
  await page.getByRole("menu").waitFor();
}

// The dialog opens when the server has said that this person may still generate.
async function openGenerate(page) {
  await tabTo(page, /^Generate new token/);
  await page.keyboard.press("Enter");
  await page.locator("#generate-dialog[open]").waitFor();
  assert.match(await focused(page), /^Description/, "the dialog has the focus");
}

test("sign in, generate, copy, expire, revoke, delete, filter and sign out, all by keyboard", async () => {
  const page = await browser.person(server);
  await signInByKeys(page, "alice");
  assert.equal(await focused(page), "Access tokens", "the focus is on the new view's heading");

  await openGenerate(page);
  for (let i = 0; i < 30; ++i) {
    await page.keyboard.press("Tab");
    assert.ok(await page.evaluate(() => document.activeElement === document.body ||
      document.activeElement.closest("#generate-dialog") !== null), "the focus stays in the dialog");
  }
  await page.keyboard.press("Escape");
  assert.match(await focused(page), /^Generate new token/, "and goes back to where it was");

  for (const name of ["first", "second", "third"]) {
    await openGenerate(page);
    await page.keyboard.type(name);
    await tabTo(page, /^Lifetime in days/);
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.type("14");
    await tabTo(page, /^data:read/);
    await page.keyboard.press("Space");
    await page.keyboard.press("Enter");
    await page.locator("#token-value").waitFor();
    assert.equal(await focused(page), "Copy to clipboard");
    await page.keyboard.press("Enter");
    await page.getByText("Copied to the clipboard.").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("row", { name: new RegExp(name) }).waitFor();
    await page.waitForFunction((wanted) => document.activeElement.ariaLabel === wanted, `Actions for ${name}`);
  }

  await openMenu(page, "third");
  assert.equal(await focused(page), "Copy token ID");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(page), "Expire now…");
  await page.keyboard.press("End");
  assert.equal(await focused(page), "Delete token…");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(page), "Copy token ID", "the menu goes round");
  await page.keyboard.press("Escape");
  assert.equal(await focused(page), "Actions for third", "Escape leads back to the button");

  await openMenu(page, "third");
  await page.keyboard.press("e");
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "Cancel", "the safe answer comes first");
  await tabTo(page, /^Expire now/);
  await page.keyboard.press("Enter");
  await page.getByRole("row", { name: /third/ }).getByText("Expired").waitFor();
  assert.equal(await focused(page), "Actions for third");

  await tabTo(page, /^Actions for second/);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("r");
  await page.keyboard.press("Enter");
  assert.match(await focused(page), /^Reason/);
  await page.keyboard.type("lost");
  await page.keyboard.press("Enter");
  await page.getByRole("row", { name: /second/ }).getByText("Revoked", { exact: true }).waitFor();

  await tabTo(page, /^Actions for third/, "Shift+Tab");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await focused(page), "Actions for third", "Escape deletes nothing");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await tabTo(page, /^Delete token/);
  await page.keyboard.press("Enter");
  await page.getByRole("row", { name: /third/ }).waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement.ariaLabel === "Actions for second");

  await tabTo(page, /^Status/, "Shift+Tab");
  await page.keyboard.type("Active");
  await page.locator("#count", { hasText: "1 token" }).waitFor();
  await page.locator("#status-message", { hasText: "1 token shown." }).waitFor();
  await tabTo(page, /^Search/, "Shift+Tab");
  await page.keyboard.type("nothing like this");
  await page.locator("#nothing-text", { hasText: "No token matches." }).waitFor();

  await tabTo(page, /^Sign out/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByText("You have signed out.").waitFor();
  assert.match(await focused(page), /^User name/);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("administration by keyboard: people's switches and the workspace's settings", async () => {
  const page = await browser.person(server);
  await signInByKeys(page, "ada");
  await page.reload();
  await page.locator("#rows, #nothing:visible").first().waitFor({ state: "attached" });
  await page.getByRole("heading", { level: 1, name: "Access tokens" }).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Skip to the content", "the first stop skips the bar");
  await tabTo(page, /^People$/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "People" }).waitFor();
  await page.getByRole("row", { name: /bob/ }).waitFor();
  await tabTo(page, /^May generate: bob/);
  await page.keyboard.press("Space");
  await page.getByText("bob may not generate tokens.").waitFor();
  await page.keyboard.press("Space");
  await page.getByText("bob may generate tokens.").waitFor();

  await tabTo(page, /^Workspace$/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Workspace" }).waitFor();
  await page.waitForFunction(() => document.querySelector("#longest").value === "366");
  await tabTo(page, /^Longest lifetime/);
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type("180");
  await page.keyboard.press("Enter");
  await page.getByText("Settings saved.").waitFor();
  assert.equal((await server.ask("ada", "GET", "/v4/admin/workspace")).body.longestLifetimeDays, 180);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});
