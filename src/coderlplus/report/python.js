// Syntax colouring of Python, enough to read by: one regular expression, tokens as spans.

const KEYWORDS = new Set((
  "False None True and as assert async await break class continue def del elif else except finally for from global if import in is " +
  "lambda match nonlocal not or pass raise return try while with yield").split(" "));
const PYTHON = new RegExp([
  /(?<comment>#[^\n]*)/,
  /(?<string>[rbfuRBFU]{0,2}(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))/,
  /(?<number>\b\d[\w.]*)/,
  /(?<name>[^\W\d]\w*)/,
].map((part) => part.source).join("|"), "gu");

// The lines of a program, each an array of nodes.
function pythonLines(text) {
  const lines = [[]];
  const add = (piece, kind) => piece.split("\n").forEach((part, number) => {
    if (number) lines.push([]);
    if (part) lines[lines.length - 1].push(kind ? h("span", { class: kind }, part) : part);
  });
  let end = 0;
  let previous = "";
  for (const match of text.matchAll(PYTHON)) {
    add(text.slice(end, match.index));
    end = match.index + match[0].length;
    const { comment, string, number, name } = match.groups;
    if (name) add(name, KEYWORDS.has(name) ? "keyword" : previous === "def" || previous === "class" ? "defined" : "");
    else add(match[0], comment ? "comment" : string ? "string" : number ? "number" : "");
    previous = name || "";
  }
  add(text.slice(end));
  return lines;
}

// A listing with line numbers; `margin` maps a line number to a node that stands behind that line.
function listing(text, margin = new Map()) {
  const rows = pythonLines(text).map((nodes, index) => h("div", { class: margin.has(index + 1) ? "line traced" : "line" },
    h("span", { class: "nr", "aria-hidden": "true" }, String(index + 1)), h("code", {}, nodes), margin.get(index + 1)));
  return h("div", { class: "listing", tabindex: "0", role: "region", "aria-label": "Program" }, rows);
}
