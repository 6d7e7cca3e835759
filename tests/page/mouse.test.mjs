// One's own tokens, as a person with a mouse uses them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, Server, fromMenu, row, signIn, traces } from "./support.mjs";

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

const rows = (page) => page.locator("#rows tr");

async function inWindow(user, work, options) {
  const page = await browser.person(server, options);
  try {
    await signIn(page, user);
    await work(page);
    assert.deepEqual(page.errors, [], "the browser complains about nothing");
  } finally {
    await page.context().close();
  }
}

test("a wrong password is refused with a clear message, and nobody is signed in", async () => {
  const page = await browser.person(server);
  await page.getByLabel("User name").fill("alice");
  await page.getByLabel("Password").fill("not this one");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("The user name or the password is wrong.").waitFor();
  assert.equal((await page.context().cookies()).length, 0);
  await page.context().close();
});

test("a token is generated, shown once, copied, works, and leaves no trace in the page", async () => {
  await inWindow("alice", async (page) => {
    await page.getByRole("button", { name: "Generate new token" }).click();
    await page.getByLabel("Description").fill("Weekly <b>report</b>");
    await page.getByLabel("Lifetime in days", { exact: true }).fill("30");
    await page.getByText(/^Expires on /).waitFor();
    await page.getByLabel("data:read").check();
    await page.getByLabel("tokens:manage").check();
    await page.getByRole("button", { name: "Generate token" }).click();
    await page.getByText("You cannot see it again").waitFor();
    const value = await page.locator("#token-value").textContent();
    assert.match(value, /^pat_1[0-9A-Za-z]{18}_[0-9A-Za-z]{57}$/);
    assert.deepEqual(await traces(page, value), ["markup"], "the control: while it is shown, it is found");
    await page.getByRole("button", { name: "Copy to clipboard" }).click();
    await page.getByText("Copied to the clipboard.").waitFor();
    await page.locator("#value-close").click();
    await row(page, "Weekly").waitFor();
    assert.deepEqual(await traces(page, value), []);
    assert.deepEqual(await traces(page, value.slice(24, 67)), [], "nor its secret");

    const answer = await fetch(`${server.url}/v4/apiAccessTokens`, { headers: { Authorization: `Bearer ${value}` } });
    assert.equal(answer.status, 200);
    await page.getByLabel("Search").click();
    await page.keyboard.press("ControlOrMeta+V");
    assert.equal(await page.getByLabel("Search").inputValue(), value, "the clipboard has it");
    await page.goBack().catch(() => {});
    await page.goto(server.url);
    await row(page, "Weekly").waitFor();
    assert.deepEqual(await traces(page, value), [], "neither after a reload");
    assert.ok(!server.log.includes(value.slice(24, 67)), "nor in the server's log");

    assert.equal(await rows(page).first().locator("td").first().locator("span").textContent(), "Weekly <b>report</b>");
    assert.equal(await page.locator("#rows b").count(), 0, "markup in a description stays text");
    await fromMenu(page, "Weekly", "Delete token");
    await page.getByRole("dialog").getByRole("button", { name: "Delete token" }).click();
    await page.getByText("Token deleted.").waitFor();
    const after = await fetch(`${server.url}/v4/apiAccessTokens`, { headers: { Authorization: `Bearer ${value}` } });
    assert.equal(after.status, 401);
  });
});

test("a value that was not copied is not lost by one wrong key", async () => {
  await inWindow("alice", async (page) => {
    await page.getByRole("button", { name: "Generate new token" }).click();
    await page.getByLabel("Description").fill("Careful");
    await page.getByLabel("data:read").check();
    await page.getByRole("button", { name: "Generate token" }).click();
    await page.locator("#token-value").waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("You have not copied it yet.").waitFor();
    assert.ok(await page.locator("#token-value").isVisible());
    await page.locator("#value-close").click();
    await page.locator("#token-value").waitFor({ state: "detached" });
  });
});

test("lifetimes and scopes that are not allowed are explained before anything is sent", async () => {
  await inWindow("alice", async (page) => {
    const sent = [];
    page.on("request", (request) => request.method() === "POST" && sent.push(request.url()));
    await page.getByRole("button", { name: "Generate new token" }).click();
    await page.getByLabel("data:read").check();
    const lifetime = page.getByLabel("Lifetime in days", { exact: true });
    for (const [text, message] of [["-1", "does not allow tokens that never expire"], ["367", "at most 366 days"],
      ["0", "1 to 366 days"], ["1.5", "whole number"], ["-2", "1 to 366 days"], ["", "whole number"]]) {
      await lifetime.fill(text);
      await page.getByRole("button", { name: "Generate token" }).click();
      await page.locator("#lifetime-error").filter({ hasText: message }).waitFor();
      assert.equal(await lifetime.getAttribute("aria-invalid"), "true");
    }
    await page.getByRole("button", { name: "7 days" }).click();
    assert.equal(await lifetime.inputValue(), "7");
    await page.getByLabel("data:read").uncheck();
    await page.getByRole("button", { name: "Generate token" }).click();
    await page.getByText("Choose at least one scope").waitFor();
    assert.deepEqual(sent, []);
    await page.getByRole("button", { name: "Cancel" }).click();
  });
});

