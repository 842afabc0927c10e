// The viewer: draws where the replay stands and moves it. Only what a step changes is touched, so a step costs the same in a run of any length.

const data = JSON.parse(byId("data").textContent);
const replay = new Replay(data);
const END = replay.steps.length; // the position after the last step: the end of the run
const INNERMOST = 6; // calls of a deep stack that are shown, beside the outermost
const PRINTED = 20_000; // characters of what was printed that are shown at once
const COLORS = ["c-ours", "c-grpo", "c-kl", "c-0", "c-7", "c-3", "c-2", "c-5"]; // of functions

const lines = []; // the elements of the source lines
let position = null;
let marked = []; // elements that wear a mark of the current position
let long = []; // long values that changed: [element, the part that is new]
const cards = new Map(); // frame → what is shown of it

const last = (text, limit) => (text.length > limit ? `… ${text.slice(text.length - limit)}` : text);
const clipped = (text, limit) => (text.length > limit ? `${text.slice(0, limit)}…` : text);
const colorOf = (scope) => COLORS[Math.max(0, data.scopes.indexOf(scope)) % COLORS.length];
const readable = (scope) => (scope === "<module>" ? "module" : scope.replaceAll(".<locals>", ""));
const unseen = (text) => h("span", { class: "unseen" }, text);

function ending({ kind, type, message, line }) {
  if (kind === "exception") return `${[type, message].filter(Boolean).join(": ")}${line ? ` (line ${line})` : ""}`;
  if (kind === "finished") return data.value === null ? "finished" : `returned ${clipped(data.value, 200)}`;
  return [kind.replace("_", " "), message].filter(Boolean).join(" ");
}

function showHead() {
  const { call, text } = data.input;
  document.title = `Trace of ${data.title}`;
  byId("title").textContent = data.title;
  const short = call || (text.trim() === text.trimEnd() && !text.trimEnd().includes("\n") && text.length < 100);
  const given = [call ? "called as " : text ? "standard input: " : "no input", text && short && h("code", { class: "given" }, clipped(text.trimEnd(), 300))];
  byId("about").append(h("p", { class: "meta" }, h("span", {}, given),
    h("span", { class: `badge ${data.ending.kind === "finished" ? "good" : "bad"}` }, ending(data.ending))));
  if (!short) byId("about").append(h("pre", { class: "input", tabindex: "0", role: "region", "aria-label": "Standard input" }, text));
  const cut = { steps: "no more are kept", bytes: "their values fill the space", time: "recording took too long" }[data.cut];
  const notes = [
    cut && `Only the first ${counted(END, "step")} are here (${cut}); what stands at the end is that of the whole run.`,
    !END && "No steps were recorded.",
    !data.deterministic && "Two runs of this program differed: chance or time plays a part, or it ran into a limit.",
  ];
  byId("about").append(...notes.filter(Boolean).map((note) => h("p", { class: "note" }, note)));
}

function showSource() {
  const source = listing(data.program);
  byId("source").append(source);
  lines.push(...source.children);
  lines.forEach((line, index) => line.addEventListener("click", () => getSelection().isCollapsed && moveTo(visit(index + 1, 1))));
  for (const line of replay.visits.keys()) lines[line - 1]?.classList.add("ran");
  const { kind, line } = data.ending;
  if (kind === "exception" && lines[line - 1]) lines[line - 1].classList.add("fails");
}

// The picture of the run: a dash for each step, at the height of its line, in the colour of its function.
function showPicture() {
  const picture = byId("picture");
  picture.setAttribute("viewBox", `-0.5 0 ${END + 1} ${lines.length}`);
  picture.setAttribute("stroke-width", Math.min(5, Math.max(2, 50 / lines.length)));
  const paths = new Map();
  for (const { number, line, frame } of replay.steps) {
    const color = colorOf(frame.scope);
    paths.set(color, `${paths.get(color) || ""}M${number - 0.5} ${line - 0.5}h1`);
  }
  const failed = data.ending.kind !== "finished" && data.ending.kind !== "exit";
  picture.append(...[...paths].map(([color, d]) => s("path", { d, class: color })));
  if (failed) picture.append(s("path", { class: "failure", d: `M${END} 0v${lines.length}` }));
}

