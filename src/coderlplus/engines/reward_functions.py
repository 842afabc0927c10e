"""The rewards of CodeRL+ as reward functions for a TRL script of your own: no trainer of ours, no run folder.

    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from coderlplus.engines.reward_functions import alignment_reward, generation_reward, row
    from coderlplus.judge import Judge
    from coderlplus.problems import read_problems
    from coderlplus.sandbox import Sandbox

    with Sandbox() as sandbox:
        GRPOTrainer(
            "Qwen/Qwen2.5-Coder-1.5B-Instruct",
            args=GRPOConfig(output_dir="runs/mine"),
            train_dataset=Dataset.from_list([row(problem) for problem in read_problems("problems.jsonl")]),
            reward_funcs=[generation_reward(Judge(sandbox)), alignment_reward()],
        ).train()

Each function returns `None` for rows that are not of its kind, which TRL takes as "not mine". What this does not give
is the loop: tasks from the policy's own failures; for that use `coderlplus train`, or `AlignmentLoop` in a training
loop of your own (`examples/own_loop.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from coderlplus.engines.prompts import conversation, user_message
from coderlplus.judge import Judge
from coderlplus.records import AlignmentTask, Problem, Reward
from coderlplus.rewards import answer_reward, reward_rows

RewardFunction = Callable[..., list[float | None]]
"""TRL's signature: `prompts`, `completions`, `completion_ids`, every column of the data set as a list, and
`trainer_state`, all by name."""


def row(
    record: Problem | AlignmentTask, *, prompt_template: str | None = None, system_prompt: str | None = None
) -> dict[str, Any]:
    """A row of a data set for `train_dataset`: the `prompt` as chat messages, and the record as JSON in the column
    `record`.

    >>> from coderlplus.records import StdioTest
    >>> problem = Problem(problem_id="p", statement="Print 1.", tests=(StdioTest("", "1"),))
    >>> row(problem, prompt_template="{statement}")["prompt"]
    [{'role': 'user', 'content': 'Print 1.'}]
    """
    content = record.prompt if isinstance(record, AlignmentTask) else user_message(record, prompt_template)
    return {"prompt": conversation(content, system_prompt), "record": json.dumps(record.to_json())}


def generation_reward(
    judge: Judge, *, limit_s: float | None = 600.0, in_process_checks: bool = False
) -> RewardFunction:
    """A reward function: 1 for a program that passes all tests of its problem, else 0; `None` for alignment tasks, and
    where our own sandbox failed or a program was not judged within `limit_s` seconds. With `in_process_checks` also
    for a pass by test code in the process of the program, which it could have forged (`coderlplus.rewards`)."""

    def coderlplus_generation(completions: Sequence[Any], record: Sequence[str], **_: Any) -> list[float | None]:
        how: dict[str, Any] = {"limit_s": limit_s, "in_process_checks": in_process_checks}
        return _rewards(completions, record, Problem, lambda rows, texts: reward_rows(judge, rows, texts, **how))

    return coderlplus_generation


def alignment_reward(*, format_weight: float = 0.1) -> RewardFunction:
    """A reward function: R_sem of an answer to an alignment task (see `coderlplus.alignment.answers`); `None` for
    problems."""

    def coderlplus_alignment(completions: Sequence[Any], record: Sequence[str], **_: Any) -> list[float | None]:
        def score(rows: Sequence[Any], texts: Sequence[str]) -> list[Reward]:
            return [
                answer_reward(task, text, format_weight=format_weight) for task, text in zip(rows, texts, strict=True)
            ]

        return _rewards(completions, record, AlignmentTask, score)

    return coderlplus_alignment


def _rewards(
    completions: Sequence[Any],
    records: Sequence[str],
    kind: type,
    score: Callable[[list[Any], list[str]], list[Reward]],
) -> list[float | None]:
    """The rewards of the rows of one kind; `None` for the others."""
    known: dict[str, Any] = {}
    rows, texts, places = [], [], []
    for place, (completion, text) in enumerate(zip(completions, records, strict=True)):
        if text not in known:
            data = json.loads(text)
            known[text] = AlignmentTask.from_json(data) if "task_id" in data else Problem.from_json(data)
        if isinstance(known[text], kind):
            rows.append(known[text])
            texts.append(completion if isinstance(completion, str) else completion[-1]["content"])
            places.append(place)
    values: list[float | None] = [None] * len(completions)
    for place, reward in zip(places, score(rows, texts), strict=True):
        values[place] = reward.value
    return values
