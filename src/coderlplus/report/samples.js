// The sample browser: groups on the left, one group and one of its samples on the right. The address names what is shown: #sample/RUN/STEP/GROUP/SAMPLE.

const VERDICTS = {
  passed: "passed", wrong_answer: "wrong answer", runtime_error: "runtime error", time_limit: "time limit", memory_limit: "memory limit",
  output_limit: "output limit", syntax_error: "syntax error", no_program: "no program", sandbox_fault: "sandbox fault",
};
const ANSWERS = { all: "all right", some: "some right", none: "none right", unreadable: "unreadable" };

const browser = { groups: [], rollouts: new Map(), tasks: new Map(), links: new Map(), filter: {}, open: null };
const address = (group, sample = 0) => `#sample/${encodeURIComponent(data.runs[group.run].name)}/${group.step}/${group.group}/${sample}`;

// What became of a sample: a verdict, or how much of an answer is right.
function outcome(group, sample) {
  if (!group.task) return sample.verdict || "no_program";
  const marks = Object.values(sample.correct || {});
  if (!marks.length) return "unreadable";
  return marks.every(Boolean) ? "all" : marks.some(Boolean) ? "some" : "none";
}
const good = (name) => name === "passed" || name === "all";
const named = (name) => VERDICTS[name] || ANSWERS[name] || name;
const badge = (name) => h("span", { class: `badge ${good(name) ? "good" : name === "some" ? "half" : "bad"}` }, `${good(name) ? "✓" : name === "some" ? "◐" : "✗"} ${named(name)}`);

function prepareSamples() {
  browser.groups = data.samples.groups;
  browser.groups.sort((a, b) => a.run - b.run || a.step - b.step || a.group - b.group);
  for (const group of browser.groups) {
    group.outcomes = group.samples.map((sample) => outcome(group, sample));
    group.samples.forEach((sample, i) => browser.rollouts.set(`${group.run}/${sample.id}`, [group, i]));
    if (group.task) {
      const key = `${group.run}/${group.task.origin}`;
      browser.tasks.set(key, [...(browser.tasks.get(key) || []), group]);
    }
  }
}

