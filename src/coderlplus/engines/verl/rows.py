"""What the hooks hand to each other through verl: rows of a batch, and scored completions. Plain data; no verl
here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from coderlplus.engines.batches import kind_of
from coderlplus.errors import ConfigError
from coderlplus.loop import Row
from coderlplus.records import AlignmentTask, OwnRow, Problem, Reward

SCORED = "coderlplus"
"""The key of a completion's extra information under which its `Scored` travels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a prompt stands: its `step` and the `number` of its group in the step. Step 0 is evaluation."""

    step: int
    number: int

    @property
    def is_training(self) -> bool:
        return self.step > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A completion as the reward worker saw it: `sample` is its place in the group, `tokens` its length, `clipped`
    whether it was cut at the longest length."""

    place: Place
    sample: int
    completion: str
    reward: Reward
    tokens: int
    clipped: bool

    def to_json(self) -> str:
        data = asdict(self.place) | {"sample": self.sample, "completion": self.completion}
        return json.dumps(data | {"reward": self.reward.to_json(), "tokens": self.tokens, "clipped": self.clipped})

    @classmethod
    def from_json(cls, text: str) -> Scored:
        data = json.loads(text)
        place = Place(step=data.pop("step"), number=data.pop("number"))
        return cls(**data | {"place": place, "reward": Reward.from_json(data["reward"])})


def row_fields(row: Row, place: Place, messages: list[dict[str, str]]) -> dict[str, Any]:
    """The fields of verl's own data set for a row, tensors aside.

    A problem goes by its id, because verl stores these fields with every completion, and tests may be large; the
    reward workers have the problems.
    """
    assert not isinstance(row, OwnRow), "runs on verl have no rows of the user's own"
    is_task = isinstance(row, AlignmentTask)
    return {
        "data_source": f"coderlplus/{kind_of(row)}",
        "raw_prompt": messages,
        "ability": "code",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(row.to_json()) if is_task else row.problem_id},
        "extra_info": {"index": place.number, "step": place.step, "task": is_task},
        "index": place.number,
        "tools_kwargs": {},
        "interaction_kwargs": {},
    }


def row_of(fields: Mapping[str, Any], problems: Mapping[str, Problem]) -> tuple[Problem | AlignmentTask, Place]:
    """The row that `row_fields` was given. Raises `ConfigError` for fields of another data set."""
    about, truth = fields.get("extra_info"), str((fields.get("reward_model") or {}).get("ground_truth"))
    if not isinstance(about, Mapping) or "step" not in about or "task" not in about:
        raise ConfigError("these rows are not of CodeRLPlusDataset: set data.custom_cls (see docs/verl.md)")
    place = Place(step=int(about["step"]), number=int(about["index"]))
    if about["task"]:
        return AlignmentTask.from_json(json.loads(truth)), place
    if truth not in problems:
        raise ConfigError(
            f"problem {truth!r} is not in the files of data.train_files and data.val_files as a reward worker reads "
            "them"
        )
    return problems[truth], place
