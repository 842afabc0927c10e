"""The buffer: bounded, without duplicates, and the same draw for the same seed, step and content."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.alignment import TaskBuffer
from coderlplus.alignment.buffer import question
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
    buffer = TaskBuffer(policy="uniform")
    buffer.add(task(number, step=number) for number in range(100))
    drawn = {item.step for step in range(100) for item in buffer.draw(3, seed=0, step=step)}
    assert len(drawn) > 80


def test_a_batch_has_one_task_per_input_and_output() -> None:
    buffer = TaskBuffer()
    buffer.add(task(number, output=number % 3) for number in range(12))
    assert buffer.can_fill(3)
    assert not buffer.can_fill(4)
    assert len(buffer.draw(12, seed=0, step=1)) == 3


def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="not the state of a task buffer"):
        TaskBuffer().load_state_dict({"task": []})


additions = st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=8), max_size=8)


@given(additions, st.integers(1, 20), st.sampled_from(["recent", "uniform"]), st.integers(0, 25), st.integers())
@settings(max_examples=100, deadline=None)
def test_invariants_of_any_history(history: list[list[tuple[int, int]]], size: int, policy: str, count: int, seed: int) -> None:
    buffer, twin = TaskBuffer(size, policy), TaskBuffer(size, policy)  # type: ignore[arg-type]
    for step, tasks in enumerate(history):
        for one in (buffer, twin):
            one.add(task(number, step=step, output=output) for number, output in tasks)
    kept = list(buffer)
    assert len(kept) == len(set(ids(kept))) == len(buffer) <= size
    drawn = buffer.draw(count, seed=seed, step=len(history))
    assert ids(drawn) == ids(twin.draw(count, seed=seed, step=len(history)))
    assert len(drawn) == len({question(item) for item in drawn}) <= count
    assert (len(drawn) == count) == buffer.can_fill(count)
    resumed = TaskBuffer(size, policy)  # type: ignore[arg-type]
    resumed.load_state_dict(json.loads(json.dumps(buffer.state_dict())))
    for one in (buffer, resumed):
        one.add([task(99, step=50)])
    assert list(resumed) == list(buffer)
    assert ids(resumed.draw(count, seed=seed, step=51)) == ids(buffer.draw(count, seed=seed, step=51))
