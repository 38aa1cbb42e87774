// Asking the server, and building what the dashboard shows.

import { el } from "./dom.js";

let csrfToken = null;

/** What the server refused, in its own words. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.error ?? `The server answered ${status}`);
    this.status = status;
    this.code = body.code;
    this.details = body.details;
  }
}

/** Has every request show that it comes from this page. */
export function carry(token) {
  csrfToken = token;
}

/** Sends a request; answers with the JSON of its answer, or fails with `Refused`. */
export async function ask(method, path, body, headers = {}) {
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
  const text = await answer.text();
  let read = {};
  try {
    read = text ? parsed(text) : {};
  } catch {
    read = { error: text };
  }
  if (!answer.ok) throw new Refused(answer.status, read);
  read.etag = answer.headers.get("etag");
  return read;
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

/** A button that cannot be pressed again while what it does goes on. */
export function button(text, kind, what, properties = {}) {
  const pressed = async (event) => {
    const made = event.currentTarget;
    made.disabled = true;
    try {
      await what();
    } catch (error) {
      failed(error);
    } finally {
      made.disabled = false;
    }
  };
  return el("button", { type: "button", class: kind, onclick: pressed, ...properties }, text);
}

/** Says something for a while, to ears as well. */
export function say(text, kind = "") {
  const line = el("p", { class: kind }, text);
  document.getElementById("said").append(line);
  setTimeout(() => line.remove(), 6000);
}

/** Says what went wrong. */
export function failed(error) {
  if (!(error instanceof Refused)) console.error(error);
  if (error.status === 401) dispatchEvent(new Event("signed-out"));
  const more = error.details ? `: ${error.details}` : "";
  say(`${error.message}${more}`, "failed");
}

/** Asks before something is done; `fields` are more elements of the form. True if confirmed. */
export function confirmed(title, text, verb, fields = [], kind = "bad") {
  return new Promise((answer) => {
    const form = el(
      "form",
      { method: "dialog" },
      el("h2", { id: "asked" }, title),
      text && el("p", {}, text),
      fields,
      el(
        "div",
        { class: "tools end" },
        el("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"),
        el("button", { class: kind, value: "yes" }, verb),
      ),
    );
    const dialog = el("dialog", { "aria-labelledby": "asked", class: fields.length > 3 ? "big" : "" }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
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

/** A line to paste, with a button that copies it. */
export function paste(line) {
  const copy = async () => {
    await navigator.clipboard.writeText(line);
    say("Copied");
  };
  return el("div", { class: "paste" }, el("pre", {}, line), button("Copy", "", copy));
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

/** A table; each row is an array of cells, or of elements that are cells. */
export function table(caption, columns, rows) {
  const cell = (content, index) => {
    const label = columns[index];
    if (index === 0) return el("th", { scope: "row" }, content);
    return el("td", label ? { "data-label": label } : { class: "do" }, content);
  };
  return el(
    "table",
    {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, columns.map((column) => el("th", { scope: "col" }, column)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell)))),
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

/** A date and time of this machine's place, exact when pointed at. */
export function when(stamp) {
  if (!stamp) return el("span", { class: "faint" }, "never");
  const date = new Date(stamp);
  const shown = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return el("time", { datetime: stamp, title: stamp }, shown);
}

/** How long it is until then, counted down every second. */
export function countdown(stamp, over) {
  const time = el("time", { class: "num", datetime: stamp, title: stamp, "data-until": stamp, "data-over": over });
  tick(time);
  return time;
}

function tick(time) {
  const left = Math.ceil((new Date(time.dataset.until) - Date.now()) / 1000);
  time.classList.toggle("soon", left <= 10);
  time.textContent = left > 0 ? span(left) : time.dataset.over;
}

function span(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours) return `${hours} h ${two(minutes)} min`;
  return minutes ? `${minutes} min ${two(seconds % 60)} s` : `${seconds} s`;
}

setInterval(() => document.querySelectorAll("[data-until]").forEach(tick), 1000);
