// Locks, limits, flags and tokens of the account that is signed in.

import { all, ask, button, confirmed, countdown, curl, empty, failed, field, head, inPath, Mistake, paste, say, table, told, when, windowInWords } from "./dashboard-lib.js";
import { el } from "./dom.js";

const more = (there, what) => there && el("p", { class: "faint" }, `These are the first of them: ask for the others with GET ${what}?after=…`);

export async function locks({ again, me }) {
  const { items, more: rest } = await all("/locks", "locks");
  const release = (lock) => async () => {
    const text = "Whoever works under it is not told, and the next one may begin at once.";
    const act = () => ask("POST", `/locks/${inPath(lock.name)}/release`, { lease_id: lock.lease_id });
    if (!(await confirmed(`Release ${lock.name}?`, text, "Release", act))) return;
    say(`${lock.name} is free`);
    await again();
  };
  const top = head("Locks", `What ${me.name} holds: ${items.length} of ${me.quotas.locks}.`, button("Refresh", "", again));
  if (!items.length) {
    const line = curl("POST", "/locks/my-first-lock/acquire", { ttl_seconds: 60 });
    return [top, empty("No lock is held", "A lock is there while somebody holds it. Take one:", line)];
  }
  const rows = items.map((lock) => [
    lock.name,
    el("span", {}, lock.owner ?? me.name, lock.metadata && el("span", { class: "faint clamped", title: lock.metadata }, lock.metadata)),
    el("span", { class: "num" }, String(lock.fencing_token)),
    countdown(lock.expires_at, "over"),
    button("Release", "bad", release(lock), { "aria-label": `Release ${lock.name}` }),
  ]);
  return [top, table("Locks that are held", ["Name", "Holder", "Fencing token", "Expires in", ""], rows), more(rest, "/locks")].filter(Boolean);
}

export async function limits({ again }) {
  const { items, more: rest } = await all("/limits", "limits");
  const remove = (limit) => async () => {
    const text = "What it has counted is forgotten: the next check begins anew.";
    const act = () => ask("DELETE", `/limits/${inPath(limit.name)}`);
    if (!(await confirmed(`Remove ${limit.name}?`, text, "Remove", act))) return;
    say(`${limit.name} is removed`);
    await again();
  };
  const top = head("Limits", "How much of each window is used.", button("Refresh", "", again));
  if (!items.length) {
    const line = curl("POST", "/limits/emails/check", { max_requests: 100, window_seconds: 60 });
    return [top, empty("No limit was checked yet", "A limit is made by its first check, which says how many are allowed in how long:", line)];
  }
  const rows = items.map((limit) => [
    limit.name,
    use(limit),
    el("span", { class: "num" }, `${limit.max_requests} in ${windowInWords(limit.window_seconds)}`),
    countdown(limit.reset_at, "now"),
    button("Remove", "bad", remove(limit), { "aria-label": `Remove ${limit.name}` }),
  ]);
  return [top, table("Rate limits", ["Name", "Used", "Allowed", "All free in", ""], rows), more(rest, "/limits")].filter(Boolean);
}

function use({ name, current_count: used, max_requests: most }) {
  const bar = el("div", { class: used >= most ? "bar full" : "bar", role: "meter", "aria-label": `Use of ${name}`, "aria-valuemin": 0, "aria-valuemax": most, "aria-valuenow": used, "aria-valuetext": `${used} of ${most}` }, el("span"));
  // The policy of the page forbids styles in markup, not those a script sets.
  bar.firstChild.style.width = `${Math.min(100, (100 * used) / Math.max(1, most))}%`;
  return el("div", {}, el("span", { class: "num" }, `${used} of ${most}`), bar);
}

export async function flags({ again }) {
  const { items, more: rest } = await all("/flags", "flags");
  // Whoever changes one thing of a flag leaves the other as it is, and has seen what he changes.
  const change = async ({ name, enabled, percentage }, asked) => {
    const now = await flagNow(name);
    if (now?.enabled !== enabled || now.percentage !== percentage) {
      await again();
      const how = now ? "changed meanwhile, and is shown as it is now: change it again if it should still be" : "deleted meanwhile";
      throw new Mistake(`${name} was ${how}`);
    }
    const body = { enabled, percentage, ...asked };
    await ask("PUT", `/flags/${inPath(name)}`, body);
    await changed(name, body);
  };
  const changed = async (name, { enabled, percentage }) => {
    say(`${name} is ${enabled ? `on for ${percentage ?? 100} %` : "off"}`);
    await again();
  };
  const add = async () => {
    const name = el("input", { required: true, maxlength: 128, autocomplete: "off", spellcheck: "false" });
    const begun = { enabled: false, percentage: 100 };
    const act = async () => {
      if (await flagNow(name.value)) throw new Mistake(`There is a flag ${name.value} already`);
      await ask("PUT", `/flags/${inPath(name.value)}`, begun);
    };
    if (await confirmed("New flag", "It is off until you switch it on.", "Create", act, [field("Name", name)], "go")) await changed(name.value, begun);
  };
  const top = head("Flags", "What is switched on, and for how many.", button("New flag", "go", add));
  if (!items.length) {
    const line = curl("PUT", "/flags/new-checkout", { enabled: true, percentage: 25 });
    return [top, empty("There is no flag yet", "Switch something on for a part of your users:", line)];
  }
  const rows = items.map((flag) => flagRow(flag, change, again));
  return [top, table("Feature flags", ["Name", "State", "Rolled out to", "Changed", ""], rows), more(rest, "/flags")].filter(Boolean);
}

