// Small charts over training steps: lines with direct labels, or stacked bars. One cursor, shared by all charts on the page.

const HEIGHT = 190;
const MARGIN = { top: 10, right: 74, bottom: 22, left: 40 };
const BARS = 44;
const END = 1e12; // later than any step

const cursor = { step: null, followers: [] };
let cursorFrame = 0;

function moveCursor(step) {
  cursor.step = step;
  cancelAnimationFrame(cursorFrame);
  cursorFrame = requestAnimationFrame(() => cursor.followers.forEach((follow) => follow(step)));
}

// Mean over the points within `reach` of each one; gaps stay gaps.
function movingMean(values, reach) {
  return values.map((value, index) => {
    if (!isNumber(value)) return null;
    const near = values.slice(Math.max(0, index - reach), index + reach + 1).filter(isNumber);
    return near.reduce((sum, one) => sum + one, 0) / near.length;
  });
}

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
  const marks = [];
  for (let mark = Math.ceil(low / step - 1e-9); mark * step <= high + step * 1e-9; mark += 1) marks.push(mark * step);
  return { step, marks };
}

// A range that holds all values, ends at ticks, and starts at 0 when `fromZero`.
function range(values, fromZero, most) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (fromZero) low = Math.min(0, low);
  if (high - low < 1e-9) high = low + (Math.abs(low) || 1);
  const { step } = ticks(low, high, 4);
  return [Math.floor(low / step + 1e-6) * step, Math.min(Math.ceil(high / step - 1e-6) * step, most ?? Infinity)];
}

// Push labels apart so that none covers another.
function placeLabels(labels, gap, bottom) {
  labels.sort((a, b) => a.y - b.y);
  labels.forEach((label, i) => { label.at = i ? Math.max(label.y, labels[i - 1].at + gap) : label.y; });
  for (let i = labels.length - 1; i >= 0; i -= 1) {
    labels[i].at = Math.min(labels[i].at, i === labels.length - 1 ? bottom : labels[i + 1].at - gap);
  }
  return labels;
}

const drawLabels = (labels, right, bottom) =>
  placeLabels(labels, 13, bottom).map(({ at, text, color }) => s("text", { class: `label ${color}`, x: right + 8, y: at + 4 }, text));

function nearest(x, values, step) {
  let best = -1;
  values.forEach((value, i) => { if (isNumber(value) && (best < 0 || Math.abs(x[i] - step) < Math.abs(x[best] - step))) best = i; });
  return best;
}

// spec: {title, note, format, steps: [first, last], fromZero, most, references: [{label, value}]} and either
//   lines: [{label, short, color, x, y, faint, dashed, dots}]   or   layers: [{label, color, y}] with x.
function chart(spec) {
  const readout = h("div", { class: "readout" });
  const svg = s("svg", { tabindex: "0", role: "img", "aria-label": describe(spec) });
  const caption = h("figcaption", {}, h("h4", {}, spec.title), h("span", { class: "note" }, spec.note));
  const figure = h("figure", { class: spec.wide ? "chart wide" : "chart" }, caption, readout, svg);
  const entries = (spec.lines || spec.layers).map((one) => {
    const value = h("b", {});
    readout.append(h("span", { class: "entry" }, h("i", { class: `swatch ${one.color}${one.dashed ? " dashed" : ""}` }), one.label && `${one.label} `, value));
    return { ...one, x: one.x || spec.x, value };
  });
  const where = h("span", { class: "where" });
  readout.append(where);

  let view = null;
  const follow = (step) => {
    where.textContent = step === null ? "" : `step ${step}`;
    for (const entry of entries) {
      const i = nearest(entry.x, entry.y, step ?? END);
      entry.value.textContent = i < 0 ? "–" : spec.format(entry.y[i]);
    }
    if (view) view.mark(step);
  };
  const [first, last] = spec.steps;
  svg.addEventListener("pointermove", (event) => view && moveCursor(view.stepAt(event.clientX - svg.getBoundingClientRect().left)));
  svg.addEventListener("pointerleave", () => moveCursor(null));
  svg.addEventListener("blur", () => moveCursor(null));
  svg.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10 }[event.key];
    const to = by ? Math.min(last, Math.max(first, (cursor.step ?? last) + by * (event.shiftKey ? 10 : 1))) : { Home: first, End: last }[event.key];
    if (to === undefined && event.key !== "Escape") return;
    event.preventDefault();
    moveCursor(to ?? null);
  });
  new ResizeObserver(() => {
    const width = Math.round(svg.getBoundingClientRect().width);
    if (!width || (view && view.width === width)) return;
    view = draw(svg, spec, entries, width);
    view.mark(cursor.step);
  }).observe(svg);
  cursor.followers.push(follow);
  follow(null);
  return figure;
}

function describe(spec) {
  const parts = (spec.lines || spec.layers).map((one) => {
    const values = one.y.filter(isNumber);
    return values.length ? `${one.label || "value"} from ${spec.format(values[0])} to ${spec.format(values[values.length - 1])}` : `${one.label || "value"}: nothing`;
  });
  return `${spec.title}: ${[...parts, ...(spec.references || []).map((one) => `${one.label} ${spec.format(one.value)}`)].join("; ")}`;
}

