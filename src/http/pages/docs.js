// The API documentation: reads /openapi.json and shows every operation, with a form to try it.

import { el, indented, inline, prose } from "./dom.js";
import { codesOf, described, exampleOf, isError, refersTo, resolved, typeInWords } from "./docs-schema.js";
import { tryForm } from "./docs-try.js";

const METHODS = ["get", "put", "post", "delete"];

const byId = (id) => document.getElementById(id);
const token = () => byId("token").value.trim();

start().catch((error) => {
  byId("operations").replaceChildren(el("p", { class: "failed", role: "alert" }, `The document could not be read (${error.message}). Reload the page.`));
});

async function start() {
  const api = await (await fetch("/openapi.json")).json();
  refersTo(api);
  byId("version").textContent = api.info.version;
  const [first, ...rest] = api.info.description.split(/\n\s*\n/);
  byId("about").replaceChildren(prose(first), el("details", { class: "rest" },
    el("summary", {}, "What holds for every request"), prose(rest.join("\n\n"))));
  const all = operationsOf(api);
  const tags = api.tags.map((tag) => ({ ...tag, id: `tag-${tag.name.replaceAll(" ", "-")}`, operations: all.filter((one) => one.tag === tag.name) }));
  byId("operations").replaceChildren(...tags.map(section));
  byId("index").replaceChildren(...tags.map(index));
  byId("filter").addEventListener("input", () => filter(tags));
  filter(tags);
  hideOrShowToken();
  addEventListener("hashchange", openNamed);
  openNamed();
}

function operationsOf(api) {
  return Object.entries(api.paths).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => {
    const own = item[method];
    const parameters = [...(item.parameters ?? []), ...(own.parameters ?? [])].map(resolved);
    const document = own;
    const words = `${method} ${path} ${own.summary} ${own.operationId} ${own.tags[0]}`.toLowerCase();
    return { path, method: method.toUpperCase(), document, parameters, tag: own.tags[0], words, secured: (own.security ?? api.security).length > 0 };
  }));
}

function section(tag) {
  tag.section = el("section", { class: "tag", "aria-labelledby": tag.id },
    el("h2", { id: tag.id }, tag.name),
    prose(tag.description),
    tag.operations.map((operation) => operation.element = entry(operation)));
  return tag.section;
}

function index(tag) {
  tag.index = el("div", {},
    el("h2", {}, tag.name),
    el("ul", {}, tag.operations.map((operation) => operation.link = el("li", {},
      el("a", { href: `#${operation.document.operationId}` }, operation.document.summary)))));
  return tag.index;
}

/// An operation, closed. What is in it is made when it is opened.
function entry(operation) {
  const { method, path, document: { operationId, summary } } = operation;
  const details = el("details", { class: "operation", id: operationId },
    el("summary", {}, el("h3", {},
      el("span", { class: `method method-${method.toLowerCase()}` }, method),
      // Long paths may break after a slash.
      el("span", { class: "path" }, path.split(/(?<=\/)/).flatMap((part) => [part, el("wbr")])),
      el("span", { class: "summary" }, summary))));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(content(operation));
  });
  return details;
}

function content(operation) {
  const { document: own, parameters, secured } = operation;
  const media = own.requestBody && Object.values(own.requestBody.content)[0];
  return el("div", { class: "body" },
    prose(own.description),
    !secured && el("p", { class: "quiet" }, "No token is needed."),
    el("div", { class: "columns" },
      el("div", { class: "asked" },
        parameters.length > 0 && part("Parameters", el("dl", { class: "fields" }, parameters.map(parameterField))),
        media && part("Body", el("p", { class: "quiet" }, Object.keys(own.requestBody.content).join(" or ")), described(media.schema))),
      tryForm(operation, token),
      el("div", { class: "answers" },
        part("Answers", Object.entries(own.responses).map(([status, response]) => answer(status, resolved(response)))))));
}

function part(title, ...children) {
  return el("div", { class: "section" }, el("h4", {}, title), children);
}

function parameterField(parameter) {
  return el("div", {},
    el("dt", {},
      el("code", {}, parameter.name),
      el("span", { class: "type" }, `${parameter.in}, ${typeInWords(parameter.schema)}`),
      parameter.required && el("span", { class: "must" }, "required")),
    el("dd", {}, inline(parameter.description)));
}

function answer(status, response) {
  const media = Object.entries(response.content ?? {});
  const headers = Object.entries(response.headers ?? {}).filter(([name]) => name !== "X-Request-Id");
  return el("details", { class: "answer" },
    el("summary", {}, el("span", { class: `status status-${status[0]}` }, status), el("span", {}, inline(response.description))),
    el("div", {},
      media.map(([type, { schema, example, examples }]) => el("div", {},
        el("p", { class: "label" }, type),
        type === "application/json" && shape(schema),
        type === "application/json" && shownExamples(schema, example, examples))),
      headers.length > 0 && el("div", {},
        el("p", { class: "label" }, "Headers"),
        el("dl", { class: "fields" }, headers.map(([name, header]) => el("div", {},
          el("dt", {}, el("code", {}, name)), el("dd", {}, inline(resolved(header).description))))))));
}

/// The codes of an error, or the fields of anything else.
function shape(schema) {
  if (!isError(schema)) return described(schema);
  return el("ul", { class: "codes", "aria-label": "Codes" }, codesOf(schema).map((code) => el("li", {}, el("code", {}, code))));
}

function shownExamples(schema, example, examples) {
  const several = Object.values(examples ?? {}).map(({ summary, value }) => [summary, value]);
  const shown = several.length ? several : [["Example", example ?? (isError(schema) ? undefined : exampleOf(schema))]];
  return shown.filter(([, value]) => value !== undefined).map(([summary, value]) => el("div", {},
    el("p", { class: "label" }, summary),
    el("pre", { tabindex: "0", "aria-label": summary }, el("code", {}, indented(JSON.stringify(value))))));
}

/// Hides what does not have all the words that somebody types.
function filter(tags) {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const tag of tags) {
    for (const operation of tag.operations) {
      const hidden = !words.every((word) => operation.words.includes(word));
      operation.element.hidden = operation.link.hidden = hidden;
      found += hidden ? 0 : 1;
    }
    tag.section.hidden = tag.index.hidden = tag.operations.every((operation) => operation.element.hidden);
  }
  byId("found").textContent = found === 1 ? "1 operation" : `${found} operations`;
}

/// Opens the operation that the address names.
function openNamed() {
  const named = byId(location.hash.slice(1));
  if (!named?.matches("details")) return;
  named.open = true;
  named.scrollIntoView();
  named.querySelector("summary").focus({ preventScroll: true });
}

/// The field is no password to a browser, which would offer to keep it.
function hideOrShowToken() {
  const button = byId("show-token");
  button.addEventListener("click", () => {
    const shown = !byId("token").classList.toggle("masked");
    button.setAttribute("aria-pressed", shown);
  });
}
