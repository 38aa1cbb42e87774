// A real Chromium, and pages that keep an eye on what they must not do.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

/// Only a broken page takes longer than this for anything, in milliseconds.
const PATIENCE = Number(process.env.PATIENCE ?? 60_000);

/// Starts Chromium with a fresh profile.
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/// Opens a page, and remembers what it does. `well` fails if it logged an error, broke its own policy,
/// or asked anybody but its own server for anything.
export async function open(browser, url, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => {
    const refusal = /Failed to load resource: the server responded with a status of 4\d\d/;
    const expected = refusal.test(message.text()) && !message.location().url.includes("/assets/");
    if (message.type() === "error" && !expected) wrong.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) wrong.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  const well = () => assert.deepEqual(wrong, []);
  return { page, context, well };
}
