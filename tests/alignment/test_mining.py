"""Mining: failed rollouts become tasks with the truth about their execution; everything else is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from coderlplus.alignment import AlignmentSettings, JudgedRollout, Mined, mine, score_answer, write_answer
from coderlplus.errors import SandboxError
from coderlplus.judge import Judge
from coderlplus.problems import read_recorded
from coderlplus.records import CallInput, CallTest, CheckTest, Failure, Problem, Rollout, StdioInput, StdioTest, Trace, Verdict
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, trace_many

CALLS = Problem(problem_id="c", statement="Sum.", entry_point="f", tests=(CallTest(([1, 2],), 3), CallTest(([4, 5],), 9)), setup_code="import math")
STDIN = Problem(problem_id="s", statement="Twice.", tests=(StdioTest("0\n", "0\n"), StdioTest("3\n", "6\n")))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


def judged(sandbox: Sandbox, problem: Problem, programs: Sequence[str]) -> list[JudgedRollout]:
    rollouts = [Rollout(rollout_id=f"r{index}", problem_id=problem.problem_id, program=program) for index, program in enumerate(programs)]
    verdicts = Judge(sandbox).judge_many((problem, rollout) for rollout in rollouts)
    return [JudgedRollout(problem, rollout, rollout.program, verdict) for rollout, verdict in zip(rollouts, verdicts, strict=True)]


def mined(sandbox: Sandbox, problem: Problem, *programs: str, step: int = 0, seed: int = 0, **settings: object) -> Mined:
    return mine(sandbox, judged(sandbox, problem, programs), settings=AlignmentSettings(**settings), step=step, seed=seed)  # type: ignore[arg-type]


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
    [("sandbox_fault", "sandbox_fault"), ("time_limit", "time_limit"), ("runtime_error", "exception"), ("wrong_answer", "no_input")],
)
def test_what_cannot_be_traced_is_not_run(sandbox: Sandbox, verdict: str, reason: str) -> None:
    failure = Failure(index=0, verdict=verdict)  # type: ignore[arg-type]
    said = Verdict(rollout_id="r", problem_id="c", verdict=verdict, tests_passed=0, tests_total=2, first_failure=failure)  # type: ignore[arg-type]
    item = JudgedRollout(CALLS, Rollout(rollout_id="r", problem_id="c", program="x = 1"), "x = 1", said)
    result = mine(sandbox, [item], settings=AlignmentSettings())
    assert (result.traced, result.rejects) == (0, {reason: 1})


def test_the_source_decides_which_programs_count(sandbox: Sandbox) -> None:
    programs = ["def f(a):\n    b = sum(a)\n    return b", "def f(a):\n    b = len(a) * 5\n    return b"]
    assert [task.rollout_id for task in mined(sandbox, CALLS, *programs, source="passed").tasks] == ["r0"]
    assert [task.rollout_id for task in mined(sandbox, CALLS, *programs, source="random").tasks] == ["r0", "r1"]


def test_a_program_that_passes_check_tests_is_asked_about_their_first_literal_call(sandbox: Sandbox) -> None:
    problem = Problem(problem_id="k", statement="Sum.", entry_point="f", tests=(CheckTest("x = [1]\nassert f(x) == 1 and f([2, 3]) == 5"),))
    (task,) = mined(sandbox, problem, "def f(a):\n    b = sum(a)\n    return b", source="passed").tasks
    assert task.input == CallInput("f", ([2, 3],))


def test_a_fault_of_our_sandbox_costs_one_task_or_is_an_error(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
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


PROGRAMS = [f"def f(a):\n    b = len(a) * 5\n    c = b + {number}\n    d = c * 2\n    e = d - c\n    return e" for number in range(40, 52)]


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
        tasks = mine(sandbox, many, settings=AlignmentSettings(mine_per_step=4), seed=seed).tasks
        assert Counter(task.problem_id for task in tasks) == {"c": 2, "few": 2}


def test_the_same_program_makes_the_same_task_at_any_step(sandbox: Sandbox) -> None:
    first, later = (mined(sandbox, CALLS, *PROGRAMS, step=step).tasks for step in (1, 2))
    assert [task.task_id for task in first] == [task.task_id for task in later]
    assert len({task.task_id for task in first}) == len(PROGRAMS)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("name", ["seed_mbpp_starcoder", "seed_mbpp_codellama", "seed_humaneval_starcoder"])
def test_most_recorded_programs_that_fail_but_run_become_tasks_with_variables(sandbox: Sandbox, shared: Path, name: str) -> None:
    programs = [item for item in read_recorded(shared / "data" / "llm_runs" / f"{name}.jsonl.gz") if not item.is_solved][::4]
    verdicts = Judge(sandbox).judge_many((item.problem, item.rollout) for item in programs)
    items = [
        JudgedRollout(item.problem, item.rollout, item.rollout.program, verdict)
        for item, verdict in zip(programs, verdicts, strict=True)
        if verdict.verdict == "wrong_answer"
    ]
    result = mine(sandbox, items, settings=AlignmentSettings())
    with_variable = sum(len(task.targets) > 1 for task in result.tasks)
    assert with_variable >= 0.9 * len(items), result.rejects
    for task in result.tasks:
        assert score_answer(task, write_answer(task.targets))[0] == 1.0
        assert write_answer(task.targets) not in task.prompt
