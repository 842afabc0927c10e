"""What verl fetches, prompt by prompt: the batch of a step, and replacements for groups that it filters out. No verl
and no tensors here.

A step has `batch_size` groups. They are composed together at the first fetch of the step, from the failures of the
steps before; what is fetched beyond them replaces groups that verl filtered out (DAPO), a problem for a problem and a
task for a task. `finish` ends the step: its completions are mined in a thread while verl computes log-probabilities
and updates the policy, and waited for before the next batch is composed or a checkpoint is saved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from coderlplus.engines.batches import GENERATION, Group, ProblemStream, ScoredSample, kind_of, objective_of
from coderlplus.engines.checkpoints import UNREADABLE, packed, unpacked
from coderlplus.engines.generation import Generation, Round
from coderlplus.engines.steps import Steps
from coderlplus.engines.verl.rows import Place, Scored
from coderlplus.errors import ConfigError, DataError
from coderlplus.loop import AlignmentLoop, Row
from coderlplus.records import AlignmentTask, Problem

NO_REPLAY_BUFFER = (
    "the batch of step {step} never reached CodeRLPlusReplayBuffer: set "
    "trainer.v1.sampler.custom_sampler (see docs/verl.md)"
)


class FetchedSteps(Steps):
    """The one place of a run that knows its step, its buffer and its place in the problems; `how` is what `Steps`
    takes besides.

    Metrics are written to `run` too. `may_refill` says that a replay buffer filters groups out, so that a step may
    fetch more than its batch.
    """

    def __init__(self, stream: ProblemStream, loop: AlignmentLoop | None, batch_size: int, **how: Any) -> None:
        super().__init__(stream, loop, **how)
        self.batch_size = batch_size
        self.step = 0
        self.may_refill = False
        self._rows: list[Row] = []
        """Of the step in work: the batch as composed, then replacements."""
        self._fetched = 0
        self._finished = True
        self._wanted: list[str] = []
        """Kinds of groups to replace."""
        self._scored: dict[int, list[Scored]] = defaultdict(list)
        self._mined: dict[str, float] = {}

    def fetch(self, count: int) -> list[tuple[Row, Place]]:
        """The next `count` prompts. Raises `ConfigError` if the hooks are not all in place, or the problems do not
        fill a batch."""
        if self._finished:
            self._begin()
        if self._fetched + count > self.batch_size and not self.may_refill:
            raise ConfigError(NO_REPLAY_BUFFER.format(step=self.step))
        while len(self._rows) < self._fetched + count:
            self._rows.append(self._replacement())
        numbers = range(self._fetched, self._fetched + count)
        self._fetched += count
        return [(self._rows[number], Place(step=self.step, number=number)) for number in numbers]

    def objective(self, number: int) -> str:
        """`generation`, or `alignment` for a group of a task."""
        return objective_of(self._rows[number])

    def planned(self, objective: str) -> int:
        """Groups of an objective in the batch as composed."""
        return sum(self.objective(number) == objective for number in range(min(self.batch_size, len(self._rows))))

    @property
    def replaced(self) -> int:
        """Groups fetched beyond the batch."""
        return max(0, self._fetched - self.batch_size)

    @property
    def is_waiting(self) -> bool:
        """Whether groups were filtered out whose replacements were not fetched yet."""
        return bool(self._wanted)

    def filtered_out(self, numbers: Iterable[int]) -> None:
        """Groups that verl takes out of the batch; it asks for two others for each."""
        for number in sorted(numbers):
            self._wanted += [kind_of(self._rows[number])] * 2

    def add(self, scored: Iterable[Scored]) -> None:
        """Completions of the step in work, in any order. Raises `ConfigError` for those of another step."""
        for one in scored:
            if one.place.step != self.step:
                raise ConfigError(
                    f"a completion of step {one.place.step} came in step {self.step}: CodeRL+ needs "
                    "trainer.v1.trainer_mode=sync"
                )
            self._scored[one.place.number].append(one)

    def finish(self, chosen: Sequence[int]) -> dict[str, float]:
        """End the step, in which verl trains on the groups `chosen`; return its metrics, and what the step before was
        mined for."""
        groups = {number: self._group(number) for number in sorted(self._scored)}
        size = max((len(group.samples) for group in groups.values()), default=0)
        inside = [groups[number] for number in chosen if number in groups]
        composed = [groups[number] for number in range(self.batch_size) if number in groups]
        everything = [(group.row, sample) for group in groups.values() for sample in group.samples]
        metrics = self.metrics(self.step, composed, len(everything)) | self._mined
        missing = size * len(groups) - len(everything)
        if missing:
            metrics["without_reward"] = float(missing)
        if self.may_refill:
            tasks = sum(group.objective == "alignment" for group in inside)
            metrics["mix/alignment_share_trained"] = tasks / max(1, len(inside))
            metrics["dynamic_sampling/generated"] = float(self.replaced)
            metrics["dynamic_sampling/replaced"] = float(sum(number >= self.batch_size for number in chosen))
        if self.run:
            self.run.write_metrics(self.step, metrics)
            if self.is_inspected(self.step - 1):
                self._write_samples(chosen)
        self._mined = {}
        rows, samples = [row for row, _ in everything], [sample for _, sample in everything]
        self.start_mining(self.step, rows, [one.completion for one in samples], [one.reward for one in samples])
        self._finished = True
        return metrics

    def finish_mining(self) -> dict[str, float]:
        """Wait for the tasks of the last step, and add them to the buffer; the metrics are those of the step that
        comes."""
        self._mined |= super().finish_mining()
        return self._mined

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint at the end of a step."""
        self.finish_mining()
        return {"coderlplus": packed({"step": self.step, "mined": self._mined} | self.state())}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from there. Raises `DataError` for something else than `state_dict` gave."""
        try:
            state = unpacked(saved["coderlplus"])
            self.step, self._mined = state["step"], state["mined"]
            self.load_state(state)
        except (KeyError, *UNREADABLE) as error:
            raise DataError(
                "the state of CodeRL+ in data.pt of the checkpoint is damaged or of another version "
                f"({type(error).__name__}: {error}); "
                "remove that checkpoint, and the same command continues from the one before"
            ) from error
        self._rows, self._fetched, self._finished = [], 0, True

    def _begin(self) -> None:
        self.finish_mining()
        self.step += 1
        self._rows = self.compose(self.step, self.batch_size)
        self._fetched, self._finished = 0, False
        self._wanted.clear()
        self._scored.clear()

    def _replacement(self) -> Row:
        """One group more: of the kind that was filtered out first, or a problem where the buffer has no further
        task."""
        kind = self._wanted.pop(0) if self._wanted else GENERATION
        if kind != GENERATION and self.loop:
            batch = [row for row in self._rows if isinstance(row, AlignmentTask)]
            tasks = self.loop.compose_more(self.step, [kind], batch)
            if tasks:
                return tasks[0]
        taken = {row.problem_id for row in self._rows if isinstance(row, Problem)}
        return (self.stream.take_others(1, taken) or self.stream.take(1))[0]

    def _group(self, number: int) -> Group:
        """A group with its samples in order."""
        scored = sorted(self._scored[number], key=lambda one: one.sample)
        samples = [
            ScoredSample(completion=one.completion, reward=one.reward, tokens=one.tokens, clipped=one.clipped)
            for one in scored
        ]
        return Group(row=self._rows[number], samples=tuple(samples))

    def _write_samples(self, chosen: Sequence[int]) -> None:
        """The inspected groups; verl's advantages are not known yet."""
        groups = [self._group(number) for number in range(len(self._rows))]
        places = [(0, number) for number in chosen]
        generation = Generation(step=self.step, rounds=[Round(self._rows, 0, groups)], places=places)
        self.write_samples(generation, [None] * sum(map(len, self._scored.values())))
