// The dashboard in a real browser.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { launch, open } from "./browser.mjs";
import { startGitHub } from "./github.mjs";
import { TOKEN, start } from "./server.mjs";

const KEY = "key-of-the-administrator-of-the-browser-tests";

let server, browser;

before(async () => {
  server = await start({ ADMIN_KEY: KEY });
  const { id } = await (await ask("GET", "/auth/me")).json();
  await ask("POST", `/admin/accounts/${id}/promote`, undefined, KEY);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/// Sends a request as anybody would who is no browser.
async function ask(method, path, body, token = TOKEN) {
  const answer = await fetch(server.url + path, { method, headers: { authorization: `Bearer ${token}` }, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer;
}

const acquire = (name, ttl_seconds = 600, more = {}) => ask("POST", `/locks/${encodeURIComponent(name)}/acquire`, { ttl_seconds, ...more });

/// Opens the dashboard and signs in with the token.
async function dashboard(view = "locks", options = {}) {
  const opened = await open(browser, `${server.url}/dashboard#${view}`, options);
  await signIn(opened.page);
  await opened.page.getByRole("navigation", { name: "Sections" }).waitFor();
  return opened;
}

async function signIn(page, token = TOKEN) {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Use this token" }).click();
}

const heading = (page, name) => page.getByRole("heading", { level: 1, name });
const row = (page, name) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: new RegExp(`^${name}\\b`) }) });

/// Presses a button, and what the dialog that it opens is confirmed with.
async function confirm(page, button, verb) {
  await button.click();
  await page.getByRole("dialog").getByRole("button", { name: verb, exact: true }).click();
}

test("a wrong token is refused in words, a right one opens the account until one signs out", async () => {
  const { page, context, well } = await open(browser, `${server.url}/dashboard`);
  await signIn(page, "a wrong one");
  await page.getByText("No account has this token").waitFor();
  await signIn(page);
  await heading(page, "Locks").waitFor();
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ["octostore-session", true, "Strict"]);
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
  assert.ok(!kept.includes(TOKEN), "no script can read it");

  await page.reload();
  await heading(page, "Locks").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await heading(page, "Sign in").waitFor();
  assert.deepEqual(await context.cookies(), []);
  assert.equal((await ask("GET", "/auth/me")).status, 200, "a token that was pasted is not revoked");
  well();
  await context.close();
});

test("an empty list teaches how to fill it", async () => {
  const { page, context, well } = await dashboard("limits");
  for (const [view, line] of [["limits", /limits\/emails\/check/], ["flags", /flags\/new-checkout/], ["config", /config\/checkout/]]) {
    await page.goto(`${server.url}/dashboard#${view}`);
    await page.locator("pre").filter({ hasText: line }).waitFor();
    assert.match(await page.locator("pre").textContent(), /curl -X \w+ http.*Authorization: Bearer/s);
    await page.getByRole("button", { name: "Copy" }).waitFor();
  }
  well();
  await context.close();
});

/// Whether nothing of what an account has is there any more.
async function isSignedOut(page, name) {
  await page.getByRole("button", { name: "Sign out" }).waitFor({ state: "hidden" });
  await page.getByRole("navigation", { name: "Sections" }).waitFor({ state: "hidden" });
  assert.ok(!(await page.locator("html").textContent()).includes(name), "nothing of it is there");
  assert.ok(!page.url().includes(name), "not even in the address");
}

