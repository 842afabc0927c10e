// What the sample browser shows of one group and one of its samples.

const VERDICTS = {
  passed: "passed", wrong_answer: "wrong answer", runtime_error: "runtime error", time_limit: "time limit", memory_limit: "memory limit",
  output_limit: "output limit", syntax_error: "syntax error", no_program: "no program", sandbox_fault: "sandbox fault",
};
const ANSWERS = { all: "all right", some: "some right", none: "none right", unreadable: "unreadable", own: "by your functions" };

// What became of a sample: a verdict, or how much of an answer is right.
function outcome(group, sample) {
  if (group.kind === "own") return "own";
  if (!group.task) return sample.verdict || "sandbox_fault";
  const marks = Object.values(sample.correct);
  if (!marks.length) return "unreadable";
  return marks.every(Boolean) ? "all" : marks.some(Boolean) ? "some" : "none";
}

const good = (name) => name === "passed" || name === "all";
const tone = (name) => (good(name) ? "good" : name === "some" || name === "own" ? "half" : "bad");
const sign = (name) => ({ good: "✓", half: "◐", bad: "✗" })[tone(name)];
const named = (name) => VERDICTS[name] || ANSWERS[name] || name;
const badge = (name) => h("span", { class: `badge ${tone(name)}` }, `${sign(name)} ${named(name)}`);

const details = (summary, ...content) => h("details", {}, h("summary", {}, summary), content);
const pre = (text) => h("pre", { tabindex: "0" }, text);
const code = (text) => h("code", {}, text);
const facts = (...pairs) =>
  h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
const earned = (sample) => [
  ["reward", isNumber(sample.reward) ? sample.reward.toFixed(2) : sample.own ? "by your functions" : "left out"],
  isNumber(sample.advantage) && ["advantage", signed(sample.advantage, 2)],
];

function valueTable(heads, rows) {
  const head = h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text))));
  return h("div", { class: "scroll" }, h("table", { class: "values" }, head, h("tbody", {}, rows)));
}

function problemView(id) {
  const problem = data.samples.problems[id];
  if (!problem) return h("p", { class: "note" }, `Problem ${id} is not among the samples on this page.`);
  const rows = problem.tests.map((columns) => h("tr", {}, columns.map((text) => h("td", {}, code(text)))));
  const heads = problem.tests.some((columns) => columns.length > 1) ? ["Given", "Expected"] : ["Test code"];
  const table = (part) => valueTable(heads, part);
  return [
    h("p", { class: "statement" }, problem.statement),
    table(rows.slice(0, 3)),
    rows.length > 3 && details(counted(problem.total - 3, "more test"), table(rows.slice(3))),
    problem.reference && details("Reference solution", listing(problem.reference)),
  ];
}

function chips(group, current) {
  const label = (sample, name) => {
    const marks = Object.values(sample.correct || {});
    return marks.length ? `${marks.filter(Boolean).length} of ${marks.length}` : named(name);
  };
  return h("nav", { class: "chips", "aria-label": group.task ? "Answers" : "Rollouts" }, group.samples.map((sample, i) => {
    const name = group.outcomes[i];
    const attributes = { class: `chip ${tone(name)}`, href: address(group, i), "aria-current": sample === current && "true" };
    return h("a", attributes, h("b", {}, sign(name)), ` ${label(sample, name)}`);
  }));
}

// Where each line of a task's program, which has no comments, is in the program that it was made from: line number → line number.
function lineMap(from, to) {
  const lines = to.split("\n");
  const map = new Map();
  let next = 0;
  from.split("\n").forEach((text, index) => {
    const found = lines.findIndex((line, at) => at >= next && line.startsWith(text.trimEnd()));
    if (found < 0) return;
    map.set(index + 1, found + 1);
    next = found + 1;
  });
  return map;
}

