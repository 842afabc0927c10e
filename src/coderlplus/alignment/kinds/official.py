"""The kind `official`: the task of the published code (github.com/jiangxxxue/CODERLPLUS, files `code_extractor.py` and
`reward_function_coderlplus.py`): its prompt, its choice of variables, its scoring, so that results can be compared
with it both ways.

What it does, warts included, and what follows from them:

- The program runs on its *first* test, as a script; function-style problems make no task. Its source is shown with
  comments and docstrings.
- Values are those that the module's names hold when the last line has run. A program that ends by `sys.exit`, or with
  `if __name__` block anywhere but at its end, or indented by anything but four spaces, has none or makes no task,
  because of how the code that takes them is appended.
- Only names without `_` in front, of the types int, float, str, bool, list, dict, tuple, set, None count; the last
  three in order of definition are asked for, constants and the input itself as well. Values pass through JSON: tuples
  become lists, keys become strings; where JSON fails (a tuple as a key, a set in a list) the program makes no task.
- The example of an answer in the prompt is not valid JSON (a line break in the middle of a number), and the fence has
  no line breaks.
- An answer is the last line of the completion, JSON with the keys `final_output` and `variables`; a fence around it
  scores 0. It earns 0.1 for that form and 0.9 · (right items / items), the output being one item.
- `"0"` equals `"False"`, `1` equals `"true"`, `"None"` equals null, and what is left is compared as text.

Departures: it runs in the sandbox under the problem's limits; a value of more than `MAX_VALUE_CHARS` makes no task,
nor does a program whose two runs differ, nor one whose answer can be copied from the prompt (see `visible`); a set of
anything but numbers is a sorted list here, where the published order is that of the hashes of one run."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any

from coderlplus.alignment.answers import Answer
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.questions import MODULE, Question
from coderlplus.alignment.variables import TracedRun
from coderlplus.programs import parse
from coderlplus.records import OUTPUT, AlignmentTask, StdioInput, TaggedValue, Target, Trace
from coderlplus.sandbox.values import NotPlain, decode, encode, to_source

MAX_VARIABLES = 3
MAX_LINE_CHARS = 100_000
"""A longer last line is no answer."""
MAX_VALUE_CHARS = 20_000
"""Of a longer value (as Python source) nothing is asked: what is done with it must take little time, whatever a
program computed."""

# The wording is part of what is compared, so it is the published one to the character.
_PROMPT = """Given the following Python Code and Input, predict:
1) The code's output value (final_output)
2) The final values of the listed local variables at the moment the code outputs

Python code: ```python{program}```
Input: {stdin}
Target local variables: {names}

Instructions:
1. First, write a reasoning section explaining step-by-step how the code executes with the given Input
2. Do not include any JSON in the reasoning section
3. On the LAST line only, output a strict JSON object with the required format

