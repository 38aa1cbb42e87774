// What administrators do: accounts, locks of others, and the audit log.

import { all, ask, button, confirmed, field, head, inPath, say, table, when } from "./dashboard-lib.js";
import { el } from "./dom.js";

const QUOTAS = { locks: "Locks", limits: "Limits", flags: "Flags", configs: "Config keys", requests_per_second: "Requests a second" };

export async function accounts({ again, me }) {
  const { items, more } = await all("/admin/accounts", "accounts");
  const act = (account, action, title, text) => async () => {
    if (!(await confirmed(`${title} ${account.name}?`, text, title))) return;
    await ask("POST", `/admin/accounts/${account.id}/${action}`);
    await again();
  };
  const rows = items.map((account) => {
    const own = account.id === me.id;
    const state = account.disabled ? el("span", { class: "tag off" }, "disabled") : el("span", { class: "tag on" }, account.admin ? "administrator" : "enabled");
    const doing = [button("Quotas", "", () => quotas(account, again), { "aria-label": `Quotas of ${account.name}` })];
    if (!own) {
      const access = account.disabled
        ? ["Enable", "enable", "Its tokens open what they did before."]
        : ["Disable", "disable", "None of its tokens opens anything any more. The locks it holds stay until they expire."];
      const role = account.admin ? ["Demote", "demote", "It will administer nothing."] : ["Promote", "promote", "It may do everything that is here."];
      for (const [title, action, text] of [access, role])
        doing.push(button(title, action === "disable" ? "bad" : "", act(account, action, title, text), { "aria-label": `${title} ${account.name}`, "data-key": `${action} ${account.id}` }));
    }
    const has = `${account.use.locks} locks, ${account.use.limits} limits, ${account.use.flags} flags, ${account.use.configs} keys`;
    return [el("span", {}, account.name, el("span", { class: "faint block" }, account.origin)), state, has, when(account.last_used_at), el("div", {}, doing)];
  });
  const top = head("Accounts", "Who may use this server, what they have, and how much they may have.", button("Force-release a lock", "bad", () => forceRelease(again)));
  return [top, table("Accounts", ["Name", "State", "Has", "Last seen", ""], rows), more && el("p", { class: "faint" }, "There are more: GET /admin/accounts?after=…")].filter(Boolean);
}

async function quotas(account, again) {
  const inputs = Object.entries(QUOTAS).map(([name, label]) => {
    const input = el("input", { type: "number", min: 0, max: 1_000_000, step: 1, value: account.quotas[name] ?? "", "data-name": name });
    return [name, input, field(label, input)];
  });
  const text = "An empty one is what everybody has.";
  if (!(await confirmed(`Quotas of ${account.name}`, text, "Set", inputs.map(([, , field]) => field), "go"))) return;
  const asked = inputs.filter(([, input]) => input.value !== "").map(([name, input]) => [name, Number(input.value)]);
  await ask("PUT", `/admin/accounts/${account.id}/quotas`, Object.fromEntries(asked));
  say(`Quotas of ${account.name} are set`);
  await again();
}

async function forceRelease(again) {
  const name = el("input", { required: true, maxlength: 128, autocomplete: "off", spellcheck: "false" });
  const reason = el("input", { required: true, maxlength: 500, autocomplete: "off" });
  const text = "Whoever holds it is not told. If that one is not dead but slow, the fencing token is all that keeps it off what the lock guards.";
  if (!(await confirmed("Force-release a lock", text, "Release", [field("Lock", name), field("Reason", reason, "for the audit log")]))) return;
  await ask("POST", `/admin/locks/${inPath(name.value)}/release`, { reason: reason.value });
  say(`${name.value} is free`);
  await again();
}

const sought = { account: "", action: "", before: "" };

export async function audit({ again }) {
  const query = new URLSearchParams({ limit: "50" });
  for (const [key, value] of Object.entries(sought)) if (value) query.set(key, value);
  const { entries, next } = await ask("GET", `/admin/audit?${query}`);
  const action = el("input", { value: sought.action, placeholder: "flag.set", autocomplete: "off", spellcheck: "false", "data-key": "action" });
  const account = el("input", { value: sought.account, placeholder: "id of an account", autocomplete: "off", spellcheck: "false", "data-key": "account" });
  const seek = async (event) => {
    event.preventDefault();
    Object.assign(sought, { action: action.value.trim(), account: account.value.trim(), before: "" });
    await again();
  };
  const to = (before) => async () => {
    sought.before = before;
    await again();
    document.getElementById("main").focus();
  };
  const rows = entries.map((entry) => [
    el("span", { class: "num" }, when(entry.at)),
    el("span", {}, entry.account ?? entry.who.replace("_", " "), el("span", { class: "faint block" }, entry.from)),
    el("span", { class: "code" }, entry.action),
    el("span", {}, entry.target, entry.detail && el("span", { class: "faint block" }, entry.detail)),
    el("span", { class: entry.result === "ok" ? "tag on" : "tag off" }, entry.result),
  ]);
  const form = el("form", { class: "tools field", onsubmit: seek }, field("Action", action, "", "wide"), field("Account", account, "", "wide"), el("button", {}, "Seek"));
  const none = el("div", { class: "card" }, "No entry is like that.");
  const pages = el("div", { class: "tools end" }, sought.before && button("Latest", "", to("")), next !== undefined && button("Earlier", "", to(String(next))));
  return [head("Audit log", "Who did what, from where, the latest first. Entries are never changed."), form, entries.length ? table("Audit log", ["When", "Who", "Action", "What", "Result"], rows) : none, pages];
}
