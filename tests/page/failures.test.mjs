// What goes wrong: an ended session, storage that cannot be asked, a server that is gone. A clear message,
// and nothing that was typed is lost.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Browser, PASSWORDS, Server, signIn } from "./support.mjs";

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

// Without its tables the database answers everything with an error; they come back afterwards.
function hideTables(hidden) {
  const program = fileURLToPath(new URL("../support/hidden_tables.py", import.meta.url));
  execFileSync("python3", ["-B", program, hidden ? "hide" : "show", server.database]);
}

async function fillGenerateForm(page, description) {
  await page.getByRole("button", { name: "Generate new token" }).click();
  await page.getByLabel("Description").fill(description);
  await page.getByLabel("Lifetime in days", { exact: true }).fill("21");
  await page.getByLabel("data:write").check();
}

test("storage that cannot be asked is said so, on the list and in the dialog, and nothing typed is lost", async () => {
  await server.generate("alice", "Was there before");
  const page = await browser.person(server);
  await signIn(page, "alice");
  await page.getByRole("row", { name: /Was there before/ }).waitFor();
  await fillGenerateForm(page, "Typed with care");
  hideTables(true);
  try {
    await page.getByRole("button", { name: "Generate token" }).click();
    await page.locator("#generate-error", { hasText: "cannot be reached" }).waitFor();
    assert.equal(await page.getByLabel("Description").inputValue(), "Typed with care");
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByLabel("Search").fill("before");
    await page.locator("#list-problem", { hasText: "cannot be reached" }).waitFor();
    assert.equal(await page.getByRole("row", { name: /Was there before/ }).count(), 1, "what was shown stays");
  } finally {
    hideTables(false);
  }
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator("#list-problem").waitFor({ state: "hidden" });
  await page.getByRole("row", { name: /Was there before/ }).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("an ended session asks to sign in again, and the half-filled dialog comes back", async () => {
  const page = await browser.person(server);
  await signIn(page, "alice");
  await fillGenerateForm(page, "Half done");
  await page.context().clearCookies();
  await page.getByRole("button", { name: "Generate token" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await page.locator("#rows tr").count(), 0, "nothing of the session stays");
  await page.getByLabel("User name").fill("alice");
  await page.getByLabel("Password").fill(PASSWORDS.alice);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Generate new token" }).waitFor();
  assert.equal(await page.getByLabel("Description").inputValue(), "Half done");
  assert.equal(await page.getByLabel("Lifetime in days", { exact: true }).inputValue(), "21");
  assert.ok(await page.getByLabel("data:write").isChecked());
  await page.getByRole("button", { name: "Generate token" }).click();
  await page.locator("#token-value").waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("a session that was unused for too long ends", async () => {
  const short = await Server.start("--session-idle", "2");
  const page = await browser.person(short);
  await signIn(page, "bob");
  await page.waitForTimeout(2500);
  await page.getByLabel("Status").selectOption("active");
  await page.getByText("Your session has ended. Sign in again.").waitFor();
  await page.context().close();
  await short.stop();
});

test("a token that another window deleted is no error here", async () => {
  const { tokenInfo } = await server.generate("bob", "Gone meanwhile");
  const page = await browser.person(server);
  await signIn(page, "bob");
  await page.getByRole("button", { name: "Actions for Gone meanwhile" }).click();
  await page.getByRole("menuitem", { name: "Delete token" }).click();
  assert.equal((await server.ask("bob", "DELETE", `/v4/apiAccessTokens/${tokenInfo.tokenId}`)).status, 204);
  await page.getByRole("dialog").getByRole("button", { name: "Delete token" }).click();
  await page.getByRole("row", { name: /Gone meanwhile/ }).waitFor({ state: "detached" });
  await page.context().close();
});

test("scripts in descriptions and reasons are shown as text", async () => {
  const hostile = `"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
  const { tokenInfo } = await server.generate("bob", hostile);
  await server.ask("bob", "POST", `/v4/apiAccessTokens/${tokenInfo.tokenId}/revoke`, { reason: hostile });
  const page = await browser.person(server);
  await signIn(page, "bob");
  await page.getByText(`Revoked: ${hostile}`).waitFor();
  assert.equal(await page.locator("#rows script, #rows img").count(), 0);
  assert.doesNotMatch(await page.title(), /owned/);
  // The control: were it ever markup, the policy would still not let it run.
  const blocked = await page.evaluate(() => {
    try {
      document.querySelector("main").innerHTML = "<b>markup</b>";
      return "";
    } catch (error) {
      return String(error);
    }
  });
  assert.match(blocked, /TrustedHTML/);
  await page.context().close();
});

test("a server that is gone is said so", async () => {
  const gone = await Server.start();
  const page = await browser.person(gone);
  await signIn(page, "alice");
  await gone.stop();
  await page.getByLabel("Status").selectOption("expired");
  await page.locator("#list-problem", { hasText: "The server cannot be reached" }).waitFor();
  await page.context().close();
});
