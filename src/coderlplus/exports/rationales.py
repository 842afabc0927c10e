"""Traces as worked answers: what a run does step by step, and the answer to the question at the end.

Such texts are what execution models are trained to write before an answer: frames of lines and variables (CWM, Meta
2025), a monologue along the run (SemCoder, NeurIPS 2024). A row has `prompt` and `completion` in chat form, which
TRL's `SFTTrainer` takes as it is, and the trace itself for other forms.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from coderlplus.alignment import reference_answer
from coderlplus.engines.reward_functions import to_dataset_row
from coderlplus.exports.rows import messages
from coderlplus.records import AlignmentTask, CallInput, Change, Trace
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.values import to_source
from coderlplus.tracing.trace import TraceRequest, trace_many

MAX_STEPS = 200
"""A run of more steps has no rationale."""
MAX_CHARS = 16_000
"""Nor has one that is longer."""
COLUMNS = {
    "prompt": "chat messages: the question of the task",
    "completion": "one message of the assistant: the run step by step, then the answer",
    "trace": "the trace as JSON, with steps (line, scope, depth, changes of variables)",
    "kind": "kind of the task",
    "task_id": "the task",
    "problem_id": "the problem that the program was written for",
    "rollout_id": "the sample of the model that the program is",
}
"""The columns of a rationale and what they hold."""


def rationale_rows(sandbox: AnySandbox, tasks: Sequence[AlignmentTask]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """A row for each task whose run is short enough, and how many have none for which reason.

    Reasons are `long` (more than `MAX_STEPS` steps or `MAX_CHARS` characters), `withheld` and `nondeterministic` (see
    `Trace`), and `differs` (this Python gives another output than the task says).

    Raises `SandboxError` if the sandbox fails.
    """
    requests = [
        TraceRequest(program=task.program, input=task.input, setup_code=task.setup_code, max_steps=MAX_STEPS)
        for task in tasks
    ]
    rows, rejects = [], Counter[str]()
    for task, trace in zip(tasks, trace_many(sandbox, requests), strict=True):
        text = rationale(task, trace)
        if trace.withheld is not None:
            rejects["withheld"] += 1
        elif not trace.deterministic:
            rejects["nondeterministic"] += 1
        elif not _agrees(task, trace):
            rejects["differs"] += 1
        elif trace.steps_cut is not None or len(text) > MAX_CHARS:
            rejects["long"] += 1
        else:
            rows.append(
                {
                    "prompt": to_dataset_row(task)["prompt"],
                    "completion": [{"role": "assistant", "content": text}],
                    "trace": json.dumps(trace.to_json()),
                    **{name: getattr(task, name) for name in ("kind", "task_id", "problem_id", "rollout_id")},
                }
            )
    return rows, rejects


def rationale_schema(pyarrow: Any) -> Any:
    """The Arrow schema of the rows."""
    chat = {"prompt": messages(pyarrow), "completion": messages(pyarrow)}
    return pyarrow.schema({name: chat.get(name, pyarrow.string()) for name in COLUMNS})


def rationale(task: AlignmentTask, trace: Trace) -> str:
    """The run as text, a line for each step, and the right answer as the last line. `trace` was made with steps.

    >>> from coderlplus import CallInput, Target, open_sandbox, trace
    >>> program = "def f(x):\\n    y = x + 1\\n    return y"
    >>> task = AlignmentTask(
    ...     task_id="t", kind="output", prompt="What does f(2) return?", program=program,
    ...     input=CallInput("f", (2,)), targets=(Target(label="output", value=3),), problem_id="p", rollout_id="r",
    ... )
    >>> with open_sandbox(workers=1) as sandbox:
    ...     print(rationale(task, trace(sandbox, task.program, task.input, max_steps=9)))
    line 1: def f(x):
      line 1: def f(x): → x = 2
      line 2: y = x + 1 → y = 3
      line 3: return y
    It returns 3.
    <BLANKLINE>
    {"output": 3}
    """
    source = [line.strip() for line in trace.program.split("\n")]
    told, printed = [], 0
    for step in trace.steps or ():
        effects = [_change(change, step.scope) for change in step.changes]
        if step.output_chars > printed:
            effects.append(f"prints {trace.output[printed : step.output_chars]!r}")
            printed = step.output_chars
        statement = source[step.line - 1] if step.line <= len(source) else ""
        effect = f" → {'; '.join(effects)}" if effects else ""
        told.append(f"{'  ' * step.depth}line {step.line}: {statement}{effect}")
    return "\n".join([*told, _ending(trace), "", reference_answer(task)])


def _agrees(task: AlignmentTask, trace: Trace) -> bool:
    told = [target.value for target in task.targets if target.is_output]
    if isinstance(task.input, CallInput):
        return all(value == trace.value for value in told)
    return all(str(value).strip() == trace.output.strip() for value in told)


def _change(change: Change, scope: str) -> str:
    name = change.name if change.scope == scope else f"{change.name} of {change.scope}"
    return f"{name} is gone" if change.deleted else f"{name} = {to_source(change.value)}"


def _ending(trace: Trace) -> str:
    ending = trace.ending
    if ending.kind == "exception":
        return f"It raises {ending.type}{f' in line {ending.line}' if ending.line else ''}."
    if ending.kind != "finished":
        return f"It ends by {ending.kind.replace('_', ' ')}."
    if isinstance(trace.input, CallInput):
        return f"It returns {to_source(trace.value)}."
    return f"It prints {trace.output!r}."
