// Configuration: keys, versions, differences and the way back.

import { all, ask, button, confirmed, curl, empty, field, head, inPath, Mistake, parsed, say, table, when } from "./dashboard-lib.js";
import { el } from "./dom.js";

export async function config({ again }) {
  const named = location.hash.split("/").slice(1).join("/");
  return named ? one(decoded(named), again) : list();
}

/** The key that an address names; what no link of ours is stands for itself. */
function decoded(named) {
  try {
    return decodeURIComponent(named);
  } catch {
    return named;
  }
}

const link = (key) => `#config/${encodeURIComponent(key)}`;

async function list() {
  const { items, more } = await all("/config", "configs");
  const add = async () => {
    const key = el("input", { required: true, maxlength: 128, autocomplete: "off", spellcheck: "false" });
    const value = el("textarea", { required: true, spellcheck: "false", value: "{}" });
    const description = aboutIt("");
    const fields = [field("Key", key), field("Value", value, "JSON"), field("Description", description, "optional")];
    const act = () => ask("PUT", `/config/${inPath(key.value)}`, written(value, description), { "If-None-Match": "*" });
    if (!(await confirmed("New key", "", "Create", act, fields, "go"))) return;
    location.hash = link(key.value);
  };
  const top = head("Config", "Values with a history: each change is a version, and any version can come back.", button("New key", "go", add));
  if (!items.length) {
    const line = curl("PUT", "/config/checkout", { value: { retries: 3 } });
    return [top, empty("There is no configuration yet", "Write the first version of a key:", line)];
  }
  const rows = items.map(({ key, description, version, updated_at }) => [
    el("span", {}, el("a", { href: link(key) }, key), description && el("span", { class: "faint block" }, description)),
    el("span", { class: "num" }, String(version)),
    when(updated_at),
    el("a", { class: "button", href: link(key), "aria-label": `Open ${key}` }, "Open"),
  ]);
  return [top, table("Configuration", ["Key", "Version", "Changed", ""], rows), more && el("p", { class: "faint" }, "There are more keys: GET /config?after=…")].filter(Boolean);
}

async function one(key, again) {
  const path = `/config/${inPath(key)}`;
  const [now, { versions }] = await Promise.all([ask("GET", path), ask("GET", `${path}/history`)]);
  const texts = new Map(versions.map(({ version, value }) => [version, pretty(value)]));
  const abouts = new Map(versions.map(({ version, description }) => [version, description]));
  const shown = el("div", { id: "shown-version" });

  const edit = async () => {
    const value = el("textarea", { required: true, spellcheck: "false", value: pretty(now.value) });
    const description = aboutIt(now.description ?? "");
    const act = () => ask("PUT", path, written(value, description), now.etag ? { "If-Match": now.etag } : {});
    const fields = [field("Value", value, "JSON"), field("Description", description, "optional")];
    if (!(await confirmed(`Change ${key}`, "", "Write", act, fields, "go"))) return;
    say(`${key} is written`);
    await again();
  };
  const remove = async () => {
    if (!(await confirmed(`Delete ${key}?`, "Its history goes with it.", "Delete", () => ask("DELETE", path)))) return;
    say(`${key} is deleted`);
    location.hash = "#config";
  };
  const back = (version) => async () => {
    const act = () => ask("POST", `${path}/rollback`, { version });
    if (!(await confirmed(`Back to version ${version}?`, "Its value becomes a new version; nothing is lost.", "Roll back", act, [], "go"))) return;
    say(`${key} is as in version ${version}`);
    await again();
  };
  const select = (version) => {
    for (const other of picks) other.setAttribute("aria-pressed", String(other.dataset.version === String(version)));
    const before = texts.get(version - 1);
    const parts = [el("h2", {}, `Version ${version}`), abouts.get(version) && el("p", {}, abouts.get(version))].filter(Boolean);
    if (before === undefined) parts.push(el("pre", {}, texts.get(version)));
    else parts.push(el("p", { class: "faint" }, `What it changed of version ${version - 1}`), difference(before, texts.get(version)));
    if (version !== now.version) {
      parts.push(el("h2", {}, "What going back would change now"), difference(texts.get(now.version), texts.get(version)));
      parts.push(el("div", { class: "tools end" }, button(`Roll back to version ${version}`, "go", back(version))));
    }
    shown.replaceChildren(...parts);
  };
  // Where the list is above it, what it says would be out of sight.
  const pick = (version) => {
    select(version);
    shown.scrollIntoView({ block: "nearest" });
    unseen.textContent = `Version ${version} is shown below`;
  };
  const unseen = el("p", { class: "unseen", role: "status" });
  const picks = versions.map(({ version, created_at }) =>
    el("button", { type: "button", "data-version": version, "data-key": `version ${version}`, onclick: () => pick(version) }, `Version ${version}`, version === now.version && " (now)", el("span", { class: "faint block" }, when(created_at))),
  );
  select(now.version);
  return [
    head(key, `Version ${now.version}; ${kept(versions.length)}`, el("a", { class: "button", href: "#config" }, "All keys"), button("Change", "go", edit), button("Delete", "bad", remove)),
    ...(now.description ? [el("p", {}, now.description)] : []),
    el("pre", { class: "value", role: "region", "aria-label": "Value" }, pretty(now.value)),
    el("h2", {}, "History"),
    unseen,
    el("div", { class: "versions" }, el("ol", {}, picks.map((pick) => el("li", {}, pick))), shown),
  ];
}

