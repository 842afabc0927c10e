// The page of an evaluation. The address names what is shown: #BENCHMARK/QUESTION/SAMPLE.

const data = JSON.parse(byId("data").textContent);
const WORDS = {
  passed: "passed", wrong: "wrong", no_answer: "no answer found", truncated: "at the token limit", missing: "no sample",
  wrong_answer: "wrong answer", runtime_error: "runtime error", time_limit: "time limit", memory_limit: "memory limit",
  output_limit: "output limit", syntax_error: "syntax error", no_program: "no program", sandbox_fault: "sandbox fault",
};
const LISTED = 300;
const words = (name) => WORDS[name] || name;
const tone = (outcome) => (outcome === "passed" ? "good" : outcome === "wrong" ? "bad" : "half");
const sign = (outcome) => ({ good: "✓", half: "–", bad: "✗" })[tone(outcome)];
const details = (summary, ...content) => h("details", {}, h("summary", {}, summary), content);
const pre = (text) => h("pre", { tabindex: "0" }, text);
const code = (text) => h("code", {}, text);
const outcomesOf = (question) => (question[1] ? [...question[1]].map((digit) => data.outcomes[digit]) : ["missing"]);

const view = { benchmark: data.benchmarks[0], question: 0, sample: 0, filter: {}, listed: LISTED };

function showTitle() {
  document.title = `Evaluation of ${data.model}`;
  byId("title").textContent = document.title;
  const samples = data.benchmarks.reduce((sum, one) => sum + one.samples, 0);
  byId("meta").append(...[counted(data.benchmarks.length, "benchmark"), counted(samples, "sample"), data.source === "samples" ? "from a file of samples" : `by ${data.source}`].map((text) => h("span", {}, text)));
}

function shareCell(metric, value, [low, high]) {
  const bar = s("svg", { class: "share c-ours", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "track", width: 100, height: 6 }),
    s("rect", { class: "fill", width: 100 * value, height: 6 }),
    s("rect", { class: "interval", x: 100 * low, width: 100 * (high - low), y: 2, height: 2 }));
  return h("td", {}, h("span", { class: "number" }, (100 * value).toFixed(1)),
    h("small", {}, `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`), bar);
}

function stack(outcomes) {
  const total = Object.values(outcomes).reduce((sum, count) => sum + count, 0) || 1;
  const parts = data.outcomes.filter((name) => outcomes[name]);
  const label = parts.map((name) => `${words(name)} ${outcomes[name]}`).join(", ");
  return [
    h("div", { class: "stack", role: "img", "aria-label": label },
      parts.map((name) => h("i", { class: `o-${name}`, style: null, "data-share": String(outcomes[name] / total) }))),
    h("small", {}, label),
  ];
}

