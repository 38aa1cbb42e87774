// What administrators do: accounts, locks of others, and the audit log.

import { all, ask, button, confirmed, failed, field, head, inPath, Mistake, say, table, when } from "./dashboard-lib.js";
import { el } from "./dom.js";

/** How each is called, the least it can be, and what else there is to say. */
const QUOTAS = {
  locks: ["Locks", 1],
  limits: ["Limits", 1],
  flags: ["Flags", 1],
  configs: ["Config keys", 1],
  requests_per_second: ["Requests a second", 0, "0 is as many as it likes"],
};

export async function accounts({ again, me }) {
  const { items, more } = await all("/admin/accounts", "accounts");
  const act = (account, action, title, text) => async () => {
    const change = () => ask("POST", `/admin/accounts/${account.id}/${action}`);
    if (!(await confirmed(`${title} ${account.name}?`, text, title, change, [], action === "enable" ? "go" : "bad"))) return;
    say(`${account.name}: done`);
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
        doing.push(button(title, action === "disable" ? "bad" : "", act(account, action, title, text), { "aria-label": `${title} ${account.name}` }));
    }
    const has = `${account.use.locks} locks, ${account.use.limits} limits, ${account.use.flags} flags, ${account.use.configs} keys`;
    return [el("span", {}, account.name, el("span", { class: "faint block" }, account.origin)), state, has, when(account.last_used_at), el("div", {}, doing)];
  });
  const top = head("Accounts", "Who may use this server, what they have, and how much they may have.", button("Force-release a lock", "bad", () => forceRelease(again)));
  return [top, table("Accounts", ["Name", "State", "Has", "Last seen", ""], rows), more && el("p", { class: "faint" }, "There are more: GET /admin/accounts?after=…")].filter(Boolean);
}

async function quotas({ id, name: called }, again) {
  const path = `/admin/accounts/${id}`;
  const { quotas: all, own_quotas: own } = await ask("GET", path);
  const inputs = Object.entries(QUOTAS).map(([name, [label, min, hint]]) => {
    const value = own[name] ?? "";
    const input = el("input", { type: "number", min, max: 1_000_000, step: 1, value, placeholder: all[name] ?? "no limit" });
    return [name, input, field(label, input, hint)];
  });
  const text = "These hold now. An empty one is what everybody has; what the account has already it keeps.";
  const act = async () => {
    // All are given at once, and somebody may have changed another one meanwhile.
    const asked = (await ask("GET", path)).own_quotas;
    for (const [name, input] of inputs)
      if (input.value !== String(own[name] ?? "")) asked[name] = input.value === "" ? null : Number(input.value);
    await ask("PUT", `${path}/quotas`, asked);
  };
  if (!(await confirmed(`Quotas of ${called}`, text, "Set", act, inputs.map(([, , field]) => field), "go"))) return;
  say(`Quotas of ${called} are set`);
  await again();
}

async function forceRelease(again) {
  const name = el("input", { required: true, maxlength: 128, autocomplete: "off", spellcheck: "false" });
  const reason = el("input", { required: true, maxlength: 500, autocomplete: "off" });
  const text = "Whoever holds it is not told. If that one is not dead but slow, the fencing token is all that keeps it off what the lock guards.";
  const act = () => ask("POST", `/admin/locks/${inPath(name.value)}/release`, { reason: reason.value });
  if (!(await confirmed("Force-release a lock", text, "Release", act, [field("Lock", name), field("Reason", reason, "for the audit log")]))) return;
  say(`${name.value} is free`);
  await again();
}

/** What is sought, as the query has it; and what the account is called. */
const sought = { account: "", action: "", before: "", name: "" };

/** The log knows accounts by their ids. */
async function idOf(name) {
  if (!name || /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(name)) return name;
  const { accounts } = await ask("GET", `/admin/accounts?prefix=${encodeURIComponent(name)}`);
  const same = accounts.filter((account) => account.name === name);
  if (same.length === 1) return same[0].id;
  throw new Mistake(same.length ? `Several accounts are called ${name}: give the id of one` : `No account is called ${name}`);
}

export async function audit({ again }) {
  const query = new URLSearchParams({ limit: "50" });
  for (const key of ["account", "action", "before"]) if (sought[key]) query.set(key, sought[key]);
  const { entries, next } = await ask("GET", `/admin/audit?${query}`);
  const action = el("input", { value: sought.action, placeholder: "flag.set", autocomplete: "off", spellcheck: "false", "data-key": "action" });
  const account = el("input", { value: sought.name, placeholder: "name or id", autocomplete: "off", spellcheck: "false", "data-key": "account" });
  const seek = async (event) => {
    event.preventDefault();
    try {
      const asked = account.value.trim();
      Object.assign(sought, { action: action.value.trim(), name: asked, account: await idOf(asked), before: "" });
      await again();
    } catch (error) {
      failed(error);
    }
  };
  const to = (before) => async () => {
    sought.before = before;
    await again();
    document.getElementById("main").focus();
  };
  const rows = entries.map((entry) => [
    el("span", { class: "num" }, when(entry.at, "medium")),
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
