"""The choice of targets follows its stated rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from coderlplus.alignment import AlignmentConfig, Lineage, make_task, score_answer, write_answer
from coderlplus.records import AlignmentTask, CallInput, Ending, ProgramInput, StdioInput, Trace


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else []


LINEAGE = Lineage(problem_id="p", rollout_id="r", step=3, verdict="wrong_answer")
FINISHED = Ending(kind="finished")
CALL = CallInput("f", ([3, 1, 2], 7))


def trace(
    program: str,
    variables: Mapping[str, Mapping[str, Any]],
    *,
    given: ProgramInput = CALL,
    ending: Ending = FINISHED,
    **known: Any,
) -> Trace:
    return Trace(program=program, input=given, ending=ending, variables=variables, **({"value": 13} | known))


def made(one: Trace, seed: int = 0, kind: str = "final_values", **settings: Any) -> AlignmentTask | str:
    return make_task(one, LINEAGE, settings=AlignmentConfig(**settings), kind=kind, seed=seed)


def labels(one: Trace, seed: int = 0, **settings: Any) -> list[str]:
    task = made(one, seed, **settings)
    assert isinstance(task, AlignmentTask)
    return [target.label for target in task.targets]


def test_variables_in_order_of_definition_and_the_output_last() -> None:
    program = "def f(a, n):\n    b = sorted(a)\n    c = b + [n]\n    return sum(c)"
    task = made(trace(program, {"f": {"a": [3, 1, 2], "n": 7, "b": [1, 2, 3], "c": [1, 2, 3, 7]}}))
    assert isinstance(task, AlignmentTask)
    assert [target.label for target in task.targets] == ["b", "c", "output"]
    assert score_answer(task, write_answer(task.targets))[0] == 1.0
    assert (task.problem_id, task.rollout_id, task.step, task.verdict) == ("p", "r", 3, "wrong_answer")
    assert write_answer(task.targets) not in task.prompt


def test_informative_variables_come_before_plain_ones() -> None:
    program = "def f(a, n):\n    flag = n > 5 and True\n    total = sum(a)\n    top = total * n\n    return top"
    assert labels(
        trace(program, {"f": {"a": [3, 1, 2], "n": 7, "flag": True, "total": 6, "top": 42}}), max_variables=2
    ) == ["total", "top", "output"]
    assert labels(trace(program, {"f": {"a": [3, 1, 2], "n": 7, "flag": True, "total": 6, "top": 42}})) == [
        "flag",
        "total",
        "top",
        "output",
    ]


def test_constants_unchanged_parameters_and_input_as_read_are_not_asked_for_beside_others() -> None:
    program = "def f(a, n):\n    k = 10\n    b = n * k\n    return b"
    assert labels(trace(program, {"f": {"a": [3, 1, 2], "n": 7, "k": 10, "b": 70}})) == ["b", "output"]
    lines = "s = [input() for _ in range(2)]\nt = sorted(s)\nprint(t)"
    variables = {"<module>": {"s": ["b a", "a"], "t": ["a", "b a"]}}
    assert labels(trace(lines, variables, given=StdioInput("b a\na\n"), output="x\n")) == ["t", "output"]
    stdin = "n = int(input())\na = list(map(int, input().split()))\ns = sum(a) + n\nprint(s)"
    variables = {"<module>": {"n": 2, "a": [4, 5], "s": 11}}
    assert labels(trace(stdin, variables, given=StdioInput("2\n4 5\n"), output="11\n")) == ["s", "output"]


def test_a_parameter_changed_in_place_is_asked_for() -> None:
    assert labels(
        trace("def f(a, n):\n    a.sort()\n    return n * 2", {"f": {"a": [1, 2, 3], "n": 7}}, value=14)
    ) == ["a", "output"]


def test_a_list_that_was_filled_is_no_constant() -> None:
    assert labels(
        trace("def f(a, n):\n    r = []\n    r.append(n)\n    return 1", {"f": {"a": [3, 1, 2], "n": 7, "r": [7]}})
    ) == ["r", "output"]


def test_where_there_is_nothing_else_the_last_given_one_is_asked_for() -> None:
    assert labels(trace("def f(a, n):\n    return n + 6", {"f": {"a": [3, 1, 2], "n": 7}})) == ["n", "output"]


@pytest.mark.parametrize(
    ("program", "value", "is_trivial"),
    [
        ("def f(a, n):\n    return n", 7, True),
        ("def f(a, n):\n    return a", [3, 1, 2], True),
        ("def f(a, n):\n    return 'no'", "no", True),
        ("def f(a, n):\n    print(a)", None, True),
        ("def g(b):\n    return b\ndef f(a, n):\n    return g(n)", 7, True),
        ("def f(a, n):\n    return max(a)", 3, False),
        ("def f(a, n):\n    return a[0]", 3, False),
        ("def f(a, n):\n    return 'yes' if n > 3 else 'no'", "yes", False),
        ("def f(a, n):\n    return n * 2", 14, False),
    ],
)
def test_a_program_that_computes_nothing_is_trivial(program: str, value: Any, is_trivial: bool) -> None:
    task = made(trace(program, {"f": {"a": [3, 1, 2], "n": 7}}, value=value))
    assert (task == "trivial") is is_trivial


def test_names_in_several_scopes_are_qualified() -> None:
    program = (
        "def g(n):\n    m = n * 3\n    return m\ndef f(a, n):\n    m = g(n)\n    output = m + 1\n    return output"
    )
    variables = {"g": {"n": 7, "m": 21}, "f": {"a": [3, 1, 2], "n": 7, "m": 21, "output": 22}}
    assert labels(trace(program, variables, value=22)) == ["g.m", "f.m", "f.output", "output"]


@pytest.mark.parametrize(
    "value",
    [
        nested(30),
        {"$list_node": [1, 2]},
        {"$object": "Point", "fields": {"x": 1}},
        [{"$cycle": 1}],
        {"$cut": "list"},
        "x" * 400,
        [[{"$tuple": [{"$object": "A", "fields": {}}]}]],
    ],
)
def test_values_that_nobody_can_write_are_not_asked_for(value: Any) -> None:
    assert labels(trace("def f(a, n):\n    b = g(n)\n    return 13", {"f": {"b": value, "c": 5}})) == ["c", "output"]
    assert made(trace("def f(a, n):\n    b = g(n)\n    return b", {"f": {"c": 5}}, value=value)) == "output_unfit"


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (trace("x", {}, ending=Ending(kind="exception", type="ValueError", line=1)), "exception"),
        (trace("x", {}, ending=Ending(kind="time_limit")), "time_limit"),
        (trace("x", {}, ending=Ending(kind="exit")), "exit"),
        (trace("x", {}, deterministic=False), "nondeterministic"),
        (trace("x = 1", {"<module>": {"x": 1}}, given=StdioInput(""), output=" \n"), "no_output"),
        (
            trace(
                "def f(a, n):\n    b = a * 3\n    return 13", {"f": {"b": [1]}}, given=CallInput("f", ("x" * 9000,))
            ),
            "prompt_too_long",
        ),
    ],
)
def test_reasons(one: Trace, reason: str) -> None:
    assert made(one) == reason


def test_a_program_that_forgot_to_print_is_asked_for_its_variables() -> None:
    assert labels(
        trace("n = int(input())\nm = n * 3", {"<module>": {"m": 12}}, given=StdioInput("4\n"), output="")
    ) == ["m"]


def test_a_stdin_program_may_end_by_exit() -> None:
    one = trace(
        "import sys\nn = 2 + 3\nprint(n)\nsys.exit()",
        {"<module>": {"n": 5}},
        given=StdioInput(""),
        ending=Ending(kind="exit"),
        output="5\n",
    )
    assert labels(one) == ["n", "output"]


def test_the_same_seed_makes_the_same_task_and_other_seeds_choose_others() -> None:
    names = {f"v{index}": index + 100 for index in range(9)}
    program = (
        "def f(a, n):\n"
        + "".join(f"    {name} = n + {value - 7}\n" for name, value in names.items())
        + "    return 13"
    )
    one = trace(program, {"f": names})
    assert made(one, 5) == made(one, 5)
    assert len({tuple(labels(one, seed)) for seed in range(20)}) > 10


def test_the_output_alone() -> None:
    assert labels(trace("def f(a, n):\n    b = n + 6\n    return b", {"f": {"b": 13}}), kind="output") == ["output"]
