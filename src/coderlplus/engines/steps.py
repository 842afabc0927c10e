"""One step of CodeRL+, the same on every engine. No trainer and no tensors here.

A step has a batch, metrics, inspected samples and failures to mine, and a checkpoint must hold where it stands:

    rows = steps.compose(step, groups)                    # problems, and tasks from failures up to the step before
    metrics = steps.metrics(step, composed, count)        # once its completions are scored
    steps.start_mining(step, rows, completions, rewards)  # in a thread, while the engine updates the policy
    metrics = steps.finish_mining()                       # before the next batch is composed, or a checkpoint saved
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coderlplus.alignment.mining import Mined, merged
from coderlplus.engines.background import Background
from coderlplus.engines.batches import Group, ProblemStream, batch_metrics
from coderlplus.engines.generation import Generation, sample_lines
from coderlplus.engines.run_folder import RunFolder
from coderlplus.errors import counted
from coderlplus.loop import AlignmentLoop, Row, mining_metrics
from coderlplus.records import Reward
from coderlplus.terminal import note


class Steps:
    """What a run knows from step to step: its place in the problems, its buffer, and how many completions there were.

    `loop` is `None` for plain RLVR. Samples of two in `samples_every` batches are written to the folder `run` (`None`:
    they are not written), with prompts as `prompt_text` gives them. `timeout_s` bounds how long mining is waited for.
    `gather` returns what all processes of a run mined, in rank order; they hold the same state and must call the same
    methods.
    """

    def __init__(
        self,
        stream: ProblemStream,
        loop: AlignmentLoop | None,
        *,
        timeout_s: float = 600.0,
        run: RunFolder | None = None,
        samples_every: int = 10,
        prompt_text: Callable[[Row], str] = lambda row: "",
        gather: Callable[[Mined], list[Mined]] = lambda mined: [mined],
    ) -> None:
        self.stream, self.loop, self.timeout_s, self.run = stream, loop, timeout_s, run
        self._samples_every, self._prompt_text, self._gather = samples_every, prompt_text, gather
        self._completions = 0
        self._mining: tuple[int, int, Background[Mined]] | None = None
        """The step that is mined, its completions, and the work."""

    @property
    def is_mining(self) -> bool:
        """Whether there is something to wait for."""
        return self._mining is not None

    def batches_a_pass(self, groups: int) -> int:
        """Batches that take every problem once, when the buffer is full."""
        code = max(1, groups - len(self.loop.alignment_groups(groups))) if self.loop else groups
        return -(-len(self.stream.problems) // code)

    def warn_without_room(self, groups: int, way_out: str = "") -> None:
        """Say on stderr where a batch is too small to hold an alignment task: the run would be plain RLVR. `way_out`
        names the settings of the engine to change; without it, TRL's."""
        if self.loop and self.loop.settings.weight is None and not self.loop.alignment_groups(groups):
            note(
                f"warning: at alpha {self.loop.settings.alpha:g} a batch of {counted(groups, 'prompt')} has no room "
                "for alignment tasks: this is plain RLVR; "
                f"{way_out or 'raise gradient_accumulation_steps or lower num_generations'}",
            )

    def compose(self, step: int, groups: int, multiple_of: int = 1) -> list[Row]:
        """The rows of the batch of `step`, one a group, and after them the tasks that `alignment.weight` adds, whose
        number is a multiple of `multiple_of`. Raises `ConfigError` if the problems do not fill it."""
        tasks = self.loop.compose(step, groups, multiple_of) if self.loop else [None] * groups
        problems = iter(self.stream.take(tasks.count(None)))
        return [next(problems) if task is None else task for task in tasks]

    def metrics(self, step: int, composed: Sequence[Group], count: int) -> dict[str, float]:
        """Metrics of a step with the groups of its batch as `composed`, for which `count` completions were sampled.

        Groups that dynamic sampling chose do not count: they would flatter the policy.
        """
        self._completions += count
        kinds = self.loop.settings.shares if self.loop else ()
        return {"samples": float(self._completions)} | batch_metrics(composed, step, kinds)

    def write_samples(self, generation: Generation, advantages: Sequence[float | None]) -> None:
        """The samples of an inspected batch."""
        if self.run:
            self.run.write_samples(sample_lines(generation, advantages, self._prompt_text))

    def is_inspected(self, batch: int) -> bool:
        """Whether the samples of a batch (0 is the first) are written.

        Two in a row are, so that the failed samples that the tasks of the second were made from are there too.
        """
        return batch % self._samples_every in (0, 1)

    def is_measured(self, batch: int) -> bool:
        """Whether what is costly to measure of a batch is measured: of the first of two whose samples are written."""
        return batch % self._samples_every == 0

    def start_mining(
        self, step: int, rows: Sequence[Row], completions: Sequence[str], rewards: Sequence[Reward]
    ) -> None:
        """Begin to make tasks of the failures of a step, of which this process gives its part."""
        if self.loop:
            self._mining = step, len(rows), Background(self.loop.mine, step, rows, completions, rewards)

    def finish_mining(self) -> dict[str, float]:
        """Wait for the tasks of the last step and add them to the buffer; metrics, empty where nothing is mined.

        Every process adds the tasks of all processes in the same order.
        """
        if self._mining is None or self.loop is None:
            return {}
        (step, count, work), self._mining = self._mining, None
        began = time.perf_counter()
        try:
            mined = work.result(self.timeout_s)
        except TimeoutError:
            note(f"tracing took more than {self.timeout_s:g} s: no tasks from the failures of step {step}")
            mined = Mined(rejects={"trace_time_limit": count})
        everyone = self._gather(mined)
        together = merged(everyone)
        self.loop.add(together.tasks, [one.outcomes for one in everyone])
        seconds = {"seconds/tracing": time.perf_counter() - began, "seconds/tracing_work": work.seconds}
        return mining_metrics(together) | {"buffer/size": float(len(self.loop.buffer))} | seconds

    def state(self) -> dict[str, Any]:
        """Plain JSON for a checkpoint; nothing may be mined meanwhile."""
        return {
            "position": self.stream.position,
            "completions": self._completions,
            "loop": self.loop.state_dict() if self.loop else None,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there. Raises `KeyError` for what is no such state, and `DataError` for that of another run."""
        position, completions, loop = state["position"], state["completions"], state["loop"]
        self.stream.position, self._completions, self._mining = position, completions, None
        if self.loop and loop:
            self.loop.load_state_dict(loop)
