"""The kind `official` asks and scores as the published code does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from coderlplus.alignment import AlignmentConfig, Lineage, make_task, reference_answer, score_answer
from coderlplus.alignment.kinds import KINDS
from coderlplus.records import AlignmentTask, CallInput, StdioInput, Target
from coderlplus.sandbox import Sandbox
from coderlplus.sandbox.values import encode
from coderlplus.tracing import trace

LINEAGE = Lineage(problem_id="p", rollout_id="r")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


def made(sandbox: Sandbox, program: str, stdin: str = "3\n") -> AlignmentTask | str:
    one = trace(sandbox, program, StdioInput(stdin), semantics=KINDS["official"].semantics)
    return make_task(one, LINEAGE, settings=AlignmentConfig(kinds="official"), kind="official")


def expected(sandbox: Sandbox, program: str, stdin: str = "3\n") -> Any:
    """What the published code takes for the truth: (output, variables)."""
    task = made(sandbox, program, stdin)
    if isinstance(task, str):
        return task
    assert score_answer(task, f"So.\n{reference_answer(task)}") == (
        1.0,
        {target.label: True for target in task.targets},
    )
    answer = json.loads(reference_answer(task))
    return answer["final_output"], answer["variables"]


def test_the_prompt_is_the_published_one(sandbox: Sandbox) -> None:
    task = made(sandbox, "n = int(input())  # the number\nm = n * n\nprint(m)")
    assert isinstance(task, AlignmentTask)
    assert task.prompt.startswith(
        "Given the following Python Code and Input, predict:\n1) The code's output value (final_output)\n"
        "2) The final values of the listed local variables at the moment the code outputs\n\n"
        "Python code: ```pythonn = int(input())  # the number\nm = n * n\nprint(m)```\nInput: 3\n\nTarget local "
        "variables: ['n', 'm']\n"
    )
    assert task.prompt.endswith('(LAST line only):\n{"final_output": 3\n6, "variables": {"cnt": 2, "buf": [1, 2]}}\n')


@pytest.mark.parametrize(
    ("program", "truth"),
    [
        ("n = int(input())\nprint(n + 1)", ("4", {"n": 3})),
        ("a = 1\nb = 2\nc = 3\nd = 4\nprint(d + 1)", ("5", {"b": 2, "c": 3, "d": 4})),  # the last three, constants too
        ("_a = 1\nb = len\nprint(7)", ("7", {})),  # neither private names nor functions
        (
            "t = (1, (2,))\ns = {5}\nd = {1: 'x', True: 'y'}\nprint(7)",
            ("7", {"t": [1, [2]], "s": [5], "d": {"1": "y"}}),
        ),  # through JSON
        ("x = float('inf')\nprint(7)", ("7", {"x": float("inf")})),
        ("def main():\n    n = int(input())\n    print(n * 2)\nmain()", ("6", {})),  # no variable of any function
        ("def main():\n    print(6)\nif __name__ == '__main__':\n    main()", ("6", {})),
        ("k = 5\nif __name__ == '__main__':\n    n = int(input())\n    print(n * 2)", ("6", {"k": 5, "n": 3})),
        ("import sys\nn = 5\nprint(n + 1)\nsys.exit(0)", ("6", {})),  # the values are taken after the last line
        ("print('  a\\n')", ("a", {})),
        ("import sys\nprint(1)\nsys.exit(1)", "exception"),
        ("print(1)\n1 / 0", "exception"),
        ("print('ERROR: none')", "exception"),
        ("n = 5", "no_output"),
        ("d = {(1, 2): 3}\nprint(7)", "official_unfit"),  # a tuple as a key
        ("d = [{1, 2}]\nprint(7)", "official_unfit"),  # a set in a list
        ("if __name__ == '__main__':\n    print(6)\nx = 1", "official_unfit"),  # the block is not the last
        ("if __name__ == '__main__': print(6)", "official_unfit"),
        ("if __name__ == '__main__':\n  print(6)", "official_unfit"),  # two spaces
        (
            "if __name__ == '__main__':\n    print(6)\ndef f():\n    return 1",
            ("6", {}),
        ),  # the values are taken in a function that is never called
        ("import random\nx = random.random()\nprint(x)", "nondeterministic"),
    ],
)
def test_values_are_taken_as_the_published_code_takes_them(sandbox: Sandbox, program: str, truth: Any) -> None:
    assert expected(sandbox, program) == truth


def test_function_style_problems_make_no_official_task(sandbox: Sandbox) -> None:
    one = trace(sandbox, "def f(a):\n    return a + 1", CallInput("f", (1,)), semantics="official")
    assert make_task(one, LINEAGE, settings=AlignmentConfig(), kind="official") == "official_call"


def task(output: str, **variables: object) -> AlignmentTask:
    targets = [Target(label=name, value=encode(value), scope="<module>") for name, value in variables.items()]
    return AlignmentTask(
        task_id="t",
        kind="official",
        prompt="",
        program="",
        input=StdioInput(""),
        targets=(*targets, Target(label="output", value=output)),
        problem_id="p",
        rollout_id="r",
    )


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ('{"final_output": "6", "variables": {"n": 3, "d": [1, 2]}}', 1.0),
        ('Reasoning {1}.\n{"final_output": 6, "variables": {"n": "3", "d": [1, 2.0]}}', 1.0),
        ('{"final_output": "6", "variables": {"n": 3, "d": [2, 1]}}', 0.7),
        ('{"final_output": "6", "variables": {}}', 0.4),
        ('{"final_output": 7, "variables": {}}', 0.1),
        ('{"final_output": "6", "variables": "nd"}', 0.0),  # an exception in the published code
        ('{"final_output": "6"}', 0.0),
        ('```json\n{"final_output": "6", "variables": {"n": 3, "d": [1, 2]}}\n```', 0.0),  # the last line is the fence
        ('{"final_output": "6", "variables": {"n": 3, "d": [1, 2]}}\nDone.', 0.0),
        ("{'final_output': '6', 'variables': {'n': 3, 'd': [1, 2]}}", 0.0),
        ('["final_output", "variables"]', 0.0),
        ("6", 0.0),
        ("", 0.0),
        ("[" * 50_000, 0.0),
        ('{"final_output": ' + "9" * 10_000 + ', "variables": {}}', 0.0),
        ('{"final_output": "' + "9" * 200_000 + '", "variables": {}}', 0.0),
    ],
)
def test_the_published_reward(answer: str, reward: float) -> None:
    assert score_answer(task("6", n=3, d=[1, 2]), answer, format_weight=0.5)[0] == pytest.approx(reward)


@pytest.mark.parametrize(
    ("given", "wanted", "equal"),
    [
        ('"0"', False, True),
        ("1", "true", True),
        ("true", 1, True),
        ('"none"', None, True),
        ("null", "None", True),
        ("2.0", 2, True),
        ('"2"', 2, True),
        ("2.1", 2, False),
        ('" a "', "a", True),
        ('"A"', "a", False),
        ('{"x": "1"}', {"x": 1}, True),
        ('{"x": 1, "y": 2}', {"x": 1}, False),
        ("[1, 2]", "[1, 2]", True),
        ("NaN", float("nan"), True),
        ('"Infinity"', float("inf"), False),
    ],
)
def test_what_the_published_code_takes_for_equal(given: str, wanted: object, equal: bool) -> None:
    _, correct = score_answer(task("6", v=wanted), f'{{"final_output": 0, "variables": {{"v": {given}}}}}')
    assert correct == {"v": equal, "output": False}


def test_a_variable_named_output_is_told_from_the_output() -> None:
    one = AlignmentTask(
        task_id="t",
        kind="official",
        prompt="",
        program="",
        input=StdioInput(""),
        targets=(Target(label="<module>.output", value=5, scope="<module>"), Target(label="output", value="6")),
        problem_id="p",
        rollout_id="r",
    )
    assert reference_answer(one) == '{"final_output": "6", "variables": {"output": 5}}'
    assert score_answer(one, '{"final_output": 6, "variables": {"output": 6}}')[1] == {
        "<module>.output": False,
        "output": True,
    }
