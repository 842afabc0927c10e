// The viewer: moves the replay and draws where it stands, here the program and the controls. Only what a step changes is touched, so that a step
// costs the same in a run of any length.

const data = JSON.parse(byId("data").textContent);
const replay = new Replay(data);
const END = replay.steps.length; // the position after the last step: the end of the run
const COLORS = ["c-ours", "c-grpo", "c-kl", "c-0", "c-7", "c-3", "c-2", "c-5"]; // of functions

const lines = []; // the elements of the source lines
let position = null;
let marked = []; // elements that wear a mark of the current position

const clipped = (text, limit) => (text.length > limit ? `${text.slice(0, limit)}…` : text);
const colorOf = (scope) => COLORS[Math.max(0, data.scopes.indexOf(scope)) % COLORS.length];
const readable = (scope) => (scope === "<module>" ? "module" : scope.replaceAll(".<locals>", ""));

function ending({ kind, type, message, line }) {
  if (kind === "exception") return `${[type, message].filter(Boolean).join(": ")}${line ? ` (line ${line})` : ""}`;
  if (kind === "finished") return data.value === null ? "finished" : `returned ${clipped(data.value, 200)}`;
  return [kind.replace("_", " "), message].filter(Boolean).join(" ");
}

const wentWell = ({ kind, message }) => kind === "finished" || (kind === "exit" && ["0", "None", undefined].includes(message));

const failed = () => Boolean(data.outcome) || !wentWell(data.ending); // that a run ended well does not say that its result is right

function showOutcome({ verdict, test, expected, actual, detail }) {
  const row = (name, text) => text !== null && h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, h("pre", { class: "input" }, text || "(nothing)")));
  byId("about").append(...[
    h("p", { class: "meta" }, h("span", { class: "badge bad" }, [verdict, test].filter(Boolean).join(", "))),
    (expected !== null || actual !== null) && h("table", { class: "values", id: "outcome" }, h("tbody", {}, row("expected", expected), row("actual", actual))),
    detail && h("p", { class: "note" }, detail),
  ].filter(Boolean));
}

function showHead() {
  const { call, text } = data.input;
  document.title = `Trace of ${data.title}`;
  byId("title").textContent = data.title;
  const short = call || (text.trim() === text.trimEnd() && !text.trimEnd().includes("\n") && text.length < 100);
  const given = [call ? "called as " : text ? "standard input: " : "no input", text && short && h("code", { class: "given" }, clipped(text.trimEnd(), 300))];
  byId("about").append(h("p", { class: "meta" }, h("span", {}, given),
    h("span", { class: `badge ${failed() ? "bad" : ""}` }, ending(data.ending))));
  if (data.outcome) showOutcome(data.outcome);
  if (!short) byId("about").append(h("pre", { class: "input", tabindex: "0", role: "region", "aria-label": "Standard input" }, text));
  const cut = { steps: "the maximum was reached", bytes: "their values reached the size limit", time: "recording took too long" }[data.cut];
  const notes = [
    cut && `Only the first ${counted(END, "step")} are here (${cut}); the values at the end are those of the whole run.`,
    data.withheld && `Variables and steps are withheld: the program accesses ${data.withheld}, with which it could falsify them.`,
    !END && !data.withheld && "No steps were recorded.",
    !data.deterministic && "Two runs of this program differed: it is nondeterministic, or it exceeded a limit.",
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
  picture.append(...[...paths].map(([color, d]) => s("path", { d, class: color })));
  if (!wentWell(data.ending)) picture.append(s("path", { class: "failure", d: `M${END} 0v${lines.length}` }));
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
    const aside = h("span", { class: "aside" }, notes.flatMap((note) => [" ", note]));
    line.lastElementChild.append(aside);
    marked.push(aside);
  }
  const box = line.parentNode;
  const top = line.offsetTop;
  const margin = Math.min(48, box.clientHeight / 4);
  if (top - margin < box.scrollTop) box.scrollTop = top - box.clientHeight / 3;
  else if (top + line.offsetHeight + margin > box.scrollTop + box.clientHeight) box.scrollTop = top - (box.clientHeight * 2) / 3;
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
  for (const id of ["first", "back"]) byId(id).ariaDisabled = position === 0; // not `disabled`, which would take the focus away
  for (const id of ["last", "forward"]) byId(id).ariaDisabled = position === END;
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
