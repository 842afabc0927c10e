from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.engines.batches import Group, ProblemStream, ScoredSample, batch_metrics, groups_of
from coderlplus.errors import ConfigError
from coderlplus.records import AlignmentTask, Problem, Reward, StdioInput, StdioTest, Verdict


def problems(count: int) -> list[Problem]:
    return [Problem(problem_id=str(number), statement="", tests=(StdioTest("", ""),)) for number in range(count)]


def sample(value: float | None, *, passed: bool = False, tokens: int = 3, clipped: bool = False) -> ScoredSample:
    verdict = Verdict(
        rollout_id="", problem_id="", verdict="passed" if passed else "wrong_answer", tests_passed=0, tests_total=1
    )
    return ScoredSample(
        completion="", reward=Reward(kind="generation", value=value, verdict=verdict), tokens=tokens, clipped=clipped
    )


TASK = AlignmentTask(
    task_id="t",
    kind="final_values",
    prompt="",
    program="",
    input=StdioInput(""),
    targets=(),
    problem_id="0",
    rollout_id="1-0-0",
    step=1,
)


@settings(deadline=None)
@given(size=st.integers(1, 30), counts=st.lists(st.integers(0, 30), max_size=20), seed=st.integers(0, 5))
def test_no_problem_is_twice_in_a_batch(size: int, counts: list[int], seed: int) -> None:
    stream = ProblemStream(problems(size), seed)
    for count in counts:
        taken = stream.take(min(count, size))
        assert len({problem.problem_id for problem in taken}) == min(count, size)


def test_a_pass_has_every_problem_once() -> None:
    stream = ProblemStream(problems(12), seed=3)
    taken = [problem.problem_id for count in (4, 3, 5) for problem in stream.take(count)]
    assert sorted(taken, key=int) == [str(number) for number in range(12)]


def test_passes_differ_and_seeds_differ() -> None:
    streams = [ProblemStream(problems(12), seed) for seed in (0, 1)]
    orders = {tuple(problem.problem_id for problem in stream.take(12)) for stream in streams for _ in range(2)}
    assert len(orders) == 4


@settings(deadline=None)
@given(before=st.lists(st.integers(0, 7), max_size=10))
def test_position_is_all_of_the_state(before: list[int]) -> None:
    one, other = ProblemStream(problems(7), 0), ProblemStream(problems(7), 0)
    for count in before:
        one.take(count)
    other.position = one.position
    assert one.take(5) == other.take(5)


def test_a_batch_larger_than_the_problems_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 problems cannot fill a batch of 4"):
        ProblemStream(problems(3), 0).take(4)


def test_samples_stand_under_their_row() -> None:
    rows = problems(2)
    one, two = groups_of(rows, [sample(float(n)) for n in range(4)], 2)
    assert (one.row, two.row) == tuple(rows)
    assert [s.reward.value for s in two.samples] == [2.0, 3.0]


def test_metrics_of_a_mixed_batch() -> None:
    groups = [
        Group(row=problems(1)[0], samples=(sample(1.0, passed=True, tokens=5), sample(0.0, tokens=7, clipped=True))),
        Group(row=problems(1)[0], samples=(sample(0.0), sample(0.0))),
        Group(row=TASK, samples=(sample(0.1, tokens=2), sample(0.1, tokens=2))),
    ]
    assert batch_metrics(groups, step=4) == {
        "mix/alignment_share": 1 / 3,
        "task_age": 3.0,
        "reward/generation": 0.25,
        "pass_rate": 0.25,
        "zero_variance/generation": 0.5,
        "length/generation": 4.5,
        "clipped/generation": 0.25,
        "reward/alignment": 0.1,
        "zero_variance/alignment": 1.0,
        "length/alignment": 2.0,
        "clipped/alignment": 0.0,
    }


def test_a_sandbox_fault_is_in_no_mean_and_is_counted() -> None:
    metrics = batch_metrics([Group(row=problems(1)[0], samples=(sample(1.0, passed=True), sample(None)))], step=1)
    assert metrics["reward/generation"] == metrics["pass_rate"] == 1.0
    assert metrics["zero_variance/generation"] == 1.0
    assert metrics["sandbox_faults/generation"] == 1.0


def test_a_kind_that_is_absent_has_no_metrics() -> None:
    metrics = batch_metrics([Group(row=problems(1)[0], samples=(sample(1.0),))], step=1)
    assert not [name for name in metrics if name.endswith("/alignment")]
    assert "task_age" not in metrics
