// Schemas of the OpenAPI document: what they refer to, what they look like, and an example of each.

import { el, inline } from "./dom.js";

let root = {};

/// From now on references are into this document.
export function refersTo(document) {
  root = document;
}

/// What a reference refers to, with what stands beside it; anything else as it is.
export function resolved(value) {
  if (!value?.$ref) return value ?? {};
  const keys = value.$ref.slice(2).split("/").map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  const { $ref, ...beside } = value;
  return { ...resolved(keys.reduce((at, key) => at?.[key], root)), ...beside };
}

/// A schema with the parts of its `allOf` put together.
function whole(schema) {
  const own = resolved(schema);
  if (!own.allOf) return own;
  const { allOf, ...rest } = own;
  return [rest, ...allOf.map(whole)].reduce((one, other) => ({
    ...one,
    ...other,
    properties: { ...one.properties, ...merged(one.properties, other.properties) },
    required: [...(one.required ?? []), ...(other.required ?? [])],
  }));
}

function merged(one = {}, other = {}) {
  return Object.fromEntries(Object.entries(other).map(([name, schema]) => [name, { ...resolved(one[name]), ...schema }]));
}

/// An example of what conforms to a schema: the one that is documented, or one that is made up.
export function exampleOf(schema) {
  const own = whole(schema);
  if (own.example !== undefined) return own.example;
  if (own.examples?.length) return own.examples[0];
  if (own.const !== undefined) return own.const;
  if (own.enum) return own.enum[0];
  if (own.default !== undefined) return own.default;
  if (own.oneOf) return exampleOf(own.oneOf[0]);
  const type = typeOf(own);
  if (type === "object") {
    // What must be there, and what the document shows an example of.
    const shown = Object.entries(own.properties ?? {}).filter(
      ([name, property]) => own.required?.includes(name) || resolved(property).examples,
    );
    return Object.fromEntries(shown.map(([name, property]) => [name, exampleOf(property)]));
  }
  if (type === "array") return [exampleOf(own.items)];
  if (type === "integer") return own.minimum ?? 1;
  if (type === "boolean") return true;
  return "…";
}

/// The error codes that a schema allows, if it says which.
export function codesOf(schema) {
  const code = whole(schema).properties?.code ?? {};
  return code.enum ?? (code.const ? [code.const] : []);
}

/// Whether it is nothing but an error.
export function isError(schema) {
  return Boolean(resolved(schema).allOf);
}

function typeOf(schema) {
  const types = [schema.type ?? (schema.properties ? "object" : "")].flat();
  return types.find((type) => type !== "null") ?? "";
}

/// A description of what conforms to a schema: a list of fields, or of ways to be.
export function described(schema) {
  const own = whole(schema);
  if (own.oneOf && own.oneOf.every((way) => typeOf(whole(way)) === "object")) {
    return own.oneOf.map((way, at) => [el("p", { class: "either" }, at ? "or" : "Either"), described(way)]);
  }
  if (own.properties) return fields(own);
  if (typeOf(own) === "array" && whole(own.items).properties) return fields(whole(own.items));
  return el("p", { class: "quiet" }, typeInWords(own));
}

function fields(schema) {
  const required = new Set(schema.required ?? []);
  const entries = Object.entries(schema.properties);
  return el("dl", { class: "fields" }, entries.map(([name, property]) => {
    const own = whole(property);
    const inner = own.properties ? own : typeOf(own) === "array" ? whole(own.items) : {};
    return el("div", {},
      el("dt", {},
        el("code", {}, name),
        el("span", { class: "type" }, typeInWords(own)),
        required.has(name) && el("span", { class: "must" }, "required")),
      (own.description || inner.properties) && el("dd", {},
        own.description && inline(own.description),
        inner.properties && fields(inner)));
  }));
}

/// Type and bounds, in a few words.
export function typeInWords(schema) {
  const own = whole(schema);
  if (own.const !== undefined) return JSON.stringify(own.const);
  if (own.enum) return own.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (own.oneOf) return own.oneOf.map(typeInWords).join(" or ");
  const types = [own.type ?? (own.properties ? "object" : "any JSON")].flat();
  const name = (type) => {
    if (type === "array") return `array of ${typeInWords(own.items)}`;
    return type === "string" && own.format ? own.format : type;
  };
  return [types.map(name).join(" or "), bounds(own)].filter(Boolean).join(", ");
}

function bounds(schema) {
  const number = (value) => value.toLocaleString("en");
  const range = (least, most, unit) => {
    if (least === undefined && most === undefined) return "";
    if (most === undefined) return least > 0 || !unit ? `from ${number(least)}${unit}` : "";
    if (least === undefined) return `at most ${number(most)}${unit}`;
    return `${number(least)} to ${number(most)}${unit}`;
  };
  return [
    range(schema.minimum, schema.maximum, ""),
    range(schema.minLength, schema.maxLength, " characters"),
    range(schema.minItems, schema.maxItems, " items"),
  ].filter(Boolean).join(", ");
}
