// Title, headline table and settings; then the curves and the samples.

const data = JSON.parse(byId("data").textContent);

function showTitle() {
  const title = data.runs.length > 1 ? "CodeRL+ beside GRPO" : `CodeRL+ run “${data.folder}”`;
  document.title = title;
  byId("title").textContent = title;
  byId("meta").append(...data.runs.map((run, index) => h("span", {}, h("i", { class: `swatch ${runColor(run, index)}` }), `${run.label}: ${state(run)}`)));
}

function state(run) {
  if (run.finished) return `finished, ${thousands(run.steps)} steps`;
  return run.planned && run.planned > run.steps ? `at step ${thousands(run.steps)} of ${thousands(run.planned)}, not finished` : `${thousands(run.steps)} steps, not finished`;
}

// A share with its bar; the bar's whisker is the interval.
function shareCell({ value, low, high }, color) {
  if (!isNumber(value)) return h("td", { class: "missing" }, "–");
  const bar = s("svg", { class: `share ${color}`, viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "track", width: 100, height: 6 }), s("rect", { class: "fill", width: 100 * value, height: 6 }),
    isNumber(low) && s("rect", { class: "interval", x: 100 * low, width: 100 * (high - low), y: 2, height: 2 }));
  return h("td", {}, h("span", { class: "number" }, (100 * value).toFixed(1).padStart(4, "\u2007"), isNumber(low) && h("small", {}, ` ±${(50 * (high - low)).toFixed(1)}`)), bar);
}

const amount = (row, key) => (!isNumber(row[key]) ? "–" : key === "samples" ? thousands(row[key]) : row[key].toFixed(1));

// The results twice: wide with a row a model, and tall for phones with a row a number; the style shows one.
function showTable() {
  if (!data.table.length) return;
  byId("results").hidden = false;
  byId("sentences").append(...data.sentences.map(({ topic, text }) => h("p", {}, h("b", {}, topic), text.replaceAll(" %", "\u202f%"))));
  const heads = data.columns.map(({ name, how }) => h("th", { scope: "col" }, name, h("small", {}, how)));
  const rows = data.table.map((row) => h("tr", {},
    h("th", { scope: "row" }, h("i", { class: `swatch ${RUN_COLORS[row.name] || "c-4"}` }), row.label),
    row.cells.map((cell) => shareCell(cell, RUN_COLORS[row.name] || "c-4")),
    ["samples", "minutes"].map((key) => h("td", { class: "cost" }, amount(row, key)))));
  const ours = data.table.find((row) => row.name === "coderlplus");
  const compare = (name, label) => {
    const other = data.table.find((row) => row.name === name);
    if (!ours || !other) return null;
    return h("tr", { class: "difference" }, h("th", { scope: "row" }, `CodeRL+ − ${label}`), ours.cells.map((cell, i) => {
      const difference = isNumber(cell.value) && isNumber(other.cells[i].value) ? 100 * (cell.value - other.cells[i].value) : null;
      return h("td", {}, isNumber(difference) ? signed(difference, 1).padStart(5, "\u2007") : "–");
    }), h("td", {}), h("td", {}));
  };
  byId("table").append(h("table", { class: "results" },
    h("thead", {}, h("tr", {}, h("th", {}), h("th", { scope: "colgroup", colspan: "3" }, "Writing programs"), h("th", { scope: "colgroup", colspan: "2" }, "Predicting execution"), h("th", { scope: "colgroup", colspan: "2" }, "Cost")),
      h("tr", {}, h("th", {}), heads, h("th", { scope: "col", class: "cost" }, "samples"), h("th", { scope: "col", class: "cost" }, "minutes"))),
    h("tbody", {}, rows), h("tbody", {}, compare("grpo", "GRPO"), compare("warm_start", "warm start"))));
  byId("table").append(h("table", { class: "results tall" },
    h("thead", {}, h("tr", {}, h("th", {}), data.table.map((row) => h("th", { scope: "col" }, h("i", { class: `swatch ${RUN_COLORS[row.name] || "c-4"}` }), row.label)))),
    h("tbody", {}, data.columns.map(({ name, how }, i) => h("tr", {}, h("th", { scope: "row" }, name, h("small", {}, how)),
      data.table.map((row) => shareCell(row.cells[i], RUN_COLORS[row.name] || "c-4"))))),
    h("tbody", {}, ["samples", "minutes"].map((key) => h("tr", {}, h("th", { scope: "row" }, key), data.table.map((row) => h("td", {}, amount(row, key))))))));
  const intervals = data.table.some((row) => row.cells.some((cell) => isNumber(cell.low)));
  byId("table-note").textContent = "In percent; differences in points. " + (intervals ? "± is half of a 95 % interval over the evaluation problems. " : "") +
    "One run each: another seed gives other numbers, and a difference of a few points may be chance.";
}

function showSettings() {
  byId("configs").append(...data.runs.map((run) => details(run.label, run.config ? pre(run.config.trim()) : h("p", { class: "note" }, "No config.yaml."), pre(JSON.stringify(run.environment, null, 2)))));
}

showTitle();
showTable();
showCurves(data.runs);
showSamples();
showSettings();
