// What is shown beside the program: the variables of the open calls, what was printed, and a model's answer.

const INNERMOST = 6; // calls of a deep stack that are shown, beside the outermost
const PRINTED = 10_000; // characters of what was printed that are shown at once
const LONG = 2000; // characters of a value that are shown at once

const cards = new Map(); // frame → what is shown of it
let long = []; // long values that changed: [element, the part that is new]

const last = (text, limit) => (text.length > limit ? `… ${text.slice(text.length - limit)}` : text);
const unseen = (text) => h("span", { class: "unseen" }, text);

// The calls that are open, innermost first.
function openCalls(top) {
  const open = [];
  for (let entry = top; entry; entry = entry.caller) open.push(entry.frame);
  return open;
}

function drawVariables(step) {
  const box = byId("variables");
  if (!step) {
    byId("variables-head").textContent = "Variables at the end";
    box.replaceChildren(...data.variables.map(([scope, values]) => finalCard(scope, values)));
    if (!data.variables.length) box.replaceChildren(h("p", { class: "note" }, "No variables."));
    box.scrollTop = 0;
    return;
  }
  byId("variables-head").textContent = "Variables";
  const open = openCalls(step.stack);
  const hidden = open.length > INNERMOST + 2 ? open.slice(INNERMOST, -1) : [];
  const shown = hidden.length ? [...open.slice(0, INNERMOST), open.at(-1)] : open;
  const owners = step.changes.map(({ frame }) => frame).filter((frame) => !shown.includes(frame));
  const nodes = [...shown.slice(0, INNERMOST), ...new Set(owners)].map((frame) => card(frame, step));
  if (hidden.length) nodes.push(h("p", { class: "note" }, `… ${counted(hidden.length, "call")} between …`));
  nodes.push(...shown.slice(INNERMOST).map((frame) => card(frame, step)));
  arrange(box, nodes);
  for (const [value, part] of long) value.scrollTop = part.offsetTop - value.clientHeight / 2;
  long = [];
  const changed = box.querySelector(".changed");
  const below = changed && changed.getBoundingClientRect().bottom - box.getBoundingClientRect().bottom + box.scrollTop;
  box.scrollTop = below > 0 ? below + box.clientHeight / 3 : 0;
}

// Make `nodes` the children of `box`, moving none that is in its place.
function arrange(box, nodes) {
  nodes.forEach((node, index) => box.children[index] !== node && box.insertBefore(node, box.children[index] || null));
  while (box.children.length > nodes.length) box.lastElementChild.remove();
}

const heading = (scope, where = "") => h("h3", {}, h("i", { class: `swatch ${colorOf(scope)}` }), readable(scope), " ", where);

function finalCard(scope, values) {
  const rows = values.map(([name, text]) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), h("td", {}, h("code", {}, text))));
  return h("div", { class: "card" }, heading(scope), h("table", { class: "values" }, h("tbody", {}, rows)));
}

// What is shown of a frame: made once, then kept up to date.
function card(frame, step) {
  if (!cards.has(frame)) {
    const where = h("small", {});
    const body = h("tbody", {});
    const node = h("div", { class: "card" }, heading(frame.scope, where), h("table", { class: "values" }, body));
    cards.set(frame, { node, where, body, rows: new Map() });
    if (cards.size > 200) cards.delete(cards.keys().next().value);
  }
  const { node, where, body, rows } = cards.get(frame);
  node.classList.toggle("running", frame === step.frame);
  where.textContent = [frame.number && `call ${frame.number}`, frame !== step.frame && frame.line && `at line ${frame.line}`].filter(Boolean).join(" · ");
  const changes = new Map(step.changes.filter((change) => change.frame === frame).map((change) => [change.name, change]));
  for (const [name, row] of rows) {
    if (row.text === frame.values.get(name) && !row.change && !changes.has(name)) continue;
    fill(row, frame.values.get(name), null);
  }
  for (const name of frame.order) {
    if (!frame.values.has(name)) continue;
    if (!rows.has(name)) rows.set(name, newRow(name));
    const row = rows.get(name);
    if (row.text === undefined || changes.has(name)) fill(row, frame.values.get(name), changes.get(name));
  }
  const present = frame.order.filter((name) => frame.values.has(name));
  arrange(body, present.map((name) => rows.get(name).node));
  node.classList.toggle("empty", !present.length);
  return node;
}

