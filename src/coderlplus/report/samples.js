// The sample browser: groups on the left, one group and one of its samples on the right. The address names what is shown:
// #sample/RUN/STEP/GROUP/SAMPLE.

const browser = {
  groups: [],
  rollouts: new Map(), // "run/rollout" → [group, place of the sample]
  tasks: new Map(), // "run/rollout" → groups of the tasks made from it
  links: new Map(), // group → its link in the list
  filter: {},
  open: null,
};
const address = (group, sample = 0) => `#sample/${encodeURIComponent(data.runs[group.run].name)}/${group.step}/${group.group}/${sample}`;

function prepareSamples() {
  browser.groups = data.samples.groups;
  browser.groups.sort((a, b) => a.run - b.run || a.step - b.step || a.group - b.group);
  for (const group of browser.groups) {
    group.outcomes = group.samples.map((sample) => outcome(group, sample));
    group.samples.forEach((sample, i) => browser.rollouts.set(`${group.run}/${sample.id}`, [group, i]));
    if (!group.task) continue;
    const key = `${group.run}/${group.task.origin}`;
    browser.tasks.set(key, [...(browser.tasks.get(key) || []), group]);
  }
}

function showFilters() {
  const outcomes = new Set(browser.groups.flatMap((group) => group.outcomes));
  const steps = [...new Set(browser.groups.map((group) => group.step))].sort((a, b) => a - b);
  const option = ([value, text]) => h("option", { value }, text);
  const present = (table) => Object.entries(table).filter(([name]) => outcomes.has(name)).map(option);
  const select = (name, label, options) => h("label", {}, label, h("select", { name }, h("option", { value: "" }, "all"), options));
  byId("filters").append(...[
    data.runs.length > 1 && select("run", "Run", data.runs.map((run, index) => option([index, run.label]))),
    select("step", "Step", steps.map((step) => option([step, step]))),
    select("kind", "Kind", [["generation", "problems"], ["task", "alignment tasks"]].map(option)),
    select("outcome", "With a sample that is", [
      h("optgroup", { label: "programs" }, present(VERDICTS)),
      h("optgroup", { label: "answers" }, present(ANSWERS)),
    ]),
    h("label", {}, "Containing", h("input", { name: "text", type: "search", placeholder: "words or code" })),
  ].filter(Boolean));
  byId("filters").addEventListener("input", (event) => {
    browser.filter[event.target.name] = event.target.value;
    showGroups();
  });
  byId("groups").addEventListener("keydown", moveInList);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
}

function matches(group) {
  const { run, step, kind, outcome: wanted, text } = browser.filter;
  if (run && group.run !== Number(run)) return false;
  if (step && group.step !== Number(step)) return false;
  if (kind && (kind === "task") !== Boolean(group.task)) return false;
  if (wanted && !group.outcomes.includes(wanted)) return false;
  const texts = text ? [group.prompt, ...group.samples.map((sample) => sample.text.join(""))] : [];
  return !text || texts.some((one) => one.toLowerCase().includes(text.toLowerCase()));
}

function headline(group) {
  if (group.task) return group.task.input.split("\n")[0];
  const problem = data.samples.problems[group.problem];
  return (problem ? problem.statement : group.prompt).trim().split("\n")[0];
}

function groupLink(group) {
  const first = Math.max(0, group.outcomes.indexOf(browser.filter.outcome));
  const right = group.outcomes.filter(good).length;
  return h("a", { class: "group", href: address(group, first), tabindex: "-1" },
    h("span", { class: "where" },
      h("i", { class: `swatch ${runColor(data.runs[group.run], group.run)}` }), `step ${group.step}`, h("em", {}, group.task ? "task" : "problem")),
    h("span", { class: "snippet" }, headline(group)),
    h("span", { class: "strip", role: "img", "aria-label": `${right} of ${group.outcomes.length} right` },
      group.outcomes.map((name) => h("i", { class: tone(name) }))));
}

function moveInList(event) {
  const links = [...browser.links.values()];
  const at = links.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
  if (at < 0 || !links[to]) return;
  event.preventDefault();
  links[to].focus();
}

function showGroups() {
  const found = browser.groups.filter(matches);
  browser.links = new Map(found.map((group) => [group, groupLink(group)]));
  const count = h("p", { class: "note", role: "status" }, counted(found.length, "group"));
  byId("groups").replaceChildren(count, ...browser.links.values());
  markOpen();
}

// Mark the open group in the list and bring it into view there. The list is one stop of the tab key; arrow keys move inside.
function markOpen() {
  const list = byId("groups");
  const link = browser.links.get(browser.open);
  for (const [group, other] of browser.links) {
    other.tabIndex = -1;
    if (group !== browser.open) other.removeAttribute("aria-current");
  }
  const entry = link || list.querySelector("a");
  if (entry) entry.tabIndex = 0;
  if (!link) return;
  link.setAttribute("aria-current", "true");
  const hidden = link.offsetTop < list.scrollTop || link.offsetTop + link.offsetHeight > list.scrollTop + list.clientHeight;
  if (hidden) list.scrollTop = link.offsetTop - list.clientHeight / 3;
}

function openSample(group, place) {
  browser.open = group;
  const sample = group.samples[place] || group.samples[0];
  const name = outcome(group, sample);
  const where = [data.runs[group.run].label, `step ${group.step}`, `group ${group.group}`, group.problem].filter(Boolean).join(" · ");
  const title = h("h3", {}, group.task ? "Alignment task" : "Problem", h("small", {}, where));
  const view = (group.task ? taskView : generationView)(group, sample, name);
  const byChip = document.activeElement?.classList.contains("chip");
  byId("detail").replaceChildren(title, ...view.flat(Infinity).filter(Boolean));
  if (byChip) byId("detail").querySelector(".chip[aria-current]").focus({ preventScroll: true });
  markOpen();
}

// The sample that the address names, as [group, place of the sample].
function addressed() {
  const [kind, run, step, number, place] = location.hash.slice(1).split("/");
  if (kind !== "sample") return null;
  const matching = (group) => encodeURIComponent(data.runs[group.run].name) === run && group.step === Number(step) && group.group === Number(number);
  const group = browser.groups.find(matching);
  return group ? [group, Number(place) || 0] : null;
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
  const note = byId("samples-note");
  if (!shown) {
    note.textContent = "No samples were recorded yet.";
    return;
  }
  const count = recorded > shown ? `${thousands(shown)} of ${counted(recorded, "recorded group")}` : counted(shown, "group");
  note.textContent = `${count}, each a prompt with all its samples. Coloured marks show which samples are right.`;
  showFilters();
  showGroups();
  openSample(...(addressed() || opening()));
  window.addEventListener("hashchange", () => {
    const found = addressed();
    if (!found) return;
    openSample(...found);
    const { top } = byId("detail").getBoundingClientRect();
    if (top < 0 || top > innerHeight * 0.8) byId("detail").scrollIntoView();
  });
  if (addressed()) byId("samples").scrollIntoView();
}
