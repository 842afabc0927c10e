// The page of bench/gpu.py: curves of both arms, seconds by part, a table.

const { summary, parts, steps } = JSON.parse(byId("data").textContent);
const LABELS = { grpo: "GRPO", coderlplus: "CodeRL+" };
const SHORT = { grpo: "GRPO", coderlplus: "ours" };
const COLORS = { grpo: "c-grpo", coderlplus: "c-ours" };
const PART_LABELS = {
  sampling: "sampling", weight_sync: "weight sync", log_probabilities: "log-probs", judging: "judging", tracing: "tracing", update: "update",
};
const arms = Object.keys(steps);
const last = Math.max(1, ...arms.flatMap((arm) => steps[arm].map((row) => row.step)));
const number = (value, digits = 2) => (isNumber(value) ? value.toFixed(digits) : "–");
const share = (value) => (isNumber(value) ? percent(value) : "–");

function showTitle() {
  const title = summary.dry_run ? "Dry run on a CPU" : `Steps on ${summary.device}`;
  document.title = title;
  byId("title").textContent = title;
  byId("meta").append(...[summary.date, summary.device, ...arms.map((arm) => `${LABELS[arm]}: ${counted(summary.arms[arm].steps, "step")}, ${counted(summary.arms[arm].samples, "sample")}`)]
    .map((text) => h("span", {}, text)));
  byId("lede").textContent = summary.dry_run
    ? "Three small steps of each arm show that the script works. Times and rewards here say nothing about a GPU."
    : "Times are means over the steps but the first of each process.";
}

function showRewards() {
  const charts = [
    ["reward_generation", "Reward of programs", "training batches", 0], ["pass_rate", "Programs that pass", "training batches", 0],
    ["held_out", "Programs that pass", "held-out problems, greedy", 0], ["reward_alignment", "Reward of alignment tasks", "training batches", 0],
    ["alignment_share", "Alignment tasks", "share of the groups of a batch", 0],
  ];
  for (const [key, title, note] of charts) {
    const lines = arms.map((arm) => {
      const rows = steps[arm].filter((row) => isNumber(row[key]));
      const y = rows.map((row) => row[key]);
      const few = y.length < 12;
      return { label: LABELS[arm], short: SHORT[arm], color: COLORS[arm], x: rows.map((row) => row.step), y: few ? y : movingMean(y, 2), faint: few ? undefined : y, dots: few };
    }).filter((line) => line.y.length);
    if (!lines.length) continue;
    byId("reward-plots").append(chart({
      title, note, lines, steps: [0, last], fromZero: true, most: 1, format: (value) => percent(value), tick: (value) => `${plain(100 * value)}\u202f%`,
    }));
  }
}

function showTimes() {
  for (const arm of arms) {
    const rows = steps[arm].filter((row) => isNumber(row.seconds_step));
    const layers = parts.map((part, index) => ({ label: PART_LABELS[part], color: `c-${index}`, y: rows.map((row) => row[`seconds_${part}`] ?? 0) }))
      .filter((layer) => layer.y.some((value) => value > 0));
    byId("time-plots").append(chart({
      title: LABELS[arm], note: "seconds by part", layers, x: rows.map((row) => row.step), steps: [1, last], fromZero: true, format: duration,
    }));
  }
  const speeds = arms.map((arm) => {
    const rows = steps[arm].filter((row) => row.completion_tokens && row.seconds_sampling);
    return { label: LABELS[arm], short: SHORT[arm], color: COLORS[arm], x: rows.map((row) => row.step), y: rows.map((row) => row.completion_tokens / row.seconds_sampling), dots: rows.length < 12 };
  });
  byId("time-plots").append(chart({ title: "Tokens a second", note: "completion tokens while sampling", lines: speeds, steps: [1, last], fromZero: true, format: compact }));
  const busy = arms.map((arm) => {
    const rows = steps[arm].filter((row) => isNumber(row.utilisation));
    return { label: LABELS[arm], short: SHORT[arm], color: COLORS[arm], x: rows.map((row) => row.step), y: rows.map((row) => row.utilisation / 100), dots: rows.length < 12 };
  }).filter((line) => line.y.length);
  if (busy.length) byId("time-plots").append(chart({ title: "GPU busy", note: "nvidia-smi, mean of a step", lines: busy, steps: [1, last], fromZero: true, most: 1, format: (value) => percent(value) }));
}

function showTable() {
  const of = (read) => arms.map((arm) => read(summary.arms[arm]));
  const pair = (name) => of((arm) => arm.first_and_last[name].map(share).join(" → "));
  const rows = [
    ["steps, samples", of((arm) => `${thousands(arm.steps)}, ${thousands(arm.samples)}`)],
    ["seconds of a step", of((arm) => number(arm.seconds.step))],
    ...parts.map((part) => [`  ${PART_LABELS[part]}`, of((arm) => number(arm.seconds[part]))]),
    ["work of judging and tracing, s", of((arm) => `${number(arm.work_seconds.judging)}, ${number(arm.work_seconds.tracing)}`)],
    ["tokens a second, sampling", of((arm) => number(arm.completion_tokens_per_second.sampling, 0))],
    ["tokens a second, whole step", of((arm) => number(arm.completion_tokens_per_second.step, 0))],
    ["share of a step that waits for programs", of((arm) => share(arm.waiting_share))],
    ["GPU idle (nvidia-smi)", of((arm) => share(arm.gpu_idle_share))],
    ["memory of the device, GiB", of((arm) => number(arm.memory_gib.device, 1))],
    ["peak allocated, reserved, GiB", of((arm) => `${number(arm.memory_gib.allocated, 1)}, ${number(arm.memory_gib.reserved, 1)}`)],
    ["peak of the process on the host, GiB", of((arm) => number(arm.memory_gib.rss, 1))],
    ["reward of programs, first and last fifth", pair("reward_generation")],
    ["pass rate, first and last fifth", pair("pass_rate")],
    ["held-out pass@1 by step", of((arm) => arm.held_out.map(([step, value]) => `${step}: ${share(value)}`).join(", ") || "–")],
    ["tasks mined", of((arm) => thousands(arm.tasks_mined))],
  ];
  byId("table").append(h("table", { class: "values" },
    h("thead", {}, h("tr", {}, h("td", {}), arms.map((arm) => h("th", { scope: "col" }, LABELS[arm])))),
    h("tbody", {}, rows.map(([name, cells]) => h("tr", {}, h("th", { scope: "row" }, name.startsWith("  ") ? `\u2003${name.trim()}` : name), cells.map((cell) => h("td", {}, cell)))))));
}

function showAbout() {
  const facts = [
    ["model", summary.model], ["problems", summary.problems.join(", ")], ["held out", summary.held_out ?? "none"], ["settings", summary.overrides.join(" ") || "as in the script"],
    ["rounds", summary.rounds.join(", ")], ...Object.entries(summary.versions),
  ];
  byId("about").append(h("table", { class: "values" }, h("tbody", {}, facts.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, String(value)))))));
}

showTitle();
showRewards();
showTimes();
showTable();
showAbout();