test("what was on its way when somebody signed out does not come back", async () => {
  await ask("PUT", "/config/of-alice", { value: 1 });
  const { page, context, well } = await dashboard("locks");
  let letGo;
  const held = new Promise((resolve) => { letGo = resolve; });
  await page.route("**/config/of-alice/history", async (route) => {
    const response = await route.fetch();
    await held;
    // A page that is gone does not take it any more.
    await route.fulfill({ response }).catch(() => {});
  });
  const asked = page.waitForRequest("**/config/of-alice/history");
  await page.goto(`${server.url}/dashboard#config/of-alice`);
  await asked;
  const over = (event) => page.waitForEvent(event, (request) => request.url().endsWith("/history"));
  const ended = Promise.race([over("requestfinished"), over("requestfailed")]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await heading(page, "Sign in").waitFor();
  letGo();
  await ended;
  await page.evaluate(() => fetch("/health").then((answer) => answer.text()));
  await heading(page, "Sign in").waitFor();
  await isSignedOut(page, "of-alice");
  well();
  await context.close();
});

test("who signs out while the server cannot say more leaves nothing there, and can try again", async () => {
  await acquire("of-alice");
  const { page, context } = await dashboard("locks");
  await row(page, "of-alice").waitFor();
  const body = { error: "The server is overloaded" };
  const overloaded = (method) => (route) => (route.request().method() === method ? route.fulfill({ status: 503, json: body }) : route.fallback());
  await page.route("**/dashboard/session", overloaded("DELETE"));
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("The server is overloaded").waitFor();
  await row(page, "of-alice").waitFor();

  await page.unroute("**/dashboard/session");
  await page.route("**/dashboard/session", overloaded("GET"));
  await page.getByRole("button", { name: "Sign out" }).click();
  await isSignedOut(page, "of-alice");
  await page.getByText("The server is overloaded").waitFor();
  await page.unroute("**/dashboard/session");
  await page.getByRole("button", { name: "Try again" }).click();
  await heading(page, "Sign in").waitFor();
  await context.close();
});

test("who has signed out elsewhere is signed out here as well", async () => {
  await acquire("of-alice");
  const { page, context, well } = await dashboard("locks");
  await row(page, "of-alice").waitFor();
  await context.clearCookies();
  await page.getByRole("button", { name: "Sign out" }).click();
  await heading(page, "Sign in").waitFor();
  await isSignedOut(page, "of-alice");
  well();
  await context.close();
});

test("an account that may ask once a second is shown all the same", async () => {
  const own = await start({ OCTOSTORE_REQUESTS_PER_SECOND: "1" });
  const { page, context, well } = await open(browser, `${own.url}/dashboard#flags`);
  await signIn(page);
  await heading(page, "Flags").waitFor();
  await page.reload();
  await heading(page, "Flags").waitFor();
  assert.equal(await page.locator("#said .failed").count(), 0);
  well();
  await context.close();
  await own.stop();
});

test("a page whose session has ended elsewhere does not go on showing what it showed", async () => {
  await acquire("of-alice");
  for (const event of ["it is read again", "it comes back"]) {
    const { page, context, well } = await open(browser, `${server.url}/dashboard`);
    await page.clock.install();
    await page.reload();
    await signIn(page);
    await row(page, "of-alice").waitFor();
    await context.clearCookies();
    if (event === "it is read again") await page.clock.runFor(10_000);
    else await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
    await heading(page, "Sign in").waitFor();
    await isSignedOut(page, "of-alice");
    well();
    await context.close();
  }
});

test("a lock is shown with holder, token and a countdown, and is released", async () => {
  const lease = await (await acquire("deploy/eu-1", 600, { owner: "pod-7", metadata: "build 812" })).json();
  const { page, context, well } = await dashboard();
  const lock = row(page, "deploy/eu-1");
  await lock.waitFor();
  const text = await lock.textContent();
  for (const shown of ["pod-7", "build 812", String(lease.fencing_token)]) assert.ok(text.includes(shown), text);
  const left = lock.locator("time");
  const before = await left.textContent();
  assert.match(before, /^(10 min 00|9 min \d\d) s$/);
  await page.waitForFunction(([time, text]) => time.textContent !== text, [await left.elementHandle(), before]);

  await lock.getByRole("button", { name: "Release" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await lock.waitFor();
  await confirm(page, lock.getByRole("button", { name: "Release" }), "Release");
  await page.getByText("deploy/eu-1 is free").waitFor();
  await lock.waitFor({ state: "detached" });
  const { status } = await (await ask("GET", "/locks/deploy%2Feu-1")).json();
  assert.equal(status, "available");
  well();
  await context.close();
});

test("a limit is shown with its use, and is removed", async () => {
  for (let sent = 0; sent < 3; sent += 1) await ask("POST", "/limits/emails/check", { max_requests: 5, window_seconds: 3600 });
  const { page, context, well } = await dashboard("limits");
  const meter = page.getByRole("meter", { name: "Use of emails" });
  assert.equal(await meter.getAttribute("aria-valuenow"), "3");
  assert.match(await row(page, "emails").textContent(), /3 of 5/);
  await confirm(page, row(page, "emails").getByRole("button", { name: "Remove" }), "Remove");
  await meter.waitFor({ state: "detached" });
  well();
  await context.close();
});

test("a flag is made, switched, rolled out to a part and deleted", async () => {
  const { page, context, well } = await dashboard("flags");
  const flag = async () => (await (await ask("GET", "/flags")).json()).flags.find(({ name }) => name === "checkout");
  await page.getByRole("button", { name: "New flag" }).click();
  await page.getByLabel("Name").fill("checkout");
  await page.getByRole("button", { name: "Create" }).click();
  const toggle = page.getByRole("switch", { name: "Switch of checkout" });
  assert.equal(await toggle.isChecked(), false);
  await toggle.click();
  await page.getByText("checkout is on for 100 %").waitFor();
  const share = page.getByLabel("Percentage of checkout");
  await share.fill("25");
  await share.press("Enter");
  await page.getByText("checkout is on for 25 %").waitFor();
  const { enabled, percentage } = await flag();
  assert.deepEqual([enabled, percentage], [true, 25]);
  await confirm(page, row(page, "checkout").getByRole("button", { name: "Delete" }), "Delete");
  await row(page, "checkout").waitFor({ state: "detached" });
  well();
  await context.close();
});

test("who changes a flag that somebody else has changed meanwhile is shown that first", async () => {
  const flag = async () => (await (await ask("GET", "/flags?prefix=contested")).json()).flags[0];
  await ask("PUT", "/flags/contested", { enabled: true, percentage: 10 });
  const { page, context, well } = await dashboard("flags");
  const toggle = page.getByRole("switch", { name: "Switch of contested" });
  const share = page.getByLabel("Percentage of contested");
  await share.waitFor();
  await ask("PUT", "/flags/contested", { enabled: false, percentage: 10 });
  await share.fill("50");
  await share.press("Enter");
  await page.getByText("contested was changed meanwhile").waitFor();
  await row(page, "contested").getByText("Off").waitFor();
  assert.deepEqual([await toggle.isChecked(), await share.inputValue()], [false, "10"]);
  assert.deepEqual([(await flag()).enabled, (await flag()).percentage], [false, 10]);

  await share.fill("50");
  await share.press("Enter");
  await page.getByText("contested is off").waitFor();
  assert.deepEqual([(await flag()).enabled, (await flag()).percentage], [false, 50]);

  await ask("DELETE", "/flags/contested");
  await toggle.click();
  await page.getByText("contested was deleted meanwhile").waitFor();
  await row(page, "contested").waitFor({ state: "detached" });
  assert.equal(await flag(), undefined);

  await ask("PUT", "/flags/contested", { enabled: true });
  await page.getByRole("button", { name: "New flag" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("contested");
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("dialog").getByText("There is a flag contested already").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.reload();
  await toggle.click();
  await page.getByText("contested is off").waitFor();
  assert.equal((await flag()).percentage, undefined, "what was not changed stays unsaid");
  well();
  await context.close();
});

test("a value is changed, compared with what it was, and rolled back", async () => {
  await ask("PUT", "/config/shop.checkout", { value: { retries: 3, timeout: 10 } });
  const { page, context, well } = await dashboard("config");
  await page.getByRole("link", { name: "shop.checkout", exact: true }).click();
  await heading(page, "shop.checkout").waitFor();
  await page.getByRole("button", { name: "Change" }).click();
  await page.getByRole("dialog").getByLabel("Value").fill('{"retries": 5, "timeout": 10}');
  await page.getByRole("button", { name: "Write" }).click();
  await page.getByRole("button", { name: /Version 2/ }).waitFor();
  await page.getByRole("button", { name: /Version 1/ }).click();
  const difference = page.locator(".diff");
  await difference.waitFor();
  assert.match(await difference.locator(".take").textContent(), /"retries"/);
  assert.match(await difference.locator(".add").textContent(), /"retries"/);
  await confirm(page, page.getByRole("button", { name: /Roll back/ }), "Roll back");
  await page.getByRole("button", { name: /Version 3/ }).waitFor();
  assert.deepEqual((await (await ask("GET", "/config/shop.checkout")).json()).value, { retries: 3, timeout: 10 });
  well();
  await context.close();
});

test("numbers stay as they were written", async () => {
  const sent = '{"value": {"price": 250.00, "id": 1152921504606846977}}';
  const answer = await fetch(`${server.url}/config/numbers`, { method: "PUT", headers: { authorization: `Bearer ${TOKEN}` }, body: sent });
  assert.ok(answer.ok);
  const { page, context, well } = await dashboard("config/numbers");
  assert.match(await page.getByLabel("Value", { exact: true }).textContent(), /250\.00.*1152921504606846977/s);
  await page.getByRole("button", { name: "Change" }).click();
  const value = page.getByRole("dialog").getByLabel("Value");
  await value.fill((await value.inputValue()).replace("250.00", "300.00"));
  await page.getByRole("button", { name: "Write" }).click();
  await page.getByRole("button", { name: /Version 2/ }).waitFor();
  assert.match(await (await ask("GET", "/config/numbers")).text(), /300\.00.*1152921504606846977/s);
  well();
  await context.close();
});

test("who was slower to write is told that somebody else was faster", async () => {
  await ask("PUT", "/config/contested", { value: 1 });
  const { page, context, well } = await dashboard("config/contested");
  await page.getByRole("button", { name: "Change" }).click();
  await ask("PUT", "/config/contested", { value: 2 });
  await page.getByRole("dialog").getByLabel("Value").fill("3");
  await page.getByRole("button", { name: "Write" }).click();
  await page.getByRole("dialog").getByRole("alert").filter({ hasText: /\S/ }).waitFor();
  assert.equal((await (await ask("GET", "/config/contested")).json()).value, 2);
  well();
  await context.close();
});

test("what was typed stays there when it is refused", async () => {
  const { page, context, well } = await dashboard("tokens");
  const dialog = page.getByRole("dialog");
  const refused = async (words) => dialog.getByRole("alert").filter({ hasText: words }).waitFor();
  await page.getByRole("button", { name: "New token" }).click();
  await page.getByLabel("Name").fill("refused");
  await page.getByLabel("Scopes").fill("lokcs:read");
  await page.getByRole("button", { name: "Create" }).click();
  await refused(/AREA:ACCESS/);
  assert.equal(await page.getByLabel("Scopes").inputValue(), "lokcs:read");
  await dialog.getByRole("button", { name: "Cancel" }).click();

  await page.goto(`${server.url}/dashboard#config`);
  await heading(page, "Config").waitFor();
  await page.getByRole("button", { name: "New key" }).click();
  await page.getByLabel("Key", { exact: true }).fill("typed");
  await page.getByLabel("Value").fill('{"a": ');
  await page.getByRole("button", { name: "Create" }).click();
  await refused(/no JSON/);
  await page.getByLabel("Value").fill('{"a": 1}');
  await page.getByLabel("Description").fill("what it is for");
  await page.getByRole("button", { name: "Create" }).click();
  await heading(page, "typed").waitFor();

  // Whoever changes the value keeps what it is for.
  await page.getByRole("button", { name: "Change" }).click();
  await dialog.getByLabel("Value").fill('{"a": 2}');
  await page.getByRole("button", { name: "Write" }).click();
  await page.getByRole("button", { name: /Version 2/ }).waitFor();
  assert.equal((await (await ask("GET", "/config/typed")).json()).description, "what it is for");
  well();
  await context.close();
});

test("what ends is counted down by the server's clock", async () => {
  await acquire("by-its-clock", 600);
  const { page, context, well } = await open(browser, `${server.url}/dashboard`);
  await page.clock.install({ time: Date.now() + 3_600_000 });
  await page.reload();
  await signIn(page);
  await row(page, "by-its-clock").waitFor();
  assert.match(await row(page, "by-its-clock").locator("time").textContent(), /^(10 min 00|9 min \d\d) s$/);
  well();
  await context.close();
});

test("a token is made, shown once, and revoked", async () => {
  const { page, context, well } = await dashboard("tokens");
  await page.getByRole("button", { name: "New token" }).click();
  await page.getByLabel("Name").fill("build-host");
  await page.getByLabel("Scopes").fill("locks:read");
  await page.getByRole("button", { name: "Create" }).click();
  const secret = await page.getByRole("dialog").locator("pre").textContent();
  await ask("GET", "/locks", undefined, secret);
  await page.getByRole("button", { name: "I have it" }).click();
  const made = page.getByRole("row").filter({ hasText: "build-host" });
  await confirm(page, made.getByRole("button", { name: "Revoke" }), "Revoke");
  await made.waitFor({ state: "detached" });
  const answer = await fetch(`${server.url}/locks`, { headers: { authorization: `Bearer ${secret}` } });
  assert.equal(answer.status, 401);
  well();
  await context.close();
});

test("an administrator disables accounts, ends leases, and reads who did what", async () => {
  await acquire("stuck");
  const { page, context, well } = await dashboard("accounts");
  await row(page, "bob").waitFor();
  await confirm(page, row(page, "bob").getByRole("button", { name: /Disable/ }), "Disable");
  await row(page, "bob").getByText("disabled").waitFor();
  await confirm(page, row(page, "bob").getByRole("button", { name: /Enable/ }), "Enable");
  await row(page, "bob").getByText("disabled").waitFor({ state: "detached" });

  await page.getByRole("button", { name: /Force-release/ }).click();
  await page.getByLabel("Lock", { exact: true }).fill("stuck");
  await page.getByLabel("Reason").fill("its holder is gone");
  await page.getByRole("dialog").getByRole("button", { name: "Release", exact: true }).click();
  await page.getByText("stuck is free").waitFor();

  await page.getByRole("link", { name: "Audit log" }).click();
  await heading(page, "Audit log").waitFor();
  assert.match(await page.getByRole("table").textContent(), /lock\.force_release.*its holder is gone/s);
  await page.getByLabel("Action").fill("account.disable");
  await page.getByRole("button", { name: "Seek" }).click();
  await page.getByText("lock.force_release").waitFor({ state: "detached" });
  assert.match(await page.getByRole("table").textContent(), /account\.disable/);
  await page.getByLabel("Action").fill("");
  await page.getByLabel("Account").fill("alice");
  await page.getByRole("button", { name: "Seek" }).click();
  await page.getByText("lock.force_release").first().waitFor();
  await page.getByLabel("Account").fill("nobody");
  await page.getByRole("button", { name: "Seek" }).click();
  await page.getByText("No account is called nobody").waitFor();
  well();
  await context.close();
});

test("who changes one quota changes that one alone", async () => {
  const { accounts } = await (await ask("GET", "/admin/accounts?prefix=bob", undefined, KEY)).json();
  const path = `/admin/accounts/${accounts[0].id}`;
  const own = async () => (await (await ask("GET", path, undefined, KEY)).json()).own_quotas;
  const give = (quotas) => ask("PUT", `${path}/quotas`, quotas, KEY);
  await give({ flags: 7, requests_per_second: 0 });
  const { page, context, well } = await dashboard("accounts");
  const set = async (label, value) => {
    await page.getByRole("dialog").getByLabel(label).fill(value);
    await page.getByRole("button", { name: "Set" }).click();
    await page.getByText("Quotas of bob are set").last().waitFor();
    await page.getByRole("dialog").waitFor({ state: "detached" });
  };
  const begin = () => page.getByRole("button", { name: "Quotas of bob" }).click();
  await begin();
  const shown = await page.getByRole("dialog").locator("input").evaluateAll((all) => all.map((one) => one.value));
  assert.deepEqual(shown, ["", "", "7", "", "0"]);
  await set("Locks", "500");
  assert.deepEqual(await own(), { locks: 500, flags: 7, requests_per_second: 0 });

  await begin();
  await give({ limits: 9, locks: 500, flags: 7, requests_per_second: 0 });
  await set("Locks", "");
  assert.deepEqual(await own(), { limits: 9, flags: 7, requests_per_second: 0 });
  await give({});
  well();
  await context.close();
});

test("whoever is no administrator does not see what only they can do", async () => {
  const { page, context, well } = await open(browser, `${server.url}/dashboard#accounts`);
  await signIn(page, "bob-token-of-the-browser-tests");
  await heading(page, "Locks").waitFor();
  assert.equal(await page.getByRole("link", { name: "Accounts" }).count(), 0);
  well();
  await context.close();
});

test("one signs in with GitHub, and signing out revokes the token that this made", async () => {
  const github = await startGitHub();
  const own = await start({
    STATIC_TOKENS: "",
    GITHUB_CLIENT_ID: "an-id",
    GITHUB_CLIENT_SECRET: "a-secret",
    GITHUB_OAUTH_URL: github.url,
    GITHUB_API_URL: `${github.url}/api/v3`,
  });
  github.returnsTo = `${own.url}/auth/github/callback`;
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${own.url}/dashboard`);
  await page.getByRole("link", { name: "Sign in with GitHub" }).click();
  await heading(page, "Locks").waitFor();
  assert.match(await page.locator("#who").textContent(), /ann/);
  const [cookie] = await context.cookies();
  const token = Buffer.from(cookie.value, "base64url").toString();
  const me = () => fetch(`${own.url}/auth/me`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await me()).status, 200);
  await page.getByRole("button", { name: "Sign out" }).click();
  await heading(page, "Sign in").waitFor();
  assert.equal((await me()).status, 401);
  await context.close();
  await own.stop();
  await github.stop();
});

test("it works by keyboard alone", async () => {
  await acquire("by-keyboard");
  const { page, context, well } = await open(browser, `${server.url}/dashboard`);
  await page.getByLabel("Token").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.type), "password", "one can begin to type at once");
  await page.keyboard.type(TOKEN);
  await page.keyboard.press("Enter");
  await row(page, "by-keyboard").waitFor();
  await press(page, "Release by-keyboard");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), "Release by-keyboard", "the focus comes back");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await press(page, "Release");
  await page.getByText("by-keyboard is free").waitFor();
  await row(page, "by-keyboard").waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement.id === "main");
  well();
  await context.close();
});

/// Goes to a button with the Tab key alone, and presses it.
async function press(page, name) {
  const focused = () => page.evaluate(() => document.activeElement.ariaLabel ?? document.activeElement.textContent);
  for (let presses = 0; (await focused()) !== name; presses += 1) {
    assert.ok(presses < 60, `${name} is never reached`);
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
}

const VIEWS = ["locks", "limits", "flags", "config", "config/shop.checkout", "tokens", "accounts", "audit"];

test("every field and button has a name, in every view", async () => {
  await fill();
  const { page, context, well } = await dashboard();
  for (const view of VIEWS) {
    await show(page, view);
    const nameless = await page.locator("input, select, textarea, button, a").evaluateAll((all) =>
      all.filter((one) => !(one.labels?.length || one.textContent.trim() || one.ariaLabel)).map((one) => one.outerHTML));
    assert.deepEqual(nameless, [], view);
    assert.equal(await page.locator("h1").count(), 1, view);
  }
  well();
  await context.close();
});

/// Something in every view.
async function fill() {
  await acquire("deploy/eu-1", 1500, { owner: "pod-7", metadata: "build 812" });
  await acquire("nightly-backup", 3000);
  await acquire(`long/${"name".repeat(30)}`, 3000, { owner: "o".repeat(128), metadata: "m".repeat(1024) });
  for (let sent = 0; sent < 4; sent += 1) await ask("POST", "/limits/emails/check", { max_requests: 5, window_seconds: 3600 });
  await ask("POST", "/limits/login%3Aalice/check", { max_requests: 1, window_seconds: 60 });
  await ask("PUT", "/flags/new-checkout", { enabled: true, percentage: 25 });
  await ask("PUT", "/flags/dark-mode", { enabled: false });
  await ask("PUT", "/config/shop.checkout", { value: { retries: 3, timeout: 10 } });
  await ask("PUT", "/config/shop.checkout", { value: { retries: 4, timeout: 10, hosts: ["a", "b"] } });
}

async function show(page, view) {
  await page.goto(`${server.url}/dashboard#${view}`);
  await page.waitForFunction((view) => document.title.startsWith(view.split("/")[0].slice(0, 4).replace(/^./, (c) => c.toUpperCase())), view);
  await page.locator("#main table, #main .versions").first().waitFor();
}

for (const [width, height, colorScheme] of [[1280, 900, "light"], [1280, 900, "dark"], [390, 844, "light"], [390, 844, "dark"]]) {
  test(`nothing is wider than the page at ${width} pixels, ${colorScheme}`, async () => {
    await fill();
    const folder = process.env.SCREENSHOTS;
    if (folder) await mkdir(folder, { recursive: true });
    const shoot = async (name) => folder && page.screenshot({ path: `${folder}/dashboard-${name}-${width}-${colorScheme}.png`, fullPage: true });
    const options = { viewport: { width, height }, colorScheme };
    const { page, context, well } = await open(browser, `${server.url}/dashboard`, options);
    await page.getByLabel("Token").waitFor();
    await shoot("sign-in");
    await signIn(page);
    for (const view of VIEWS) {
      await show(page, view);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, view);
      await shoot(view.replace("/shop.checkout", "-history"));
    }
    well();
    await context.close();
  });
}
