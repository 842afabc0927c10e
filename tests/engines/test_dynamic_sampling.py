"""Dynamic sampling: groups of equal reward are replaced by further ones of their objective, so the batch keeps its
size and its mix."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coderlplus.alignment import AlignmentConfig
from coderlplus.engines.batches import Group, ProblemStream, ScoredSample
from coderlplus.engines.generation import Generation, Round, replacements
from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.loop import AlignmentLoop, Row
from coderlplus.records import AlignmentTask, Problem, Reward, StdioInput, StdioTest, Target


def problem(number: int) -> Problem:
    return Problem(problem_id=f"p{number}", statement="", tests=(StdioTest("", ""),))


def task(number: int, kind: str = "final_values") -> AlignmentTask:
    return AlignmentTask(
        task_id=f"t{number}",
        kind=kind,
        prompt="",
        program="",
        input=StdioInput(str(number)),
        targets=(Target(label="output", value=number),),
        problem_id="p0",
        rollout_id="1-0-0",
    )


def group(row: Row, *rewards: float | None) -> Group:
    samples = (
        ScoredSample(completion="", reward=Reward(kind="generation", value=value), tokens=1, clipped=False)
        for value in rewards
    )
    return Group(row=row, samples=tuple(samples))


def generation(*groups: Group) -> Generation:
    first = Round([one.row for one in groups], 0, list(groups))
    return Generation(step=5, rounds=[first], places=[(0, index) for index in range(len(groups))])


def offer(batch: Generation, *groups: Group) -> list[int]:
    batch.rounds.append(Round([one.row for one in groups], sum(len(one.rows) for one in batch.rounds), list(groups)))
    return batch.put_in(len(batch.rounds) - 1)


def test_zero_variance_groups_are_replaced_by_others_of_their_objective() -> None:
    batch = generation(
        group(problem(0), 0, 0), group(task(0), 1, 1), group(problem(1), 0, 1), group(problem(2), None, 1)
    )
    changed = offer(
        batch, group(problem(3), 1, 1), group(problem(4), 1, 0), group(task(1), 0.5, 0.1), group(task(2), 1, 0)
    )
    assert changed == [0, 1]
    assert [one.row for one in batch.groups] == [problem(4), task(1), problem(1), problem(2)]
    assert [batch.number(place) for place in range(4)] == [5, 6, 2, 3]
    assert batch.zero_variance_places() == [3]
    assert [number for number, _ in batch.set_aside] == [0, 1, 4, 7]


def test_no_row_comes_twice_into_a_batch() -> None:
    batch = generation(group(problem(0), 0, 0), group(problem(1), 0, 0))
    offer(batch, group(problem(2), 1, 0), group(problem(2), 0, 1))
    assert [one.row for one in batch.groups] == [problem(2), problem(1)]


def test_replacements_are_of_the_same_side_and_kind_and_new_to_the_batch() -> None:
    settings = AlignmentConfig(alpha=0.5, kinds={"final_values": 0.5, "output": 0.5})
    loop = AlignmentLoop(settings, None, None)  # type: ignore[arg-type]
    loop.add([*(task(number) for number in range(4)), *(task(number, "output") for number in range(4, 8))])
    stream = ProblemStream([problem(number) for number in range(6)], seed=0)
    batch = generation(
        group(problem(0), 0, 0), group(task(4, "output"), 1, 1), group(problem(1), 0, 1), group(task(0), 0, 0)
    )
    rows = replacements(batch, loop, stream.take_others, 1)
    assert [row.kind if isinstance(row, AlignmentTask) else "problem" for row in rows] == [
        "problem",
        "output",
        "final_values",
    ]
    assert not [row for row in rows if row in [problem(0), problem(1), task(0), task(4, "output")]]


@pytest.mark.parametrize(("multiple", "problems", "expected"), [(2, 9, 4), (4, 9, 4), (4, 5, 4), (2, 4, 0)])
def test_replacements_divide_among_the_processes(multiple: int, problems: int, expected: int) -> None:
    stream = ProblemStream([problem(number) for number in range(problems)], seed=0)
    batch = generation(*(group(problem(number), 0, 0) for number in range(3)), group(problem(3), 0, 1))
    assert len(replacements(batch, None, stream.take_others, multiple)) == expected


def test_other_problems_are_taken_until_each_was_looked_at_once() -> None:
    stream = ProblemStream([problem(number) for number in range(5)], seed=0)
    first = stream.take(3)
    taken = {one.problem_id for one in first}
    others = stream.take_others(4, taken)
    assert {one.problem_id for one in others} == {f"p{number}" for number in range(5)} - taken
    assert stream.take_others(1, {f"p{number}" for number in range(5)}) == []


@pytest.fixture(scope="module")
def groups(
    settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """samples.jsonl and metrics.jsonl of a run with dynamic sampling."""
    trl = settings["trl"] | {"max_steps": 4, "save_strategy": "no"}
    output = tmp_path_factory.mktemp("dynamic") / "run"
    changes = {"output": str(output), "trl": trl, "samples_every": 1, "dynamic_sampling_rounds": 2}
    run = train(make_config(settings | changes))
    samples, metrics = ((run.path / name).read_text().splitlines() for name in ("samples.jsonl", "metrics.jsonl"))
    return [json.loads(line) for line in samples], [json.loads(line) for line in metrics]


def test_a_run_keeps_its_mix_and_says_what_it_replaced(
    groups: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    samples, metrics = groups
    for line in metrics:
        step = [group for group in samples if group["step"] == line["step"]]
        batch = [group for group in step if not group.get("replaced")]
        assert len(batch) == 4
        assert (
            sum(group["kind"] != "generation" for group in batch)
            == 4 * line["mix/alignment_share"]
            == (0 if line["step"] == 1 else 2)
        )
        assert (
            len(
                {
                    (group["problem"] or group["task"]).get("task_id", (group["problem"] or {}).get("problem_id"))
                    for group in batch
                }
            )
            == 4
        )
        zero_variance = [
            group for group in batch if len({sample["reward"]["value"] for sample in group["samples"]}) == 1
        ]
        assert line["dynamic_sampling/zero_variance"] == len(zero_variance) / 4
        assert line["dynamic_sampling/generated"] == len(step) - 4
        assert line["dynamic_sampling/replaced"] == sum(group["group"] >= 4 for group in batch)
        assert line["dynamic_sampling/rounds"] <= 2
    assert sum(line["dynamic_sampling/replaced"] for line in metrics) > 0
    assert metrics[-1]["samples"] == len(samples) * 4


def test_advantages_are_those_of_the_groups_in_the_batch(
    groups: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    for group in groups[0]:
        rewards = [sample["reward"]["value"] for sample in group["samples"]]
        mean = sum(rewards) / len(rewards)
        deviation = (sum((reward - mean) ** 2 for reward in rewards) / (len(rewards) - 1)) ** 0.5
        expected = [0.0 if group.get("replaced") else (reward - mean) / (deviation + 1e-4) for reward in rewards]
        assert [sample["advantage"] for sample in group["samples"]] == pytest.approx(expected, abs=1e-4)


def test_tasks_come_from_the_failures_of_replaced_groups_too(
    groups: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    sampled = {sample["rollout_id"]: group for group in groups[0] for sample in group["samples"]}
    tasks = [group["task"] for group in groups[0] if group["task"]]
    assert tasks
    assert all(sampled[task["rollout_id"]]["problem"]["problem_id"] == task["problem_id"] for task in tasks)
    assert any(sampled[task["rollout_id"]].get("replaced") for task in tasks)
