// axe-core over every view: light and dark, wide and narrow, dialogs and menus open.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertAccessible, Browser, Server, signIn } from "./support.mjs";

let server;
let browser;
before(async () => {
  server = await Server.start("--history");
  browser = await Browser.start();
});
after(async () => {
  await browser?.stop();
  await server?.stop();
});

const NARROW = { width: 360, height: 740 };
const WIDE = { width: 1280, height: 800 };

async function fits(page, where) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${where}: nothing has to be scrolled sideways (${content} in ${window})`);
}

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of [["wide", WIDE], ["narrow", NARROW]]) {
    test(`axe finds nothing: ${colorScheme}, ${size}`, async () => {
      const page = await browser.person(server, { colorScheme, viewport });
      const look = async (where) => {
        await assertAccessible(page, where);
        await fits(page, where);
      };
      await look("sign-in");
      await page.getByRole("button", { name: "Sign in" }).click();
      await look("sign-in with an error");
      await signIn(page, "ada");
      await page.locator("#rows tr").first().waitFor();
      await look("own tokens");
      await page.locator(".dots").first().click();
      await look("menu");
      await page.getByRole("menuitem", { name: "Revoke" }).click();
      await look("confirmation");
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Generate new token" }).click();
      await look("generate");
      await page.getByLabel("Lifetime in days", { exact: true }).fill("-1");
      await page.getByRole("button", { name: "Generate token" }).click();
      await look("generate with an error");
      await page.getByLabel("Lifetime in days", { exact: true }).fill("3");
      await page.getByLabel("data:read").check();
      await page.getByRole("button", { name: "Generate token" }).click();
      await page.locator("#token-value").waitFor();
      await look("value");
      await page.getByRole("button", { name: "Copy to clipboard" }).click();
      await page.locator("#value-close").click();
      await page.locator("#status-message", { hasText: "Token generated." }).waitFor();
      await look("own tokens with the new one and a message");
      await page.getByLabel("Search").fill("no such thing");
      await page.locator("#nothing-text", { hasText: "No token matches." }).waitFor();
      await look("nothing found");
      for (const name of ["Everyone's tokens", "People", "Workspace"]) {
        await page.getByRole("link", { name, exact: true }).click();
        await page.getByRole("heading", { level: 1, name }).waitFor();
        await page.waitForTimeout(300);
        await look(name);
      }
      assert.deepEqual(page.errors, []);
      await page.context().close();
    });
  }
}

test("the control: axe finds a field without a label and text that is too pale", async () => {
  const page = await browser.person(server);
  await page.evaluate(() => {
    const field = document.createElement("input");
    const text = document.createElement("p");
    text.textContent = "too pale";
    text.style.color = "#ddd";
    document.querySelector("#view-sign-in").append(field, text);
  });
  await assert.rejects(assertAccessible(page, "spoilt"), /label[\s\S]*color-contrast|color-contrast[\s\S]*label/);
  await page.context().close();
});

test("a row stays a table row for screen readers when it is shown as a card", async () => {
  const page = await browser.person(server, { viewport: NARROW });
  await signIn(page, "alice");
  const table = page.getByRole("table");
  assert.equal(await table.getByRole("columnheader").count(), 7);
  assert.ok((await table.getByRole("row").count()) > 3);
  assert.equal(await table.getByRole("row").nth(1).getByRole("cell").count(), 6);
  assert.equal(await table.getByRole("row").nth(1).getByRole("rowheader").count(), 1);
  await page.context().close();
});
