"""The rewards of CodeRL+ as TRL reward functions, and rows of a data set for them.

    import coderlplus as crl
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    rows = [crl.to_dataset_row(problem) for problem in crl.load_problems("problems.jsonl")]
    with crl.open_sandbox() as sandbox:
        trainer = GRPOTrainer(
            "Qwen/Qwen2.5-Coder-1.5B-Instruct",
            args=GRPOConfig(output_dir="runs/mine"),
            train_dataset=Dataset.from_list(rows),
            reward_funcs=[crl.code_reward(crl.Judge(sandbox)), crl.alignment_reward()],
        )
        trainer.train()

Each function returns `None` for rows of the other kind, which TRL leaves to the other functions. Tasks from the
policy's own failures need the loop as well: `trl_alignment`, `train`, or an `AlignmentLoop`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from coderlplus.errors import DataError, a
from coderlplus.judge import Judge
from coderlplus.problems.prompts import conversation, user_message
from coderlplus.records import AlignmentTask, Problem, Reward
from coderlplus.rewards import answer_reward, reward_rows

RewardFunction = Callable[..., list[float | None]]
"""TRL's signature: `prompts`, `completions`, `completion_ids`, every column of the data set as a list, and
`trainer_state`, all by name."""


def to_dataset_row(
    record: Problem | AlignmentTask, *, prompt_template: str | None = None, system_prompt: str | None = None
) -> dict[str, Any]:
    """A row for the `train_dataset` of a TRL trainer.

    The column `prompt` holds chat messages; the column `record` holds the problem or task as JSON, which the reward
    functions read. `prompt_template` is the user message for a problem, with its fields in braces.

    >>> from coderlplus import Problem, StdioTest
    >>> problem = Problem(problem_id="p", statement="Print 1.", tests=(StdioTest("", "1"),))
    >>> to_dataset_row(problem, prompt_template="{statement}")["prompt"]
    [{'role': 'user', 'content': 'Print 1.'}]
    """
    prompt = conversation(user_message(record, prompt_template), system_prompt)
    return {"prompt": prompt, "record": json.dumps(record.to_json())}


def code_reward(judge: Judge, *, limit_s: float | None = 600.0, in_process_checks: bool = False) -> RewardFunction:
    """A TRL reward function for programs: 1 if all tests of the problem pass, else 0.

    The reward is `None` for alignment tasks, if the sandbox failed, if a program was not judged within `limit_s`
    seconds, and if the tests ran in the process of the program, which could have forged the result. Set
    `in_process_checks` to reward the last kind too.

    >>> from coderlplus import CallTest, Judge, Problem, open_sandbox
    >>> problem = Problem(problem_id="p", statement="Double x.", entry_point="f", tests=(CallTest((2,), 4),))
    >>> with open_sandbox(workers=1) as sandbox:
    ...     reward = code_reward(Judge(sandbox))
    ...     reward(["def f(x): return 2 * x", "def f(x): return x"], [to_dataset_row(problem)["record"]] * 2)
    [1.0, 0.0]
    """

    def coderlplus_generation(
        completions: Sequence[Any], record: Sequence[str] | None = None, **_: Any
    ) -> list[float | None]:
        how: dict[str, Any] = {"limit_s": limit_s, "in_process_checks": in_process_checks}
        return _rewards(completions, record, Problem, lambda rows, texts: reward_rows(judge, rows, texts, **how))

    return coderlplus_generation


def alignment_reward(judge: Judge | None = None, *, format_weight: float = 0.1) -> RewardFunction:
    """A TRL reward function for answers to alignment tasks: R_sem in [0, 1], `None` for problems.

    `format_weight` is the reward of a well-formed answer without a correct value (see `score_answer`). Tasks of the
    kind `input` need a `judge`, which runs the program on the answer.

    >>> from coderlplus import AlignmentTask, CallInput, Target
    >>> task = AlignmentTask(
    ...     task_id="t", kind="output", prompt="What does f(1) return?", program="def f(x): return x + 1",
    ...     input=CallInput("f", (1,)), targets=(Target(label="output", value=2),), problem_id="p", rollout_id="r",
    ... )
    >>> alignment_reward()(['{"output": 2}', '{"output": 3}', "no idea"], [to_dataset_row(task)["record"]] * 3)
    [1.0, 0.1, 0.0]
    """

    def coderlplus_alignment(
        completions: Sequence[Any], record: Sequence[str] | None = None, **_: Any
    ) -> list[float | None]:
        def score(rows: Sequence[Any], texts: Sequence[str]) -> list[Reward]:
            if judge is not None:
                return reward_rows(judge, rows, texts, format_weight=format_weight)
            return [
                answer_reward(task, text, format_weight=format_weight) for task, text in zip(rows, texts, strict=True)
            ]

        return _rewards(completions, record, AlignmentTask, score)

    return coderlplus_alignment


def _rewards(
    completions: Sequence[Any],
    records: Sequence[str | None] | None,
    kind: type,
    score: Callable[[list[Any], list[str]], list[Reward]],
) -> list[float | None]:
    """The rewards of the rows of one kind; `None` for the others. Raises `DataError` where rows have no record."""
    if records is None:
        raise DataError("the data set has no column 'record'; make its rows with coderlplus.to_dataset_row")
    known: dict[str, Any] = {}
    rows, texts, places = [], [], []
    for place, (completion, text) in enumerate(zip(completions, records, strict=True)):
        if text is None:  # a row of the caller's own, for other reward functions
            continue
        if not isinstance(text, str):
            raise DataError(
                f"the column 'record' holds {a(type(text).__name__)}; make its rows with coderlplus.to_dataset_row"
            )
        if text not in known:
            data = json.loads(text)
            known[text] = AlignmentTask.from_json(data) if "task_id" in data else Problem.from_json(data)
        if isinstance(known[text], kind):
            rows.append(known[text])
            texts.append(completion if isinstance(completion, str) else completion[-1].get("content") or "")
            places.append(place)
    values: list[float | None] = [None] * len(completions)
    for place, reward in zip(places, score(rows, texts), strict=True):
        values[place] = reward.value
    return values
