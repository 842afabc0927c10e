"""Random changes of completions, answers, values and records go through everything on the host that reads them, and
nothing raises.

`make harness` takes 10,000 of each.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from coderlplus.alignment import AlignmentConfig, facts, prompts, reference_answer, score_answer
from coderlplus.alignment.answers import parse_answer, write_answer
from coderlplus.alignment.kinds import KINDS, official
from coderlplus.alignment.tasks import Lineage, make_task
from coderlplus.errors import DataError
from coderlplus.problems import read_recorded
from coderlplus.programs import cyclomatic_complexity, extract_program, normalized, parse, syntax_error
from coderlplus.records import (
    AlignmentTask,
    CallInput,
    Change,
    Ending,
    Problem,
    Reward,
    Rollout,
    StdioInput,
    Step,
    Target,
    Trace,
    Verdict,
)
from coderlplus.records.jsonl import loads
from coderlplus.records.tagged import tagged
from coderlplus.report import html
from coderlplus.report.bindings import binding_line
from coderlplus.report.samples import shown_sample, shown_task
from coderlplus.report.trace_page import page_data
from coderlplus.report.trace_text import print_answer, print_steps, print_variables
from coderlplus.sandbox.values import NotPlain, decode, equal, to_source

from .mutations import ODD, VALUES, mutated, mutated_json

COUNT = 10_000 if os.environ.get("CODERLPLUS_WHOLE") else 300

PROGRAMS = [
    "n = int(input())\nparts = [str(n), str(n * n)]\nprint(f\"{'-'.join(parts)}\")\n",
    '''\
def f(a, *, key=None):
    """Sorts a list."""
    b = sorted(a, key=key)  # a copy
    return {x: i for i, x in enumerate(b)}
''',
    """\
class Solution:
    def f(self, xs: list[int]) -> int:
        total = 0
        for x in xs:
            if x > 0:
                total += x
        return total
""",
    """\
