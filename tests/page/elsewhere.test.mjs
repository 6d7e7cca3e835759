// The page where a host puts it: under a path, and beside another page of the same host.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { Browser, Server, fromMenu, row, signIn } from "./support.mjs";

const PATH = "/tools/tokens";

// A proxy that has the page under PATH and nothing anywhere else, as nginx with "proxy_pass http://access_tokens/;".
function startProxy(target) {
  const proxy = http.createServer((request, response) => {
    if (!request.url.startsWith(`${PATH}/`)) {
      response.writeHead(404).end();
      return;
    }
    const onward = http.request(`${target}${request.url.slice(PATH.length)}`, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  return new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(proxy)));
}

let server;
let other;
let proxy;
let browser;
before(async () => {
  server = await Server.start();
  other = await Server.start();
  proxy = await startProxy(server.url);
  browser = await Browser.start();
});
after(async () => {
  await browser?.stop();
  proxy?.closeAllConnections?.();
  proxy?.close();
  await other?.stop();
  await server?.stop();
});

test("under a path everything works that works at the top", async () => {
  await server.generate("ada", "Nightly export");
  const page = await browser.person({ url: `http://127.0.0.1:${proxy.address().port}${PATH}/` });
  await signIn(page, "ada");
  await page.getByRole("button", { name: "Generate new token" }).click();
  await page.getByLabel("Description").fill("Weekly report");
  await page.getByLabel("data:read").check();
  await page.getByRole("button", { name: "Generate token" }).click();
  await page.getByRole("button", { name: "Copy to clipboard" }).click();
  await page.getByText("Copied to the clipboard.").waitFor();
  await page.locator("#value-close").click();
  await fromMenu(page, "Nightly export", "Revoke");
  await page.getByRole("dialog").getByRole("button", { name: "Revoke token" }).click();
  await row(page, "Nightly export").getByText("Revoked", { exact: true }).waitFor();
  for (const [link, heading] of [["Everyone's tokens", "Everyone's tokens"], ["People", "People"], ["Workspace", "Workspace"]]) {
    await page.getByRole("link", { name: link }).click();
    await page.getByRole("heading", { level: 1, name: heading }).waitFor();
  }
  await page.reload();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  assert.deepEqual(page.errors, [], "the browser complains about nothing");
  await page.context().close();
});

test("signing in to another page of the same host signs nobody out", async () => {
  const first = await browser.person(server);
  await signIn(first, "alice");
  const second = await first.context().newPage();
  await second.goto(other.url);
  await signIn(second, "bob");
  await first.reload();
  await first.getByRole("button", { name: "Sign out" }).waitFor();
  assert.match(await first.locator("#who").textContent(), /alice/);
  assert.equal((await first.context().cookies()).length, 2);
  await first.context().close();
});
