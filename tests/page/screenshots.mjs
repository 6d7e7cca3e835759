// Takes the pictures of the README: ACCESS_TOKENS_PAGE=program node screenshots.mjs [FOLDER]

import path from "node:path";
import { fileURLToPath } from "node:url";

import { Browser, Server, signIn } from "./support.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? path.join(here, "../../docs/images");
const server = await Server.start("--history");
const browser = await Browser.start();

async function picture(page, name) {
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.querySelector("#status-message").replaceChildren());
  await page.screenshot({ path: path.join(folder, `${name}.png`), animations: "disabled", caret: "hide" });
}

for (const colorScheme of ["light", "dark"]) {
  const page = await browser.person(server, { colorScheme, viewport: { width: 1180, height: 760 } });
  await signIn(page, "alice");
  await page.evaluate(() => document.activeElement.blur());
  await picture(page, `tokens-${colorScheme}`);
  await page.locator("#rows tr").nth(1).locator(".dots").click();
  await page.getByRole("menuitem", { name: "Delete token" }).click();
  await picture(page, `delete-${colorScheme}`);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Generate new token" }).click();
  await page.getByLabel("Description").fill("Weekly report");
  await page.getByRole("button", { name: "30 days" }).click();
  await page.getByLabel("data:read").check();
  await picture(page, `generate-${colorScheme}`);
  await page.getByRole("button", { name: "Generate token" }).click();
  await page.locator("#token-value").waitFor();
  // The picture shows no token that was ever valid.
  await page.evaluate(() => {
    document.querySelector("#token-value").textContent =
      "pat_10A0KN9ZsExampleOnly_ThisIsAPictureOfATokenAndNotATokenThatWorks0000000000000000000";
  });
  await page.getByRole("button", { name: "Copy to clipboard" }).click();
  await picture(page, `value-${colorScheme}`);
  await page.locator("#value-close").click();
  await page.getByRole("row", { name: /Weekly report/ }).locator(".dots").click();
  await page.getByRole("menuitem", { name: "Delete token" }).click();
  await page.getByRole("button", { name: "Delete token" }).click();
  await page.context().close();

  const admin = await browser.person(server, { colorScheme, viewport: { width: 1180, height: 760 } });
  await signIn(admin, "ada");
  for (const [view, name] of [["everyone", "Everyone's tokens"], ["people", "People"], ["workspace", "Workspace"]]) {
    await admin.getByRole("link", { name, exact: true }).click();
    await admin.getByRole("heading", { level: 1, name }).waitFor();
    await admin.waitForTimeout(400);
    await admin.evaluate(() => document.activeElement.blur());
    await picture(admin, `${view}-${colorScheme}`);
  }
  await admin.context().close();

  const narrow = await browser.person(server, { colorScheme, viewport: { width: 390, height: 800 } });
  await signIn(narrow, "alice");
  await narrow.evaluate(() => document.activeElement.blur());
  await picture(narrow, `narrow-${colorScheme}`);
  await narrow.context().close();
}
await browser.stop();
await server.stop();