import sys
for line in sys.stdin:
    a, b = map(int, line.split())
    try:
        print(a // b)
    except ZeroDivisionError as e:
        print(e)
""",
    """\
def g():
    x = 0
    def h():
        nonlocal x
        x += 1
        return lambda y: (z := y) + x
    return h()
match g()(3):
    case int(v):
        print(v)
""",
]
SHAPES = [
    "```python\n{}```",
    "Here it is.\n```\n{}\n```\nDone.",
    "<think>{}</think>\n```py\n{}```",
    "{}",
    "Text `a` before\n~~~python\n{}\n~~~",
    "  ```python\n  {}",
]
ANSWERS = [
    '{"a": [3, 1, 2], "output": 6}',
    "So {x} is 'it'.\n{\"a\": (1, 2), 'output': {1, 2}}",
    '```json\n{"a": {"1": [true, null]}, "output": 1.5e3}\n```',
    "- a = {1: 'x'}\n- output: \"it's\"\n",
    '{"final_output": "3", "variables": {"a": [1, 2]}}',
    "a = frozenset({(1, 2)})\noutput = Decimal('1.50')",
]
LINEAGE = Lineage(problem_id="p", rollout_id="r")


@pytest.fixture(scope="module")
def completions() -> list[str]:
    """Completions in many shapes: recorded ones where the recorded data is there, else our own."""
    folder = Path(os.environ.get("CODERLPLUS_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "llm_runs"
    programs = list(PROGRAMS)
    for path in sorted(folder.glob("*.jsonl.gz")):
        programs += [item.rollout.program for item in read_recorded(path)[::25] if item.rollout.program]
    return [SHAPES[number % len(SHAPES)].replace("{}", program) for number, program in enumerate(programs)]


def variants(texts: list[str], name: str) -> Iterator[tuple[str, random.Random]]:
    for number in range(COUNT):
        rng = random.Random(f"{name}/{number}")
        yield mutated(rng.choice(texts), texts, rng), rng


def tagged_value(rng: random.Random, depth: int = 0) -> Any:
    """A random tagged value as the tracer may give it."""
    while True:
        value = rng.choice([*VALUES, *ODD, rng.randrange(100), [rng.randrange(9) for _ in range(rng.randrange(9))]])
        try:
            return tagged(value, "value")
        except DataError:
            continue


def traced(program: str, rng: random.Random) -> Trace:
    """A trace that the program might have, if it did odd things."""
    names = (
        [name for _, name in list(facts.variable_bindings(parse(program)))[:6]]
        if syntax_error(program) is None
        else ["a"]
    )
    values = {name: tagged_value(rng) for name in (*names, "a", "\x1b[0m", "_b")}
    steps = tuple(
        Step(
            line=rng.randrange(8),
            scope="<module>",
            activation=rng.randrange(2),
            depth=rng.randrange(20),
            output_chars=rng.randrange(4),
            changes=(
                Change(
                    name=rng.choice(list(values)),
                    value=tagged_value(rng),
                    scope="f\x1b",
                    activation=0,
                    deleted=rng.random() < 0.2,
                ),
            ),
        )
        for _ in range(5)
    )
    given = rng.choice(
        [StdioInput(rng.choice(ODD) + "3\n"), CallInput("f", (tagged_value(rng),), {"key": tagged_value(rng)})]
    )
    endings = [
        Ending(kind="finished"),
        Ending(kind="exit", message=rng.choice(ODD)),
        Ending(kind="exception", type=rng.choice(ODD), message=rng.choice(ODD), line=3),
    ]
    return Trace(
        program=program,
        input=given,
        ending=rng.choice(endings),
        output=rng.choice(ODD) * rng.randrange(3),
        value=tagged_value(rng),
        variables={"<module>": values, rng.choice(["f", "f.<locals>.g", "\u202e"]): {"a": tagged_value(rng)}},
        steps=steps,
    )


def plain_text(printed: str) -> bool:
    return all(one.isprintable() or one == "\n" for one in printed)


def test_completions(completions: list[str]) -> None:
    settings = AlignmentConfig(max_prompt_chars=40_000, max_program_chars=40_000)
    kinds = list(KINDS)
    for text, rng in variants(completions, "completions"):
        program = extract_program(text)
        if program is None:
            continue
        normalized(program)
        cyclomatic_complexity(program)
        official._place_of_capture(program)
        binding_line(program, "f", "f.a")
        shown = prompts.shown_program(program)
        if syntax_error(shown) is not None:
            continue
        trace = traced(shown, rng)
        for kind in kinds:
            task = make_task(
                trace,
                LINEAGE,
                settings=settings,
                kind=kind,
                seed=0,
                setup_code=rng.choice(["", "x = 1\n", "import os"]),
            )
            if isinstance(task, AlignmentTask):
                task.prompt.encode()
                assert AlignmentTask.from_json(loads(json.dumps(task.to_json()))) == task
                assert score_answer(task, reference_answer(task))[0] == pytest.approx(1.0), (
                    task.targets,
                    reference_answer(task),
                )
                html.embed(shown_task(task))


def test_traces_on_pages_and_in_the_terminal(completions: list[str]) -> None:
    for number, (text, rng) in enumerate(variants(completions, "traces")):
        if number % 4:
            continue
        trace = traced(text, rng)
        task = AlignmentTask(
            task_id="t",
            kind="final_values",
            prompt="?",
            program=text,
            input=trace.input,
            targets=(
                Target(label="a\x1b", value=tagged_value(rng), scope="<module>"),
                Target(label="output", value=tagged_value(rng)),
            ),
            problem_id="p",
            rollout_id="r",
        )
        html.embed(page_data(trace, rng.choice(ODD), task, text))
        out = io.StringIO()
        console = Console(file=out, width=80, markup=False, highlight=False, emoji=False)
        print_answer(task, text, console)
        print_variables(trace, console)
        print_steps(trace, console)
        assert plain_text(out.getvalue()), ascii(out.getvalue())
        out.getvalue().encode()


def test_answers() -> None:
    targets = (
        Target(label="a", value={"$tuple": [1, 2]}, scope="<module>"),
        Target(label="output", value={"$set": [{"$tuple": [1, 2]}, 3.5]}),
    )
    texts = [*ANSWERS, write_answer(targets)]
    for text, rng in variants(texts, "answers"):
        parsed = parse_answer(text, ["a", "output"])
        if parsed is not None:
            for value in parsed.values.values():
                assert tagged(value, "value") == value
                to_source(value)
        wanted = tuple(
            Target(label=label, value=tagged_value(rng), scope=None if label == "output" else "f")
            for label in ("a", "output")
        )
        for kind in ("final_values", "official"):
            for given in (StdioInput(""), CallInput("f")):
                chosen = (wanted[0], Target(label="output", value="3")) if isinstance(given, StdioInput) else wanted
                task = AlignmentTask(
                    task_id="t",
                    kind=kind,
                    prompt="?",
                    program="a = 1",
                    input=given,
                    targets=chosen,
                    problem_id="p",
                    rollout_id="r",
                )
                value, correct = score_answer(task, text)
                assert 0 <= value <= 1
                sample = {
                    "rollout_id": "r",
                    "completion": text,
                    "reward": Reward(kind=kind, value=value, correct=correct).to_json(),
                }
                html.embed(shown_sample(sample, task))


def test_values() -> None:
    seeds = [value for value in VALUES if isinstance(value, dict | list)]
    seeds.append([1, {"a": {"$dict": [[{"$tuple": [1]}, {"$set": ["x"]}]]}}, {"$bytes": "00ff"}])
    for number in range(COUNT):
        rng = random.Random(f"values/{number}")
        value = mutated_json(rng.choice(seeds), rng)
        to_source(value)
        with contextlib.suppress(NotPlain):
            decode(value)
        try:
            value = tagged(value, "value")
        except DataError:
            continue
        assert tagged(json.loads(json.dumps(value)), "value") == value
        equal(value, value)
        html.embed(value)


VERDICT = Verdict(rollout_id="r", problem_id="p", verdict="passed", tests_passed=1, tests_total=1)
RECORDS: list[Any] = [
    Problem.from_json(
        {
            "problem_id": "p",
            "statement": "s",
            "entry_point": "f",
            "checker": {"name": "c", "code": "def check(a, b, c): pass"},
            "tests": [
                {"kind": "call", "args": [1, {"$set": [1]}], "kwargs": {"a": None}, "expected": {"$tuple": [1]}},
                {"kind": "check", "code": "assert f(1)"},
            ],
        }
    ),
    Rollout(rollout_id="r", problem_id="p", completion="x"),
    VERDICT,
    Verdict.from_json(
        VERDICT.to_json()
        | {
            "verdict": "wrong_answer",
            "first_failure": {
                "index": 0,
                "verdict": "wrong_answer",
                "input": {"kind": "stdio", "stdin": ""},
                "actual": {"value": [1]},
            },
        }
    ),
    traced("a = 1", random.Random(0)),
    AlignmentTask(
        task_id="t",
        kind="output",
        prompt="?",
        program="a = 1",
        input=CallInput("f", ([1],)),
        targets=(Target(label="a", value={"$dict": [[1, 2]]}),),
        problem_id="p",
        rollout_id="r",
    ),
    Reward(kind="generation", value=1.0, program="x", verdict=VERDICT, correct={"a": True}),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records(record: Any) -> None:
    kind = type(record)
    whole = json.loads(json.dumps(record.to_json()))
    assert kind.from_json(whole) == record
    for number in range(COUNT):
        data = mutated_json(whole, random.Random(f"{kind.__name__}/{number}"))
        try:
            read = kind.from_json(data if isinstance(data, dict) else {})
        except DataError:
            continue
        assert kind.from_json(loads(json.dumps(read.to_json()))) == read
