"""What is in a generation batch, and the metrics of one; no trainer and no tensors here.

A generation batch has groups; a group is one prompt (a problem or an alignment task) and its G completions.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from coderlplus.errors import ConfigError, counted
from coderlplus.loop import Row, mix_metrics
from coderlplus.records import OWN, AlignmentTask, OwnRow, Problem, Reward

GENERATION = "generation"


class ProblemStream:
    """The problems, and rows of the user's own, in a seeded order, pass after pass; `position` is all of its state.

    Every process that holds the same position takes the same problems. A pass ends when its rest cannot fill what is
    asked for, so that no problem is twice in a batch.
    """

    def __init__(self, problems: Sequence[Problem | OwnRow], seed: int) -> None:
        self.problems = problems
        self.seed = seed
        self.position = 0
        self._pass: tuple[int, list[int]] = (-1, [])  # the number of a pass, and its order

    def take(self, count: int) -> list[Problem | OwnRow]:
        """The next `count` rows, all distinct. Raises `ConfigError` if there are fewer than that."""
        size = len(self.problems)
        if count > size:
            raise ConfigError(
                f"{counted(size, 'problem')} cannot fill a batch of {count} without repeating one; use smaller "
                "batches or more problems"
            )
        number, place = divmod(self.position, size)
        if place + count > size:
            number, place = number + 1, 0
        self.position = number * size + place + count
        return [self.problems[index] for index in self._order(number)[place : place + count]]

    def take_others(self, count: int, taken: Collection[str]) -> list[Problem]:
        """The next problems, at most `count`, that are not among those already `taken` (by id); each is looked at once
        at most."""
        found: dict[str, Problem] = {}
        for _ in self.problems:
            if len(found) == count:
                break
            number, place = divmod(self.position, len(self.problems))
            problem = self.problems[self._order(number)[place]]
            self.position += 1
            if isinstance(problem, Problem) and problem.problem_id not in taken:
                found.setdefault(problem.problem_id, problem)
        return list(found.values())

    def _order(self, number: int) -> list[int]:
        """The places of the problems in a pass."""
        if number != self._pass[0]:
            size = len(self.problems)
            self._pass = number, random.Random(f"{self.seed}/problems/{number}").sample(range(size), size)
        return self._pass[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSample:
    """One completion of a generation batch: `tokens` is its length, `clipped` whether it was cut at the longest
    length."""

    completion: str
    reward: Reward
    tokens: int
    clipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One prompt and its samples."""

    row: Row
    samples: tuple[ScoredSample, ...]

    @property
    def objective(self) -> str:
        return objective_of(self.row)


def objective_of(row: Row) -> str:
    """`alignment`, `generation` or `own`: the suffix of the metrics that a group of this row counts in."""
    return {AlignmentTask: "alignment", OwnRow: OWN}.get(type(row), GENERATION)


def kind_of(row: Row) -> str:
    """The kind of a task; `generation` for a problem, `own` for a row of the user's own."""
    return row.kind if isinstance(row, AlignmentTask) else objective_of(row)


def groups_of(rows: Iterable[Row], samples: Iterable[ScoredSample], group_size: int) -> list[Group]:
    """Put the samples of a batch, in order, under their rows (one row a group)."""
    rest: Iterator[ScoredSample] = iter(samples)
    return [Group(row=row, samples=tuple(islice(rest, group_size))) for row in rows]


def has_zero_variance(group: Group) -> bool:
    """Whether all rewards of a group are equal: its advantages are 0, so it gives no gradient. Of a row of the user's
    own that is not known here: no."""
    values = {sample.reward.value for sample in group.samples if sample.reward.value is not None}
    return group.objective != OWN and len(values) < 2


def selections(kinds: Collection[str]) -> dict[str, tuple[int, ...]]:
    """What metrics of the loss are logged of, by name, as the numbers (`kind_number`) of the rows that count:
    problems, rows of the user's own, all tasks and, with several `kinds`, each of them.

    >>> selections(["output", "branch"])
    {'generation': (0,), 'own': (1,), 'alignment': (2, 3, 4), 'output': (2,), 'branch': (3,)}
    """
    numbers = {name: (2 + number,) for number, name in enumerate(kinds)}
    alignment = tuple(range(2, 3 + len(kinds)))
    return {GENERATION: (0,), OWN: (1,), "alignment": alignment} | (numbers if len(kinds) > 1 else {})


def kind_number(row: Row, kinds: Collection[str]) -> int:
    """0 for a problem, 1 for a row of the user's own, then the tasks of each of `kinds`, then those of other kinds."""
    if not isinstance(row, AlignmentTask):
        return int(isinstance(row, OwnRow))
    return 2 + ([*kinds].index(row.kind) if row.kind in kinds else len(kinds))


def batch_metrics(groups: Sequence[Group], step: int, kinds: Collection[str] = ()) -> dict[str, float]:
    """Metrics of a generation batch by kind of row; a kind that is absent has none.

    Rewards of `None` (the sandbox failed) are excluded from every mean. `zero_variance` is the share of groups without
    two different rewards: they teach nothing. `task_age` is in optimisation steps since the failed rollout. With
    several `kinds` of alignment tasks each of them has its metrics besides, under its own name. A task that is learnt
    from its known answer is a group without samples.
    """
    metrics = mix_metrics(step, [group.row for group in groups])
    objectives = {
        objective: [group for group in groups if group.objective == objective]
        for objective in ("alignment", GENERATION, OWN)
    }
    if len(kinds) > 1:
        for kind in kinds:
            objectives[kind] = of_kind = [group for group in groups if kind_of(group.row) == kind]
            metrics[f"mix/{kind}"] = len(of_kind) / len(groups)
            if of_kind:
                metrics[f"task_age/{kind}"] = mix_metrics(step, [group.row for group in of_kind])["task_age"]
    for objective, chosen in objectives.items():
        if sampled := [group for group in chosen if group.samples]:
            metrics |= _objective_metrics(objective, sampled)
    return metrics


def _objective_metrics(objective: str, groups: Sequence[Group]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    samples = [sample for group in groups for sample in group.samples]
    metrics[f"length/{objective}"] = _mean(sample.tokens for sample in samples)
    metrics[f"clipped/{objective}"] = _mean(sample.clipped for sample in samples)
    if objective == OWN:  # its rewards are the user's: TRL logs them
        return metrics
    valid = [sample.reward for sample in samples if sample.reward.value is not None]
    if valid:
        metrics[f"reward/{objective}"] = _mean(reward.value for reward in valid if reward.value is not None)
    if objective == GENERATION and valid:
        metrics["pass_rate"] = _mean(reward.verdict is not None and reward.verdict.passed for reward in valid)
    metrics[f"zero_variance/{objective}"] = _mean(has_zero_variance(group) for group in groups)
    faults = len(samples) - len(valid)
    if faults:
        metrics[f"sandbox_faults/{objective}"] = float(faults)
    return metrics


def _mean(values: Iterable[float]) -> float:
    items = list(values)
    return math.fsum(items) / len(items)
