// The page of probes: for each context a summary with intervals, for each fact a chart over layers.

const data = JSON.parse(byId("data").textContent);
const NAMES = Object.keys(data.models);
const KNOWN = { grpo: "c-grpo", coderlplus: "c-ours", warm_start: "c-0", grpo_kl: "c-kl" };
const PALETTE = ["c-ours", "c-grpo", "c-kl", "c-0", "c-3", "c-5", "c-7"];
const color = (model) => KNOWN[model] || PALETTE[NAMES.indexOf(model) % PALETTE.length];
const NAMED = { grpo: "GRPO", coderlplus: "CodeRL+", warm_start: "warm start", grpo_kl: "GRPO + KL" };
const named = (model) => NAMED[model] || model;
const pts = (one) => `${signed(100 * one.mean, 1)} (${signed(100 * one.low, 1)} to ${signed(100 * one.high, 1)})`;
const details = (summary, ...content) => h("details", {}, h("summary", {}, summary), content);

const SUBJECT = { statement: "the variable just set", mention: "the variable just named", comment: "the variable just set", asked: "the variable asked for", answer: "the value to say", end: "the output" };
const MARKS = {
  answer: "In the answer, just before a value", comment: "Where a comment behind a statement begins", statement: "At the end of a statement",
  mention: "At a variable that is read", asked: "At a variable that the question names",
  end: { task: "At the end of the question", given: "At the end of the program", own: "At the end of the program" },
};
const place = (mark, context) => (mark === "end" ? MARKS.end[context] : MARKS[mark]);
const QUESTIONS = {
  value: (it) => `What is ${it}?`, parity: (it) => `Is ${it} odd or even?`, sign: (it) => `Is ${it} negative, zero or positive?`,
  length: (it) => `How long is ${it}?`, first: (it) => `What is the first number of ${it}?`, first_parity: (it) => `Is the first number of ${it} odd?`,
  branch: () => "Is the branch taken?", turns: () => "How many iterations does the loop make?", raises: () => "Does the run end with an exception?",
  kind: () => "Which kind of statement is it?", name: () => "Which variable is it?",
};
const question = (fact) => (fact.mark === "end" && fact.fact === "name" ? "Which variable is last?" : (QUESTIONS[fact.fact] || (() => fact.fact))(SUBJECT[fact.mark]));
const listed = (classes) => (classes.length > 5 ? `${classes.slice(0, 2).join(", ")} … ${classes[classes.length - 1]}` : classes.join(", "));

const HIGH = 210;
const EDGE = { top: 12, right: 92, bottom: 34, left: 44 };

function showTitle() {
  document.title = `Probes of ${NAMES.map(named).join(", ")}`;
  byId("title").textContent = document.title;
  const facts = data.parts.reduce((sum, part) => sum + part.facts.filter((fact) => !fact.control).length, 0);
  byId("meta").append(...[counted(facts, "fact"), counted(data.parts.length, "way") + " of reading", `at most ${thousands(data.settings.rows)} rows per fact`,
    "intervals over programs, 95\u202f%"].map((text) => h("span", {}, text)));
  byId("how").textContent = "A linear classifier learns on some programs to read a fact of the run (a value, a branch, an output) off one hidden state, and " +
    "is tested on other programs. The charts show how much more often it is correct than the better of two controls: the same classifier on the tokens " +
    "alone, and on an untrained model of the same shape. 0 means that the text says as much. Mean over facts and over all layers after the embedding.";
}

