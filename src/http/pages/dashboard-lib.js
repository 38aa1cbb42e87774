// Asking the server, and building what the dashboard shows.

import { el } from "./dom.js";

let csrfToken = null;

/** What the server refused, in its own words. */
export class Refused extends Error {
  constructor(status, body, retryAfter) {
    super(body.error ?? `The server answered ${status}`);
    this.status = status;
    this.code = body.code;
    this.details = body.details;
    this.retryAfter = Number(retryAfter) || 1;
  }
}

/** Has every request show that it comes from this page. */
export function carry(token) {
  csrfToken = token;
}

/** How often a request waits because the account asks too fast, before that is said. */
const WAITS = 5;

/** Sends a request; answers with the JSON of its answer, or fails with `Refused`. One that came too fast
 * was refused before anything was done: it is sent again when the server says so. */
export async function ask(...asked) {
  for (let waits = 0; ; waits += 1) {
    try {
      return await once(...asked);
    } catch (error) {
      if (error.code !== "rate_limited" || waits === WAITS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter));
    }
  }
}

async function once(method, path, body, headers = {}) {
  if (csrfToken) headers["X-CSRF-Token"] = csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const sent = { method, headers, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) sent.body = JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch {
    throw new Refused(0, { error: "The server cannot be reached" });
  }
  heed(answer.headers.get("date"));
  const text = await answer.text();
  let read = {};
  try {
    read = text ? parsed(text) : {};
  } catch {
    read = { error: text };
  }
  if (!answer.ok) throw new Refused(answer.status, read, answer.headers.get("retry-after"));
  read.etag = answer.headers.get("etag");
  return read;
}

let ahead = 0;

/** By how much this machine's clock is ahead of the server's, in milliseconds: ends are the server's
 * times. It tells whole seconds, so less than two are none; and the end of the second that it tells is
 * taken, so that nothing is shown to last longer than it does. */
function heed(date) {
  const differs = Date.now() - Date.parse(date);
  ahead = Math.abs(differs) > 2000 ? differs - 1000 : 0;
}

/** JSON, in which a number that is not what JavaScript would make of it (`250.00`, 2^60) stays as it
 * was written. Browsers that cannot do that round it, as they do everywhere. */
export function parsed(text) {
  return JSON.parse(text, (_, value, context) => {
    const written = context?.source;
    const differs = typeof value === "number" && written !== undefined && String(value) !== written;
    return differs && JSON.rawJSON ? JSON.rawJSON(written) : value;
  });
}

/** A name as it stands in a path: a slash in it is part of the name. */
export const inPath = (name) => encodeURIComponent(name);

/** All pages of a list, up to so many entries. */
export async function all(path, field, most = 1000) {
  const items = [];
  let after;
  do {
    const query = after === undefined ? "" : `?after=${encodeURIComponent(after)}`;
    const page = await ask("GET", path + query);
    items.push(...page[field]);
    after = page.next;
  } while (after !== undefined && items.length < most);
  return { items, more: after !== undefined };
}

/** A button that does nothing more while what it does goes on. It is not disabled meanwhile: that would
 * take the focus away. */
export function button(text, kind, what, properties = {}) {
  let goesOn = false;
  const pressed = async () => {
    if (goesOn) return;
    goesOn = true;
    try {
      await what();
    } catch (error) {
      failed(error);
    } finally {
      goesOn = false;
    }
  };
  const key = properties["aria-label"] ?? text;
  return el("button", { type: "button", class: kind, onclick: pressed, "data-key": key, ...properties }, text);
}

/** Says something for a while, to ears as well. What went wrong stays until it is dismissed, or something
 * else is said. */
export function say(text, kind = "") {
  const line = el("p", { class: kind }, text);
  for (const old of document.querySelectorAll("#said .failed")) old.remove();
  if (kind === "failed") line.append(el("button", { type: "button", onclick: () => line.remove() }, "Dismiss"));
  else setTimeout(() => line.remove(), 6000);
  // A page whose session is over says nothing more.
  document.getElementById("said")?.append(line);
}

/** What went wrong, in words. */
export function inWords(error) {
  if (!(error instanceof Refused)) console.error(error);
  if (error.status === 401) dispatchEvent(new Event("signed-out"));
  return error.details ? `${error.message}: ${error.details}` : error.message;
}

/** Says what went wrong. */
export function failed(error) {
  say(inWords(error), "failed");
}

/** A mistake of whoever filled in a form, not of ours. */
export class Mistake extends Refused {
  constructor(message) {
    super(0, { error: message });
  }
}

/** Asks before something is done, and does it: `act` runs while the dialog is open, so that whatever was
 * typed is still there if it is refused. `fields` are more elements of the form. True if it was done. */
