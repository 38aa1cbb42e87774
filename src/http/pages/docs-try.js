// The form that tries an operation: what is sent, the same as a line for curl, and what comes back.

import { compact, el, indented } from "./dom.js";
import { exampleOf, resolved, typeInWords } from "./docs-schema.js";

/// What one answer tells and another request wants. It is forgotten with the page.
const remembered = {};

/// As much of a body as is shown.
const MOST_SHOWN = 200_000;

/// The form of an operation: `{ method, path, parameters, document, secured }`. `token` says what the
/// person has put in.
export function tryForm(operation, token) {
  const id = (name) => `${operation.document.operationId}-${name}`;
  const inputs = operation.parameters.map((parameter) => [parameter, input(parameter, id(parameter.name))]);
  const body = operation.document.requestBody && bodyFields(operation, id);
  const curl = el("code", {});
  const copy = el("button", { type: "button", onclick: () => copyText(copy, curl.textContent) }, "Copy");
  const send = el("button", { type: "submit", class: "go" }, "Send");
  const result = el("div", { class: "result", hidden: true });
  const outcome = el("p", { class: "outcome", role: "status" });

  const request = () => requestOf(operation, inputs, body);
  const update = () => { curl.textContent = curlOf(operation, request()); };
  const form = el("form", {
    class: "try",
    "aria-label": `Try ${operation.document.summary}`,
    oninput: update,
    onchange: update,
    onsubmit: async (event) => {
      event.preventDefault();
      update();
      send.disabled = true;
      await show(request(), operation.secured ? token() : "", result, outcome);
      send.disabled = false;
      send.focus({ preventScroll: true });
    },
  },
    el("div", { class: "section" },
      el("h4", {}, "Try it"),
      inputs.map(([parameter, field]) => el("div", { class: "field" },
        el("label", { for: field.id }, el("code", {}, parameter.name), " ",
          el("span", { class: "type" }, parameter.required ? parameter.in : `${parameter.in}, optional`)),
        field)),
      body?.fields,
      el("div", { class: "do" }, send)),
    el("div", { class: "curl" },
      el("div", { class: "head-row" }, el("span", { class: "label" }, "The same with curl"), copy),
      el("pre", { tabindex: "0", "aria-label": "The same with curl" }, curl)),
    result);
  result.append(outcome);
  update();
  // What was learnt meanwhile, as long as nobody has typed here.
  form.addEventListener("focusin", () => { body?.refresh(); update(); });
  return form;
}

function input(parameter, id) {
  const schema = resolved(parameter.schema);
  if (schema.enum) {
    const none = parameter.required ? [] : [el("option", { value: "" }, "–")];
    return el("select", { id }, none, schema.enum.map((value) => el("option", {}, value)));
  }
  const example = parameter.example ?? schema.default;
  return el("input", {
    id,
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    required: parameter.required,
    value: parameter.required ? parameter.example ?? exampleOf(schema) : null,
    placeholder: parameter.required ? null : example === undefined ? typeInWords(schema) : `${example}`,
  });
}

/// A field for the body, and choices of its type and of examples where there are several.
function bodyFields(operation, id) {
  const content = operation.document.requestBody.content;
  const types = Object.keys(content);
  let touched = false;
  const text = el("textarea", { id: id("body"), rows: "6", spellcheck: "false", oninput: () => { touched = true; } });
  const type = el("select", { id: id("type"), onchange: () => { touched = false; offer(); } },
    types.map((one) => el("option", {}, one)));
  const example = el("select", { id: id("example"), onchange: () => { touched = false; fill(); } });
  const examples = () => {
    const media = content[type.value];
    if (media.examples) return Object.values(media.examples).map((one) => [one.summary, one.value]);
    return [["Example", media.example ?? exampleOf(media.schema)]];
  };
  const fill = () => {
    if (touched) return;
    const value = { ...examples()[example.selectedIndex][1] };
    for (const name of Object.keys(remembered)) if (name in value) value[name] = remembered[name];
    text.value = type.value === "application/json" ? JSON.stringify(value, null, 2) : new URLSearchParams(value).toString();
    text.rows = Math.min(12, Math.max(4, text.value.split("\n").length + 1));
  };
  const offer = () => {
    example.replaceChildren(...examples().map(([summary]) => el("option", {}, summary)));
    example.parentElement.hidden = examples().length < 2;
    fill();
  };
  const field = (label, control) => el("div", { class: "field" }, el("label", { for: control.id }, label), control);
  const fields = [
    types.length > 1 && field("Body is", type),
    field("Example", example),
    field("Body", text),
  ];
  offer();
  return { fields, refresh: fill, type: () => type.value, text: () => text.value };
}

/// What is to be sent.
function requestOf(operation, inputs, body) {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const [parameter, { value }] of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (parameter.in === "query") query.append(parameter.name, value);
    else headers[parameter.name] = value;
  }
  if (body) headers["Content-Type"] = body.type();
  const asked = query.toString();
  return { method: operation.method, url: asked ? `${path}?${asked}` : path, headers, body: body?.text() };
}

/// The same for a shell. The token is not in it: it would stay in the history.
function curlOf(operation, { method, url, headers, body }) {
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}${quoted(location.origin + url)}`];
  if (operation.secured) lines.push('-H "Authorization: Bearer $TOKEN"');
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body) lines.push(`-d ${quoted(headers["Content-Type"] === "application/json" ? compact(body) : body)}`);
  return lines.join(" \\\n  ");
}

/// Sends it, and shows what comes back.
async function show({ method, url, headers, body }, token, result, outcome) {
  const begun = performance.now();
  result.hidden = false;
  outcome.replaceChildren("Waiting for the answer…");
  result.replaceChildren(outcome);
  try {
    const authorization = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(url, {
      method,
      headers: { ...headers, ...authorization },
      body,
      cache: "no-store",
      credentials: "omit",
      redirect: "manual",
      referrerPolicy: "no-referrer",
    });
    const text = await answer.text();
    const took = Math.max(1, Math.round(performance.now() - begun));
    if (answer.type === "opaqueredirect") {
      outcome.replaceChildren(el("strong", { class: "status-3" }, "Redirect"), el("span", {}, `${took} ms`));
      result.append(el("p", {}, "Where to, a browser does not tell a page. ", el("a", { href: url, rel: "noreferrer" }, "Go there")));
      return;
    }
    const size = new TextEncoder().encode(text).length;
    outcome.replaceChildren(
      el("strong", { class: `status-${Math.floor(answer.status / 100)}` }, `${answer.status} ${answer.statusText}`),
      el("span", {}, `${took} ms`),
      el("span", {}, `${size.toLocaleString("en")} bytes`));
    const json = answer.headers.get("content-type") === "application/json";
    if (json) remember(text);
    const shown = json ? indented(text) : text;
    if (text) result.append(part("Body", shown.slice(0, MOST_SHOWN) + (shown.length > MOST_SHOWN ? "\n…" : "")));
    result.append(part("Headers", [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n")));
  } catch (error) {
    outcome.replaceChildren(el("span", { class: "failed" }, `Nothing came back (${error.message}). Does the server run, and are the fields well-formed?`));
  }
}

function part(label, text) {
  return el("div", {}, el("p", { class: "label" }, label), el("pre", { tabindex: "0", "aria-label": label }, el("code", {}, text)));
}

function remember(text) {
  try {
    const { lease_id: lease, status } = JSON.parse(text);
    if (lease && status === "acquired") remembered.lease_id = lease;
  } catch {
    // What is no JSON says nothing.
  }
}

async function copyText(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it by hand";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