const kept = (number) => (number === 1 ? "no earlier one is kept." : `${number} are kept.`);

const aboutIt = (value) => el("input", { maxlength: 500, autocomplete: "off", value });

/** What is sent of a form. */
function written(value, description) {
  const body = { value: typed(value.value) };
  if (description.value.trim()) body.description = description.value.trim();
  return body;
}

const pretty = (value) => JSON.stringify(value, null, 2);

function typed(text) {
  try {
    return parsed(text);
  } catch (error) {
    throw new Mistake(`This is no JSON: ${error.message}`);
  }
}

/** Two texts line by line: what was taken away, and what was added. */
function difference(before, after) {
  const lines = changes(before.split("\n"), after.split("\n"));
  if (lines.every(([kind]) => kind === "same")) return el("p", { class: "faint" }, "Nothing: the values are the same.");
  const mark = { same: " ", add: "+", take: "−" };
  const role = { add: "insertion", take: "deletion" };
  return el("pre", { class: "diff" }, lines.map(([kind, line]) => el("span", { class: kind, role: role[kind] }, `${mark[kind]} ${line}`)));
}

/** The longest common subsequence; of very long texts only the ends that are the same. */
function changes(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (end < before.length - start && end < after.length - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  const [left, right] = [before.slice(start, before.length - end), after.slice(start, after.length - end)];
  const same = (lines) => lines.map((line) => ["same", line]);
  return [...same(before.slice(0, start)), ...middle(left, right), ...same(before.slice(before.length - end))];
}

function middle(left, right) {
  const whole = (kind, lines) => lines.map((line) => [kind, line]);
  if (left.length * right.length > 1_000_000) return [...whole("take", left), ...whole("add", right)];
  const common = Array.from({ length: left.length + 1 }, () => new Uint32Array(right.length + 1));
  for (let i = left.length - 1; i >= 0; i--)
    for (let j = right.length - 1; j >= 0; j--)
      common[i][j] = left[i] === right[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
  const lines = [];
  let [i, j] = [0, 0];
  while (i < left.length && j < right.length) {
    if (left[i] === right[j]) lines.push(["same", left[i]]), i++, j++;
    else if (common[i + 1][j] >= common[i][j + 1]) lines.push(["take", left[i++]]);
    else lines.push(["add", right[j++]]);
  }
  return [...lines, ...whole("take", left.slice(i)), ...whole("add", right.slice(j))];
}
