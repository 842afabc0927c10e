"""A generation batch while it is made: what was asked, what was sampled, and which groups dynamic sampling put in the
place of others. No tensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from coderlplus.engines.background import Background
from coderlplus.engines.batches import Group, ScoredSample, has_zero_variance, kind_of
from coderlplus.loop import AlignmentLoop, Row
from coderlplus.records import AlignmentTask, OwnRow, Problem, Reward


@dataclass(slots=True)
class Round:
    """Groups that were generated together. The batch as composed is the first round; every later one offers
    replacements."""

    rows: list[Row]
    """One a group, of all processes."""
    first_number: int
    """The number of its first group in the names of rollouts."""
    groups: list[Group] = field(default_factory=list)
    """With the samples of all processes, once they are gathered."""
    sampled: list[Row] = field(default_factory=list)
    """What this process sampled, one entry a completion: its row, the name of the rollout, the text and the reward."""
    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    rewards: list[Reward] = field(default_factory=list)


@dataclass(slots=True)
class Generation:
    """The generation batch of `step`."""

    step: int
    rounds: list[Round] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    """For each place in the batch the round and the index in it of the group that is there now."""
    began: float = field(default_factory=time.perf_counter)
    judging: Background[list[Reward]] | None = None
    judging_s: float = 0.0
    """How long judging took, and how much of that was waited for before the log-probabilities."""
    waited_s: float = 0.0
    rewards: list[Reward] = field(default_factory=list)
    """Of this process's completions of the batch as it is now."""

    @property
    def groups(self) -> list[Group]:
        """The batch as it is now."""
        return [self.rounds[number].groups[index] for number, index in self.places]

    @property
    def set_aside(self) -> Iterator[tuple[int, Group]]:
        """The groups that are not in the batch, with their numbers."""
        inside = set(self.places)
        for number, one in enumerate(self.rounds):
            for index, group in enumerate(one.groups):
                if (number, index) not in inside:
                    yield one.first_number + index, group

    def number(self, place: int) -> int:
        """The number of the group at a place of the batch."""
        number, index = self.places[place]
        return self.rounds[number].first_number + index

    def zero_variance_places(self) -> list[int]:
        """The places of groups in which all rewards are equal."""
        return [place for place, group in enumerate(self.groups) if has_zero_variance(group)]

    def put_in(self, number: int) -> list[int]:
        """Put the groups of round `number` with different rewards in the place of zero-variance groups of the
        same objective, in order, none whose row is in the batch already. Returns the places."""
        changed = []
        zero_variance = self.zero_variance_places()
        for index, group in enumerate(self.rounds[number].groups):
            place = next((place for place in zero_variance if self.groups[place].objective == group.objective), None)
            is_new = group.row not in [other.row for other in self.groups]
            if place is not None and is_new and not has_zero_variance(group):
                self.places[place] = (number, index)
                zero_variance.remove(place)
                changed.append(place)
        return sorted(changed)


def replacements(
    generation: Generation,
    loop: AlignmentLoop | None,
    take_problems: Callable[[int, set[str]], list[Problem]],
    multiple_of: int,
) -> list[Row]:
    """Rows to generate further groups for the zero-variance groups of a batch: a problem for a problem, a task for a
    task, none that the batch has or had.

    Their number is a multiple of `multiple_of`, the surplus being problems or, where there are no more, rows twice;
    there are none where nothing is left to offer."""
    seen = [row for one in generation.rounds for row in one.rows]
    zero_variance = [generation.groups[place].row for place in generation.zero_variance_places()]
    kinds = [row.kind for row in zero_variance if isinstance(row, AlignmentTask)]
    old = [row for row in seen if isinstance(row, AlignmentTask)]
    tasks = loop.compose_more(generation.step, kinds, old) if loop else []
    code = len(zero_variance) - len(kinds)
    surplus = -(code + len(tasks)) % multiple_of
    problems = take_problems(code + surplus, {row.problem_id for row in seen if isinstance(row, Problem)})
    rows: list[Row] = [*problems, *tasks]
    return rows + [rows[index % len(rows)] for index in range(-len(rows) % multiple_of)] if rows else []


def sample_lines(
    generation: Generation, advantages: Sequence[float | None], prompt: Callable[[Row], str]
) -> Iterator[dict[str, Any]]:
    """The lines of samples.jsonl of one generation batch; `advantages` has one number a completion, or `None` where it
    is not known. Groups that dynamic sampling replaced come last, are marked, and have the advantage 0."""
    rest = iter(advantages)
    for place, group in enumerate(generation.groups):
        yield _line(generation.step, generation.number(place), group, [next(rest) for _ in group.samples], prompt)
    for number, group in generation.set_aside:
        yield _line(generation.step, number, group, [0.0] * len(group.samples), prompt) | {"replaced": True}


def _line(
    step: int, number: int, group: Group, advantages: Sequence[float | None], prompt: Callable[[Row], str]
) -> dict[str, Any]:
    row = group.row
    own = {"row": row.to_json()} if isinstance(row, OwnRow) else {}
    return own | {
        "step": step,
        "group": number,
        "kind": kind_of(row),
        "problem": row.to_json() if isinstance(row, Problem) else None,
        "task": row.to_json() if isinstance(row, AlignmentTask) else None,
        "prompt": prompt(row),
        "samples": [
            {
                "rollout_id": rollout_id(step, number, place),
                "completion": sample.completion,
                "reward": sample.reward.to_json(),
                "advantage": advantage,
            }
            for place, (sample, advantage) in enumerate(zip(group.samples, advantages, strict=True))
        ],
    }


def rollout_id(step: int, number: int, sample: int) -> str:
    """The name of a sample: its step, the number of its group, its place in the group.

    >>> rollout_id(7, 3, 0)
    '7-3-0'
    """
    return f"{step}-{number}-{sample}"


def samples_of(
    texts: Sequence[str], rewards: Sequence[Reward], ids: Sequence[Sequence[int]], ends: set[int]
) -> list[ScoredSample]:
    """The samples of completions, whose token ids are `ids`; one that does not end in one of `ends` was cut."""
    return [
        ScoredSample(completion=text, reward=reward, tokens=len(tokens), clipped=tokens[-1] not in ends)
        for text, reward, tokens in zip(texts, rewards, ids, strict=True)
    ]