/** A flag as it is set now. Of all names that begin with its own it is the first. */
async function flagNow(name) {
  const { flags } = await ask("GET", `/flags?prefix=${encodeURIComponent(name)}&limit=1`);
  return flags.find((flag) => flag.name === name);
}

function flagRow(flag, change, again) {
  const { name, enabled } = flag;
  const percentage = flag.percentage ?? 100;
  const toggle = el("input", { type: "checkbox", role: "switch", checked: enabled, "aria-label": `Switch of ${name}`, "data-key": `switch ${name}` });
  const label = el("label", { class: "switch" }, toggle, enabled ? "On" : "Off");
  toggle.addEventListener("change", () => change(flag, { enabled: toggle.checked }).catch((error) => ((toggle.checked = enabled), failed(error))));
  const share = el("input", { type: "number", min: 0, max: 100, step: 1, value: String(percentage), "aria-label": `Percentage of ${name}`, "data-key": `percentage ${name}` });
  share.addEventListener("change", () => {
    if (!share.reportValidity()) return;
    change(flag, { percentage: Number(share.value) }).catch((error) => ((share.value = percentage), failed(error)));
  });
  const remove = async () => {
    const act = () => ask("DELETE", `/flags/${inPath(name)}`);
    if (!(await confirmed(`Delete ${name}?`, "Whoever asks for it is told that it is off.", "Delete", act))) return;
    say(`${name} is deleted`);
    await again();
  };
  return [name, label, el("div", { class: "roll" }, share, "%"), when(flag.updated_at), button("Delete", "bad", remove, { "aria-label": `Delete ${name}` })];
}

export async function tokens({ again, me }) {
  const { items, more: rest } = await all("/auth/tokens", "tokens");
  const revoke = (token) => async () => {
    const text = token.current ? "This is the one you are signed in with: you will be signed out." : "Whatever uses it is refused from now on.";
    const act = () => ask("DELETE", `/auth/tokens/${token.id}`);
    if (!(await confirmed(`Revoke ${token.name}?`, text, "Revoke", act))) return;
    say(`${token.name} is revoked`);
    await again();
  };
  const top = head("Tokens", `What opens the account ${me.name}. Give each machine its own, with no more scope than it needs.`, button("New token", "go", () => newToken(again)));
  const rows = items.map((token) => [
    el("span", {}, token.name, token.current && el("span", { class: "tag on" }, "this session")),
    el("span", { class: "code" }, token.scopes.map((scope) => (scope === "*" ? "everything" : scope)).join(" ")),
    when(token.last_used_at),
    token.expires_at ? countdown(token.expires_at, "over") : el("span", { class: "faint" }, "never"),
    token.source === "static" ? el("span", { class: "faint" }, "from the settings") : button("Revoke", "bad", revoke(token), { "aria-label": `Revoke ${token.name}`, "data-key": `revoke ${token.id}` }),
  ]);
  return [top, table("Tokens", ["Name", "Scopes", "Last used", "Ends in", ""], rows), more(rest, "/auth/tokens")].filter(Boolean);
}

async function newToken(again) {
  const name = el("input", { required: true, maxlength: 64, autocomplete: "off" });
  const scopes = el("input", { autocomplete: "off", spellcheck: "false", placeholder: "locks:write:deploy/ flags:read" });
  const days = el("input", { type: "number", min: 1, max: 3650, value: "90" });
  const fields = [field("Name", name), field("Scopes", scopes, "AREA:ACCESS[:PREFIX]; empty is all that you may"), field("Ends after", days, "days; empty is never")];
  let made;
  const act = async () => {
    const body = { name: name.value };
    if (scopes.value.trim()) body.scopes = scopes.value.trim().split(/[\s,]+/);
    if (days.value) body.expires_in_seconds = Number(days.value) * 86_400;
    made = await ask("POST", "/auth/tokens", body);
  };
  if (!(await confirmed("New token", "", "Create", act, fields, "go"))) return;
  await told("Your new token", "It is shown this once: put it where it is used.", "I have it", [paste(made.token)]);
  await again();
}
