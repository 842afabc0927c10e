"""Mining: failed rollouts become tasks with the truth about their execution; everything else is counted."""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coderlplus.alignment import (
    AlignmentConfig,
    JudgedRollout,
    Lineage,
    Mined,
    make_task,
    mine,
    reference_answer,
    score_answer,
    write_answer,
)
from coderlplus.alignment.facts import literal_calls
from coderlplus.alignment.kinds import KINDS
from coderlplus.alignment.prompts import shown_program
from coderlplus.errors import SandboxError
from coderlplus.judge import Judge
from coderlplus.problems import read_recorded
from coderlplus.records import (
    AlignmentTask,
    CallInput,
    CallTest,
    CheckTest,
    Failure,
    Problem,
    Rollout,
    StdioInput,
    StdioTest,
    Trace,
    Verdict,
)
from coderlplus.sandbox import Job, Outcome, Sandbox
from coderlplus.sandbox.values import to_source
from coderlplus.tracing import TraceRequest, trace_many

CALLS = Problem(
    problem_id="c",
    statement="Sum.",
    entry_point="f",
    tests=(CallTest(([1, 2],), 3), CallTest(([4, 5],), 9)),
    setup_code="import math",
)
STDIN = Problem(problem_id="s", statement="Twice.", tests=(StdioTest("0\n", "0\n"), StdioTest("3\n", "6\n")))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


def judged(sandbox: Sandbox, problem: Problem, programs: Sequence[str]) -> list[JudgedRollout]:
    rollouts = [
        Rollout(rollout_id=f"r{index}", problem_id=problem.problem_id, program=program)
        for index, program in enumerate(programs)
    ]
    verdicts = Judge(sandbox).judge_many((problem, rollout) for rollout in rollouts)
    return [
        JudgedRollout(problem, rollout, rollout.program, verdict)
        for rollout, verdict in zip(rollouts, verdicts, strict=True)
    ]


def mined(
    sandbox: Sandbox, problem: Problem, *programs: str, step: int = 0, seed: int = 0, **settings: object
) -> Mined:
    return mine(
        sandbox, judged(sandbox, problem, programs), settings=AlignmentConfig(**settings), step=step, seed=seed
    )  # type: ignore[arg-type]


def test_a_failed_program_becomes_a_task_on_the_input_that_it_failed_on(sandbox: Sandbox) -> None:
    program = "def f(a):\n    # wrong for the second\n    s = math.prod(a)\n    t = s + 1\n    return t"
    (task,) = mined(sandbox, CALLS, program, step=7).tasks
    assert task.input == CallInput("f", ([4, 5],))
    assert [(target.label, target.value) for target in task.targets] == [("s", 20), ("t", 21), ("output", 21)]
    assert (task.problem_id, task.rollout_id, task.step, task.verdict) == ("c", "r0", 7, "wrong_answer")
    assert task.program == "def f(a):\n    s = math.prod(a)\n    t = s + 1\n    return t"
    assert score_answer(task, write_answer(task.targets))[0] == 1.0


def test_a_failed_stdin_program_becomes_a_task_about_what_it_prints(sandbox: Sandbox) -> None:
    (task,) = mined(sandbox, STDIN, "def main():\n    n = int(input())\n    m = n * n\n    print(m)\n\nmain()").tasks
    assert task.input == StdioInput("3\n")
    assert [(target.label, target.value) for target in task.targets] == [("m", 9), ("output", "9")]


def test_everything_else_is_counted_by_reason(sandbox: Sandbox) -> None:
    result = mined(
        sandbox,
        CALLS,
        "def f(a):\n    return sum(a)",
        "def f(a):\n    return a[9]",
        "def f(a:\n",
        "",
        "def f(a):\n    return a",
        "def f(a):\n    b = len(a) * 5\n    return b",
        "def f(a):\n    # the same again\n    b = (len(a) * 5)\n    return b",
        "import random\ndef f(a):\n    b = random.random()\n    return b",
        "def f(a):\n    b = " + "a[0] + " * 2000 + "7\n    return b",
        "def f(a):\n" + "".join(f"    if a == {n}: return 1\n" for n in range(30)) + "    return 0",
        "def f(a):\n    return f",
    )
    assert len(result.tasks) == 1
    assert result.rejects == {
        "duplicate": 1,
        "exception": 1,
        "no_program": 1,
        "nondeterministic": 1,
        "output_unfit": 1,
        "passed": 1,
        "syntax_error": 1,
        "too_complex": 1,
        "too_long": 1,
        "trivial": 1,
    }
    assert result.traced == 4


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        ("sandbox_fault", "sandbox_fault"),
        ("time_limit", "time_limit"),
        ("runtime_error", "exception"),
        ("wrong_answer", "no_input"),
    ],
)
def test_what_cannot_be_traced_is_not_run(sandbox: Sandbox, verdict: str, reason: str) -> None:
    failure = Failure(index=0, verdict=verdict)  # type: ignore[arg-type]
    said = Verdict(
        rollout_id="r", problem_id="c", verdict=verdict, tests_passed=0, tests_total=2, first_failure=failure
    )  # type: ignore[arg-type]
    item = JudgedRollout(CALLS, Rollout(rollout_id="r", problem_id="c", program="x = 1"), "x = 1", said)
    result = mine(sandbox, [item], settings=AlignmentConfig())
    assert (result.traced, result.rejects) == (0, {reason: 1})