export function confirmed(title, text, verb, act, fields = [], kind = "bad") {
  const only = kind === "only";
  return new Promise((answer) => {
    const wrong = el("p", { class: "wrong", role: "alert" });
    const go = el("button", { class: only ? "go" : kind }, verb);
    let done = false;
    let goesOn = false;
    const submit = async (event) => {
      event.preventDefault();
      if (goesOn) return;
      goesOn = true;
      wrong.textContent = "";
      try {
        await act();
        done = true;
        end();
      } catch (error) {
        wrong.textContent = inWords(error);
        if (error.status === 401) end();
      } finally {
        goesOn = false;
      }
    };
    const form = el(
      "form",
      { onsubmit: submit },
      el("h2", { id: "asked" }, title),
      text && el("p", { id: "asked-more" }, text),
      fields,
      wrong,
      el("div", { class: "tools end" }, !only && el("button", { type: "button", onclick: () => end() }, "Cancel"), go),
    );
    const labels = { "aria-labelledby": "asked", "aria-describedby": text ? "asked-more" : null };
    const dialog = el("dialog", { ...labels, class: fields.some((one) => one.querySelector("textarea")) ? "big" : "" }, form);
    // Answers before a browser tells that it is closed: whoever presses the button again at once, which
    // has the focus back, is not to find it busy.
    const end = () => {
      dialog.close();
      dialog.remove();
      answer(done);
    };
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      end();
    });
    dialog.addEventListener("close", end);
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Shows something that is not shown again. */
export function told(title, text, verb, shown) {
  return confirmed(title, text, verb, () => {}, shown, "only");
}

let fields = 0;

/** A labelled field around an input. */
export function field(label, input, hint, kind = "") {
  input.id ||= `field-${++fields}`;
  return el(
    "div",
    { class: `field ${kind}` },
    el("label", { for: input.id }, label, hint && el("span", { class: "faint" }, ` ${hint}`)),
    input,
  );
}

/** A line to paste, with a button that copies it, or marks it where a page may not copy (over plain HTTP
 * from another machine). */
export function paste(line) {
  const shown = el("pre", {}, line);
  const copy = async () => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(line);
    } catch {
      copied = false;
      getSelection().selectAllChildren(shown);
    }
    made.textContent = copied ? "Copied" : "Marked";
    spoken.textContent = copied ? "Copied" : "It is marked: copy it by hand";
    setTimeout(() => (made.textContent = "Copy"), 2000);
  };
  // Beside it, because what is outside of an open dialog is not read out.
  const spoken = el("span", { class: "unseen", role: "status" });
  const made = button("Copy", "", copy);
  return el("div", { class: "paste" }, shown, made, spoken);
}

/** What stands where a list would, and how to fill it. */
export function empty(title, text, line) {
  return el("div", { class: "card empty" }, el("h2", {}, title), el("p", {}, text), paste(line));
}

/** The beginning of a line for a terminal that asks this server. */
export function curl(method, path, body) {
  const data = body ? ` \\\n  -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'` : "";
  return `curl -X ${method} ${location.origin}${path} \\\n  -H "Authorization: Bearer $TOKEN"${data}`;
}

/** A table; each row is an array of cells, or of elements that are cells. The roles are said because some
 * browsers forget them where a narrow page shows rows as blocks. */
export function table(caption, columns, rows) {
  const cell = (content, index) => {
    const label = columns[index];
    if (index === 0) return el("th", { scope: "row", role: "rowheader" }, content);
    return el("td", { role: "cell", ...(label ? { "data-label": label } : { class: "do" }) }, content);
  };
  const names = columns.map((column) => el("th", { scope: "col", role: "columnheader" }, column || el("span", { class: "unseen" }, "Actions")));
  return el(
    "table",
    { role: "table" },
    el("caption", {}, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, names)),
    el("tbody", { role: "rowgroup" }, rows.map((row) => el("tr", { role: "row" }, row.map(cell)))),
  );
}

/** The head of a view. */
export function head(title, text, ...tools) {
  return el(
    "div",
    { class: "head" },
    el("div", {}, el("h1", {}, title), el("p", { class: "lead" }, text)),
    el("div", { class: "tools" }, tools),
  );
}

/** A date and time of this machine's place, exact when pointed at; `timeStyle` is `medium` with seconds. */
export function when(stamp, timeStyle = "short") {
  if (!stamp) return el("span", { class: "faint" }, "never");
  const date = new Date(stamp);
  const shown = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle });
  return el("time", { datetime: stamp, title: stamp }, shown);
}

/** How long it is until then, counted down every second. */
export function countdown(stamp, over) {
  const time = el("time", { class: "num", datetime: stamp, title: stamp, "data-until": stamp, "data-over": over });
  tick(time);
  return time;
}

function tick(time) {
  const left = Math.ceil((new Date(time.dataset.until) - Date.now() + ahead) / 1000);
  time.classList.toggle("soon", left <= 10);
  time.textContent = left > 0 ? span(left) : time.dataset.over;
}

/** A whole number of hours, minutes or seconds, whichever is shortest. */
export function windowInWords(seconds) {
  const [size, unit] = [[3600, "h"], [60, "min"], [1, "s"]].find(([size]) => seconds % size === 0);
  return `${seconds / size} ${unit}`;
}

function span(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${two(hours)} h`;
  if (hours) return `${hours} h ${two(minutes)} min`;
  return minutes ? `${minutes} min ${two(seconds % 60)} s` : `${seconds} s`;
}

/** Brings all countdowns up to date. */
export const tickAll = (within = document) => within.querySelectorAll("[data-until]").forEach(tick);

setInterval(tickAll, 1000, document);