function newRow(name) {
  const sign = h("td", { class: "sign" });
  const code = h("code", {});
  return { node: h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), sign, h("td", {}, code)), sign, code };
}

function fill(row, text, change) {
  row.text = text;
  row.change = change;
  row.node.classList.toggle("changed", Boolean(change));
  const isNew = change && change.before === undefined;
  const whole = text ?? "";
  row.sign.replaceChildren(...(change ? [h("span", { "aria-hidden": "true" }, isNew ? "+" : "•"), unseen(isNew ? "new" : "changed")] : []));
  if (!change || isNew) {
    row.code.textContent = clipped(whole, LONG);
    return;
  }
  const [start, end] = difference(change.before, whole);
  const from = whole.length > LONG ? Math.max(0, start - LONG / 2) : 0;
  const to = Math.min(end, from + LONG);
  const mark = h("mark", {}, whole.slice(start, to));
  row.code.replaceChildren((from ? "…" : "") + whole.slice(from, start), mark, clipped(whole.slice(to), from + LONG - to));
  if (whole.length > 200) long.push([row.code, mark]);
}

function drawPrinted(step) {
  const box = byId("printed");
  const until = step ? step.printed : data.output.length;
  const from = step && step.number ? replay.steps[step.number - 1].printed : step ? 0 : until;
  const before = last(data.output.slice(0, Math.min(from, until)), PRINTED);
  const fresh = last(data.output.slice(Math.min(from, until), until), PRINTED);
  const key = `${until}/${fresh.length}/${Boolean(step)}`;
  if (box.dataset.shown === key) return;
  box.dataset.shown = key;
  byId("printed-head").textContent = step ? "Printed so far" : "Printed";
  box.replaceChildren(before, fresh && h("mark", {}, fresh));
  box.classList.toggle("empty", !until);
  if (!until) box.textContent = step ? "nothing yet" : "nothing";
  box.scrollTop = box.scrollHeight;
}

const settled = []; // rows of the answer: [row, the position from which its true value holds]

function showAnswer() {
  if (!data.answer) return;
  const { targets, reward, text } = data.answer;
  const asked = text !== null;
  const rows = targets.map(({ label, value, predicted, right, step }) => {
    const to = step ?? END;
    const jump = { type: "button", class: "jump", title: "Where it gets this value", onclick: () => moveTo(to) };
    const row = h("tr", {},
      h("th", { scope: "row" }, h("code", {}, label)),
      h("td", {}, h("code", {}, value)),
      asked && h("td", {}, predicted === null ? h("span", { class: "note" }, "not given") : h("code", {}, predicted)),
      asked && h("td", { class: right ? "mark good" : "mark bad" }, right ? "✓" : "✗", unseen(right ? "right" : "wrong")),
      h("td", {}, h("button", jump, step === null ? "end" : `step ${step + 1}`)));
    settled.push([row, to]);
    return row;
  });
  const heads = ["Asked", "True", asked && "Predicted", asked && "", ""].filter((head) => head !== false);
  const rights = targets.filter(({ right }) => right).length;
  const result = asked && h("small", {}, `${rights} of ${targets.length} right · reward ${reward.toFixed(2)}`);
  byId("answer").append(
    h("h2", {}, asked ? "The model’s answer" : "The task", result),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "True and predicted values" },
      h("table", { class: "values" }, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows))),
    asked ? h("details", {}, h("summary", {}, "As the model wrote it"), h("pre", { tabindex: "0" }, text)) : "");
  byId("answer").setAttribute("aria-label", asked ? "The model’s answer" : "The task");
  byId("answer").hidden = false;
}

function drawAnswer() {
  for (const [row, from] of settled) row.classList.toggle("settled", position >= from);
}
