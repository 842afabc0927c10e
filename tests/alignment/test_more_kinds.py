"""Kinds of tasks about inputs, next statements, types and several states: the reference answer is right, a wrong one
is worth less, and what is asked is what Python itself sees."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from tests.alignment.programs import random_program
from tests.alignment.test_kinds import PROGRAMS, executed, traced

from coderlplus.alignment import AlignmentConfig, Lineage, make_task, reference_answer, score_answer, write_answer
from coderlplus.engines.reward_functions import alignment_reward, to_dataset_row
from coderlplus.errors import ConfigError, SandboxError
from coderlplus.judge import Judge
from coderlplus.programs import parse
from coderlplus.records import AlignmentTask, CallInput, Problem, ProgramInput, Rollout, StdioInput, Verdict
from coderlplus.rewards import reward_rows
from coderlplus.sandbox import Sandbox
from coderlplus.sandbox.values import decode

NEW = ("input", "next_statement", "types", "states")
LINEAGE = Lineage(problem_id="p", rollout_id="r")
GENERATED = {f"generated {seed}": random_program(seed) for seed in range(40)}
WRITTEN = {name: (program.strip("\n"), given) for name, (program, given) in PROGRAMS.items()}
RUNS = WRITTEN | GENERATED


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def judge(sandbox: Sandbox) -> Judge:
    return Judge(sandbox)


def made(
    sandbox: Sandbox, kind: str, program: str, given: ProgramInput, seed: int = 0, **settings: Any
) -> AlignmentTask | str:
    config = AlignmentConfig(**settings)
    return make_task(traced(sandbox, kind, program, given), LINEAGE, settings=config, kind=kind, seed=seed)


def asked(sandbox: Sandbox, kind: str, program: str, given: ProgramInput) -> AlignmentTask:
    task = made(sandbox, kind, program, given)
    assert isinstance(task, AlignmentTask), task
    return task


def does_not_use(task: AlignmentTask, place: int) -> bool:
    """Whether the call gives the same with something else in the place of an argument."""
    assert isinstance(task.input, CallInput)
    assert task.gives is not None
    arguments = [*map(decode, task.input.args)]
    arguments[place] = ("nothing like it",)
    names: dict[str, Any] = {}
    exec(task.program, names)
    try:
        return bool(names[task.input.entry_point](*arguments) == decode(task.gives.value))
    except Exception:
        return False


@pytest.mark.parametrize("kind", NEW)
def test_a_reference_answer_scores_one_and_a_wrong_one_less(sandbox: Sandbox, judge: Judge, kind: str) -> None:
    tasks = 0
    for program, given in RUNS.values():
        task = made(sandbox, kind, program, given)
        if isinstance(task, str):
            continue
        tasks += 1
        assert AlignmentTask.from_json(json.loads(json.dumps(task.to_json()))) == task
        assert score_answer(task, reference_answer(task)) == (1.0, {target.label: True for target in task.targets})
        for place, target in enumerate(task.targets):
            wrong = [*task.targets]
            wrong[place] = replace(target, value={"$tuple": ["nothing like it"]})
            reward, correct = score_answer(task, write_answer(wrong), judge=judge)
            if kind != "input" or isinstance(given, StdioInput) or not does_not_use(task, place):
                assert 0.1 <= reward < 1
                assert not correct[target.label]
            kept = write_answer([one for one in task.targets if one is not target] or wrong)
            assert score_answer(task, kept, judge=judge)[0] < 1
        assert score_answer(task, "I cannot tell.") == (0.0, {})
    assert tasks > len(RUNS) / 2


@pytest.mark.parametrize("kind", NEW)
def test_the_same_run_makes_the_same_task(sandbox: Sandbox, kind: str) -> None:
    program, given = RUNS["loops"]
    assert made(sandbox, kind, program, given, seed=3) == made(sandbox, kind, program, given, seed=3)


def lines_run(program: str, given: ProgramInput) -> list[tuple[int, int]]:
    """(frame, line) of the lines that `sys.settrace` sees begin, without what a `for` does when it has no item
    left."""
    numbers: dict[FrameType, int] = {}
    seen: list[tuple[int, int]] = []

    def watch(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != "<program>" or frame.f_code.co_name in ("<genexpr>", "<listcomp>"):
            return None
        if event == "line":
            seen.append((numbers.setdefault(frame, len(numbers)), frame.f_lineno))
        return watch

    names: dict[str, Any] = {"__name__": "program"}
    assert isinstance(given, CallInput)
    exec(compile(program, "<program>", "exec"), names)
    try:
        sys.settrace(watch)
        names[given.entry_point](*map(decode, given.args))
    except ArithmeticError:
        pass
    finally:
        sys.settrace(None)
    of_frame: dict[int, list[int]] = {}
    loops = {line for line, text in enumerate(program.split("\n"), 1) if text.strip().startswith("for ")}
    kept = []
    for place, (frame, line) in enumerate(seen):
        of_frame.setdefault(frame, []).append(line)
        later = next((other for number, other in seen[place + 1 :] if number == frame), 0)
        if line not in loops or later == line + 1:
            kept.append((frame, line))
    return kept


@pytest.mark.parametrize("name", [name for name in RUNS if name not in ("stdin", "try and with", "scopes")])
def test_the_next_statement_is_the_one_that_python_runs(sandbox: Sandbox, name: str) -> None:
    program, given = RUNS[name]
    lines = lines_run(program, given)
    for seed in range(8):
        task = made(sandbox, "next_statement", program, given, seed)
        if task == "no_branch":
            continue
        assert isinstance(task, AlignmentTask), task
        moment = re.search(r"after line (\d+) has run for the (\d+)", task.prompt)
        assert moment is not None
        line, time = int(moment[1]), int(moment[2])
        place = [index for index, (_, number) in enumerate(lines) if number == line][time - 1]
        following = next((number for frame, number in lines[place + 1 :] if frame == lines[place][0]), 0)
        assert task.targets[0].value == following, task.prompt


def test_after_the_end_of_the_record_nothing_is_asked(sandbox: Sandbox) -> None:
    program = "def f(n):\n    s = 0\n    while n > 0:\n        n -= 1\n        s += n\n    return s"
    for seed in range(20):
        task = made(sandbox, "next_statement", program, CallInput("f", (3000,)), seed)
        assert isinstance(task, AlignmentTask)
        assert task.targets[0].value == 4  # the loop goes on in all that is recorded


@pytest.mark.parametrize("name", GENERATED)
def test_a_type_is_that_of_the_final_value(sandbox: Sandbox, name: str) -> None:
    program, given = GENERATED[name]
    task = made(sandbox, "types", program, given)
    assert isinstance(task, AlignmentTask), task
    names: dict[str, Any] = {}
    kept: dict[tuple[str, str], Any] = {}

    def watch(frame: FrameType, event: str, _: Any) -> Any:
        if event == "return":
            kept.update({(frame.f_code.co_name, key): value for key, value in frame.f_locals.items()})
        return watch

    exec(program, names)
    sys.settrace(watch)
    try:
        names["f"](*map(decode, given.args))
    finally:
        sys.settrace(None)
    for target in task.targets:
        assert target.scope is not None
        assert target.value == type(kept[target.scope, target.label.rpartition(".")[2]]).__name__, target


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("P(s)", "P"),
        ("{1: s}", "dict"),
        ("float('inf') * s", "float"),
        ("(x for x in a)", "generator"),
        ("None if s else 1", "NoneType"),
        ("frozenset(a)", "frozenset"),
    ],
)
def test_types_of_objects_are_asked_for_too(sandbox: Sandbox, value: str, expected: str) -> None:
    program = f"class P:\n    def __init__(self, x):\n        self.x = x\ndef f(a):\n    s = sum(a)\n    v = {value}"
    task = made(sandbox, "types", program, CallInput("f", ([3, 4],)), max_variables=9)
    assert isinstance(task, AlignmentTask), task
    assert {target.label: target.value for target in task.targets}["v"] == expected


def test_a_dict_of_unknown_class_is_not_asked_for(sandbox: Sandbox) -> None:
    program = "from collections import Counter\ndef f(a):\n    n = len(a) * 50\n    c = Counter(a)\n    return c"
    task = asked(sandbox, "types", program, CallInput("f", ([3, 4],)))
    assert [target.label for target in task.targets] == ["n"]


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "stdin"] + [*GENERATED][:10])
def test_states_are_what_the_variables_hold_at_these_moments(sandbox: Sandbox, name: str) -> None:
    program, given = RUNS[name]
    lines = executed(program, given)
    for seed in range(5):
        task = made(sandbox, "states", program, given, seed)
        assert isinstance(task, AlignmentTask), task
        assert 2 <= len(task.targets) <= 3
        for target in task.targets:
            moment = re.fullmatch(r"(.+)@(\d+)\.(\d+)", target.label)
            assert moment is not None
            states = [variables for line, variables in lines if line == int(moment[2])]
            assert states[int(moment[3]) - 1][moment[1].rpartition(".")[2]] == decode(target.value)


def test_each_state_has_its_part_of_the_reward(sandbox: Sandbox) -> None:
    task = asked(sandbox, "states", *RUNS["loops"])
    assert len(task.targets) == 3
    for right in itertools.product((True, False), repeat=3):
        answer = write_answer(
            [
                target if is_right else replace(target, value=-99)
                for target, is_right in zip(task.targets, right, strict=True)
            ]
        )
        assert score_answer(task, answer)[0] == pytest.approx(0.1 + 0.9 * sum(right) / 3)


CUBES = "def f(a, b):\n    s = 0\n    for x in a:\n        s += x ** 3\n    return [s, b]"


@pytest.fixture(scope="module")
def task(sandbox: Sandbox) -> AlignmentTask:
    return asked(sandbox, "input", CUBES, CallInput("f", ([1, 2, 3], 5)))


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ('{"a": [1, 2, 3], "b": 5}', 1.0),
        ('{"a": [3, 2, 1], "b": 5}', 1.0),
        ('So {"a": (2, 3, 1), "b": 5.0}', 1.0),
        ("a = [36 ** (1/3)]\nb = 5", 0.1),  # `a` is no literal
        ('{"a": [3, 2], "b": 5}', 0.1),
        ('{"a": [1, 2, 3]}', 0.1),
        ('{"a": {"x": 1}, "b": 5}', 0.1),
        ('{"a": 7, "b": 5}', 0.1),
        ('{"a": [...], "b": 5}', 0.1),
        ('{"a": range(10 ** 9), "b": 5}', 0.0),
        ('{"a": __import__("os").listdir("/"), "b": 5}', 0.0),
        ("[1, 2, 3], 5", 0.0),
    ],
)
def test_any_input_with_the_output_is_right(task: AlignmentTask, judge: Judge, answer: str, reward: float) -> None:
    assert score_answer(task, answer, judge=judge)[0] == reward
    assert reward_rows(judge, [task], [answer])[0].value == reward
    assert alignment_reward(judge)([answer], [to_dataset_row(task)["record"]]) == [reward]


def test_the_input_is_not_shown(task: AlignmentTask) -> None:
    assert "[36, 5]" in task.prompt
    assert "[1, 2, 3]" not in task.prompt
    assert [target.label for target in task.targets] == ["a", "b"]


def test_without_a_judge_only_the_known_input_has_a_score(task: AlignmentTask) -> None:
    assert score_answer(task, reference_answer(task))[0] == 1.0
    with pytest.raises(ConfigError, match=r"kind 'input' is judged by running .* judge=judge"):
        score_answer(task, '{"a": [3, 2, 1], "b": 5}')
    with pytest.raises(ConfigError, match="judge=judge"):
        alignment_reward()(['{"a": [3, 2, 1], "b": 5}'], [to_dataset_row(task)["record"]])


class Broken:
    """A judge whose sandbox fails."""

    def judge(self, problem: Problem, rollout: Rollout) -> Verdict:
        return Verdict(
            rollout_id=rollout.rollout_id,
            problem_id=problem.problem_id,
            verdict="sandbox_fault",
            tests_passed=0,
            tests_total=1,
        )

    def judge_many(self, pairs: Any) -> list[Verdict]:
        return [self.judge(*pair) for pair in pairs]


def test_a_broken_sandbox_gives_no_reward_and_never_0(task: AlignmentTask) -> None:
    answers = ['{"a": [3, 2], "b": 5}', reference_answer(task), "no idea"]
    rewards = reward_rows(Broken(), [task] * 3, answers)  # type: ignore[arg-type]
    assert [reward.value for reward in rewards] == [None, 1.0, 0.0]
    with pytest.raises(SandboxError, match="failed on an answer to task"):
        score_answer(task, answers[0], judge=Broken())


def test_an_input_on_which_the_program_does_not_end_is_wrong(sandbox: Sandbox, judge: Judge) -> None:
    program = "import time\ndef f(n):\n    m = n * 7\n    while m > 70:\n        pass\n    return m - 5"
    endless = asked(sandbox, "input", program, CallInput("f", (6,)))
    (reward,) = reward_rows(judge, [endless], ['{"n": 11}'], limit_s=60)
    assert reward.value == 0.1


def test_a_standard_input_is_asked_for_as_text(sandbox: Sandbox, judge: Judge) -> None:
    task = asked(sandbox, "input", "n = int(input())\nprint(n * n + 5)", StdioInput("7\n"))
    scores = [score_answer(task, text, judge=judge)[0] for text in ('{"stdin": "7"}', "-7", "stdin = 7", '"8"', "[7]")]
    assert scores == [1.0, 1.0, 1.0, 0.1, 0.1]


@pytest.mark.parametrize(
    ("program", "given", "reason"),
    [
        ("def f(a):\n    return len(a) > 2", ([3, 1],), "any_input"),
        ("def f(a):\n    a.append(4)", ([3, 1],), "any_input"),
        ("def f():\n    return sum([3, 1]) * 5", (), "no_input"),
        ("def f(a):\n    return a", ([3, 1],), "trivial"),
        ("def f(a):\n    return sorted(a)", ([1, 3],), "answer_in_prompt"),
        ("def f(a):\n    return sum(a) * 5\nassert f([3, 1]) == 20", ([3, 1],), "answer_in_prompt"),
        ("def f(a):\n    return [len(a), a]", ([314159, 271828, 161803],), "answer_in_prompt"),
        ("def f(a):\n    return sum(a) * 5", ([0] * 500,), "input_unfit"),
        ("def f(a):\n    return a.x + 1", ([3],), "exception"),
    ],
)
def test_where_there_is_nothing_to_find_no_input_is_asked_for(
    sandbox: Sandbox, program: str, given: tuple[Any, ...], reason: str
) -> None:
    parse(program)
    assert made(sandbox, "input", program, CallInput("f", given)) == reason


@pytest.mark.parametrize(
    ("program", "given", "labels"),
    [
        ("def f(a, *, k=1):\n    return sum(a) * k", CallInput("f", ([3, 4],), {"k": 9}), ["a", "k"]),
        ("def f(*a):\n    return sum(a) * 3", CallInput("f", (3, 4)), ["argument 1", "argument 2"]),
        ("def f(output):\n    return output * 3", CallInput("f", (3,)), ["argument 1"]),
        (
            "class Solution:\n    def f(self, n):\n        return n * 3",
            CallInput("Solution().f", (3,)),
            ["n"],
        ),
    ],
)
def test_arguments_have_the_names_of_their_parameters(
    sandbox: Sandbox, judge: Judge, program: str, given: CallInput, labels: list[str]
) -> None:
    task = asked(sandbox, "input", program, given)
    assert [target.label for target in task.targets] == labels
    floats = [replace(target, value=float(target.value)) if target.value == 3 else target for target in task.targets]
    assert score_answer(task, write_answer(floats), judge=judge)[0] == 1.0


@pytest.mark.parametrize(
    ("kind", "program", "reason"),
    [
        ("next_statement", "def f(a):\n    b = a * 2\n    return b", "no_branch"),
        ("states", "def f(a):\n    return sorted(a)", "no_state"),
        ("types", "def f(a):\n    return sorted(a)", "no_variable"),
    ],
)
def test_reasons(sandbox: Sandbox, kind: str, program: str, reason: str) -> None:
    assert made(sandbox, kind, program, CallInput("f", ([3, 1, 2],))) == reason