// Traced final values of a task, as notes behind the lines of `program` that bound them last.
function tracedValues(task, program) {
  const place = lineMap(task.program, program);
  const margin = new Map();
  for (const { label, value, line } of task.targets) {
    const at = place.get(line);
    if (!at) continue;
    if (!margin.has(at)) margin.set(at, h("span", { class: "trace" }));
    margin.get(at).append(h("span", { title: value }, `${label} ends as ${value}`));
  }
  return margin;
}

function failureView({ index, verdict, input, detail }) {
  const ran = verdict !== "no_program" && verdict !== "syntax_error";
  return [
    h("h4", {}, ran ? `First failing test: number ${index + 1}` : "Not run"),
    h("dl", { class: "failure" },
      input && [h("dt", {}, "given"), h("dd", {}, code(input))],
      h("dt", {}, named(verdict)), h("dd", {}, code(detail || "–"))),
  ];
}

function generationView(group, sample, name) {
  const [before, program, after] = sample.text;
  const tasks = browser.tasks.get(`${group.run}/${sample.id}`) || [];
  const links = tasks.map((task, i) => [i ? ", " : "", h("a", { href: address(task) }, `asked at step ${task.step}`)]);
  const said = (text) => text && h("p", { class: "said" }, text);
  const answer = program
    ? [
      said(before.replace(/`{3}\w*\s*$/, "").trim()),
      tasks.length > 0 && h("p", { class: "note" }, "In the margin: final values, traced on ", code(tasks[0].task.input)),
      listing(program, tasks.length ? tracedValues(tasks[0].task, program) : undefined),
      said(after.replace(/^\s*`{3}/, "").trim()),
    ]
    : pre(before || "(empty)");
  const fate = tasks.length ? ["This program became a task: ", links, "."] : "No task on this page was made from this program.";
  return [
    problemView(group.problem),
    details("Prompt as the model read it", pre(group.prompt)),
    h("h4", {}, counted(group.samples.length, "rollout")),
    chips(group, sample),
    facts(
      ["verdict", badge(name)],
      isNumber(sample.tests) && ["tests passed", `${sample.passed} of ${sample.tests}`],
      ...earned(sample),
      isNumber(sample.cpu_ms) && ["CPU", `${sample.cpu_ms}\u202fms`],
    ),
    answer,
    sample.failure && failureView(sample.failure),
    sample.failure && details("Step through it", pre(traceCommand(data.runs[group.run].folder, "samples.jsonl", sample.id))),
    program && !good(name) && h("p", { class: "lineage" }, fate),
  ];
}

function taskView(group, sample, name) {
  const { task } = group;
  const origin = browser.rollouts.get(`${group.run}/${task.origin}`);
  const rollout = `failed rollout ${task.origin}`;
  const rows = task.targets.map(({ label, value }) => {
    const predicted = sample.predicted[label];
    const right = sample.correct[label];
    return h("tr", {},
      h("th", { scope: "row" }, code(label)),
      h("td", {}, code(value)),
      h("td", {}, predicted === undefined ? h("span", { class: "note" }, "not given") : code(predicted)),
      h("td", { class: right ? "mark good" : "mark bad" }, right ? "✓" : "✗"));
  });
  return [
    h("p", { class: "lineage" },
      `Problem ${task.problem} → `, origin ? h("a", { href: address(...origin) }, rollout) : rollout,
      ` (${named(task.verdict)}) → this task, made at step ${task.step}, asked at step ${group.step}.`,
      !origin && " That rollout’s group is not on this page."),
    h("h4", {}, task.stdin ? "What does the program do with this standard input?" : "What does this call do?"),
    h("p", { class: "given" }, code(task.input)),
    listing(task.program, tracedValues(task, task.program)),
    details("Prompt as the model read it", pre(group.prompt)),
    details("The problem that the program was written for", problemView(task.problem)),
    h("h4", {}, counted(group.samples.length, "answer")),
    chips(group, sample),
    facts(["answer", badge(name)], ...earned(sample)),
    valueTable(["Asked", "True", "Predicted", ""], rows),
    details("Answer as the model wrote it", pre(sample.text.join(""))),
  ];
}