// One row a model: its selectivity over all facts of the run at a kind of mark, with its interval. All have one scale.
function forest(part, over, [low, high]) {
  const width = 420;
  const left = 96;
  const right = width - 150;
  const x = (value) => left + (right - left) * (value - low) / (high - low);
  const height = 26 * over.models.length + 34;
  const label = over.models.map((row) => `${named(row.model)} ${pts(row.selectivity)} points`).join("; ");
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    ticks(100 * low, 100 * high, 4).marks.map((mark) => [
      s("line", { class: Math.abs(mark) < 1e-9 ? "zero" : "grid", x1: x(mark / 100), x2: x(mark / 100), y1: 4, y2: height - 30 }),
      s("text", { class: "axis", x: x(mark / 100), y: height - 16, "text-anchor": "middle" }, signed(mark, 0))]),
    s("text", { class: "axis", x: (left + right) / 2, y: height - 2, "text-anchor": "middle" }, "points beyond the text"),
    over.models.map((row, index) => {
      const y = 18 + 26 * index;
      const one = row.selectivity;
      return s("g", { class: color(row.model) },
        s("text", { class: "name", x: 0, y: y + 4 }, named(row.model)),
        s("line", { class: "reach", x1: x(one.low), x2: x(one.high), y1: y, y2: y }),
        s("circle", { class: "point", cx: x(one.mean), cy: y, r: 5 }),
        s("text", { class: "value", x: right + 10, y: y + 4 }, pts(one)));
    }));
  const against = over.differences.map((one) => h("li", {}, `${named(one.b)} against ${named(one.a)}: `, h("b", {}, pts(one))));
  return h("figure", { class: "forest" }, h("h4", {}, place(over.mark, part.context)), h("p", { class: "note" }, counted(over.models[0].facts, "fact")), svg,
    against.length ? h("ul", {}, against) : null);
}

function showForests() {
  const rows = data.parts.flatMap((part) => part.marks.flatMap((over) => over.models.map((row) => row.selectivity)));
  const scale = [Math.min(-0.05, ...rows.map((one) => one.low)), Math.max(0.05, ...rows.map((one) => one.high))];
  for (const part of data.parts) {
    const programs = part.programs.map((one) => (part.paired ? "" : `${named(one.model)} `) + thousands(one.programs)).join(", ");
    byId("forests").append(h("section", {}, h("h3", {}, part.title), h("p", { class: "note" }, `different programs: ${programs}`),
      part.marks.length ? h("div", { class: "forests" }, Object.keys(MARKS).flatMap((mark) => part.marks.filter((over) => over.mark === mark)).map((over) => forest(part, over, scale))) : h("p", { class: "note" }, "No fact of the run has enough rows.")));
  }
}

function showLegend() {
  const key = (klass, text, shape) => h("span", {}, s("svg", { viewBox: "0 0 28 10", class: klass }, shape), text);
  const line = (name) => s("line", { class: name, x1: 1, x2: 27, y1: 5, y2: 5 });
  const path = (name) => s("path", { class: name, d: "M1,5L27,5" });
  byId("legend").append(
    ...NAMES.map((model) => key(color(model), named(model), [s("rect", { class: "band", x: 0, width: 28, y: 0, height: 10 }), path("line")])),
    key("c-blank", "untrained model of the same shape", path("blank")),
    key("", "tokens alone", line("tokens")), key("", "guessing", line("chance")));
}

// The chart of a fact: percent right over layers.
function factChart(fact, context) {
  const models = NAMES.filter((model) => fact.models[model]);
  const first = fact.models[models[0]];
  const own = context === "own" && models.length > 1;
  const about = `${listed(first.classes)} · ${thousands(first.rows)} rows of ${counted(first.programs, "program")}${own ? ` (${named(models[0])})` : ""}` +
    (fact.shown ? " · the value is in the text" : "");
  const svg = s("svg", { class: "probe", role: "img", "aria-label": `${question(fact)} ${models.map((model) => `${named(model)} ${percent(fact.models[model].mean_score.mean)}`).join(", ")}; tokens alone ${percent(first.tokens.mean)}` });
  const figure = h("figure", { class: "chart" }, h("figcaption", {}, h("h4", {}, question(fact))), h("p", { class: "about" }, about), svg);
  let seen = 0;
  new ResizeObserver(() => {
    const width = Math.round(svg.getBoundingClientRect().width);
    if (width && width !== seen) drawFact(svg, fact, models, seen = width);
  }).observe(svg);
  return figure;
}

