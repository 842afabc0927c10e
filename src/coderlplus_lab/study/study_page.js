// The page of a study: forests of means and differences, curves, tables.

const data = JSON.parse(byId("data").textContent);
const KNOWN = { grpo: "c-grpo", coderlplus: "c-ours", grpo_kl: "c-kl", warm_start: "c-start" };
const COLORS = ["c-0", "c-2", "c-3", "c-5", "c-1", "c-4", "c-7"];
const MOST_LINES = 8;
const NAMES = 208;
const NARROW = 400;
const VALUES = 52;
const ROW = 24;

// Arms with the most seeds are the main comparison: they get the curves.
const ranked = [...data.arms].sort((a, b) => b.seeds.length - a.seeds.length);
const others = data.arms.map((arm) => arm.name).filter((name) => !KNOWN[name]);
const colorOf = (name) => KNOWN[name] || COLORS[others.indexOf(name) % COLORS.length];
const measured = Object.keys(data.labels);
const percentOf = (value) => (100 * value).toFixed(1);
const points = (value) => signed(100 * value, 1);
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

// "A − B" in so many characters, with something of both.
function cutName(label, most) {
  const [arm, against] = label.split(" − ");
  if (!against) return cut(label, most);
  const room = most - 3;
  const other = cut(against, Math.max(room - arm.length, Math.floor(room / 2)));
  return `${cut(arm, room - other.length)} − ${other}`;
}

function showTitle() {
  document.title = data.title;
  byId("title").textContent = data.title;
  const { counts } = data;
  const facts = counts.problems
    ? [counted(counts.problems, "held-out problem"), counted(counts.tasks, "alignment task"), counted(counts.test_outputs, "test-output question"),
      `${counts.samples} samples per problem`, `${data.hours.toFixed(1)} hours in total`, data.hardware]
    : ["no run is measured yet"];
  byId("meta").append(...facts.map((text) => h("span", {}, text)));
  if (data.missing.length) byId("missing").textContent = `Not run yet: ${data.missing.join(", ")}`;
}

// rows: [{label, color, spread}]; one figure for a measure.
function forest(title, rows, { format, zero }) {
  const svg = s("svg", { role: "img", "aria-label": `${title}: ${rows.map(({ label, spread }) => `${label} ${format(spread.mean)}`).join("; ")}` });
  const figure = h("figure", { class: "forest" }, h("h3", {}, title), svg);
  const ends = rows.flatMap(({ spread }) => [spread.low, spread.high, spread.problems_low, spread.problems_high, spread.mean, ...spread.by_seed]).filter(isNumber);
  const [low, high] = range(zero ? [...ends, 0] : ends, false, undefined).map((end) => (zero ? end : Math.min(1, Math.max(0, end))));
  let width = 0;
  new ResizeObserver(() => {
    const now = Math.round(svg.getBoundingClientRect().width);
    if (!now || now === width) return;
    width = now;
    drawForest(svg, rows, { format, zero, low, high, width });
  }).observe(svg);
  return figure;
}

function drawForest(svg, rows, { format, zero, low, high, width }) {
  const stacked = width < NARROW; // a label above its marks, not beside them
  const left = stacked ? 8 : Math.min(NAMES, width * 0.42);
  const row = stacked ? ROW + 14 : ROW;
  const right = width - VALUES;
  const bottom = rows.length * row + 4;
  const px = (value) => left + (right - left) * Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
  const grid = ticks(low, high, 4).marks.map((mark) => [
    s("line", { class: zero && mark === 0 ? "zero" : "grid", x1: px(mark), x2: px(mark), y1: 0, y2: bottom }),
    s("text", { class: "tick", x: px(mark), y: bottom + 14, "text-anchor": "middle" }, zero ? points(mark).replace(".0", "") : percentOf(mark).replace(".0", "")),
  ]);
  const marks = rows.map(({ label, color, spread }, place) => {
    const y = (place + 1) * row - ROW / 2;
    const line = (kind, from, to) => isNumber(from) && s("line", { class: kind, x1: px(from), x2: px(to), y1: y, y2: y });
    return [
      s("text", { class: "name", x: 0, y: stacked ? y - 14 : y + 4 }, cutName(label, stacked ? 44 : 26), s("title", {}, label)),
      s("g", { class: color },
        line("seeds", spread.low, spread.high), line("problems", spread.problems_low, spread.problems_high),
        ...spread.by_seed.map((value) => s("circle", { class: "one", cx: px(value), cy: y, r: 2.2 })),
        s("circle", { class: "mean", cx: px(spread.mean), cy: y, r: 4.5 })),
      s("text", { class: "value", x: width, y: y + 4, "text-anchor": "end" }, format(spread.mean)),
    ];
  });
  svg.setAttribute("viewBox", `0 0 ${width} ${bottom + 20}`);
  svg.setAttribute("height", bottom + 20);
  svg.replaceChildren(...[grid, marks].flat(Infinity).filter(Boolean));
}

function showForests() {
  for (const name of measured) {
    const differences = data.differences.filter((row) => row.measures[name]);
    if (differences.length) {
      byId("difference-plots").append(forest(data.labels[name],
        differences.map((row) => ({ label: row.label, color: colorOf(row.arm), spread: row.measures[name] })), { format: points, zero: true }));
    }
    const arms = data.arms.filter((arm) => arm.measures[name]);
    if (arms.length) {
      byId("level-plots").append(forest(data.labels[name],
        arms.map((arm) => ({ label: arm.label, color: colorOf(arm.name), spread: arm.measures[name] })), { format: percentOf, zero: false }));
    }
  }
}

