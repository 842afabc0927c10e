"""The trace viewer: one HTML file in which an execution is stepped through, forward and back.

Steps are embedded as differences: a change of a value is what was replaced in its text, so that 5,000 steps on a long
list make a page of a few hundred kilobytes. `replay.js` winds the state, `trace_page.js` draws it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coderlplus.alignment.scoring import Scored, read_answer, score_answer
from coderlplus.records import AlignmentTask, CallInput, StdioInput, TaggedValue, Trace, Verdict
from coderlplus.report import html
from coderlplus.report.samples import cut, input_text
from coderlplus.sandbox.values import to_source

STYLES = ("base.css", "trace_page.css")
SCRIPTS = ("dom.js", "python.js", "replay.js", "trace_state.js", "trace_page.js")
OUTPUT_CHARS = 200_000
"""How much of what the program printed is on the page."""


def write_trace(
    trace: Trace,
    out: Path,
    *,
    title: str,
    task: AlignmentTask | None = None,
    answer: str | None = None,
    outcome: Mapping[str, str | None] | None = None,
    scored: Scored | None = None,
) -> Path:
    """Write the viewer of a trace (made with `max_steps`, else it has nothing to step through) to `out` and return
    that path.

    With a `task` the page shows its true values, with an `answer` (a model's completion) also what it predicted and
    which of it is correct (`scored`, where that is known). With the `outcome` of a failed program (`outcome_of`) it
    shows what was expected beside what came. Raises `DataError` if the page cannot be written.
    """
    out = Path(out)
    data = page_data(trace, title, task, answer, scored) | {"outcome": outcome}
    html.write(out, html.assemble("trace_page.html", styles=STYLES, scripts=SCRIPTS, data=data), "--html")
    return out


def page_data(
    trace: Trace,
    title: str,
    task: AlignmentTask | None = None,
    answer: str | None = None,
    scored: Scored | None = None,
) -> dict[str, Any]:
    """All that the page shows, as JSON; values as Python source."""
    called = isinstance(trace.input, CallInput)
    return {
        "title": title,
        "program": trace.program.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n"),
        "input": {"call": called, "text": input_text(trace.input)},
        "ending": trace.ending.to_json(),
        "output": cut(trace.output, OUTPUT_CHARS),
        "value": value_text(trace.value) if called and trace.ending.kind == "finished" else None,
        "deterministic": trace.deterministic,
        "withheld": trace.withheld,
        "variables": [
            [scope, [[name, value_text(value)] for name, value in names.items()]]
            for scope, names in trace.variables.items()
        ],
        "answer": None if task is None else answer_data(trace, task, answer, scored),
    } | steps_data(trace)


def outcome_of(trace: Trace, verdict: Verdict, expected: str | None) -> dict[str, str | None]:
    """What a test expected of a failed program beside what it gave, as text, and the sentence of the judge."""
    failure = verdict.first_failure
    ending, actual = trace.ending, None
    if ending.kind == "exception":
        actual = ": ".join(part for part in (ending.type, ending.message) if part)
    elif isinstance(trace.input, StdioInput):
        actual = cut(trace.output)
    elif ending.kind == "finished":
        actual = value_text(trace.value)
    if failure is not None and failure.actual is not None and failure.actual.raised is None:
        given = failure.actual.value  # what the judge saw, should two runs differ
        actual = cut(given) if isinstance(trace.input, StdioInput) and isinstance(given, str) else value_text(given)
    return {
        "verdict": verdict.verdict.replace("_", " "),
        "test": None if failure is None else f"test {failure.index + 1} of {verdict.tests_total}",
        "expected": expected,
        "actual": actual,
        "detail": None if failure is None or not failure.detail else cut(failure.detail),
    }


def steps_data(trace: Trace) -> dict[str, Any]:
    """The steps as short lists, `[line, activation, depth, printed, change, …]`, and the tables that their numbers
    point to.

    `printed` counts UTF-16 units, as JavaScript does. A change is `[activation, name, text kept at the start, new
    text, text kept at the end]`, and `[activation, name]` when the name is gone.
    """
    scopes: dict[str, int] = {}
    names: dict[str, int] = {}
    activations: dict[int, int] = {}
    texts: dict[tuple[int, str], str] = {}
    steps: list[list[Any]] = []
    wide = [place for place, character in enumerate(trace.output) if character > "\uffff"]
    for step in trace.steps or ():
        activations.setdefault(step.activation, scopes.setdefault(step.scope, len(scopes)))
        row: list[Any] = [
            step.line,
            step.activation,
            step.depth,
            step.output_chars + bisect_left(wide, step.output_chars),
        ]
        for change in step.changes:
            activations.setdefault(change.activation, scopes.setdefault(change.scope, len(scopes)))
            name = names.setdefault(change.name, len(names))
            if change.deleted:
                texts.pop((change.activation, change.name), None)
                row.append([change.activation, name])
                continue
            text = value_text(change.value)
            start, end = kept(texts.get((change.activation, change.name), ""), text)
            texts[change.activation, change.name] = text
            row.append([change.activation, name, start, text[start : len(text) - end], end])
        steps.append(row)
    return {
        "scopes": list(scopes),
        "names": list(names),
        "activations": list(activations.items()),
        "steps": steps,
        "cut": trace.steps_cut,
    }


def answer_data(trace: Trace, task: AlignmentTask, answer: str | None, scored: Scored | None = None) -> dict[str, Any]:
    """The task's targets with their true values, what an answer says of them, and the step that bound each last."""
    parsed = None if answer is None else read_answer(task, answer)
    reward, correct = (None, {}) if answer is None else scored or score_answer(task, answer)
    last: dict[tuple[str, str], int] = {}
    for number, step in enumerate(trace.steps or ()):
        last.update(((change.scope, change.name), number) for change in step.changes)
    targets = [
        {
            "label": target.label,
            "value": value_text(target.value),
            "predicted": None
            if parsed is None or target.label not in parsed.values
            else value_text(parsed.values[target.label]),
            "right": correct.get(target.label, False),
            "step": None
            if target.scope is None
            else last.get((target.scope, target.label.removeprefix(f"{target.scope}."))),
        }
        for target in task.targets
    ]
    return {"targets": targets, "reward": reward, "text": None if answer is None else cut(answer)}


def value_text(value: TaggedValue) -> str:
    """A value as the page shows it: Python source of bounded length; one beyond the tracer's budget by its
    description.

    >>> value_text({"$tuple": [1, 2]}), value_text({"$cut": "list of 250000"})
    ('(1, 2)', '… list of 250000')
    """
    if isinstance(value, dict) and isinstance(value.get("$cut"), str):
        return f"… {value['$cut']}"
    return cut(to_source(value))


def kept(old: str, new: str) -> tuple[int, int]:
    """How many characters two texts share at the start and, beyond these, at the end; none if `new` has characters
    that JavaScript counts as two.

    >>> kept("[1, 2, 3]", "[1, 7, 3]"), kept("aa", "aaa"), kept("", "x")
    ((4, 4), (2, 0), (0, 0))
    """
    if not old or max(max(old), max(new, default="")) > "\uffff":
        return 0, 0
    start = _shared(old, new)
    return start, _shared(old[start:][::-1], new[start:][::-1])


def _shared(one: str, other: str) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