Example of final answer (LAST line only):
{{"final_output": 3\n6, "variables": {{"cnt": 2, "buf": [1, 2]}}}}
"""


def ask(run: TracedRun) -> Question | str:
    """The question, output last, or the reason why the published code makes no task of such a run: `official_call`
    (not a script), `exception` (it ended with an error, or printed what begins with `ERROR:`), `no_output`,
    `official_unfit` (the code that takes the values does not fit behind the program, or JSON has no such value)."""
    trace = run.trace
    if not isinstance(trace.input, StdioInput):
        return "official_call"
    targets = _targets(trace)
    if isinstance(targets, str):
        return targets
    if all(run.visible.stands(target.value) for target in targets):
        return "answer_in_prompt"
    return Question(targets=targets, prompt=write_prompt(trace.program, trace.input.stdin, targets))


def _targets(trace: Trace) -> tuple[Target, ...] | str:
    output = trace.output.strip()
    exited = trace.ending.kind == "exit" and trace.ending.message in (None, "0")
    if (trace.ending.kind != "finished" and not exited) or output.startswith("ERROR:"):
        return "exception"
    if not output:
        return "no_output"
    place = _place_of_capture(trace.program)
    if place is None:
        return "official_unfit"
    values = {} if exited or place == "inside" else trace.variables.get(MODULE, {})
    counted = {name: value for name, value in values.items() if not name.startswith("_") and _counts(value)}
    if any(len(to_source(value)) > MAX_VALUE_CHARS for value in counted.values()):
        return "official_unfit"
    try:
        taken = {name: _through_json(value) for name, value in counted.items()}
    except (NotPlain, TypeError, ValueError):
        return "official_unfit"
    names = list(taken)[-MAX_VARIABLES:]
    targets = [
        Target(label=f"{MODULE}.{name}" if name == OUTPUT else name, value=taken[name], scope=MODULE) for name in names
    ]
    return (*targets, Target(label=OUTPUT, value=output))


def write_prompt(program: str, stdin: str, targets: Sequence[Target]) -> str:
    """The published prompt."""
    names = [_name(target) for target in targets if not target.is_output]
    return _PROMPT.format(program=program, stdin=stdin, names=names)


def write_answer(targets: Sequence[Target]) -> str:
    """The right answer in the form that the prompt asks for."""
    output = next(target.value for target in targets if target.is_output)
    variables = {_name(target): decode(target.value) for target in targets if not target.is_output}
    return json.dumps({"final_output": output, "variables": variables})


def score(task: AlignmentTask, completion: str, format_weight: float = 0.1) -> tuple[float, dict[str, bool]]:
    """The published reward, whose weight of the form is 0.1 whatever `format_weight` is, and which targets it counts
    as right (empty for an answer of no usable form)."""
    answer = _json_answer(completion)
    if answer is None:
        return 0.0, {}
    try:
        given = answer["variables"]
        correct: dict[str, bool] = {}
        for target in task.targets:
            if target.is_output:
                correct[target.label] = _equals(answer["final_output"], target.value)
            else:
                name = _name(target)
                correct[target.label] = name in given and _equals(given[name], decode(target.value))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return 0.0, {}
    return 0.1 + sum(correct.values()) / len(correct) * 0.9, correct


def read(task: AlignmentTask, completion: str) -> Answer | None:
    """What an answer gives, by label."""
    answer = _json_answer(completion)
    if answer is None or not isinstance(answer["variables"], dict):
        return None
    values = {
        target.label: encode(answer["final_output"] if target.is_output else answer["variables"][_name(target)])
        for target in task.targets
        if target.is_output or _name(target) in answer["variables"]
    }
    return Answer(values, is_json=True)


def _json_answer(completion: str) -> dict[str, Any] | None:
    """The JSON of the last line, which has the two keys of an answer, or `None`."""
    line = completion.strip().rpartition("\n")[2].strip()
    if len(line) > MAX_LINE_CHARS:
        return None
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) and {"final_output", "variables"} <= answer.keys() else None


def _name(target: Target) -> str:
    return target.label.removeprefix(f"{MODULE}.")


def _place_of_capture(program: str) -> str | None:
    """Where the code that takes the values would come to lie: `"end"` of the module, `"inside"` something that may not
    run, or `None` for a syntax error. It is appended or, if the text speaks of `__name__` and `__main__`, put behind
    the last line of code with four spaces before it."""
    marker = "__taken__ = 0"
    lines = program.split("\n")
    if "if __name__" in program and "__main__" in program:
        last = max(
            (place for place, line in enumerate(lines, 1) if line.strip() and not line.strip().startswith("#")),
            default=len(lines),
        )
        lines[last:last] = [f"    {marker}"]
    else:
        lines += ["", marker]
    try:
        tree = parse("\n".join(lines))
    except SyntaxError:
        return None
    return "end" if any(_is_marker(node) for node in _module_level(tree.body)) else "inside"


def _module_level(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements of the module, with those of its last statement if that is an `if`."""
    if body and isinstance(body[-1], ast.If):
        return [*body, *_module_level(body[-1].body), *_module_level(body[-1].orelse)]
    return list(body)


def _is_marker(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__taken__"


def _through_json(value: TaggedValue) -> TaggedValue:
    """The tagged value after a way through JSON. Raises `NotPlain`, `TypeError` or `ValueError` if JSON refuses
    it."""
    python = decode(value)
    if isinstance(python, set):
        is_numeric = all(isinstance(member, int | float) for member in python)
        python = list(python) if is_numeric else [decode(member) for member in value["$set"]]
    return encode(json.loads(json.dumps(python)))


def _counts(value: TaggedValue) -> bool:
    """Whether the published code takes a value of this type."""
    tag = next(iter(value), "") if isinstance(value, dict) else ""
    return not tag.startswith("$") or tag in ("$tuple", "$set", "$dict", "$float", "$int", "$cut")


_NONE = {"None", "none", "null", "Null", "NULL"}
_TRUE = {"True", "true", "TRUE", "1"}
_FALSE = {"False", "false", "FALSE", "0"}


def _equals(given: Any, wanted: Any) -> bool:
    """Whether the published code takes two values for the same."""
    if given == wanted:
        return True
    texts = {str(given).strip(), str(wanted).strip()}
    if any(texts <= words for words in (_NONE, _TRUE, _FALSE)):
        return True
    try:
        if not isinstance(given, bool) and not isinstance(wanted, bool) and abs(float(given) - float(wanted)) < 1e-9:
            return True
    except (ValueError, TypeError):
        pass
    if isinstance(given, list) and isinstance(wanted, list):
        return len(given) == len(wanted) and all(map(_equals, given, wanted))
    if isinstance(given, dict) and isinstance(wanted, dict):
        return given.keys() == wanted.keys() and all(_equals(given[key], wanted[key]) for key in wanted)
    return len(texts) == 1


KIND = Kind(
    name="official",
    asks="what the published code asks",
    ask=ask,
    semantics="official",
    as_sampled=True,
    answer=write_answer,
    read=read,
    score=score,
)