function drawFact(svg, fact, models, width) {
  const right = width - EDGE.right;
  const bottom = HIGH - EDGE.bottom;
  const chance = Math.min(...models.map((model) => fact.models[model].chance));
  const all = models.flatMap((model) => [...fact.models[model].score, ...fact.models[model].untrained, fact.models[model].tokens].flatMap((one) => [one.low, one.high]));
  const low = Math.max(0, Math.floor(10 * Math.min(chance, ...all)) / 10);
  const high = Math.min(1, Math.ceil(10 * Math.max(...all)) / 10);
  const depth = Math.max(...models.map((model) => data.models[model].layers));
  const px = (layer) => EDGE.left + (right - EDGE.left) * layer / depth;
  const py = (value) => bottom - (bottom - EDGE.top) * (value - low) / (high - low);
  const line = (layers, values) => values.map((one, i) => `${i ? "L" : "M"}${px(layers[i]).toFixed(1)},${py(one.mean).toFixed(1)}`).join("");
  const band = (layers, values) => [...values.map((one, i) => [px(layers[i]), py(one.high)]), ...values.map((one, i) => [px(layers[i]), py(one.low)]).reverse()]
    .map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("") + "Z";
  const last = (values) => values[values.length - 1].mean;
  const labels = [{ y: py(chance), text: `guessing ${percent(chance, 0)}`, color: "quiet" }];
  const nodes = ticks(100 * low, 100 * high, 4).marks.map((mark) => [
    s("line", { class: "grid", x1: EDGE.left, x2: right, y1: py(mark / 100), y2: py(mark / 100) }),
    s("text", { class: "tick", x: EDGE.left - 6, y: py(mark / 100) + 3.5, "text-anchor": "end" }, `${plain(mark)}\u202f%`)]);
  const shown = fact.models[models[0]].layers.filter((layer, i, layers) => layers.length < 8 || i % 2 === 0 || i === layers.length - 1);
  nodes.push(shown.map((layer) => s("text", { class: "tick", x: px(layer), y: bottom + 14, "text-anchor": "middle" }, layer === 0 ? "input" : layer)));
  nodes.push(s("text", { class: "tick", x: (EDGE.left + right) / 2, y: HIGH - 4, "text-anchor": "middle" }, "layer"));
  nodes.push(s("line", { class: "chance", x1: EDGE.left, x2: right, y1: py(chance), y2: py(chance) }));
  const drawn = new Set();
  models.forEach((model) => {
    const one = fact.models[model];
    const floor = `${one.tokens.mean}/${one.untrained_mean.mean}`;
    if (!drawn.has(floor)) {
      drawn.add(floor);
      nodes.push(s("line", { class: "tokens", x1: EDGE.left, x2: right, y1: py(one.tokens.mean), y2: py(one.tokens.mean) }));
      nodes.push(s("path", { class: "blank c-blank", d: line(one.layers, one.untrained) }));
      if (drawn.size === 1) {
        labels.push({ y: py(one.tokens.mean), text: "tokens alone", color: "quiet" });
        labels.push({ y: py(last(one.untrained)), text: "untrained", color: "quiet" });
      }
    }
  });
  models.forEach((model) => nodes.push(s("path", { class: `band ${color(model)}`, d: band(fact.models[model].layers, fact.models[model].score) })));
  models.forEach((model) => {
    const one = fact.models[model];
    nodes.push(s("path", { class: `line ${color(model)}`, d: line(one.layers, one.score) }));
    nodes.push(one.score.map((score, i) => s("circle", { class: `dot ${color(model)}`, cx: px(one.layers[i]), cy: py(score.mean), r: 2.6 },
      s("title", {}, `${named(model)}, layer ${one.layers[i]}: ${percent(score.mean)} right, ${pts(one.selectivity[i])} points beyond the text`))));
    labels.push({ y: py(last(one.score)), text: named(model), color: color(model) });
  });
  nodes.push(drawLabels(labels, right, bottom + 4));
  svg.setAttribute("viewBox", `0 0 ${width} ${HIGH}`);
  svg.replaceChildren(...nodes.flat(Infinity));
}

function grids(part, facts) {
  const marks = Object.keys(MARKS).filter((mark) => facts.some((fact) => fact.mark === mark));
  return marks.map((mark) => h("section", {}, h("h3", {}, place(mark, part.context)),
    h("div", { class: "grid-of-charts" }, facts.filter((fact) => fact.mark === mark).map((fact) => factChart(fact, part.context)))));
}

