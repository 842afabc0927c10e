"""The buffer: bounded, without duplicates, and the same draw for the same seed, step and content."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.alignment import TaskBuffer
from coderlplus.alignment.buffer import parts, question
from coderlplus.errors import DataError
from coderlplus.records import AlignmentTask, CallInput, Target


def target(label: str, value: Any, scope: str | None = None) -> Target:
    return Target(label=label, value=value, scope=scope)


def task(number: int, *, step: int = 0, output: int | None = None) -> AlignmentTask:
    return AlignmentTask(
        task_id=f"t{number}",
        kind="final_values",
        prompt=f"prompt {number}",
        program=f"x = {number}",
        input=CallInput("f", (0,)),
        targets=(target("x", number, "f"), target("output", number if output is None else output)),
        problem_id="p",
        rollout_id=f"r{number}",
        step=step,
    )


def ids(tasks: list[AlignmentTask]) -> list[str]:
    return [task.task_id for task in tasks]


def test_the_oldest_leave_first() -> None:
    buffer = TaskBuffer(size=3)
    buffer.add(task(number) for number in range(5))
    assert ids(list(buffer)) == ["t2", "t3", "t4"]


def test_a_task_that_comes_again_counts_as_new() -> None:
    buffer = TaskBuffer(size=3)
    buffer.add([task(0), task(1), task(2), task(0, step=9), task(3)])
    assert ids(list(buffer)) == ["t2", "t0", "t3"]
    assert [item.step for item in buffer] == [0, 9, 0]


def test_recent_draws_the_latest_steps_first() -> None:
    buffer = TaskBuffer()
    buffer.add(task(number, step=number // 4) for number in range(12))
    drawn = buffer.draw(6, seed=0, step=3)
    assert {item.task_id for item in drawn[:4]} == {"t8", "t9", "t10", "t11"}
    assert {item.step for item in drawn[4:]} == {1}


def test_uniform_draws_from_the_whole_buffer() -> None:
    buffer = TaskBuffer(sampling="uniform")
    buffer.add(task(number, step=number) for number in range(100))
    drawn = {item.step for step in range(100) for item in buffer.draw(3, seed=0, step=step)}
    assert len(drawn) > 80


def test_a_batch_has_one_task_per_input_and_output() -> None:
    buffer = TaskBuffer()
    buffer.add(task(number, output=number % 3) for number in range(12))
    assert buffer.can_fill(3)
    assert not buffer.can_fill(4)
    assert len(buffer.draw(12, seed=0, step=1)) == 3


def of_kind(kind: str, numbers: range) -> list[AlignmentTask]:
    return [replace(task(number), kind=kind, task_id=f"{kind}{number}") for number in numbers]


def test_kinds_have_their_shares_in_every_draw() -> None:
    buffer = TaskBuffer(sampling="uniform", shares={"final_values": 0.5, "exception": 0.3, "branch": 0.2})
    buffer.add(
        [
            *of_kind("final_values", range(100)),
            *of_kind("exception", range(100, 120)),
            *of_kind("branch", range(200, 220)),
        ]
    )
    for step in range(20):
        drawn = buffer.draw(10, seed=0, step=step)
        assert Counter(item.kind for item in drawn) == {"final_values": 5, "exception": 3, "branch": 2}


def test_what_the_buffer_lacks_of_a_kind_is_filled_with_others() -> None:
    buffer = TaskBuffer(shares={"final_values": 0.5, "exception": 0.5})
    buffer.add([*of_kind("final_values", range(100)), *of_kind("exception", range(100, 102))])
    assert Counter(item.kind for item in buffer.draw(10, seed=0, step=1)) == {"final_values": 8, "exception": 2}


def test_solvable_draws_the_unseen_first_then_those_that_vary_and_the_rest_last() -> None:
    buffer = TaskBuffer(sampling="solvable")
    buffer.add(task(number) for number in range(9))
    buffer.note(
        {f"t{number}": (0.0, 1.0) for number in (3, 4, 5)}
        | {f"t{number}": (1.0, 1.0) for number in (6, 7, 8)}
        | {"t99": (0.0,)}
    )
    for step in range(9):
        order = ids(buffer.draw(9, seed=0, step=step))
        assert [set(order[:3]), set(order[3:6]), set(order[6:])] == [
            {"t0", "t1", "t2"},
            {"t3", "t4", "t5"},
            {"t6", "t7", "t8"},
        ]
    assert len({tuple(ids(buffer.draw(9, seed=0, step=step))) for step in range(9)}) > 5
    buffer.note({"t3": (0.5, 0.5)})
    assert "t3" in ids(buffer.draw(9, seed=0, step=0))[5:]


def test_solvable_prefers_tasks_whose_rewards_vary_more() -> None:
    buffer = TaskBuffer(sampling="solvable")
    buffer.add([task(0), task(1)])
    buffer.note({"t0": (0.0, 1.0), "t1": (0.4, 0.6)})
    first = Counter(buffer.draw(1, seed=0, step=step)[0].task_id for step in range(400))
    assert 280 < first["t0"] < 380  # 0.5 to 0.1: five times in six


def test_what_a_task_earned_is_kept_when_it_comes_again_and_goes_with_it() -> None:
    buffer = TaskBuffer(size=2, sampling="solvable")
    buffer.add([task(0), task(1)])
    buffer.note({"t0": (0.0, 1.0), "t1": (0.0, 1.0)})
    buffer.add([task(0, step=5)])
    assert buffer.state_dict()["spread"] == {"t0": 0.5, "t1": 0.5}
    buffer.add([task(2)])
    assert buffer.state_dict()["spread"] == {"t0": 0.5}


def test_tasks_before_a_step_are_dropped() -> None:
    buffer = TaskBuffer()
    buffer.add(task(number, step=number) for number in range(6))
    buffer.drop_before(4)
    assert ids(list(buffer)) == ["t4", "t5"]
    assert not buffer.can_fill(3)


@given(st.lists(st.integers(1, 99), min_size=1, max_size=6), st.integers(0, 200))
def test_parts_add_up_and_miss_their_shares_by_less_than_one(weights: list[int], count: int) -> None:
    shares = {f"k{index}": weight / sum(weights) for index, weight in enumerate(weights)}
    whole = parts(shares, count)
    assert sum(whole.values()) == count
    assert all(abs(whole[kind] - share * count) < 1 + 1e-6 for kind, share in shares.items())


def test_tasks_without_an_output_are_told_apart_by_their_answers() -> None:
    crash = replace(task(1), kind="exception", targets=(target("exception", "KeyError"), target("line", 2)))
    other = replace(crash, task_id="other", targets=(target("exception", "KeyError"), target("line", 3)))
    assert question(crash) == question(replace(crash, task_id="same"))
    assert len({question(crash), question(other), question(task(1))}) == 3


def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="not the state of a task buffer"):
        TaskBuffer().load_state_dict({"task": []})


additions = st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=8), max_size=8)


@given(
    additions,
    st.integers(1, 20),
    st.sampled_from(["recent", "uniform", "solvable"]),
    st.integers(0, 25),
    st.integers(),
)
@settings(max_examples=100, deadline=None)
def test_invariants_of_any_history(
    history: list[list[tuple[int, int]]], size: int, sampling: str, count: int, seed: int
) -> None:
    buffer, twin = TaskBuffer(size, sampling), TaskBuffer(size, sampling)  # type: ignore[arg-type]
    for step, tasks in enumerate(history):
        for one in (buffer, twin):
            one.add(task(number, step=step, output=output) for number, output in tasks)
            one.note({f"t{number}": (0.0, output / 9) for number, output in tasks[::2]})
    kept = list(buffer)
    assert len(kept) == len(set(ids(kept))) == len(buffer) <= size
    drawn = buffer.draw(count, seed=seed, step=len(history))
    assert ids(drawn) == ids(twin.draw(count, seed=seed, step=len(history)))
    assert len(drawn) == len({question(item) for item in drawn}) <= count
    assert (len(drawn) == count) == buffer.can_fill(count)
    resumed = TaskBuffer(size, sampling)  # type: ignore[arg-type]
    resumed.load_state_dict(json.loads(json.dumps(buffer.state_dict())))
    for one in (buffer, resumed):
        one.add([task(99, step=50)])
    assert list(resumed) == list(buffer)
    assert ids(resumed.draw(count, seed=seed, step=51)) == ids(buffer.draw(count, seed=seed, step=51))
