// The session, and which view is shown.

import { ask, button, carry, field, inWords, paste, tickAll } from "./dashboard-lib.js";
import { el } from "./dom.js";
import { flags, limits, locks, tokens } from "./dashboard-views.js";
import { config } from "./dashboard-config.js";
import { accounts, audit } from "./dashboard-admin.js";

const VIEWS = {
  locks: { title: "Locks", show: locks, live: true },
  limits: { title: "Limits", show: limits, live: true },
  flags: { title: "Flags", show: flags },
  config: { title: "Config", show: config },
  tokens: { title: "Tokens", show: tokens },
  accounts: { title: "Accounts", show: accounts, admin: true },
  audit: { title: "Audit log", show: audit, admin: true },
};

/** How often a view that changes by itself is read again, in milliseconds. */
const AGAIN = 10_000;

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const who = document.getElementById("who");

let me = null;
let showing = 0;

/** Begins, or shows why not. */
async function begin() {
  try {
    await start();
  } catch (error) {
    broken(inWords(error), begin);
  }
}

async function start() {
  const session = await ask("GET", "/dashboard/session");
  carry(session.csrf_token ?? null);
  me = session.signed_in ? await ask("GET", "/auth/me") : null;
  nav.hidden = who.hidden = !me;
  if (!me) return signIn(session.providers ?? []);
  who.replaceChildren(el("a", { href: "/docs" }, "API"), el("span", {}, me.name, me.admin && el("span", { class: "role" }, " (administrator)")), button("Sign out", "", signOut));
  await show();
}

function signIn(providers) {
  const wrong = el("p", { class: "wrong", role: "alert", id: "wrong-token" });
  const token = el("input", { type: "password", autocomplete: "current-password", required: true, spellcheck: "false", "aria-describedby": "wrong-token" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      carry("sign-in");
      await ask("POST", "/dashboard/session", { token: token.value });
      await start();
      main.focus();
    } catch (error) {
      wrong.textContent = error.status === 401 ? "No account has this token" : inWords(error);
      token.setAttribute("aria-invalid", "true");
      token.select();
    }
  };
  document.title = "Sign in – OctoStore";
  const links = providers.map(({ name, sign_in }) => el("a", { class: "button go", href: sign_in }, `Sign in with ${called(name)}`));
  main.replaceChildren(
    el(
      "div",
      { class: "card narrow" },
      el("h1", {}, "Sign in"),
      el("p", { class: "lead" }, "Locks, limits, flags and configuration of your account."),
      links.length > 0 && el("div", { class: "field tools" }, links),
      el(
        "form",
        { onsubmit: submit },
        field("Token", token, links.length ? "in place of signing in" : ""),
        wrong,
        el("button", { class: "go" }, "Use this token"),
      ),
      el("p", { class: "faint block" }, "Where no accounts are configured, the first start of a server writes one into a file beside its data:"),
      paste("cat octostore.db.admin-token"),
      el("p", { class: "faint block" }, "What can be done with one over HTTP is in the ", el("a", { href: "/docs" }, "documentation of the API"), "."),
    ),
  );
  token.focus();
}

const called = (name) => (name === "github" ? "GitHub" : name.replace(/^oidc\//, ""));

async function signOut() {
  try {
    await ask("DELETE", "/dashboard/session");
  } catch (error) {
    // The session that this page knew has ended elsewhere: there is nothing left to sign out of.
    if (error.code !== "csrf_token_required") throw error;
  }
  leave();
  // Without what the address names, which is of the account too.
  location.replace("/dashboard");
}

/** The session is over. Nothing of the account stays, whatever comes of loading the page anew; and what
 * is still on its way finds no place any more. */
function leave() {
  me = null;
  document.body.replaceChildren();
  document.title = "OctoStore";
}

function anew() {
  leave();
  location.reload();
}

/** What stands in place of what could not be read. */
function broken(why, again) {
  main.replaceChildren(
    el("div", { class: "card" }, el("h1", {}, "This could not be shown"), el("p", {}, why), el("div", { class: "tools" }, button("Try again", "go", again))),
  );
  main.focus();
}

/** Shows the view that the address names. Of two that are on their way the later one counts. */
async function show({ quietly = false } = {}) {
  if (!me) return;
  const name = location.hash.slice(1).split("/")[0] || "locks";
  const view = VIEWS[name] && (!VIEWS[name].admin || me.admin) ? VIEWS[name] : VIEWS.locks;
  const turn = ++showing;
  nav.replaceChildren(
    ...Object.entries(VIEWS)
      .filter(([, { admin }]) => !admin || me.admin)
      .map(([key, { title }]) => el("a", { href: `#${key}`, "aria-current": VIEWS[key] === view ? "page" : null }, title)),
  );
  document.title = `${view.title} – OctoStore`;
  try {
    const shown = [await view.show({ me, again: () => show({ quietly: true }) })].flat();
    if (turn !== showing) return;
    if (quietly && same(shown)) return;
    const focused = main.contains(document.activeElement) && document.activeElement.dataset.key;
    main.replaceChildren(...shown);
    const again = focused && main.querySelector(`[data-key="${CSS.escape(focused)}"]`);
    // What had the focus is gone with what it stood for: the view goes on at its beginning.
    if (again) again.focus();
    else if (focused || !quietly) main.focus();
  } catch (error) {
    const why = inWords(error);
    if (turn === showing && !quietly) broken(why, show);
  }
}

/** Is this what is shown already? Then it stays, with whatever somebody reads or has marked in it. */
function same(shown) {
  tickAll();
  shown.forEach((one) => tickAll(one));
  return shown.length === main.children.length && shown.every((one, index) => one.isEqualNode(main.children[index]));
}

const isBusy = () => document.hidden || document.querySelector("dialog[open]") || main.querySelector("input:focus, textarea:focus");

setInterval(() => {
  const name = location.hash.slice(1).split("/")[0] || "locks";
  if (me && VIEWS[name]?.live && !isBusy()) show({ quietly: true });
}, AGAIN);

addEventListener("hashchange", () => me && show());
addEventListener("signed-out", () => me && anew());
// What a browser has kept aside for its button "back" may be of a session that is over.
addEventListener("pageshow", ({ persisted }) => persisted && anew());
begin();
