// Building blocks. All text goes through text nodes: nothing that a model wrote is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function element(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

const h = (tag, attributes, ...children) => element(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => element(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);

const isNumber = (value) => typeof value === "number";
const thousands = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
const counted = (count, noun) => `${thousands(count)} ${noun}${count === 1 ? "" : "s"}`;
const percent = (value, digits = 1) => `${(100 * value).toFixed(digits)}\u202f%`;

function signed(value, digits) {
  const size = Math.abs(value).toFixed(digits);
  return Number(size) ? (value < 0 ? "\u2212" : "+") + size : size;
}

// A number on an axis.
const plain = (value) => (Math.abs(value) >= 10000 ? thousands(value) : String(Number(value.toPrecision(6))));

const duration = (seconds) => (seconds && seconds < 0.1 ? `${compact(1000 * seconds)}\u202fms` : `${compact(seconds)}\u202fs`);

// A number with about three digits, whatever its size.
function compact(value) {
  const size = Math.abs(value);
  if (size >= 10000) return thousands(value);
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 0.01 || size === 0) return value.toFixed(size >= 1 ? 2 : 3);
  return value.toExponential(1);
}

// The command that opens the viewer on a failed sample; the folder is quoted already.
function traceCommand(folder, file, name) {
  const plain = /^[\w./#:@%+=,-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  return `coderlplus trace --verdict ${folder}/${file}:${plain} --html trace.html`;
}
