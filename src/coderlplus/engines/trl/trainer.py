"""CodeRL+ on stock TRL: one mixin over its trainers, with late binding of alignment tasks.

Eight private methods of TRL's trainers and `compute_loss` are overridden (`engines.trl.versions` has their signatures
and the versions of TRL that are tested):

    _get_train_sampler               the number of generation batches in a pass over the problems, not what is in them
    _generate_and_score_completions  composes the batch when it is generated: tasks come from all earlier failures
    _generate                        starts judging; with dynamic sampling, replaces zero-variance groups
    _calculate_rewards               waits for the rewards of both kinds, then starts mining the failures
    _save_checkpoint                 adds the loop's state, the place in the problems and a half-used batch (`saving`)
    _load_optimizer_and_scheduler    takes them back (`saving`)
    _prepare_inputs                  puts the rows of an alignment term beside the micro-batches (`terms`)
    compute_loss                     adds that term to the loss (`terms`)
    _get_per_token_logps_and_entropies  hands on entropies, for metrics by kind of row (`measures`)

Advantages, losses, clipping and KL are TRL's, but for REINFORCE++, whose advantages TRL does not have. A reward of
`None` (the sandbox failed) becomes NaN, which TRL leaves out of the mean and deviation of the group and gives the
advantage 0: the completion neither moves the policy nor its neighbours' baseline.

Judging runs while TRL computes log-probabilities, and mining during the update, until the end of the step
(`finish_mining`).

Ranks: a generation batch is composed on every rank from the same seed, step, buffer and place in the problems, without
communication; rank r holds a contiguous slice of it. Each rank scores and mines what it sampled; samples and mined
tasks are gathered in rank order, so the buffers, and what dynamic sampling decides, stay equal.

Departure from the paper: none in the objective; the share of tasks is exact in every batch from the first one that the
buffer can fill.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch.utils.data import Sampler
from trl import GRPOTrainer, RLOOTrainer

from coderlplus.engines.background import Background
from coderlplus.engines.batches import Group, groups_of
from coderlplus.engines.config import StepConfig
from coderlplus.engines.generation import Generation, Round, replacements, rollout_id, samples_of
from coderlplus.engines.steps import Steps
from coderlplus.engines.trl.advantages import reinforce_plus_plus
from coderlplus.engines.trl.arguments import added_multiple
from coderlplus.engines.trl.saving import CheckpointMixin
from coderlplus.engines.trl.tensors import Batch
from coderlplus.engines.trl.terms import TermsMixin
from coderlplus.errors import ConfigError, SandboxError, counted
from coderlplus.judge import Judge
from coderlplus.loop import Row
from coderlplus.records import OWN, AlignmentTask, OwnRow, Reward, own_rows
from coderlplus.rewards import reward_rows
from coderlplus.terminal import note

PLAIN = StepConfig()
"""Our own wording of prompts, without a system message."""
GRACE_S = 60.0
"""How much longer than `timeout_s` a step waits for judging, which ends by itself then, before the sandbox is taken
to be broken."""


class AlignmentMixin(TermsMixin, CheckpointMixin):
    """Put before a TRL trainer in the bases; `prompt` makes the messages of a row.

    `dynamic_sampling_rounds` bounds the rounds of generation in which groups without two different rewards are
    replaced, and `steps.timeout_s` how long programs are judged and how long an update waits for tracing.
    `reward_funcs` are further reward functions of TRL's form, beside ours, which is the first of `reward_weights`.
    `train_dataset` has rows of the user's own beside the problems, in TRL's form; ours has no reward for them. Reward
    functions get the columns of these rows, `None` for a problem or a task, and the column `record`, which has the
    problem or task as JSON, `None` for a row of the user's own.
    """

    COMPLETIONS: ClassVar[int]
    """Where the completions stand in what the trainer's `_generate` returns."""

    def __init__(
        self,
        *args: Any,
        steps: Steps,
        judge: Judge,
        prompt: Callable[[Row], list[dict[str, str]]] = PLAIN.messages,
        skip_zero_advantage: bool = False,
        dynamic_sampling_rounds: int = 0,
        in_process_checks: bool = False,
        reward_funcs: Sequence[Any] = (),
        train_dataset: Iterable[Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        self.steps, self.loop = steps, steps.loop
        self._judge, self._prompt, self._timeout_s = judge, prompt, steps.timeout_s
        self._skip_zero_advantage, self._dynamic_rounds = skip_zero_advantage, dynamic_sampling_rounds
        self._in_process_checks = in_process_checks
        self._batches = 0  # generated so far
        self._generation: Generation  # the batch in work
        steps.stream.problems = [*steps.stream.problems, *own_rows(train_dataset)]
        own = [row for row in steps.stream.problems if isinstance(row, OwnRow)]
        if own and not reward_funcs:
            raise ConfigError(f"{counted(len(own), 'row')} of train_dataset would have no reward; add reward_funcs")
        self._columns = sorted({name for row in own for name in row.columns})
        dataset = Dataset.from_list([{"prompt": prompt(problem)} for problem in steps.stream.problems])
        beside = [self._beside(one) if callable(one) else one for one in reward_funcs]
        super().__init__(*args, reward_funcs=[self.reward, *beside], train_dataset=dataset, **kwargs)

    # Hook 1
    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        ticks = self.args.generation_batch_size * self.args.steps_per_generation * self.num_iterations
        return StepSampler(self.steps.batches_a_pass(self._groups) * ticks)

    # Hook 2
    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        if not self.model.training:
            return cast(Batch, super()._generate_and_score_completions(inputs))
        self.finish_mining()
        step = self.state.global_step + 1
        rows, taught = self._composed(step)
        self._generation = Generation(step=step, places=[(0, index) for index in range(len(rows))])
        first = self._begin_round(rows)
        output: Batch = super()._generate_and_score_completions(
            [{"prompt": self._prompt(row)} for row in first.sampled]
        )
        advantages = self.final_advantages(self._generation.groups)
        if advantages is not None:
            output["advantages"] = torch.tensor(self._own_slice(advantages)).to(output["advantages"])
            self._logs["advantages"].extend(advantages)
        self._record(output, taught)
        return self._terms(
            output,
            self._own_slice(self._rows_now(self.num_generations)),
            self._own_slice(taught),
            skip_zero_advantage=self._skip_zero_advantage,
        )

    def _composed(self, step: int) -> tuple[list[Row], list[AlignmentTask]]:
        """The rows of a batch to sample, so that every process has as many of each objective, and the tasks to learn
        from their known answers."""
        multiple = added_multiple(self.args, "supervised" if self._is_supervised else "reward")
        rows = self.steps.compose(step, self._groups, multiple)
        code, added = rows[: self._groups], rows[self._groups :]
        if self._is_supervised:
            return code, cast(list[AlignmentTask], added)
        processes = self.accelerator.num_processes if added else 1
        parts = [
            part[len(part) * rank // processes : len(part) * (rank + 1) // processes]
            for rank in range(processes)
            for part in (code, added)
        ]
        return [row for part in parts for row in part], []

    def _rows_now(self, times: int) -> list[Row]:
        """The row of each group in the batch as it is now, `times` times."""
        generation = self._generation
        return [generation.rounds[number].rows[index] for number, index in generation.places for _ in range(times)]

    # Hook 3
    def _generate(self, prompts: list[Any]) -> Any:
        generated = super()._generate(prompts)
        if self.model.training:
            self._start_judging(generated)
            if self._dynamic_rounds:
                self._replace_zero_variance_groups(prompts, generated)
        return generated

    # Hook 4
    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: list[list[int]]
    ) -> torch.Tensor:
        ready = time.perf_counter()
        if self.model.training:
            inputs = self._inputs(prompts)
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if not self.model.training:
            return rewards
        generation = self._generation
        if not self._dynamic_rounds:
            self._gather_groups(0, completion_ids_list)
        self._log(
            {
                "seconds/generation": ready - generation.began - generation.waited_s,
                "seconds/judging": time.perf_counter() - ready + generation.waited_s,
                "seconds/judging_work": generation.judging_s,
            }
        )
        rows = [row for one in generation.rounds for row in one.sampled]
        texts = [text for one in generation.rounds for text in one.texts]
        scored = [reward for one in generation.rounds for reward in one.rewards]
        self.steps.start_mining(generation.step, rows, texts, scored)
        return rewards

    def final_advantages(self, groups: Sequence[Group]) -> list[float] | None:
        """The advantages of all completions of a generation batch, or `None` for TRL's own."""
        return None

    def reward(self, completions: list[Any], **_: Any) -> list[float | None]:
        """The one reward function that TRL sees."""
        if not self._generation.rewards:
            self._generation.rewards = self._judged()
        return [reward.value for reward in self._generation.rewards]

    def _beside(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A further reward function, silent on completions that ours has no reward for: they are left out of the
        group."""

        @functools.wraps(function)
        def beside(*args: Any, **kwargs: Any) -> list[float | None]:
            ours = self._generation.rewards
            return [
                None if reward.value is None and reward.kind != OWN else value
                for reward, value in zip(ours, function(*args, **kwargs), strict=True)
            ]

        return beside

    def _inputs(self, prompts: Sequence[Any]) -> list[dict[str, Any]]:
        """What the reward functions get of this process's completions in the batch as it is now."""
        nothing = dict.fromkeys(self._columns)
        inputs = [
            nothing | {"record": None} | dict(row.columns)
            if isinstance(row, OwnRow)
            else nothing | {"record": json.dumps(row.to_json())}
            for row in self._own_slice(self._rows_now(self.num_generations))
        ]
        return [{"prompt": prompt, **one} for prompt, one in zip(prompts, inputs, strict=True)]

    def finish_mining(self) -> None:
        """Wait for the tasks of the last generation batch, where they are not there yet; every rank adds the tasks of
        all ranks in the same order.

        Called at the end of a step (`callbacks.MetricsCallback`), and before a batch is composed or a checkpoint
        saved; every rank must call it.
        """
        self._log(self.steps.finish_mining())

    @property
    def _groups(self) -> int:
        return int(self.args.generation_batch_size // self.num_generations)

    def _begin_round(self, rows: list[Row]) -> Round:
        """A further round of the batch in work, in which every process samples its slice of the completions."""
        generation, size = self._generation, self.num_generations
        first = sum(len(one.rows) for one in generation.rounds)
        places = self._own_slice([(group, sample) for group in range(len(rows)) for sample in range(size)])
        ids = [rollout_id(generation.step, first + group, sample) for group, sample in places]
        generation.rounds.append(Round(rows, first, sampled=[rows[group] for group, _ in places], ids=ids))
        return generation.rounds[-1]

    def _own_slice(self, everything: list[Any]) -> list[Any]:
        """This process's part of something that has one entry a completion."""
        size = len(everything) // self.accelerator.num_processes
        return everything[self.accelerator.process_index * size :][:size]

    def _start_judging(self, generated: Any) -> None:
        """Begin to score what the last round gave."""
        one = self._generation.rounds[-1]
        one.texts = [completion[0]["content"] for completion in generated[self.COMPLETIONS]]
        score = functools.partial(
            self.loop.reward if self.loop else functools.partial(reward_rows, self._judge),
            rollout_ids=one.ids,
            limit_s=self._timeout_s,
            in_process_checks=self._in_process_checks,
        )
        self._generation.judging = Background(score, one.sampled, one.texts)

    def _judged(self) -> list[Reward]:
        """The rewards of the last round, which are waited for."""
        generation = self._generation
        assert generation.judging is not None
        limit_s = self._timeout_s + GRACE_S
        try:
            rewards = generation.judging.result(limit_s)
        except TimeoutError:
            raise SandboxError(
                f"judging did not finish within {limit_s:g} s: the sandbox does not answer; the same command continues"
            ) from None
        generation.judging_s += generation.judging.seconds
        if generation.judging.seconds > self._timeout_s:
            late = sum(reward.value is None for reward in rewards)
            note(f"judging took more than {self._timeout_s:g} s: {late} completions of this step have no reward")
        generation.rounds[-1].rewards = rewards
        return rewards

    def _gather_groups(self, number: int, token_ids: Sequence[Sequence[int]]) -> None:
        """Put the samples of all processes under the rows of round `number`."""
        one = self._generation.rounds[number]
        samples = samples_of(one.texts, one.rewards, token_ids, {*self.eos_token_ids, self._tokenizer.pad_token_id})
        one.groups = groups_of(one.rows, gather_object(samples), self.num_generations)

    def _replace_zero_variance_groups(self, prompts: list[Any], generated: Any) -> None:
        """Dynamic sampling: generate further groups, and put their completions into what TRL's `_generate` returned,
        in place."""
        generation, size, processes = self._generation, self.num_generations, self.accelerator.num_processes
        columns = [
            index for index, part in enumerate(generated) if isinstance(part, list) and len(part) == len(prompts)
        ]
        first = self.accelerator.process_index * len(prompts)
        self._wait_and_gather(generated[1])
        for number in range(1, self._dynamic_rounds + 1):
            rows = replacements(
                generation, self.loop, self.steps.stream.take_others, processes // math.gcd(processes, size)
            )
            if not rows:
                break
            sampled = self._begin_round(rows).sampled
            further = super()._generate([self._prompt(row) for row in sampled])
            self._start_judging(further)
            self._wait_and_gather(further[1])
            cells = gather_object([[further[column][index] for column in columns] for index in range(len(sampled))])
            for place in generation.put_in(number):
                group = generation.places[place][1]
                for sample in range(size):
                    index = place * size + sample - first
                    if 0 <= index < len(prompts):
                        prompts[index] = self._prompt(rows[group])
                        for column, cell in zip(columns, cells[group * size + sample], strict=True):
                            generated[column][index] = cell
        generation.rewards = self._own_slice(
            [sample.reward for group in generation.groups for sample in group.samples]
        )

    def _wait_and_gather(self, token_ids: Sequence[Sequence[int]]) -> None:
        began = time.perf_counter()
        self._judged()
        self._generation.waited_s += time.perf_counter() - began
        self._gather_groups(len(self._generation.rounds) - 1, token_ids)

    def _record(self, output: Batch, taught: Sequence[AlignmentTask]) -> None:
        """Metrics of the whole generation batch, and its samples when it is inspected; every rank calls this."""
        generation = self._generation
        first = generation.rounds[0].groups
        count = sum(len(one.rows) for one in generation.rounds)
        known = [Group(row=task, samples=()) for task in taught]
        self._log(self.steps.metrics(generation.step, [*first, *known], count * self.num_generations))
        if self._dynamic_rounds:
            self._log(
                {
                    "dynamic_sampling/rounds": float(len(generation.rounds) - 1),
                    "dynamic_sampling/generated": float(count - len(first)),
                    "dynamic_sampling/replaced": float(sum(number > 0 for number, _ in generation.places)),
                    "dynamic_sampling/zero_variance": len(generation.zero_variance_places()) / len(first),
                }
            )
        if self.steps.is_inspected(self._batches):
            advantages = self.accelerator.gather(output["advantages"]).tolist()
            if self.accelerator.is_main_process:
                self.steps.write_samples(generation, advantages)
        self._is_to_measure = self.steps.is_measured(self._batches)
        self._batches += 1


class CodeRLPlusGRPO(AlignmentMixin, GRPOTrainer):  # type: ignore[misc]
    """GRPO and the losses that TRL offers beside it (Dr. GRPO, BNPO, DAPO, CISPO, GSPO, …), by TRL's own
    configuration."""

    COMPLETIONS, SCALES_LOSS = 3, True


class CodeRLPlusReinforcePlusPlus(CodeRLPlusGRPO):
    """GRPO's trainer and losses with the advantages of REINFORCE++."""

    def final_advantages(self, groups: Sequence[Group]) -> list[float]:
        masked, size = self.args.mask_truncated_completions, self.num_generations
        result: dict[int, list[float]] = {}
        for places in self._apart(groups):
            samples = [sample for place in places for sample in groups[place].samples]
            tokens = [0 if masked and sample.clipped else sample.tokens for sample in samples]
            values = reinforce_plus_plus([sample.reward.value for sample in samples], tokens, size)
            result |= {place: values[number * size :][:size] for number, place in enumerate(places)}
        return [value for place in range(len(groups)) for value in result[place]]

    def _apart(self, groups: Sequence[Group]) -> Iterator[list[int]]:
        """The places of the groups of each term of the loss."""
        for is_task in (False, True) if self._weight else (None,):
            yield [place for place, one in enumerate(groups) if is_task in (None, isinstance(one.row, AlignmentTask))]


class CodeRLPlusRLOO(AlignmentMixin, RLOOTrainer):  # type: ignore[misc]
    """RLOO: the reward less the mean of the others of its group, and one ratio a completion."""

    COMPLETIONS, SCALES_LOSS = 2, False


class StepSampler(Sampler[int]):
    """`length` ticks. TRL needs a sampler to know when a pass ends; which rows are in a batch is decided when it is
    generated."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __iter__(self) -> Iterator[int]:
        return iter([0] * self.length)

    def __len__(self) -> int:
        return self.length
