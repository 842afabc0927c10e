// Which charts the page draws. A metric that no chart here names is drawn under "Optimisation and the rest": nothing that was measured is hidden.

const RUN_COLORS = { grpo: "c-grpo", coderlplus: "c-ours", grpo_kl: "c-kl", warm_start: "c-start" };
const runColor = (run, index) => RUN_COLORS[run.name] || ["c-ours", "c-grpo", "c-kl", "c-4", "c-5"][index % 5];
const percentTick = (value) => `${plain(100 * value)}\u202f%`;

const both = (name) => [`${name}/generation`, `${name}/alignment`];

const LEARNING = [
  { title: "Training problems", note: "rollouts that pass", keys: ["pass_rate"], share: true, smooth: true },
  { title: "Validation problems", note: "pass@1, sampled", keys: ["eval/pass_at_1_sampled"], share: true, start: "pass_at_1_sampled" },
  { title: "Output prediction", note: "validation, right outputs", keys: ["eval/output_accuracy"], share: true, start: "output_accuracy" },
  { title: "All variables right", note: "validation tasks", keys: ["eval/all_variables_accuracy"], share: true, start: "all_variables_accuracy" },
  { title: "Reward of alignment tasks", note: "mean over answers", keys: ["reward/alignment"], smooth: true, most: 1 },
];
const LOOP = [
  { title: "Alignment share", note: "of the groups in a batch", keys: ["mix/alignment_share"], share: true },
  { title: "Buffer", note: "tasks", keys: ["buffer/size"] },
  { title: "Task age", note: "steps from failure to question", keys: ["task_age"], smooth: true },
  { title: "Groups without variance", note: "all rewards equal: no gradient", keys: both("zero_variance"), share: true, smooth: true },
];
const LENGTH = { title: "Length", note: "tokens a completion", keys: both("length"), smooth: true };
const REJECTS = "rejects/";
const SECONDS = "seconds/";
const PARTS = { generation: "c-0", judging: "c-1", tracing: "c-2", update: "c-3" };

// First and last step of all runs.
const extent = (runs, beyond = 0) => [Math.min(...runs.map((run) => run.curves.step[0])), Math.max(...runs.map((run) => run.steps)) + beyond];

// The level of the warm start: the evaluation before the first step, else that on the test problems.
function warmStart(runs, key, name) {
  const values = runs.map((run) => (run.curves.step[0] === 0 && run.curves[key] ? run.curves[key][0] : null));
  const first = values.find(isNumber);
  if (isNumber(first)) return { label: runs.length > 1 ? "warm start" : "at the start", value: first };
  return isNumber(data.start[name]) ? { label: "start, test", value: data.start[name] } : null;
}

// One chart with a line for each run and key that has values; `null` when none has.
function lineChart(runs, { title, note, keys, share, smooth, most, start }) {
  const lines = [];
  runs.forEach((run, index) => keys.forEach((key) => {
    const raw = run.curves[key];
    if (!raw || !raw.some(isNumber)) return;
    const x = run.curves.step;
    const sparse = raw.filter(isNumber).length <= 40;
    const smoothed = smooth && !sparse ? movingMean(raw, Math.max(2, Math.round(raw.length / 26))) : raw;
    const part = keys.length === 1 ? "" : key.endsWith("/alignment") ? "tasks" : "problems";
    const name = runs.length > 1 ? run.label : "";
    lines.push({
      label: [name, part].filter(Boolean).join(" "), short: part || name, color: runColor(run, index),
      x, y: smoothed, faint: smoothed === raw ? null : raw, dashed: part === "tasks", dots: sparse && !smooth,
    });
  }));
  if (!lines.length) return null;
  const level = start && warmStart(runs, keys[0], start);
  return chart({
    title, note, lines, references: level ? [level] : [], steps: extent(runs), fromZero: true, most: most ?? (share ? 1 : undefined),
    format: share ? (value) => percent(value) : compact, tick: share ? percentTick : null,
  });
}

