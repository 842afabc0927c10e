"""Rewards: one entry for both kinds, one judging for all programs, and no reward where our own sandbox failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from coderlplus.judge import Judge
from coderlplus.records import AlignmentTask, CallInput, Problem, Rollout, StdioTest, Target, Verdict
from coderlplus.rewards import reward_rows, verdict_reward
from coderlplus.sandbox import Sandbox

PROBLEM = Problem(
    problem_id="double", statement="Print twice the number.", tests=(StdioTest("2\n", "4\n"), StdioTest("0\n", "0\n"))
)
TASK = AlignmentTask(
    task_id="t",
    kind="final_values",
    prompt="?",
    program="",
    input=CallInput("f"),
    targets=(Target(label="a", value=1, scope="f"), Target(label="output", value=2)),
    problem_id="p",
    rollout_id="r",
)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Sandbox(workers=1) as sandbox:
        yield Judge(sandbox)


def test_both_kinds_in_one_call_and_in_order(judge: Judge) -> None:
    completions = [
        "print(2 * int(input()))",
        '{"a": 1, "output": 3}',
        "print(int(input()) + 2)",
        "I do not know.",
        '{"a": 1, "output": 2}',
    ]
    rewards = reward_rows(judge, [PROBLEM, TASK, PROBLEM, PROBLEM, TASK], completions, rollout_ids=list("vwxyz"))
    assert [reward.value for reward in rewards] == [1.0, pytest.approx(0.55), 0.0, 0.0, 1.0]
    assert [reward.kind for reward in rewards] == [
        "generation",
        "final_values",
        "generation",
        "generation",
        "final_values",
    ]
    assert [reward.verdict and (reward.verdict.rollout_id, reward.verdict.verdict) for reward in rewards] == [
        ("v", "passed"),
        None,
        ("x", "wrong_answer"),
        ("y", "no_program"),
        None,
    ]
    assert rewards[1].correct == {"a": True, "output": False}
    assert rewards[2].program == completions[2]


def test_the_format_weight_is_the_callers(judge: Judge) -> None:
    assert reward_rows(judge, [TASK], ['{"a": 1, "output": 3}'], format_weight=0)[0].value == 0.5


def test_all_programs_are_judged_in_one_call() -> None:
    class CountingJudge:
        calls = 0

        def judge_many(self, pairs: Iterable[tuple[Problem, Rollout]]) -> list[Verdict]:
            self.calls += 1
            return [
                Verdict(
                    rollout_id=rollout.rollout_id,
                    problem_id=problem.problem_id,
                    verdict="passed",
                    tests_passed=1,
                    tests_total=1,
                )
                for problem, rollout in pairs
            ]

    counting = CountingJudge()
    reward_rows(counting, [PROBLEM, TASK, PROBLEM], ["x = 1", "", "x = 2"])  # type: ignore[arg-type]
    assert counting.calls == 1


def test_a_fault_of_our_sandbox_is_no_reward_and_never_a_zero() -> None:
    fault = Verdict(rollout_id="r", problem_id="p", verdict="sandbox_fault", tests_passed=0, tests_total=1)
    assert verdict_reward("x = 1", fault).value is None


def test_rows_and_completions_must_match(judge: Judge) -> None:
    with pytest.raises(ValueError, match="2 rows, 1 completions"):
        reward_rows(judge, [PROBLEM, TASK], ["x"])