function showCurves() {
  const names = ranked.slice(0, MOST_LINES).map((arm) => arm.name);
  const shown = data.curves.filter((curve) => names.includes(curve.arm) && curve.step.length > 1);
  byId("curves").hidden = !shown.length;
  const left = data.curves.filter((curve) => curve.step.length > 1).length - shown.length;
  byId("curve-note").textContent = `Validation split, mean over seeds, by optimisation step.${left > 0 ? ` ${left} more arms are in the JSON file beside this page.` : ""}`;
  const steps = [0, Math.max(0, ...shown.flatMap((curve) => curve.step))];
  for (const name of measured) {
    const lines = shown.filter((curve) => curve.values[name]).map((curve) => ({
      label: curve.label, short: cut(curve.label, 10), color: colorOf(curve.arm), x: curve.step, y: curve.values[name], dots: true,
    }));
    if (!lines.length) continue;
    byId("curve-plots").append(chart({
      title: data.labels[name], note: "validation", lines, steps, fromZero: true, most: 1,
      format: (value) => percent(value), tick: (value) => `${plain(100 * value)}\u202f%`,
    }));
  }
}

function spreadCell(spread, format) {
  if (!spread) return h("td", {}, "–");
  const over = isNumber(spread.low) ? [spread.low, spread.high] : [spread.problems_low, spread.problems_high];
  const interval = isNumber(over[0]) ? `${format(over[0])} to ${format(over[1])}` : "";
  const relative = isNumber(spread.relative) ? ` · ${signed(100 * spread.relative, 1)}\u202f%` : "";
  return h("td", { title: spread.by_seed.map(format).join(", ") }, format(spread.mean), h("small", {}, interval + relative));
}

function numberTable(caption, heads, rows) {
  if (!rows.length) return [];
  const head = h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text))));
  return [h("table", { class: "numbers" }, h("caption", {}, caption), head, h("tbody", {}, rows))];
}

function showTables() {
  const row = (label, ...cells) => h("tr", {}, h("th", { scope: "row" }, label), cells);
  const cell = (text) => h("td", {}, text);
  const labels = measured.map((name) => data.labels[name]);
  byId("arm-table").append(...numberTable("Percent, with 95\u202f% intervals over seeds (with one seed: over families of problems)",
    ["", "seeds", ...labels, "samples", "seconds"],
    data.arms.map((arm) => row(arm.label, cell(arm.seeds.join(" ")), measured.map((name) => spreadCell(arm.measures[name], percentOf)),
      cell(thousands(arm.training_samples)), cell(thousands(arm.training_seconds))))));
  byId("difference-table").append(...numberTable("Differences in points, and relative", ["", "seeds", ...labels],
    data.differences.map((one) => row(one.label, cell(one.seeds.join(" ")), measured.map((name) => spreadCell(one.measures[name], points))))));
  const timed = data.differences.filter((one) => Object.keys(one.equal_seconds).length);
  const names = measured.filter((name) => timed.some((one) => one.equal_seconds[name]));
  byId("second-table").append(...numberTable("Differences at equal seconds of training, in points, on the validation split",
    ["", ...names.map((name) => data.labels[name])],
    timed.map((one) => row(one.label, names.map((name) => spreadCell(one.equal_seconds[name], points))))));
  byId("search-table").append(...numberTable("Settings searched on the validation split", ["", "setting", "measure", "value"],
    data.search.map((one) => row(one.arm, cell(JSON.stringify(one.chosen)), cell(data.labels[one.measure]), cell(percentOf(one.value))))));
}

// What hidden states tell beyond the text: of each kind of programs and marks one figure of levels, one of differences.
const PROGRAMS = { task: "Reading a task", given: "Reading a reference", own: "While it writes" };

function showProbes() {
  byId("probes").hidden = !data.probes.length;
  const labels = Object.fromEntries(data.arms.map((arm) => [arm.name, arm.label]));
  for (const probed of data.probes) {
    const title = `${PROGRAMS[probed.programs]}: ${probed.mark}`;
    byId("probe-plots").append(
      forest(title, Object.entries(probed.arms).map(([name, spread]) => ({ label: labels[name] || name, color: colorOf(name), spread })),
        { format: points, zero: true }));
    if (!probed.differences.length) continue;
    byId("probe-difference-plots").append(
      forest(title, probed.differences.map((one) => ({
        label: `${labels[one.arm] || one.arm} − ${labels[one.against] || one.against}`, color: colorOf(one.arm), spread: one,
      })), { format: points, zero: true }));
  }
}

function showAbout() {
  const chosen = data.arms.filter((arm) => Object.keys(arm.chosen).length).map((arm) => `${arm.label}: ${JSON.stringify(arm.chosen)}`);
  byId("about").append(
    h("pre", {}, data.command),
    h("p", { class: "note" }, `coderlplus ${data.version}. Seconds are those of training, without evaluation; samples are sampled completions or training examples.`),
    ...(chosen.length ? [h("h4", {}, "Chosen on the validation split"), h("pre", {}, chosen.join("\n"))] : []));
}

showTitle();
showForests();
showCurves();
showTables();
showProbes();
showAbout();