// Draw into `svg`; returns {width, stepAt(pixel), mark(step)}.
function draw(svg, spec, entries, width) {
  const right = width - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const [first, last] = spec.steps;
  const bars = spec.layers ? stack(entries, spec.x) : null;
  const values = bars ? bars.map((bar) => bar.total) : entries.flatMap((entry) => [...entry.y, ...(entry.faint || [])]).filter(isNumber);
  const [low, high] = range([...values, ...(spec.references || []).map((one) => one.value)], spec.fromZero || bars, spec.most);
  const px = (step) => MARGIN.left + (right - MARGIN.left) * (last > first ? (step - first) / (last - first) : 0.5);
  const py = (value) => bottom - (bottom - MARGIN.top) * (value - low) / (high - low);

  const grid = ticks(low, high, 3).marks.map((mark) => [
    s("line", { class: mark === 0 ? "zero" : "grid", x1: MARGIN.left, x2: right, y1: py(mark), y2: py(mark) }),
    s("text", { class: "tick", x: MARGIN.left - 6, y: py(mark) + 3.5, "text-anchor": "end" }, spec.tick ? spec.tick(mark) : plain(mark)),
  ]);
  const stepTicks = ticks(first, last > first ? last : first + 1, width > 420 ? 6 : 4).marks.filter((mark) => Number.isInteger(mark) && mark <= last);
  grid.push(stepTicks.map((mark) => s("text", { class: "tick", x: px(mark), y: HEIGHT - 6, "text-anchor": "middle" }, thousands(mark))));
  const rule = s("line", { class: "cursor", y1: MARGIN.top, y2: bottom, visibility: "hidden" });
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("height", HEIGHT);
  const marks = bars ? drawBars(bars, entries, px, py, right, bottom) : drawLines(spec, entries, px, py, right, bottom);
  svg.replaceChildren(...[grid, marks.nodes, rule, marks.heads].flat(Infinity));
  return {
    width,
    stepAt: (x) => Math.round(Math.min(last, Math.max(first, first + (x - MARGIN.left) / (right - MARGIN.left) * (last - first)))),
    mark: (step) => {
      rule.setAttribute("visibility", step === null ? "hidden" : "visible");
      if (step !== null) ["x1", "x2"].forEach((name) => rule.setAttribute(name, px(step)));
      marks.heads.forEach((head, i) => {
        const at = nearest(entries[i].x, entries[i].y, step ?? END);
        head.setAttribute("visibility", step === null || at < 0 ? "hidden" : "visible");
        if (at >= 0) element(head, { cx: px(entries[i].x[at]), cy: py(entries[i].y[at]) }, []);
      });
    },
  };
}

function drawLines(spec, entries, px, py, right, bottom) {
  const nodes = [];
  const labels = [];
  const path = (x, y) => {
    let pen = "M";
    return y.map((value, i) => {
      if (!isNumber(value)) return "";
      const piece = `${pen}${px(x[i]).toFixed(1)},${py(value).toFixed(1)}`;
      pen = "L";
      return piece;
    }).join("");
  };
  for (const { label, value } of spec.references || []) {
    nodes.push(s("line", { class: "reference", x1: MARGIN.left, x2: right, y1: py(value), y2: py(value) }));
    labels.push({ y: py(value), text: label, color: "c-start" });
  }
  for (const entry of entries) {
    const end = nearest(entry.x, entry.y, END);
    if (end < 0) continue;
    if (entry.faint) nodes.unshift(s("path", { class: `faint ${entry.color}`, d: path(entry.x, entry.faint) }));
    nodes.push(s("path", { class: `line ${entry.color}${entry.dashed ? " dashed" : ""}`, d: path(entry.x, entry.y) }));
    if (entry.dots) {
      const dot = (value, i) => isNumber(value) && s("circle", { class: `dot ${entry.color}`, cx: px(entry.x[i]), cy: py(value), r: 2.4 });
      nodes.push(entry.y.map(dot).filter(Boolean));
    }
    labels.push({ y: py(entry.y[end]), text: entry.short, color: entry.color });
  }
  nodes.push(drawLabels(labels, right, bottom));
  return { nodes, heads: entries.map((entry) => s("circle", { class: `head ${entry.color}`, r: 3.5, visibility: "hidden" })) };
}

// Bars of at most BARS bins: {from, to, parts: [mean value by layer], total}. A bin holds whole generation batches, which may span several
// steps; steps without any value do not count.
function stack(entries, x) {
  const valued = (i) => entries.some((entry) => isNumber(entry.y[i]));
  const first = x.findIndex((_, i) => valued(i)); // an evaluation before the first step has no bar
  const period = Math.round((x.length - first) / Math.max(1, entries[0].y.filter(isNumber).length));
  const width = Math.max(1, Math.ceil(x.length / BARS / period)) * period;
  const bars = [];
  for (let start = first; start < x.length; start += width) {
    const bin = x.map((_, i) => i).slice(start, start + width).filter(valued);
    const parts = entries.map((entry) => bin.reduce((sum, i) => sum + (entry.y[i] || 0), 0) / Math.max(1, bin.length));
    bars.push({ from: x[start], to: (x[start + width] ?? x[x.length - 1] + 1), parts, total: parts.reduce((sum, part) => sum + part, 0) });
  }
  return bars;
}

function drawBars(bars, entries, px, py, right, bottom) {
  const nodes = [];
  const labels = [];
  for (const bar of bars) {
    let base = 0;
    const x = px(bar.from);
    const width = Math.max(1, (px(bar.to) - x) * 0.86);
    bar.parts.forEach((part, layer) => {
      const { color, label } = entries[layer];
      const height = py(base) - py(base + part);
      if (part > 0) nodes.push(s("rect", { class: `bar ${color}`, x, width, y: py(base + part), height }));
      if (bar === bars[bars.length - 1] && height > 4) labels.push({ y: py(base + part / 2), text: label, color: "quiet" });
      base += part;
    });
  }
  return { nodes: [nodes, drawLabels(labels, right, bottom)], heads: [] };
}