function icon(...paths) {
  return s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, paths.map((d) => s("path", { d })));
}

function showControls() {
  byId("slider").max = END;
  const actions = {
    first: [() => 0, icon("M3 3v10", "M12 3 6 8l6 5")],
    back: [() => position - 1, icon("M10 3 5 8l5 5")],
    forward: [() => position + 1, icon("M6 3l5 5-5 5")],
    last: [() => END, icon("M13 3v10", "M4 3l6 5-6 5")],
  };
  for (const [id, [to, drawing]] of Object.entries(actions)) {
    byId(id).append(drawing);
    byId(id).addEventListener("click", () => moveTo(to()));
  }
  byId("slider").addEventListener("input", (event) => moveTo(Number(event.target.value)));
  byId("keys").addEventListener("click", () => byId("help").showModal());
  document.addEventListener("keydown", onKey);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const page = Math.max(1, Math.round(END / 20));
  const to = {
    ArrowRight: position + 1, j: position + 1, ArrowLeft: position - 1, k: position - 1, PageDown: position + page, PageUp: position - page,
    Home: 0, End: END, n: visit(lineAt(), 1), p: visit(lineAt(), -1),
  }[event.key];
  if (event.key === "?") byId("help").showModal();
  else if (to === undefined || (SCROLLING.has(event.key) && scrolls(event.target))) return;
  else moveTo(to);
  event.preventDefault();
}

// Whether an element with the focus has a use of its own for these keys.
const SCROLLING = new Set(["PageDown", "PageUp", "Home", "End"]);
const scrolls = (node) => node.tabIndex === 0 && node.scrollHeight > node.clientHeight + 1 && node !== byId("slider");
const lineAt = () => (position < END ? replay.steps[position].line : data.ending.line);

// The next (direction 1) or previous step that runs a line; stays where there is none, and goes round after the last.
function visit(line, direction) {
  const visits = replay.visits.get(line) || [];
  const found = direction > 0 ? visits.find((number) => number > position) : visits.findLast((number) => number < position);
  return found ?? (direction > 0 ? visits[0] : visits.at(-1)) ?? position;
}

function moveTo(wanted) {
  const to = Math.min(END, Math.max(0, wanted));
  if (to === position) return;
  position = to;
  replay.moveTo(Math.min(to, END - 1));
  marked.forEach(unmark);
  marked = [];
  const step = to < END ? replay.steps[to] : null;
  drawLine(step);
  drawVariables(step);
  drawPrinted(step);
  drawStatus(step);
  drawAnswer();
  remember();
}

function unmark(node) {
  if (node.classList.contains("aside")) node.remove();
  node.classList.remove("current", "raised");
  node.removeAttribute("aria-current");
}

function drawLine(step) {
  const { kind, line: at } = data.ending;
  const line = lines[(step ? step.line : at) - 1];
  if (!line) return;
  line.classList.add(step || kind !== "exception" ? "current" : "raised");
  line.setAttribute("aria-current", "step");
  marked.push(line);
  const notes = step
    ? step.changes.slice(0, 4).map(({ name, after }) => h("span", {}, after === undefined ? `${name} is gone` : `${name} = ${clipped(after, 60)}`))
    : kind === "exception" ? [h("span", {}, ending({ ...data.ending, line: null }))] : [];
  if (notes.length) {
    const aside = h("span", { class: "aside" }, notes);
    line.lastElementChild.append(aside);
    marked.push(aside);
  }
  const box = line.parentNode;
  const top = line.offsetTop;
  const margin = Math.min(48, box.clientHeight / 4);
  if (top - margin < box.scrollTop) box.scrollTop = top - box.clientHeight / 3;
  else if (top + line.offsetHeight + margin > box.scrollTop + box.clientHeight) box.scrollTop = top - (box.clientHeight * 2) / 3;
}

