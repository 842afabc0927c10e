// Which charts the page draws. A metric that no chart here names is drawn under "Optimisation and the rest": nothing that was measured is hidden.

const RUN_COLORS = { grpo: "c-grpo", coderlplus: "c-ours", grpo_kl: "c-kl", warm_start: "c-start" };
const runColor = (run, index) => RUN_COLORS[run.name] || ["c-ours", "c-grpo", "c-kl", "c-4", "c-5"][index % 5];
const whole = (value) => `${(100 * value).toFixed(0)}\u202f%`;

const LEARNING = [
  { title: "Training problems", note: "rollouts that pass", keys: ["pass_rate"], share: true, smooth: true },
  { title: "Validation problems", note: "pass@1, sampled", keys: ["eval/pass_at_1"], share: true, start: "pass_at_1_sampled" },
  { title: "Output prediction", note: "validation, right outputs", keys: ["eval/output_accuracy"], share: true, start: "output_accuracy" },
  { title: "All variables right", note: "validation tasks", keys: ["eval/all_variables_accuracy"], share: true, start: "all_variables_accuracy" },
  { title: "Reward of alignment tasks", note: "mean over answers", keys: ["reward/alignment"], smooth: true, most: 1 },
  { title: "Reward of problems", note: "mean over rollouts", keys: ["reward/generation"], smooth: true, most: 1 },
];
const LOOP = [
  { title: "Alignment share", note: "of the groups in a batch", keys: ["mix/alignment_share"], share: true },
  { title: "Buffer", note: "tasks waiting", keys: ["buffer/size"] },
  { title: "Task age", note: "steps from failure to question", keys: ["task_age"], smooth: true },
  { title: "Groups without variance", note: "all rewards equal: no signal", keys: ["zero_variance/generation", "zero_variance/alignment"], share: true, smooth: true },
  { title: "Length", note: "tokens a completion", keys: ["length/generation", "length/alignment"], smooth: true },
  { title: "Cut at the length limit", note: "completions", keys: ["clipped/generation", "clipped/alignment"], share: true, smooth: true },
];
const REJECTS = "rejects/";
const SECONDS = "seconds/";
const PARTS = ["generation", "judging", "tracing", "update"];

function lineChart(runs, { title, note, keys, share, smooth, most, start }, first) {
  const lines = [];
  runs.forEach((run, index) => keys.forEach((key) => {
    const raw = run.curves[key];
    if (!raw || !raw.some(isNumber)) return;
    const x = run.curves.step;
    const sparse = raw.filter(isNumber).length <= 40;
    const smoothed = smooth && !sparse ? movingMean(raw, Math.max(2, Math.round(raw.length / 26))) : raw;
    const part = key.endsWith("/alignment") && keys.length > 1 ? "tasks" : key.endsWith("/generation") && keys.length > 1 ? "problems" : "";
    const solo = runs.length === 1;
    lines.push({
      label: [solo ? "" : run.label, part].filter(Boolean).join(" ") || "mean", short: part || (solo ? "" : run.label), color: runColor(run, index),
      x, y: smoothed, faint: smoothed === raw ? null : raw, dashed: part === "tasks", dots: sparse && !smooth,
    });
  }));
  if (!lines.length) return null;
  const level = data.start[start];
  const references = isNumber(level) ? [{ label: "warm start", value: level }] : [];
  const last = Math.max(...runs.map((run) => run.steps));
  return chart({
    title, note, lines, references, steps: [first, last], fromZero: true, most: most ?? (share ? 1 : undefined),
    format: share ? (value) => percent(value) : compact, tick: share ? whole : null,
  });
}

function stackChart(run, title, note, layers, first, last, format) {
  const named = layers.filter(({ y }) => y.some((value) => value > 0)).map((layer, index) => ({ ...layer, color: `c-${index}` }));
  return named.length ? chart({ title, note, layers: named, x: run.curves.step, steps: [first, last + 1], format }) : null;
}

function rejectChart(run, several, first, last) {
  const names = Object.keys(run.curves).filter((key) => key.startsWith(REJECTS));
  const sum = (key) => run.curves[key].reduce((total, value) => total + (value || 0), 0);
  names.sort((a, b) => sum(b) - sum(a));
  const layers = [...(run.curves.mined ? ["mined"] : []), ...names].map((key) => ({
    label: key === "mined" ? "became tasks" : key.slice(REJECTS.length).replaceAll("_", " "), y: run.curves[key],
  }));
  const most = layers.slice(0, 7);
  if (layers.length > 8) {
    most.push({ label: "other reasons", y: run.curves.step.map((_, i) => layers.slice(7).reduce((total, layer) => total + (layer.y[i] || 0), 0)) });
  } else most.push(...layers.slice(7));
  return stackChart(run, "Tasks made, and rejects by reason", several ? `${run.label}, rollouts a step` : "rollouts a step", most, first, last, compact);
}

function timeChart(run, several, first, last) {
  const parts = PARTS.filter((part) => run.curves[SECONDS + part]);
  const layers = parts.map((part) => ({ label: part, y: run.curves[SECONDS + part] }));
  const step = run.curves[`${SECONDS}step`];
  if (step) layers.push({ label: "other", y: step.map((value, i) => Math.max(0, (value || 0) - layers.reduce((sum, { y }) => sum + (y[i] || 0), 0))) });
  return stackChart(run, "Time of a step", several ? `${run.label}, seconds by part` : "seconds by part", layers, first, last, (value) => `${compact(value)}\u202fs`);
}

function showCurves(runs) {
  const first = Math.min(...runs.map((run) => run.curves.step[0]));
  const last = Math.max(...runs.map((run) => run.steps));
  const several = runs.length > 1;
  const draw = (specs) => specs.map((spec) => lineChart(runs, spec, first)).filter(Boolean);
  const known = new Set(["step", "samples", "mined", ...[...LEARNING, ...LOOP].flatMap((spec) => spec.keys)]);
  const rest = [...new Set(runs.flatMap((run) => Object.keys(run.curves)))].filter((key) => !known.has(key) && !key.startsWith(REJECTS) && !key.startsWith(SECONDS));
  const extra = rest.filter((key) => !key.startsWith("eval/")).map((key) => ({ title: key.replaceAll("_", " "), note: "", keys: [key], smooth: true }));
  const measured = rest.filter((key) => key.startsWith("eval/")).map((key) => ({ title: key.slice(5).replaceAll("_", " "), note: "validation", keys: [key], share: /pass|accuracy/.test(key) }));
  const sections = [
    ["What it learns", draw([...LEARNING, ...measured])],
    ["What the loop does", [...draw(LOOP), ...runs.map((run) => rejectChart(run, several, first, last)).filter(Boolean)]],
    ["Where the time goes", runs.map((run) => timeChart(run, several, first, last)).filter(Boolean)],
  ].filter(([, charts]) => charts.length);
  byId("charts").append(
    ...sections.map(([title, charts]) => h("section", {}, h("h3", {}, title), h("div", { class: "grid-of-charts" }, charts))),
    ...(extra.length ? [h("details", {}, h("summary", {}, "Optimisation and the rest"), h("div", { class: "grid-of-charts" }, draw(extra)))] : []),
  );
}
