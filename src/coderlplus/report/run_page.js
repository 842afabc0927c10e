// Title, headline table and settings; then the curves and the samples.

const data = JSON.parse(byId("data").textContent);

const state = (run) => {
  if (run.finished) return `finished, ${counted(run.steps, "step")}`;
  const done = run.planned > run.steps ? `at step ${thousands(run.steps)} of ${thousands(run.planned)}` : counted(run.steps, "step");
  return `${done}, not finished`;
};
const swatch = (color) => h("i", { class: `swatch ${color}` });
const rowColor = (row) => RUN_COLORS[row.name] || "c-4";

function showTitle() {
  const title = data.runs.length > 1 ? "CodeRL+ beside GRPO" : `CodeRL+ run “${data.folder}”`;
  document.title = title;
  byId("title").textContent = title;
  byId("meta").append(...data.runs.map((run, index) => h("span", {}, swatch(runColor(run, index)), `${run.label}: ${state(run)}`)));
}

// A share with its bar; the mark on the bar is the interval.
function shareCell({ value, low, high }, color) {
  if (!isNumber(value)) return h("td", { class: "missing" }, "–");
  const interval = isNumber(low) && isNumber(high);
  const bar = s("svg", { class: `share ${color}`, viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "track", width: 100, height: 6 }),
    s("rect", { class: "fill", width: 100 * value, height: 6 }),
    interval && s("rect", { class: "interval", x: 100 * low, width: 100 * (high - low), y: 2, height: 2 }));
  const number = (100 * value).toFixed(1).padStart(4, "\u2007");
  return h("td", {}, h("span", { class: "number" }, number, interval && h("small", {}, ` ±${(50 * (high - low)).toFixed(1)}`)), bar);
}

function amount(row, key) {
  if (!isNumber(row[key])) return "–";
  return key === "samples" ? thousands(row[key]) : row[key].toFixed(1);
}

function differenceRow(name, label) {
  const ours = data.table.find((row) => row.name === "coderlplus");
  const other = data.table.find((row) => row.name === name);
  if (!ours || !other) return null;
  const cells = ours.cells.map(({ value }, i) => {
    const against = other.cells[i].value;
    return h("td", {}, isNumber(value) && isNumber(against) ? signed(100 * (value - against), 1).padStart(5, "\u2007") : "–");
  });
  return h("tr", { class: "difference" }, h("th", { scope: "row" }, `CodeRL+ − ${label}`), cells, h("td", { colspan: "2" }));
}

function wideTable() {
  const over = [["Writing programs", 3], ["Predicting execution", 2], ["Cost", 2]];
  const heads = [
    ...data.columns.map(({ name, how }) => h("th", { scope: "col" }, name, h("small", {}, how))),
    ...["samples", "minutes"].map((name) => h("th", { scope: "col", class: "cost" }, name)),
  ];
  const rows = data.table.map((row) => h("tr", {},
    h("th", { scope: "row" }, swatch(rowColor(row)), row.label),
    row.cells.map((cell) => shareCell(cell, rowColor(row))),
    ["samples", "minutes"].map((key) => h("td", { class: "cost" }, amount(row, key)))));
  return h("table", { class: "results" },
    h("thead", {},
      h("tr", {}, h("td", {}), over.map(([name, colspan]) => h("th", { scope: "colgroup", colspan }, name))),
      h("tr", {}, h("td", {}), heads)),
    h("tbody", {}, rows),
    h("tbody", {}, differenceRow("grpo", "GRPO"), differenceRow("warm_start", "warm start")));
}

function tallTable() {
  const heads = data.table.map((row) => h("th", { scope: "col" }, swatch(rowColor(row)), row.label));
  const shares = data.columns.map(({ name, how }, i) =>
    h("tr", {}, h("th", { scope: "row" }, name, h("small", {}, how)), data.table.map((row) => shareCell(row.cells[i], rowColor(row)))));
  const costs = ["samples", "minutes"].map((key) =>
    h("tr", {}, h("th", { scope: "row" }, key), data.table.map((row) => h("td", {}, amount(row, key)))));
  return h("table", { class: "results tall" }, h("thead", {}, h("tr", {}, h("td", {}), heads)), h("tbody", {}, shares), h("tbody", {}, costs));
}

// The results twice: wide with a row a model, and tall for phones with a row a number; the style shows one.
function showTable() {
  if (!data.table.length) return;
  byId("results").hidden = false;
  byId("sentences").append(...data.sentences.map(({ topic, text }) => h("p", {}, h("b", {}, topic), text.replaceAll(" %", "\u202f%"))));
  byId("table").append(wideTable(), tallTable());
  const intervals = data.table.some((row) => row.cells.some((cell) => isNumber(cell.low)));
  byId("table-note").textContent = "In percent; differences in points. " +
    (intervals ? "± is half of a 95\u202f% interval over the evaluation problems; it does not include training noise. " : "") +
    "One run per arm: another seed gives other numbers, and a difference of a few points may be noise.";
}

function showSettings() {
  const config = (run) => (run.config ? pre(run.config.trim()) : h("p", { class: "note" }, "No config.yaml."));
  byId("configs").append(...data.runs.map((run) => details(run.label, config(run), pre(JSON.stringify(run.environment, null, 2)))));
}

showTitle();
showTable();
showCurves(data.runs);
showSamples();
showSettings();
