// Configuration: keys, versions, differences and the way back.

import { all, ask, button, confirmed, curl, empty, field, head, inPath, parsed, say, table, when } from "./dashboard-lib.js";
import { el } from "./dom.js";

export async function config({ again }) {
  const key = decodeURIComponent(location.hash.split("/").slice(1).join("/"));
  return key ? one(key, again) : list();
}

const link = (key) => `#config/${encodeURIComponent(key)}`;

async function list() {
  const { items, more } = await all("/config", "configs");
  const add = async () => {
    const key = el("input", { required: true, maxlength: 128, autocomplete: "off", spellcheck: "false" });
    const value = el("textarea", { required: true, spellcheck: "false", value: "{}" });
    const fields = [field("Key", key), field("Value", value, "JSON")];
    if (!(await confirmed("New key", "", "Create", fields, "go"))) return;
    await ask("PUT", `/config/${inPath(key.value)}`, { value: typed(value.value) }, { "If-None-Match": "*" });
    location.hash = link(key.value);
  };
  const top = head("Config", "Values with a history: each change is a version, and any version can come back.", button("New key", "go", add));
  if (!items.length) {
    const line = curl("PUT", "/config/checkout", { value: { retries: 3 } });
    return [top, empty("There is no configuration yet", "Write the first version of a key:", line)];
  }
  const rows = items.map(({ key, version, updated_at }) => [
    el("a", { href: link(key) }, key),
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
  const shown = el("div");

  const edit = async () => {
    const value = el("textarea", { required: true, spellcheck: "false", value: pretty(now.value) });
    if (!(await confirmed(`Change ${key}`, "", "Write", [field("Value", value, "JSON")], "go"))) return;
    await ask("PUT", path, { value: typed(value.value) }, now.etag ? { "If-Match": now.etag } : {});
    await again();
  };
  const remove = async () => {
    if (!(await confirmed(`Delete ${key}?`, "Its history goes with it.", "Delete"))) return;
    await ask("DELETE", path);
    location.hash = "#config";
  };
  const back = (version) => async () => {
    if (!(await confirmed(`Back to version ${version}?`, "Its value becomes a new version; nothing is lost.", "Roll back", [], "go"))) return;
    await ask("POST", `${path}/rollback`, { version });
    say(`${key} is as in version ${version}`);
    await again();
  };
  const select = (version) => {
    for (const other of picks) other.setAttribute("aria-pressed", String(other.dataset.version === String(version)));
    const before = texts.get(version - 1);
    const parts = [el("h2", {}, `Version ${version}`)];
    if (before === undefined) parts.push(el("pre", {}, texts.get(version)));
    else parts.push(el("p", { class: "faint" }, `What it changed in version ${version - 1}`), difference(before, texts.get(version)));
    if (version !== now.version) {
      parts.push(el("h2", {}, "What going back would change now"), difference(texts.get(now.version), texts.get(version)));
      parts.push(el("div", { class: "tools end" }, button(`Roll back to version ${version}`, "go", back(version))));
    }
    shown.replaceChildren(...parts);
  };
  const picks = versions.map(({ version, created_at }) =>
    el("button", { type: "button", "data-version": version, "data-key": `version ${version}`, onclick: () => select(version) }, `Version ${version}`, version === now.version && " (now)", el("span", { class: "faint block" }, when(created_at))),
  );
  select(now.version);
  return [
    head(key, `Version ${now.version}, of ${versions.length} that are kept.`, el("a", { class: "button", href: "#config" }, "All keys"), button("Change", "go", edit), button("Delete", "bad", remove)),
    el("div", { class: "card" }, el("pre", { "aria-label": "Value" }, pretty(now.value))),
    el("h2", {}, "History"),
    el("div", { class: "versions" }, el("ol", {}, picks.map((pick) => el("li", {}, pick))), shown),
  ];
}

const pretty = (value) => JSON.stringify(value, null, 2);

function typed(text) {
  try {
    return parsed(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}`);
  }
}

/** Two texts line by line: what was taken away, and what was added. */
function difference(before, after) {
  const lines = changes(before.split("\n"), after.split("\n"));
  if (lines.every(([kind]) => kind === "same")) return el("p", { class: "faint" }, "Nothing: the values are the same.");
  const mark = { same: " ", add: "+", take: "−" };
  const said = { add: "added: ", take: "removed: " };
  return el("pre", { class: "diff" }, lines.map(([kind, line]) => el("span", { class: kind, "aria-label": said[kind] && said[kind] + line }, `${mark[kind]} ${line}`)));
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