def test_the_source_decides_which_programs_count(sandbox: Sandbox) -> None:
    programs = ["def f(a):\n    b = sum(a)\n    return b", "def f(a):\n    b = len(a) * 5\n    return b"]
    assert [task.rollout_id for task in mined(sandbox, CALLS, *programs, source="passed").tasks] == ["r0"]
    assert [task.rollout_id for task in mined(sandbox, CALLS, *programs, source="random").tasks] == ["r0", "r1"]


def test_a_program_that_passes_check_tests_is_asked_about_their_first_literal_call(sandbox: Sandbox) -> None:
    problem = Problem(
        problem_id="k",
        statement="Sum.",
        entry_point="f",
        tests=(CheckTest("x = [1]\nassert f(x) == 1 and f([2, 3]) == 5"),),
    )
    (task,) = mined(sandbox, problem, "def f(a):\n    b = sum(a)\n    return b", source="passed").tasks
    assert task.input == CallInput("f", ([2, 3],))


def test_a_fault_of_our_sandbox_costs_one_task_or_is_an_error(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(sandbox: Sandbox, requests: Sequence[TraceRequest]) -> list[Trace]:
        if any("* 5" in request.program for request in requests):
            raise SandboxError("out of order")
        return trace_many(sandbox, requests)

    monkeypatch.setattr("coderlplus.alignment.mining.trace_many", faulty)
    programs = ["def f(a):\n    b = len(a) * 5\n    return b", "def f(a):\n    b = len(a) * 6\n    return b"]
    result = mined(sandbox, CALLS, *programs)
    assert (len(result.tasks), result.rejects) == (1, {"trace_fault": 1})
    with pytest.raises(SandboxError, match="out of order"):
        mined(sandbox, CALLS, programs[0])


PROGRAMS = [
    f"def f(a):\n    b = len(a) * 5\n    c = b + {number}\n    d = c * 2\n    e = d - c\n    return e"
    for number in range(40, 52)
]


def test_no_more_than_the_budget_is_traced_and_the_choice_is_seeded(sandbox: Sandbox) -> None:
    first, again, other = (mined(sandbox, CALLS, *PROGRAMS, mine_per_step=4, seed=seed) for seed in (0, 0, 1))
    assert first.traced == len(first.tasks) == 4
    assert first.rejects == {"over_budget": 8}
    assert first == again
    assert [task.rollout_id for task in first.tasks] != [task.rollout_id for task in other.tasks]


def test_the_budget_is_spread_over_the_problems(sandbox: Sandbox) -> None:
    few = replace(CALLS, problem_id="few", tests=(CallTest(([7, 7, 7],), 0),))
    many = judged(sandbox, CALLS, PROGRAMS) + judged(sandbox, few, PROGRAMS[:2])
    for seed in range(5):
        tasks = mine(sandbox, many, settings=AlignmentConfig(mine_per_step=4), seed=seed).tasks
        assert Counter(task.problem_id for task in tasks) == {"c": 2, "few": 2}


def test_the_same_program_makes_the_same_task_at_any_step(sandbox: Sandbox) -> None:
    first, later = (mined(sandbox, CALLS, *PROGRAMS, step=step).tasks for step in (1, 2))
    assert [task.task_id for task in first] == [task.task_id for task in later]
    assert len({task.task_id for task in first}) == len(PROGRAMS)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("name", ["seed_mbpp_starcoder", "seed_mbpp_codellama", "seed_humaneval_starcoder"])
def test_most_recorded_programs_that_fail_but_run_become_tasks_with_variables(
    sandbox: Sandbox, shared: Path, name: str
) -> None:
    programs = [
        item for item in read_recorded(shared / "data" / "llm_runs" / f"{name}.jsonl.gz") if not item.is_solved
    ][::8]
    verdicts = Judge(sandbox).judge_many((item.problem, item.rollout) for item in programs)
    items = [
        JudgedRollout(item.problem, item.rollout, item.rollout.program, verdict)
        for item, verdict in zip(programs, verdicts, strict=True)
        if verdict.verdict == "wrong_answer"
    ]
    result = mine(sandbox, items, settings=AlignmentConfig())
    with_variable = sum(len(task.targets) > 1 for task in result.tasks)
    assert with_variable >= 0.9 * len(items), result.rejects
    for task in result.tasks:
        assert_sound(task)


def assert_sound(task: AlignmentTask) -> None:
    """The reference answer is right; no value of more than 20 characters stands in the prompt; no address does."""
    assert score_answer(task, reference_answer(task))[0] == 1.0
    assert write_answer(task.targets) not in task.prompt
    shown = "".join(task.prompt.split()).replace('"', "'")
    for target in task.targets:
        text = target.value if isinstance(target.value, str) else to_source(target.value)
        text = "".join(text.split()).replace('"', "'")
        assert len(text) <= 20 or text not in shown or task.kind == "official", target
    assert not re.search(r"0x[0-9a-f]{8,16}>", task.prompt + json.dumps(task.to_json()))


@pytest.mark.parametrize(
    "kind",
    ["final_values", "exception", "state_at", "branch", "input", "next_statement", "types", "states"],
)
def test_tasks_of_every_kind_on_recorded_programs_are_sound(sandbox: Sandbox, shared: Path, kind: str) -> None:
    rows = [json.loads(line) for line in (shared / "data" / "cruxeval" / "cruxeval.jsonl").read_text().splitlines()][
        ::40
    ]
    requests = []
    for row in rows:
        args, kwargs = next(literal_calls(f"f({row['input']})", {"f"}), ((), {}))
        given = CallInput(
            "f", ({"$tuple": list(args)},) * len(args) if kind == "exception" else args, kwargs
        )  # of other types: most of them fail
        requests.append(TraceRequest(program=shown_program(row["code"]), input=given, max_steps=KINDS[kind].max_steps))
    lineage = Lineage(problem_id="p", rollout_id="r")
    made = [
        make_task(trace, lineage, settings=AlignmentConfig(), kind=kind) for trace in trace_many(sandbox, requests)
    ]
    tasks = [task for task in made if isinstance(task, AlignmentTask)]
    assert len(tasks) >= 5, made
    for task in tasks:
        assert_sound(task)


@pytest.mark.parametrize("kind", ["final_values", "official"])
def test_tasks_on_stdin_programs_are_sound(sandbox: Sandbox, shared: Path, kind: str) -> None:
    with gzip.open(shared / "data" / "lcb" / "lcb_dev.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    rows = [row for row in rows if not row["starter_code"] and row["public_tests"] and row["model_solutions"]][::12]
    requests = [
        TraceRequest(
            program=row["model_solutions"][0]["code"].strip()
            if kind == "official"
            else shown_program(row["model_solutions"][0]["code"]),
            input=StdioInput(row["public_tests"][0]["input"]),
            semantics=KINDS[kind].semantics,
        )
        for row in rows
    ]
    lineage = Lineage(problem_id="p", rollout_id="r")
    made = [
        make_task(trace, lineage, settings=AlignmentConfig(), kind=kind) for trace in trace_many(sandbox, requests)
    ]
    tasks = [task for task in made if isinstance(task, AlignmentTask)]
    assert len(tasks) > len(rows) / 2, made
    for task in tasks:
        assert_sound(task)


@pytest.mark.parametrize(
    ("program", "runs", "made"),
    [
        ("def f(a):\n    b = len(a) * 50\n    return b", 1, True),
        ("def f(a):\n    b = a[0] * 50\n    return b / 0", 1, True),  # the judge saw it raise
        (
            "def g(n):\n    m = n * 7\n    return m\ndef f(a):\n    return sum(g(n) for n in range(9))",
            2,
            True,
        ),  # the last of many calls is unknown
        ("def f(a):\n    b = set(a)\n    c = len(b) * 50\n    return c", 2, True),  # chance may play a part
        ("import time\ndef f(a):\n    b = time.perf_counter_ns()\n    return b", 1, False),  # not what the judge saw
        ("def f(a, seen=[]):\n    seen.append(1)\n    b = len(seen) * 50\n    return b", 1, True),
    ],
)
def test_mining_adds_one_run_and_a_second_where_it_must(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, program: str, runs: int, made: bool
) -> None:
    items = judged(sandbox, CALLS, [program])
    counted: list[int] = []
    run = Sandbox.run

    def counting(self: Sandbox, jobs: Sequence[Job]) -> list[Outcome]:
        counted.append(len(jobs))
        return run(self, jobs)

    monkeypatch.setattr(Sandbox, "run", counting)
    result = mine(sandbox, items, settings=AlignmentConfig(kinds={"final_values": 0.5, "exception": 0.5}))
    assert (sum(counted), len(result.tasks)) == (runs, int(made)), result.rejects


def test_a_crash_becomes_a_task_when_it_is_asked_for(sandbox: Sandbox) -> None:
    program = "def f(a):\n    # sum\n    b = sum(a) * 50\n    return b / (a[0] - 4)"
    problem = Problem(
        problem_id="d", statement="", entry_point="f", tests=(CallTest(([1, 2],), -50.0), CallTest(([4, 5],), 9))
    )
    (task,) = mined(sandbox, problem, program, kinds={"final_values": 0.5, "exception": 0.5}).tasks
    assert (task.kind, task.input, task.verdict) == ("exception", CallInput("f", ([4, 5],)), "runtime_error")
    assert [(target.label, target.value) for target in task.targets] == [
        ("b", 450),
        ("exception", "ZeroDivisionError"),
        ("line", 3),
    ]


def test_the_kind_of_a_program_follows_the_shares_and_the_seed(sandbox: Sandbox) -> None:
    kinds = {"final_values": 0.5, "output": 0.5}
    first, again, other = (mined(sandbox, CALLS, *PROGRAMS, kinds=kinds, seed=seed).tasks for seed in (0, 0, 1))
    assert [task.kind for task in first] == [task.kind for task in again] != [task.kind for task in other]
    assert {task.kind for task in first} == {"final_values", "output"}


def test_official_tasks_are_about_the_first_test(sandbox: Sandbox) -> None:
    program = "n = int(input())  # the number\nm = n * n\nprint(m)"
    (task,) = mined(sandbox, STDIN, program, kinds="official").tasks
    assert task.input == StdioInput("0\n")
    assert task.program == program


@pytest.mark.parametrize(
    ("program", "left"),
    [
        (
            "def f(a):\n    b = [7, 8, 9, 10, 11, 12, 13, 14]\n    c = len(b) * a[0]\n    return b",
            ["c"],
        ),  # the output stands in the source
        (
            "def f(a):\n    b = a[0] * 50\n    return b\nassert f([1, 2]) == 50 or True",
            ["b"],
        ),  # the program shows its own call with the result
        ("def f(a):\n    b = a[0] * 50\n    return b\nassert f([1, 3]) == 50 or True", ["b", "output"]),
    ],
)
def test_what_stands_in_the_prompt_is_not_asked_for(sandbox: Sandbox, program: str, left: list[str]) -> None:
    (task,) = mined(sandbox, CALLS, program).tasks
    assert [target.label for target in task.targets] == left


def test_where_everything_stands_in_the_prompt_there_is_no_task(sandbox: Sandbox) -> None:
    program = "def f(a):\n    return ['seven', 'eight', 'nine', 'ten'][:len(a) * 4]"
    assert mined(sandbox, CALLS, program, kinds="output").rejects == {"answer_in_prompt": 1}


@pytest.mark.parametrize("kind", ["final_values", "output", "state_at", "branch"])
@pytest.mark.parametrize("comment", ["", "  # the product"])
def test_a_mined_program_is_parsed_once(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, kind: str, comment: str
) -> None:
    """As it was sampled, and, where that is another text, as it is shown; in the process that mines."""
    shown = "def f(a):\n    s = 0\n    for x in a * 4:\n        s += x * x\n    return s"
    program = shown.replace("s = 0", f"s = 0{comment}")
    rollouts = judged(sandbox, CALLS, [program])
    parsed: list[str] = []
    parse = ast.parse

    def counted(source: str, *arguments: Any, **options: Any) -> Any:
        parsed.append(source)
        return parse(source, *arguments, **options)

    monkeypatch.setattr(ast, "parse", counted)
    (task,) = mine(sandbox, rollouts, settings=AlignmentConfig(kinds=kind)).tasks  # type: ignore[arg-type]
    assert task.program == shown
    assert sorted(parsed) == sorted({program, shown, CALLS.setup_code})


def test_a_tree_that_is_handed_on_changes_no_task(sandbox: Sandbox) -> None:
    program = "def f(a):\n    s = 0\n    for x in a:\n        s += x * x\n    return s"
    given = CallInput("f", ([4, 5],))
    for kind in KINDS:
        request = TraceRequest(program=program, input=given, max_steps=KINDS[kind].max_steps)
        (one,) = trace_many(sandbox, [request])
        lineage = Lineage(problem_id="p", rollout_id="r")
        alone, handed = (
            make_task(one, lineage, settings=AlignmentConfig(kinds=kind), kind=kind, tree=tree)
            for tree in (None, ast.parse(program))
        )
        assert alone == handed