test("a never-ending token can be made where the workspace allows it", async () => {
  await server.ask("ada", "PATCH", "/v4/admin/workspace", { longestLifetimeDays: -1 });
  try {
    await inWindow("alice", async (page) => {
      await page.getByRole("button", { name: "Generate new token" }).click();
      await page.getByLabel("Description").fill("For ever");
      await page.getByRole("button", { name: "Never expires" }).click();
      assert.equal(await page.getByLabel("Lifetime in days", { exact: true }).inputValue(), "-1");
      await page.getByLabel("data:read").check();
      await page.getByRole("button", { name: "Generate token" }).click();
      await page.getByRole("button", { name: "Copy to clipboard" }).click();
      await page.locator("#value-close").click();
      await row(page, "For ever").waitFor();
      const cells = await row(page, "For ever").getByRole("cell").allTextContents();
      assert.equal(cells[3], "Never");
    });
  } finally {
    await server.ask("ada", "PATCH", "/v4/admin/workspace", { longestLifetimeDays: 366 });
  }
});

test("each row's menu expires, revokes and deletes, after a question that says what it means", async () => {
  for (const name of ["Ends early", "Gets lost", "Goes away", "Stays"]) await server.generate("bob", name);
  await inWindow("bob", async (page) => {
    assert.equal(await rows(page).count(), 4, "several are active at once");
    assert.deepEqual(await rows(page).locator(".description > span").allTextContents(),
      ["Stays", "Goes away", "Gets lost", "Ends early"], "newest first");

    await fromMenu(page, "Ends early", "Expire now");
    await page.getByText("stops working at once").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Expire now" }).click();
    await row(page, "Ends early").getByText("Expired").waitFor();

    await fromMenu(page, "Gets lost", "Revoke");
    await page.getByLabel(/^Reason/).fill("Left in a café");
    await page.getByRole("dialog").getByRole("button", { name: "Revoke token" }).click();
    await row(page, "Gets lost").getByText("Revoked", { exact: true }).waitFor();
    await page.getByText("Revoked: Left in a café").waitFor();

    await fromMenu(page, "Goes away", "Delete token");
    await page.getByText("This cannot be undone.").waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    assert.equal(await rows(page).count(), 4, "thinking better of it keeps the token");
    await fromMenu(page, "Goes away", "Delete token");
    await page.getByRole("dialog").getByRole("button", { name: "Delete token" }).click();
    await row(page, "Goes away").waitFor({ state: "detached" });

    await page.getByLabel("Status").selectOption("revoked");
    await page.locator("#count", { hasText: "1 token" }).waitFor();
    assert.equal(await row(page, "Gets lost").count(), 1);
    await page.getByLabel("Status").selectOption("");
    await page.getByLabel("Search").fill("stay");
    await page.locator("#count", { hasText: "1 token" }).waitFor();
    const id = await rows(page).first().getAttribute("data-id");
    await page.getByLabel("Search").fill(id);
    await row(page, "Stays").waitFor();
    await page.getByLabel("Search").fill("%");
    await page.locator("#nothing-text", { hasText: "No token matches." }).waitFor();
  });
});

test("times are of the viewer's zone, exact on hover, and relative for who prefers it", async () => {
  const { tokenInfo } = await server.generate("ada", "Clock");
  await inWindow("ada", async (page) => {
    const created = row(page, "Clock").locator("time").first();
    const expected = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "Asia/Tokyo" });
    assert.equal(await created.textContent(), expected.format(new Date(tokenInfo.createdAt)));
    assert.equal(await created.getAttribute("datetime"), tokenInfo.createdAt);
    assert.match(await created.getAttribute("title"), /GMT\+9|JST/);
    await page.getByRole("combobox", { name: "Times", exact: true }).selectOption("relative");
    assert.match(await created.textContent(), /^(just now|\d+ (second|minute)s? ago)$/);
    await page.reload();
    await row(page, "Clock").waitFor();
    assert.equal(await page.getByRole("combobox", { name: "Times", exact: true }).inputValue(), "relative", "it is remembered");
  }, { timezoneId: "Asia/Tokyo" });
});

test("many tokens come in pages, forth and back", async () => {
  for (let i = 1; i <= 30; ++i) await server.generate("ada", `Bulk ${String(i).padStart(2, "0")}`);
  await inWindow("ada", async (page) => {
    const searched = page.waitForResponse(/text=bulk/);  // without the search the first page looks the same
    await page.getByLabel("Search").fill("bulk");
    await searched;
    await page.locator("#count", { hasText: "Page 1, 25 tokens" }).waitFor();
    await page.getByRole("button", { name: "Older" }).click();
    await page.locator("#count", { hasText: "Page 2, 5 tokens" }).waitFor();
    assert.deepEqual(await rows(page).locator(".description > span").allTextContents(),
      ["Bulk 05", "Bulk 04", "Bulk 03", "Bulk 02", "Bulk 01"]);
    await page.getByRole("button", { name: "Newer" }).click();
    await page.locator("#count", { hasText: "Page 1" }).waitFor();
    await row(page, "Bulk 30").waitFor();
  });
});

test("the theme follows the system, can be chosen, and is remembered", async () => {
  await inWindow("alice", async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await ground();
    await page.getByLabel("Theme").selectOption("light");
    const light = await ground();
    assert.notEqual(light, dark);
    await page.reload();
    assert.equal(await ground(), light);
    await page.getByLabel("Theme").selectOption("system");
    assert.equal(await ground(), dark);
  }, { colorScheme: "dark" });
});