function showTable() {
  const partOf = (one) => one.with_samples && h("p", { class: "part" },
    `${(100 * one.with_samples[one.metric]).toFixed(1)} of the ${counted(one.with_samples.problems, "problem")} with a sample`);
  const rows = data.benchmarks.flatMap((one) => Object.entries(one.values).map(([metric, value], place) => h("tr", {},
    h("th", { scope: "row" }, place ? "" : h("a", { href: address(one, 0, 0) }, one.name), h("small", {}, metric), place ? null : partOf(one)),
    shareCell(metric, value, one.intervals[metric]),
    h("td", { class: "of" }, place ? null : stack(one.outcomes)),
    h("td", { class: "count" }, thousands(one.problems), h("small", {}, "problems")),
    h("td", { class: "count" }, isNumber(one.tests) ? [thousands(one.tests), h("small", {}, "tests")] : null),
    h("td", { class: "count" }, thousands(one.samples), h("small", {}, "samples")))));
  const heads = ["benchmark", "percent", "samples by outcome", "", "", ""].map((text) => h("th", { scope: "col" }, text));
  byId("table").append(h("table", { class: "scores" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
  for (const part of byId("table").querySelectorAll("[data-share]")) part.style.flexGrow = part.dataset.share;
  const seen = data.outcomes.filter((name) => data.benchmarks.some((one) => one.outcomes[name]));
  byId("legend").append(...seen.map((name) => h("span", {}, h("i", { class: `o-${name}` }), words(name))));
  byId("warnings").append(...data.benchmarks.flatMap((one) => (one.notes || []).map((note) => h("li", {}, h("b", {}, `${one.name}: `), note))));
  byId("about").append(...data.benchmarks.filter((one) => one.about).map((one) => h("li", {}, one.about)));
  byId("note").textContent = "Percent of problems, with 95\u202f% intervals over problems (samples of one problem, and problems of one family, count together). " +
    "Answers that could not be found and failures at the token limit are counted separately from wrong answers; all of them are failures.";
}

const address = (benchmark, question, sample) =>
  `#${encodeURIComponent(benchmark.name)}/${encodeURIComponent((benchmark.questions[question] || [""])[0])}/${sample}`;

function showFilters() {
  const option = (value, text) => h("option", { value }, text);
  const select = (name, label, options) => h("label", {}, label, h("select", { name }, options));
  byId("filters").append(
    select("benchmark", "Benchmark", data.benchmarks.map((one, index) => option(index, one.name))),
    select("outcome", "With a sample that is", [option("", "any"), data.outcomes.map((name) => option(name, words(name)))]),
    h("label", {}, "Question", h("input", { name: "text", type: "search", placeholder: "part of its name" })));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("input", ({ target }) => {
    view.listed = LISTED;
    if (target.name !== "benchmark") {
      view.filter[target.name] = target.value;
      showList();
      return;
    }
    location.hash = address(data.benchmarks[target.value], 0, 0);
  });
  byId("groups").addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step && event.target.closest(".group")?.[step];
    if (!next?.classList.contains("group")) return;
    event.preventDefault();
    next.focus();
    location.hash = next.getAttribute("href");
  });
}

function matches(question) {
  const { outcome, text } = view.filter;
  return (!outcome || outcomesOf(question).includes(outcome)) && (!text || question[0].toLowerCase().includes(text.toLowerCase()));
}

function showList() {
  const found = view.benchmark.questions.map((question, index) => [question, index]).filter(([question]) => matches(question));
  const place = found.findIndex(([, index]) => index === view.question);
  const shown = found.slice(0, Math.max(view.listed, place + 1));
  const links = shown.map(([question, index]) => h("a", {
    class: "group", href: address(view.benchmark, index, 0), tabindex: index === view.question ? "0" : "-1", "aria-current": index === view.question && "true",
  }, h("span", { class: "id" }, question[0]), h("span", { class: "strip" }, outcomesOf(question).slice(0, 24).map((name) => h("i", { class: `o-${name}`, title: words(name) })))));
  if (links.length && place < 0) links[0].tabIndex = 0;
  const more = found.length > shown.length && h("button", { class: "more", type: "button", onclick: () => { view.listed += LISTED; showList(); } },
    `${thousands(found.length - shown.length)} more`);
  byId("groups").replaceChildren(h("p", { class: "note" }, `${thousands(found.length)} of ${counted(view.benchmark.questions.length, "question")}`), ...links, ...(more ? [more] : []));
}

const unpacked = new Map(); // "benchmark/part" → its questions

async function unpack(benchmark, part) {
  const key = `${benchmark.name}/${part}`;
  if (!unpacked.has(key)) {
    const bytes = Uint8Array.from(atob(benchmark.parts[part]), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    unpacked.set(key, await new Response(stream).json());
  }
  return unpacked.get(key);
}

function valueTable(heads, rows) {
  const head = h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text))));
  return h("div", { class: "scroll" }, h("table", { class: "values" }, head, h("tbody", {}, rows)));
}

function margin(trace) {
  const notes = new Map();
  for (const [, name, value, line] of trace.variables) {
    if (!line) continue;
    if (!notes.has(line)) notes.set(line, h("span", { class: "trace" }));
    notes.get(line).append(h("span", { title: value }, `${name} = ${value}`));
  }
  return notes;
}

function traceView(trace) {
  const rows = trace.variables.map(([scope, name, value]) =>
    h("tr", {}, h("td", {}, code(scope)), h("th", { scope: "row" }, code(name)), h("td", {}, code(value))));
  const end = `Ended: ${trace.ending}${trace.line ? ` (line ${trace.line})` : ""}`;
  return [
    h("h4", {}, "Trace on that input"),
    h("p", { class: "ending" }, end, trace.value !== null && [", returned ", code(trace.value)]),
    trace.program && details("The program that was traced", listing(trace.program, margin(trace))),
    rows.length ? details(`Last values of ${counted(rows.length, "variable")}`, valueTable(["Scope", "Variable", "Last value"], rows)) : h("p", { class: "note" }, "No variables."),
    trace.output && details("What it printed", pre(trace.output)),
  ];
}

function failureView({ index, verdict, input, gave, detail }, tests) {
  const ran = verdict !== "no_program" && verdict !== "syntax_error";
  return [
    h("h4", {}, ran ? `First failing test: number ${index + 1} of ${tests}` : "Not run"),
    h("dl", { class: "failure" },
      input !== null && [h("dt", {}, "given"), h("dd", {}, code(input || "(nothing)"))],
      gave !== null && [h("dt", {}, "returned"), h("dd", {}, code(gave))],
      h("dt", {}, words(verdict)), h("dd", {}, code(detail || "–"))),
  ];
}

