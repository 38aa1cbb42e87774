// Making elements, for pages without a framework. Text is always text: nothing is ever read as
// markup, and the policy of these pages would not let it.

/// An element with attributes, listeners (`onclick`, …) and children, which are elements or text.
/// What is null or false is left out.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

/// Paragraphs of text, with `code` and **strong** in them, as the document writes them.
export function prose(text) {
  const paragraphs = (text ?? "").trim().split(/\n\s*\n/).filter(Boolean);
  return el("div", { class: "prose" }, paragraphs.map((paragraph) => el("p", {}, inline(paragraph))));
}

/// One line of such text.
export function inline(text) {
  const parts = (text ?? "").trim().replace(/\s+/g, " ").split(/(`[^`]+`|\*\*[^*]+\*\*)/);
  return parts.filter(Boolean).map((part) => {
    if (part.startsWith("`")) return el("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return el("strong", {}, part.slice(2, -2));
    return part;
  });
}

/// JSON with a line for each member. The text is not parsed, so that numbers stay as they came.
export function indented(json) {
  let out = "", depth = 0, inString = false;
  const line = () => "\n" + "  ".repeat(depth);
  for (let at = 0; at < json.length; at += 1) {
    const c = json[at];
    if (inString) {
      out += c;
      if (c === "\\") out += json[at += 1] ?? "";
      else if (c === '"') inString = false;
    } else if (c === '"') {
      inString = true;
      out += c;
    } else if (c === "{" || c === "[") {
      const rest = /^\s*([}\]])/.exec(json.slice(at + 1, at + 200));
      if (rest) {
        out += c + rest[1];
        at += rest[0].length;
      } else {
        depth += 1;
        out += c + line();
      }
    } else if (c === "}" || c === "]") {
      depth -= 1;
      out += line() + c;
    } else if (c === ",") out += c + line();
    else if (c === ":") out += ": ";
    else if (!/\s/.test(c)) out += c;
  }
  return out;
}

/// JSON in one line, of which, too, nothing but space is changed.
export function compact(json) {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_, string) => string ?? "");
}