function showFilters() {
  const outcomes = new Set(browser.groups.flatMap((group) => group.outcomes));
  const choices = (table) => Object.entries(table).filter(([name]) => outcomes.has(name));
  const select = (name, label, options) => h("label", {}, label, h("select", { name }, h("option", { value: "" }, "all"), options));
  const option = ([value, text]) => h("option", { value }, text);
  const steps = [...new Set(browser.groups.map((group) => group.step))].sort((a, b) => a - b);
  byId("filters").append(...[
    data.runs.length > 1 && select("run", "Run", data.runs.map((run, index) => option([index, run.label]))),
    select("step", "Step", steps.map((step) => option([step, step]))),
    select("kind", "Kind", [option(["generation", "problems"]), option(["task", "alignment tasks"])]),
    select("outcome", "With a sample that is", [
      h("optgroup", { label: "programs" }, choices(VERDICTS).map(option)), h("optgroup", { label: "answers" }, choices(ANSWERS).map(option)),
    ]),
    h("label", {}, "Containing", h("input", { name: "text", type: "search", placeholder: "words or code" })),
  ].filter(Boolean));
  byId("filters").addEventListener("input", (event) => {
    browser.filter[event.target.name] = event.target.value;
    showGroups();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
}

function matches(group) {
  const { run, step, kind, outcome: wanted, text } = browser.filter;
  if (run && group.run !== Number(run)) return false;
  if (step && group.step !== Number(step)) return false;
  if (kind && (kind === "task") !== Boolean(group.task)) return false;
  if (wanted && !group.outcomes.includes(wanted)) return false;
  return !text || [group.prompt, ...group.samples.map((sample) => sample.text.join(""))].some((one) => one.toLowerCase().includes(text.toLowerCase()));
}

function showGroups() {
  const found = browser.groups.filter(matches);
  const wanted = browser.filter.outcome;
  byId("groups").replaceChildren(
    h("p", { class: "note", role: "status" }, found.length === 1 ? "1 group" : `${found.length} groups`),
    ...found.map((group) => h("a", { class: "group", href: address(group, Math.max(0, group.outcomes.indexOf(wanted))) },
      h("span", { class: "where" }, h("i", { class: `swatch ${runColor(data.runs[group.run], group.run)}` }), `step ${group.step}`, h("em", {}, group.task ? "task" : "problem")),
      h("span", { class: "snippet" }, headline(group)),
      h("span", { class: "strip", role: "img", "aria-label": `${group.outcomes.filter(good).length} of ${group.outcomes.length} right` },
        group.outcomes.map((name) => h("i", { class: good(name) ? "good" : name === "some" ? "half" : "bad" }))))),
  );
  browser.links = new Map(found.map((group, i) => [group, byId("groups").children[i + 1]]));
  markOpen();
}

// Mark the open group in the list and bring it into view there.
function markOpen() {
  const list = byId("groups");
  list.querySelectorAll("[aria-current]").forEach((link) => link.removeAttribute("aria-current"));
  const link = browser.links.get(browser.open);
  if (!link) return;
  link.setAttribute("aria-current", "true");
  const below = link.offsetTop + link.offsetHeight - list.clientHeight;
  if (link.offsetTop < list.scrollTop || below > list.scrollTop) list.scrollTop = link.offsetTop - list.clientHeight / 3;
}

function headline(group) {
  if (group.task) return group.task.input.split("\n")[0];
  const problem = data.samples.problems[group.problem];
  return (problem ? problem.statement : group.prompt).trim().split("\n")[0];
}

const details = (summary, ...content) => h("details", {}, h("summary", {}, summary), content);
const pre = (text) => h("pre", { tabindex: "0" }, text);
const facts = (...pairs) => h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
const score = (sample) => [
  ["reward", isNumber(sample.reward) ? sample.reward.toFixed(2) : "left out"],
  isNumber(sample.advantage) && ["advantage", signed(sample.advantage, 2)],
];

function problemView(id) {
  const problem = data.samples.problems[id];
  if (!problem) return h("p", { class: "note" }, `Problem ${id} is not among the samples on this page.`);
  const rows = problem.tests.map(([given, expected]) => h("tr", {}, h("td", {}, h("code", {}, given)), h("td", {}, expected === undefined ? "" : h("code", {}, expected))));
  const table = (part) => h("div", { class: "scroll" }, h("table", { class: "values" }, h("thead", {}, h("tr", {}, h("th", {}, "Given"), h("th", {}, "Expected"))), h("tbody", {}, part)));
  return [
    h("p", { class: "statement" }, problem.statement), table(rows.slice(0, 3)),
    rows.length > 3 && details(`${problem.total - 3} more tests`, table(rows.slice(3))),
    problem.reference && details("Reference solution", listing(problem.reference)),
  ];
}

function chips(group, current) {
  return h("nav", { class: "chips", "aria-label": group.task ? "Answers" : "Rollouts" }, group.samples.map((sample, i) => {
    const name = group.outcomes[i];
    const marks = Object.values(sample.correct || {});
    const text = !group.task ? named(name) : marks.length ? `${marks.filter(Boolean).length} of ${marks.length}` : "unreadable";
    return h("a", { class: `chip ${good(name) ? "good" : name === "some" ? "half" : "bad"}`, href: address(group, i), "aria-current": i === current && "true" },
      h("b", {}, good(name) ? "✓" : name === "some" ? "◐" : "✗"), ` ${text}`);
  }));
}

// Traced values of a task, as notes behind the lines that bound them last. A task's program is its rollout's without the comments; `program` may be either.
function tracedValues(task, program) {
  const lines = program.split("\n");
  const place = new Map();
  let next = 0;
  task.program.split("\n").forEach((text, index) => {
    const found = lines.findIndex((line, at) => at >= next && line.startsWith(text.trimEnd()));
    if (found < 0) return;
    place.set(index + 1, found + 1);
    next = found + 1;
  });
  const margin = new Map();
  for (const { label, value, line: bound } of task.targets) {
    const line = place.get(bound);
    if (!line) continue;
    if (!margin.has(line)) margin.set(line, h("span", { class: "trace" }));
    margin.get(line).append(h("span", {}, `${label} = ${value}`));
  }
  return margin;
}

function generationView(group, sample, name) {
  const [before, program, after] = sample.text;
  const tasks = browser.tasks.get(`${group.run}/${sample.id}`) || [];
  const failure = sample.failure;
  return [
    problemView(group.problem), details("Prompt as the model read it", pre(group.prompt)),
    h("h4", {}, `${group.samples.length} rollouts`), chips(group, group.samples.indexOf(sample)),
    facts(["verdict", badge(name)], isNumber(sample.tests) && ["tests passed", `${sample.passed} of ${sample.tests}`], ...score(sample), isNumber(sample.cpu_ms) && ["CPU", `${sample.cpu_ms} ms`]),
    before && h("p", { class: "said" }, before.replace(/`{3}\w*\s*$/, "").trim()),
    program ? listing(program, tasks.length ? tracedValues(tasks[0].task, program) : undefined) : h("p", { class: "note" }, "No program in this completion."),
    after && h("p", { class: "said" }, after.replace(/^`{3}/, "").trim()),
    failure && [h("h4", {}, `First failing test: number ${failure.index + 1}`),
      h("dl", { class: "failure" }, failure.input && [h("dt", {}, "Given"), h("dd", {}, h("code", {}, failure.input))], h("dt", {}, VERDICTS[failure.verdict] || failure.verdict), h("dd", {}, h("code", {}, failure.detail || "–")))],
    !good(name) && h("p", { class: "lineage" }, tasks.length
      ? ["This program became a task: ", tasks.map((task, i) => [i ? ", " : "", h("a", { href: address(task) }, `asked at step ${task.step}`)]), tasks[0] && ". The values in the margin are traced."]
      : "No task on this page was made from this program."),
  ];
}

function taskView(group, sample, name) {
  const { task } = group;
  const origin = browser.rollouts.get(`${group.run}/${task.origin}`);
  const rows = task.targets.map(({ label, value }) => {
    const said = (sample.predicted || {})[label];
    const right = (sample.correct || {})[label];
    return h("tr", {}, h("th", { scope: "row" }, h("code", {}, label)), h("td", {}, h("code", {}, value)), h("td", {}, said === undefined ? h("span", { class: "note" }, "not given") : h("code", {}, said)),
      h("td", { class: right ? "mark good" : "mark bad" }, right ? "✓" : "✗"));
  });
  return [
    h("p", { class: "lineage" }, `Problem ${group.problem} → `, origin ? h("a", { href: address(origin[0], origin[1]) }, `failed rollout ${task.origin}`) : `failed rollout ${task.origin}`,
      ` (${VERDICTS[task.verdict] || task.verdict}) → this task, made at step ${task.step}, asked at step ${group.step}.`, !origin && " That rollout's group is not on this page."),
    h("h4", {}, task.stdin ? "What does the program do with this standard input?" : "What does this call do?"), h("p", { class: "given" }, h("code", {}, task.input)),
    listing(task.program, tracedValues(task, task.program)),
    details("Prompt as the model read it", pre(group.prompt)), details("The problem that the program was written for", problemView(group.problem)),
    h("h4", {}, `${group.samples.length} answers`), chips(group, group.samples.indexOf(sample)),
    facts(["answer", badge(name)], ...score(sample)),
    h("div", { class: "scroll" }, h("table", { class: "values" }, h("thead", {}, h("tr", {}, h("th", {}, "Asked"), h("th", {}, "True"), h("th", {}, "Predicted"), h("th", {}, ""))), h("tbody", {}, rows))),
    details("Answer as the model wrote it", pre(sample.text.join(""))),
  ];
}

function openSample(group, index) {
  browser.open = group;
  const sample = group.samples[index] || group.samples[0];
  const name = group.outcomes[group.samples.indexOf(sample)];
  const title = h("h3", {}, group.task ? "Alignment task" : "Problem", h("small", {}, `${data.runs[group.run].label} · step ${group.step} · group ${group.group}`));
  const view = (group.task ? taskView : generationView)(group, sample, name);
  const byChip = document.activeElement?.classList.contains("chip");
  byId("detail").replaceChildren(title, ...view.flat(Infinity).filter(Boolean));
  if (byChip) byId("detail").querySelector(".chip[aria-current]").focus({ preventScroll: true });
  markOpen();
}

// The sample that the address names, as [group, sample number].
function addressed() {
  const [kind, run, step, group, sample] = location.hash.slice(1).split("/").map(decodeURIComponent);
  if (kind !== "sample") return null;
  const found = browser.groups.find((one) => data.runs[one.run].name === run && one.step === Number(step) && one.group === Number(group));
  return found ? [found, Number(sample) || 0] : null;
}

// A task with right and wrong answers whose failed rollout is here too tells the whole story; the latest such task opens first.
function opening() {
  const telling = (group) => group.task && browser.rollouts.has(`${group.run}/${group.task.origin}`) && new Set(group.outcomes).size > 1;
  const group = browser.groups.findLast(telling) || browser.groups.findLast((one) => one.outcomes.some(good)) || browser.groups[0];
  return [group, Math.max(0, group.outcomes.indexOf("some"))];
}

function showSamples() {
  prepareSamples();
  const shown = browser.groups.length;
  const { recorded } = data.samples;
  if (!shown) {
    byId("samples-note").textContent = "No samples were recorded yet.";
    return;
  }
  byId("samples-note").textContent = `${thousands(shown)}${recorded > shown ? ` of ${thousands(recorded)} recorded` : ""} groups, ` +
    "each a prompt with all its samples. Coloured marks show which samples are right.";
  showFilters();
  showGroups();
  openSample(...(addressed() || opening()));
  window.addEventListener("hashchange", () => {
    const found = addressed();
    if (!found) return;
    openSample(...found);
    if (byId("detail").getBoundingClientRect().top > innerHeight * 0.8 || byId("detail").getBoundingClientRect().top < -80) byId("detail").scrollIntoView({ block: "start" });
  });
  if (addressed()) byId("samples").scrollIntoView();
}