function sampleView(question, sample) {
  const trace = sample.trace;
  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  const said = sample.completion;
  return [
    h("dl", { class: "facts" },
      fact("outcome", h("span", { class: `badge ${tone(sample.outcome)}` }, `${sign(sample.outcome)} ${words(sample.outcome)}`)),
      fact("verdict", words(sample.verdict)),
      fact("tests passed", `${sample.passed} of ${sample.tests}`),
      fact("CPU", `${sample.cpu_ms}\u202fms`),
      isNumber(sample.tokens) && fact("tokens", thousands(sample.tokens))),
    sample.failure && failureView(sample.failure, sample.tests),
    sample.answer && [h("h4", {}, "Answer"), pre(sample.answer)],
    sample.program && [
      h("h4", {}, "Program as judged"),
      trace && !trace.program && trace.variables.length > 0 && h("p", { class: "note" }, "In the margin: last values on the input of the first failing test."),
      listing(sample.program, trace && !trace.program ? margin(trace) : undefined),
    ],
    trace && traceView(trace),
    sample.failure && sample.program && [h("h4", {}, "Step through it"), pre(traceCommand(data.folder, `${view.benchmark.name}/verdicts.jsonl`, `${view.benchmark.questions[view.question][0]}#${view.sample}`))],
    said === null ? h("p", { class: "note" }, "The samples file has only the answer, not the completion.") : details("Completion as the model wrote it", pre(said || "(empty)")),
  ];
}

async function showDetail() {
  const { benchmark, question, sample } = view;
  if (!benchmark.questions.length) return;
  const shown = (await unpack(benchmark, Math.floor(question / benchmark.part)))[question % benchmark.part];
  if (view.benchmark !== benchmark || view.question !== question || view.sample !== sample) return;
  const outcomes = outcomesOf(benchmark.questions[question]);
  const chips = outcomes.map((name, index) => h("a", {
    class: `chip ${tone(name)}`, href: address(benchmark, question, index), "aria-current": index === sample && "true",
  }, h("b", {}, sign(name)), ` ${index + 1}`));
  const one = shown.samples[sample];
  const byChip = document.activeElement?.classList.contains("chip");
  byId("detail").replaceChildren(...[
    h("h3", {}, benchmark.questions[question][0], h("small", {}, [benchmark.name, shown.date, counted(shown.cases || shown.tests, "test")].filter(Boolean).join(" · "))),
    details("Prompt", shown.messages.map(({ role, content }) => [h("h4", {}, role), pre(content)])),
    shown.reference && details("Reference", listing(shown.reference)),
    outcomes.length > 1 && h("nav", { class: "chips", "aria-label": "Samples" }, chips),
    one ? sampleView(shown, one) : h("p", { class: "note" }, "There is no sample for this question; it counts as failed."),
  ].flat(Infinity).filter(Boolean));
  if (byChip) byId("detail").querySelector(".chip[aria-current]")?.focus({ preventScroll: true });
}

function openAddressed() {
  const [name, id, sample] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const benchmark = data.benchmarks.find((one) => one.name === name);
  if (benchmark) {
    view.benchmark = benchmark;
    view.question = Math.max(0, benchmark.questions.findIndex((question) => question[0] === id));
    view.sample = Math.min(Number(sample) || 0, outcomesOf(benchmark.questions[view.question] || ["", ""]).length - 1);
  }
  byId("filters").querySelector("select").value = String(data.benchmarks.indexOf(view.benchmark));
  showList();
  return showDetail();
}

function showSettings() {
  const about = (one) => ({ settings: one.settings, files: one.files, layout: one.layout, tests: one.tests, seconds: one.seconds, verdicts: one.verdicts, at_token_limit: one.at_token_limit });
  byId("configs").append(...data.benchmarks.map((one) => details(one.name, pre(JSON.stringify(about(one), null, 2)))));
}

showTitle();
showTable();
showFilters();
showSettings();
// A wrong sample tells more than a right one: the first of them opens.
view.question = Math.max(0, view.benchmark.questions.findIndex((question) => outcomesOf(question).includes("wrong")));
view.sample = Math.max(0, outcomesOf(view.benchmark.questions[view.question] || ["", ""]).indexOf("wrong"));
openAddressed();
window.addEventListener("hashchange", () => {
  if (byId(location.hash.slice(1))) return; // a section of the page
  openAddressed().then(() => {
    const { top } = byId("detail").getBoundingClientRect();
    if (top < 0 || top > innerHeight * 0.8) byId("detail").scrollIntoView();
  });
});
