// The API documentation in a real browser.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { launch, open } from "./browser.mjs";
import { TOKEN, start } from "./server.mjs";

let server, browser;

before(async () => {
  server = await start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/// Opens the documentation, with the token in its field.
async function docs(options, hash = "") {
  const opened = await open(browser, `${server.url}/docs${hash}`, options);
  await opened.page.locator(".operation").first().waitFor();
  await opened.page.getByLabel("Token", { exact: true }).fill(TOKEN);
  return opened;
}

const outcome = (page, operation) => page.locator(`#${operation} .outcome strong`);

test("every operation of the document is there, and can be tried", async () => {
  const { page, context, well } = await docs();
  const api = await (await fetch(`${server.url}/openapi.json`)).json();
  const documented = Object.values(api.paths).flatMap((path) => ["get", "put", "post", "delete"].flatMap((method) => path[method]?.operationId ?? []));
  const shown = await page.locator(".operation").evaluateAll((all) => all.map((one) => one.id));
  assert.deepEqual(shown.toSorted(), documented.toSorted());
  for (const id of shown) {
    await page.locator(`#${id}`).evaluate((details) => { details.open = true; });
    await page.locator(`#${id} form`).waitFor();
  }
  well();
  await context.close();
});

test("an acquire is tried, its answer is shown, and its lease goes into the next forms", async () => {
  const { page, context, well } = await docs({}, "#acquireLock");
  await page.locator("#acquireLock").getByRole("button", { name: "Send" }).click();
  assert.equal(await outcome(page, "acquireLock").textContent(), "200 OK");
  const answer = page.locator("#acquireLock .result");
  const lease = JSON.parse(await answer.locator("pre").first().textContent()).lease_id;
  assert.match(await answer.textContent(), /"status": "acquired"[^]*x-request-id: /);
  assert.match(await answer.textContent(), /\d+ ms/);

  await page.locator("#releaseLock > summary").click();
  await page.locator("#releaseLock").getByLabel("Body").focus();
  assert.equal(JSON.parse(await page.locator("#releaseLock textarea").inputValue()).lease_id, lease);
  await page.locator("#releaseLock").getByRole("button", { name: "Send" }).click();
  assert.equal(await outcome(page, "releaseLock").textContent(), "200 OK");
  well();
  await context.close();
});

test("a refusal is shown like any answer", async () => {
  const { page, context, well } = await docs({}, "#getMe");
  await page.getByLabel("Token", { exact: true }).fill("a wrong one");
  await page.locator("#getMe").getByRole("button", { name: "Send" }).click();
  assert.match(await outcome(page, "getMe").textContent(), /^401/);
  assert.match(await page.locator("#getMe .result").textContent(), /"unauthorized"/);
  well();
  await context.close();
});

test("the token is in memory alone", async () => {
  const { page, context, well } = await docs({}, "#getMe");
  const urls = [];
  page.on("request", (request) => urls.push(request.url()));
  await page.locator("#getMe").getByRole("button", { name: "Send" }).click();
  assert.equal(await outcome(page, "getMe").textContent(), "200 OK");
  const kept = await page.evaluate(async () => JSON.stringify([
    { ...localStorage }, { ...sessionStorage }, document.cookie, location.href, await indexedDB.databases(), history.state,
  ]));
  assert.ok(!kept.includes(TOKEN), kept);
  assert.ok(!urls.join().includes(TOKEN));
  assert.ok(!(await page.locator("#getMe .curl").textContent()).includes(TOKEN));
  await page.reload();
  await page.locator(".operation").first().waitFor();
  assert.equal(await page.getByLabel("Token", { exact: true }).inputValue(), "");
  well();
  await context.close();
});

test("it works by keyboard alone", async () => {
  const { page, context, well } = await docs();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "filter");
  await page.keyboard.type("acquire");
  await page.getByText("1 operation", { exact: true }).waitFor();
  // The link to it in the list opens it and goes there.
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator("#acquireLock form").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.closest("details").id), "acquireLock");
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  for (let presses = 0; (await focused()) !== "Send"; presses += 1) {
    assert.ok(presses < 60, "the button is never reached");
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  assert.equal(await outcome(page, "acquireLock").textContent(), "200 OK");
  assert.equal(await focused(), "Send", "the focus stays where it was");
  well();
  await context.close();
});

test("every field and button has a name, and what changes is announced", async () => {
  const { page, context, well } = await docs({}, "#putConfig");
  await page.locator("#putConfig form").waitFor();
  const nameless = await page.locator("input, select, textarea, button").evaluateAll((all) =>
    all.filter((one) => !(one.labels?.length || one.textContent.trim() || one.ariaLabel)).map((one) => one.outerHTML));
  assert.deepEqual(nameless, []);
  assert.equal(await page.locator("h1").count(), 1);
  assert.ok(await page.locator("#putConfig .outcome[role=status]").count());
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  well();
  await context.close();
});

test("its policy keeps strangers' scripts and styles out", async () => {
  const answer = await fetch(`${server.url}/docs`);
  const policy = answer.headers.get("content-security-policy");
  assert.ok(policy.startsWith("default-src 'none'; script-src 'self';") && !policy.includes("unsafe"), policy);
  const { page, context } = await docs();
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    try {
      script.textContent = "window.ran = true";
      document.body.append(script);
    } catch {
      // The policy refuses text for a script even before it could run.
    }
    return window.ran ?? false;
  });
  assert.equal(ran, false);
  await context.close();
});

for (const [width, height, colorScheme] of [[1280, 900, "light"], [1280, 900, "dark"], [390, 844, "light"], [390, 844, "dark"]]) {
  test(`nothing is wider than the page at ${width} pixels, ${colorScheme}`, async () => {
    const { page, context, well } = await docs({ viewport: { width, height }, colorScheme }, "#acquireLock");
    await page.locator("#acquireLock").getByRole("button", { name: "Send" }).click();
    await outcome(page, "acquireLock").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    const folder = process.env.SCREENSHOTS;
    if (folder) {
      await mkdir(folder, { recursive: true });
      await page.locator("#acquireLock").screenshot({ path: `${folder}/docs-acquire-${width}-${colorScheme}.png` });
      await page.evaluate(() => scrollTo(0, 0));
      await page.screenshot({ path: `${folder}/docs-${width}-${colorScheme}.png` });
    }
    well();
    await context.close();
  });
}