// The calls that are open, innermost first; of a deep stack the innermost and the outermost.
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

const heading = (scope, where) => h("h3", {}, h("i", { class: `swatch ${colorOf(scope)}` }), readable(scope), where);

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
  row.sign.replaceChildren(...(change ? [h("span", { "aria-hidden": "true" }, isNew ? "+" : "•"), unseen(isNew ? "new" : "changed")] : []));
  if (!change || isNew || text === undefined) {
    row.code.textContent = text ?? "";
    return;
  }
  const [start, end] = difference(change.before, text);
  const mark = h("mark", {}, text.slice(start, end));
  row.code.replaceChildren(text.slice(0, start), mark, text.slice(end));
  if (text.length > 200) long.push([row.code, mark]);
}

function drawPrinted(step) {
  const box = byId("printed");
  const until = step ? step.printed : data.output.length;
  const from = step && step.number ? replay.steps[step.number - 1].printed : step ? 0 : until;
  const before = last(data.output.slice(0, Math.min(from, until)), PRINTED);
  const fresh = last(data.output.slice(Math.min(from, until), until), PRINTED);
  const key = `${until}/${fresh.length}`;
  if (box.dataset.shown === key) return;
  box.dataset.shown = key;
  box.replaceChildren(before, fresh && h("mark", {}, fresh));
  box.classList.toggle("empty", !until);
  if (!until) box.textContent = step ? "nothing yet" : "nothing";
  box.scrollTop = box.scrollHeight;
}

function drawStatus(step) {
  const place = step
    ? [h("b", {}, `Step ${thousands(step.number + 1)}`), ` of ${thousands(END)} · line ${step.line} in ${readable(step.frame.scope)}`]
    : [h("b", {}, "The end"), END ? ` after ${counted(END, "step")}` : "", ` · ${clipped(ending(data.ending), 120)}`];
  const told = step && step.changes.slice(0, 3).map(({ name, after }) => `${name} ${after === undefined ? "is gone" : `is now ${clipped(after, 60)}`}`);
  byId("status").replaceChildren(...place, told && told.length ? unseen(`: ${told.join(", ")}`) : "");
  const slider = byId("slider");
  slider.value = position;
  slider.setAttribute("aria-valuetext", step ? `step ${step.number + 1} of ${END}` : "the end");
  byId("first").disabled = byId("back").disabled = position === 0;
  byId("last").disabled = byId("forward").disabled = position === END;
}

const settled = []; // rows of the answer: [row, the position from which its true value holds]

function showAnswer() {
  if (!data.answer) return;
  const { targets, reward, text } = data.answer;
  const asked = text !== null;
  const rows = targets.map(({ label, value, predicted, right, step }) => {
    const to = step ?? END;
    const link = h("button", { type: "button", class: "jump", title: "Where it gets this value", onclick: () => moveTo(to) }, step === null ? "end" : `step ${step + 1}`);
    const row = h("tr", {},
      h("th", { scope: "row" }, h("code", {}, label)),
      h("td", {}, h("code", {}, value)),
      asked && h("td", {}, predicted === null ? h("span", { class: "note" }, "not given") : h("code", {}, predicted)),
      asked && h("td", { class: right ? "mark good" : "mark bad" }, right ? "✓" : "✗", unseen(right ? "right" : "wrong")),
      h("td", {}, link));
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

// The address names the step, so that a link leads others to it; written when the reader rests.
let resting = 0;
function remember() {
  clearTimeout(resting);
  resting = setTimeout(() => history.replaceState(null, "", position < END ? `#step-${position + 1}` : "#end"), 300);
}

function addressed() {
  if (location.hash === "#end") return END;
  return Number(/^#step-(\d+)$/.exec(location.hash)?.[1] || 1) - 1;
}

showHead();
showSource();
showPicture();
showControls();
showAnswer();
moveTo(addressed());
window.addEventListener("hashchange", () => moveTo(addressed()));