function stackChart(run, title, note, layers, format, wide) {
  const shown = layers.filter(({ y }) => y.some((value) => value > 0));
  return shown.length ? chart({ title, note, layers: shown, x: run.curves.step, steps: extent(data.runs, 1), format, wide }) : null;
}

// Sum of the layers at each point.
const totals = (layers, length) => Array.from({ length }, (_, i) => layers.reduce((sum, { y }) => sum + (y[i] || 0), 0));

// What became of the failed rollouts of a step: tasks, and rejects by reason, the rarest of many reasons together.
function rejectChart(run, several) {
  const names = Object.keys(run.curves).filter((key) => key.startsWith(REJECTS));
  const sum = (key) => run.curves[key].reduce((total, value) => total + (value || 0), 0);
  names.sort((a, b) => sum(b) - sum(a));
  const all = names.map((key) => ({ label: key.slice(REJECTS.length).replaceAll("_", " "), y: run.curves[key] }));
  const layers = all.length > 7 ? all.slice(0, 6) : all;
  if (all.length > 7) {
    layers.push({ label: "other reasons", y: totals(all.slice(6), run.curves.step.length) });
  }
  if (run.curves.mined) layers.unshift({ label: "made tasks", y: run.curves.mined });
  layers.forEach((layer, index) => { layer.color = `c-${index}`; });
  return stackChart(run, "Tasks made, and rejects by reason", several ? `${run.label}, rollouts per batch` : "rollouts per batch", layers, compact, true);
}

function timeChart(run, several) {
  const timed = Object.keys(PARTS).filter((part) => run.curves[SECONDS + part]);
  const layers = timed.map((part) => ({ label: part, y: run.curves[SECONDS + part], color: PARTS[part] }));
  const step = run.curves[`${SECONDS}step`];
  if (step) {
    const known = totals(layers, step.length);
    layers.push({ label: "other", y: step.map((value, i) => (isNumber(value) && value - known[i] > 0.001 ? value - known[i] : null)), color: "c-6" });
  }
  const evaluation = (run.curves[`${SECONDS}evaluation`] || []).reduce((sum, value) => sum + (value || 0), 0);
  const note = `${several ? `${run.label}, ` : ""}seconds by part${evaluation ? `; evaluations: ${duration(evaluation)} in total` : ""}`;
  return stackChart(run, "Time of a step", note, layers, duration);
}

function showCurves(runs) {
  const several = runs.length > 1;
  const lines = (specs) => specs.map((spec) => lineChart(runs, spec));
  const known = new Set(["step", "samples", "mined", ...[...LEARNING, ...LOOP, LENGTH].flatMap((spec) => spec.keys)]);
  const drawn = (key) => known.has(key) || key.startsWith(REJECTS) || key.startsWith(SECONDS);
  const rest = [...new Set(runs.flatMap((run) => Object.keys(run.curves)))].filter((key) => !drawn(key));
  const measured = rest.filter((key) => key.startsWith("eval/"));
  const others = rest.filter((key) => !key.startsWith("eval/"));
  const name = (key) => key.replace(/^eval\//, "").replaceAll("_", " ");
  const evaluations = measured.map((key) => ({ title: name(key), note: "validation", keys: [key], share: /pass|accuracy/.test(key) }));
  const sections = [
    ["What it learns", lines([...LEARNING, ...evaluations])],
    ["What the loop does", [...runs.map((run) => rejectChart(run, several)), ...lines(LOOP)]],
    ["Where the time goes", [...runs.map((run) => timeChart(run, several)), ...lines([LENGTH])]],
  ];
  for (const [title, charts] of sections) {
    if (charts.some(Boolean)) byId("charts").append(h("section", {}, h("h3", {}, title), h("div", { class: "grid-of-charts" }, charts)));
  }
  if (others.length) {
    const charts = lines(others.map((key) => ({ title: name(key), note: "", keys: [key], smooth: true })));
    byId("charts").append(details("Optimisation and the rest", h("div", { class: "grid-of-charts" }, charts)));
  }
}
