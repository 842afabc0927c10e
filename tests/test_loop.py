"""The loop: an exact mix from the first step that can have it, drawn by seed, step and buffer alone; resume continues
exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.alignment import AlignmentConfig, write_answer
from coderlplus.alignment.buffer import question
from coderlplus.errors import DataError
from coderlplus.judge import Judge
from coderlplus.loop import AlignmentLoop, Row
from coderlplus.records import AlignmentTask, CallInput, CallTest, Problem, Reward, Target, write_jsonl
from coderlplus.sandbox import Sandbox

PROBLEM = Problem(
    problem_id="second-largest",
    statement="The second largest of a list.",
    entry_point="f",
    tests=(CallTest(([1, 2, 3],), 2), CallTest(([5, 4, 5],), 5)),
)
RIGHT = "```python\ndef f(a):\n    return sorted(a)[-2]\n```"
WRONG = [
    f"```python\ndef f(a):\n    b = sorted(a)  # wrong\n    c = b[0] + {number}\n    return c\n```"
    for number in range(10, 16)
]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Sandbox(workers=1) as sandbox:
        yield Judge(sandbox)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


def loop(sandbox: Sandbox | None, judge: Judge | None, seed: int = 0, **changes: object) -> AlignmentLoop:
    return AlignmentLoop(AlignmentConfig(**changes), sandbox, judge, seed)  # type: ignore[arg-type]


def task(number: int) -> AlignmentTask:
    return AlignmentTask(
        task_id=str(number),
        kind="final_values",
        prompt=f"prompt {number}",
        program="",
        input=CallInput("f"),
        targets=(Target(label="output", value=number),),
        problem_id="p",
        rollout_id="r",
    )


@given(st.integers(1, 64), st.floats(0, 0.999), st.integers(0, 80), st.integers(1, 9), st.integers())
@settings(max_examples=100, deadline=None)
def test_the_mix_is_nothing_or_exact(groups: int, alpha: float, tasks: int, step: int, seed: int) -> None:
    one = loop(None, None, seed, alpha=alpha)
    one.add(task(number) for number in range(tasks))
    batch = one.compose(step, groups)
    places = one.alignment_groups(groups)
    assert len(batch) == groups
    assert abs(len(places) - (1 - alpha) * groups) <= 0.5 + 1e-6
    assert tuple(index for index, item in enumerate(batch) if item is not None) == (
        places if tasks >= len(places) else ()
    )
    drawn = [item for item in batch if item is not None]
    assert len({question(item) for item in drawn}) == len(drawn)


def test_alignment_groups_are_spread_over_the_batch() -> None:
    assert loop(None, None, alpha=0.6).alignment_groups(10) == (2, 4, 7, 9)
    assert len(loop(None, None, alpha=0.6).alignment_groups(40)) == 16


def test_warm_up_is_all_code() -> None:
    one = loop(None, None, alpha=0.5, start_step=2)
    one.add(task(number) for number in range(9))
    assert [sum(item is not None for item in one.compose(step, 4)) for step in (1, 2, 3)] == [0, 0, 2]


def test_no_task_is_older_than_the_settings_say() -> None:
    one = loop(None, None, alpha=0.5, max_task_age=2)
    one.add([replace(task(number), step=1) for number in range(4)])
    one.add([replace(task(number), step=3) for number in range(4, 6)])
    ages = {step: [step - item.step for item in one.compose(step, 4) if item is not None] for step in range(2, 7)}
    assert {step: len(of_step) for step, of_step in ages.items()} == {2: 2, 3: 2, 4: 2, 5: 2, 6: 0}
    assert all(age <= 2 for of_step in ages.values() for age in of_step)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=40),
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(0, 9),
)
@settings(max_examples=100, deadline=None)
def test_with_any_policy_a_batch_has_no_duplicate_none_too_old_and_an_exact_mix(
    history: list[tuple[int, int]], groups: int, age: int, seed: int
) -> None:
    one = loop(
        None,
        None,
        seed,
        alpha=0.5,
        sampling="solvable",
        max_task_age=age,
        kinds={"final_values": 0.6, "exception": 0.4},
    )
    for number, step in sorted(history, key=lambda item: item[1]):
        kind = "exception" if number % 2 else "final_values"
        one.add([replace(task(number), step=step, kind=kind)], [{str(number): (0.0, number / 30)}])
    drawn = [item for item in one.compose(7, groups) if item is not None]
    assert len(drawn) in (0, len(one.alignment_groups(groups)))
    assert len({question(item) for item in drawn}) == len(drawn)
    assert all(7 - item.step <= age for item in drawn)


def test_a_fixed_file_is_what_is_drawn_from_and_nothing_is_mined(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    write_jsonl(path, [task(number) for number in range(6)])
    one = loop(None, None, alpha=0.5, task_file=str(path), buffer_size=1)
    assert len(one.buffer) == 6
    first = one.compose(1, 4)
    assert sum(item is not None for item in first) == 2
    rows: list[Row] = [item or PROBLEM for item in first]
    rewards = [Reward(kind="any", value=0.0) for _ in rows]
    metrics = one.observe(1, rows, ["?"] * 4, rewards)
    assert (metrics["mined"], metrics["buffer/size"]) == (0.0, 6.0)
    limited = AlignmentLoop(
        AlignmentConfig(task_file=str(path)), None, None, prompt_fits=lambda prompt: prompt.endswith("3")
    )  # type: ignore[arg-type]
    assert [item.task_id for item in limited.buffer] == ["3"]


def test_a_fixed_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "broken.jsonl").write_text('{"task_id": "t"}\n')
    write_jsonl(tmp_path / "long.jsonl", [task(1)])
    for name, message in {
        "empty.jsonl": "empty.jsonl holds no alignment task that can be used: it is empty",
        "broken.jsonl": r"broken.jsonl:1: field 'kind' is missing",
        "none.jsonl": "cannot read .*none.jsonl",
        "long.jsonl": "the prompts of all its 1 tasks are too long",
    }.items():
        with pytest.raises(DataError, match=message):
            AlignmentLoop(
                AlignmentConfig(task_file=str(tmp_path / name)), None, None, prompt_fits=lambda prompt: False
            )  # type: ignore[arg-type]


def test_what_groups_earned_decides_the_next_draw_and_survives_a_checkpoint() -> None:
    one = loop(None, None, alpha=0.0, sampling="solvable")
    one.add(task(number) for number in range(4))
    rows: list[Row] = [task(number // 2) for number in range(8)]  # two samples each
    rewards = [Reward(kind="any", value=value) for value in (0.0, 1.0, 1.0, 1.0, 0.0, 0.0, None, 1.0)]
    mined = one.mine(1, rows, [""] * 8, rewards)
    assert mined.outcomes == {"0": (0.0, 1.0), "1": (1.0, 1.0), "2": (0.0, 0.0), "3": (1.0,)}
    one.add([], [{"0": (0.0,), "1": (1.0,)}, {"0": (1.0,), "1": (1.0,), "2": (0.0, 0.0)}])  # of two processes
    order = [item.task_id for item in one.compose(2, 4) if item is not None]
    assert order[:2] == ["3", "0"]
    resumed = loop(None, None, alpha=0.0, sampling="solvable")
    resumed.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert resumed.compose(2, 4) == one.compose(2, 4)


def play(one: AlignmentLoop, steps: range, seen: list[object]) -> None:
    """A few steps of a run whose samples depend on nothing but the step."""
    for step in steps:
        rows: list[Row] = [item or PROBLEM for item in one.compose(step, 5)]
        completions = [
            write_answer(row.targets)
            if isinstance(row, AlignmentTask)
            else RIGHT
            if index == 0
            else WRONG[(index + step) % len(WRONG)]
            for index, row in enumerate(rows)
        ]
        rewards = one.reward(rows, completions, rollout_ids=[f"{step}-{index}-0" for index in range(5)])
        metrics = one.observe(step, rows, completions, rewards)
        seen.append(
            (
                [row.task_id for row in rows if isinstance(row, AlignmentTask)],
                [reward.value for reward in rewards],
                metrics,
            )
        )


def test_a_run_mines_its_failures_and_comes_to_the_exact_mix(judge: Judge, sandbox: Sandbox) -> None:
    one = loop(sandbox, judge)
    seen: list[object] = []
    play(one, range(1, 4), seen)
    tasks, values, metrics = seen[0]  # type: ignore[misc]
    assert tasks == []
    assert values == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert {name: metrics[name] for name in ("mined", "rejects/passed", "buffer/size", "mix/alignment_share")} == {
        "mined": 4.0,
        "rejects/passed": 1.0,
        "buffer/size": 4.0,
        "mix/alignment_share": 0.0,
    }
    tasks, values, metrics = seen[1]  # type: ignore[misc]
    assert len(set(tasks)) == 2
    assert metrics["mix/alignment_share"] == 0.4
    assert metrics["task_age"] == 1.0
    assert [values[place] for place in one.alignment_groups(5)] == [1.0, 1.0]
    assert {item.rollout_id.split("-")[0] for item in one.buffer} <= {"1", "2", "3"}
    assert all("# wrong" not in item.prompt for item in one.buffer)


def test_a_resumed_run_is_the_run_that_was_never_interrupted(judge: Judge, sandbox: Sandbox) -> None:
    whole, first, second = loop(sandbox, judge, 3), loop(sandbox, judge, 3), loop(sandbox, judge, 3)
    expected: list[object] = []
    play(whole, range(1, 5), expected)
    seen: list[object] = []
    play(first, range(1, 3), seen)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    play(second, range(3, 5), seen)
    assert seen == expected
    assert list(second.buffer) == list(whole.buffer)


def test_another_seed_and_a_damaged_state_are_refused() -> None:
    with pytest.raises(DataError, match="made with seed 1, this run has seed 2"):
        loop(None, None, 2).load_state_dict(loop(None, None, 1).state_dict())
    with pytest.raises(DataError, match="'buffer' is missing"):
        loop(None, None).load_state_dict({"seed": 0})


def test_prompts_that_an_engine_cannot_use_are_not_kept(judge: Judge, sandbox: Sandbox) -> None:
    one = AlignmentLoop(AlignmentConfig(), sandbox, judge, prompt_fits=lambda prompt: False)
    rewards = one.reward([PROBLEM], WRONG[:1])
    assert one.observe(1, [PROBLEM], WRONG[:1], rewards)["rejects/prompt_too_long"] == 1.0
    assert len(one.buffer) == 0