function showFacts(index) {
  const part = data.parts[index];
  byId("charts").replaceChildren(...grids(part, part.facts.filter((fact) => !fact.control)));
  byId("controlcharts").replaceChildren(...grids(part, part.facts.filter((fact) => fact.control)));
}

function showFilters() {
  const select = h("select", { name: "part" }, data.parts.map((part, index) => h("option", { value: index }, part.title)));
  byId("filters").append(h("label", {}, "What the models do", select));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("input", () => { location.hash = data.parts[select.value].context; });
  const go = () => {
    const index = Math.max(0, data.parts.findIndex((part) => `#${part.context}` === location.hash));
    select.value = index;
    showFacts(index);
  };
  addEventListener("hashchange", go);
  go();
}

// Shuffled labels: how far from guessing, over all facts.
function showShuffled() {
  byId("controlnote").textContent = "With shuffled labels there is nothing to learn, so a probe must be at guessing level. Facts that the text shows " +
    "(which variable, which kind of statement, values that stand in it) should be read well from every model, and hardly better than from the tokens.";
  const rows = NAMES.map((model) => {
    const off = data.parts.flatMap((part) => part.facts.filter((fact) => fact.models[model]).map((fact) => fact.models[model].shuffled.mean - fact.models[model].chance));
    const surface = data.parts.flatMap((part) => part.facts.filter((fact) => fact.control && !fact.shown && fact.models[model]).map((fact) => fact.models[model]));
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const cell = (value) => h("td", {}, value);
    return h("tr", {}, h("th", { scope: "row", class: color(model) }, named(model)),
      cell(off.length ? `${signed(100 * mean(off), 1)} points (${signed(100 * Math.min(...off), 1)} to ${signed(100 * Math.max(...off), 1)} over ${off.length} facts)` : "–"),
      cell(surface.length ? percent(mean(surface.map((one) => one.mean_score.mean))) : "–"),
      cell(surface.length ? `${signed(100 * mean(surface.map((one) => one.mean_selectivity.mean)), 1)} points` : "–"));
  });
  byId("shuffled").append(h("div", { class: "scroll" }, h("table", { class: "values" }, h("thead", {}, h("tr", {},
    ["", "shuffled labels, from guessing", "facts of the text: right", "beyond tokens and untrained model"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows))));
}

function showTables() {
  for (const part of data.parts) {
    const rows = part.facts.flatMap((fact) => NAMES.filter((model) => fact.models[model]).map((model) => {
      const one = fact.models[model];
      return h("tr", {}, h("td", {}, `${fact.mark}/${fact.fact}${fact.shown ? " (in the text)" : ""}`), h("td", {}, String(one.classes.length)), h("td", {}, thousands(one.rows)),
        h("td", { class: color(model) }, named(model)), [one.mean_score, one.tokens, one.untrained_mean, one.shuffled].map((score) => h("td", {}, percent(score.mean))),
        h("td", {}, pts(one.mean_selectivity)));
    }));
    const heads = ["fact", "classes", "rows", "model", "right", "tokens", "untrained", "shuffled", "points beyond the text"];
    byId("tables").append(details(`${part.title}: all numbers`, h("div", { class: "scroll" }, h("table", { class: "values wide" },
      h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows)))));
    const lines = part.programs.flatMap((one) => [
      ...Object.entries(one.left_out).map(([reason, count]) => `${one.model ? `${named(one.model)}: ` : ""}${counted(count, "program")} left out: ${reason}`),
      ...Object.entries(one.not_probed).map(([fact, reason]) => `${one.model ? `${named(one.model)}: ` : ""}${fact} not probed: ${reason}`)]);
    if (lines.length) byId("tables").append(details(`${part.title}: what was left out`, h("ul", { class: "note" }, lines.map((text) => h("li", {}, text)))));
  }
  const settings = [...Object.entries(data.settings), ...NAMES.map((model) => [model, data.models[model].model])];
  byId("tables").append(details("Settings", h("table", { class: "values" }, h("tbody", {}, settings.map(([name, value]) => h("tr", {}, h("th", {}, name), h("td", {}, h("code", {}, JSON.stringify(value)))))))));
}

showTitle();
showForests();
showLegend();
showFilters();
showShuffled();
showTables();
