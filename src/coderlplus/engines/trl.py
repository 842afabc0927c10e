"""CodeRL+ on stock TRL: a mixin over `GRPOTrainer` with late binding of alignment tasks.

Five private methods of TRL's trainers are overridden (trl is pinned; `tests/engines/test_trl_contract.py` names them and their signatures):

    _get_train_sampler               a clock: it says how many generation batches a pass over the problems takes, not what is in them
    _generate_and_score_completions  composes the batch at the moment it is generated, so tasks come from failures up to the step before
    _calculate_rewards               scores both kinds through one entry, then mines the failures
    _save_checkpoint                 adds the state of the loop, the place in the problems and a generation batch that is half used
    _load_optimizer_and_scheduler    takes them back

Advantages, losses, clipping and KL are TRL's. A reward of `None` (our sandbox failed) becomes NaN, which TRL leaves out of the mean and deviation
of the group and gives the advantage 0: the completion neither moves the policy nor its neighbours' baseline.

Ranks: a generation batch is composed on every rank from the same seed, step, buffer and place in the problems, without communication; rank r holds a
contiguous slice of it. Each rank scores and mines its own slice; mined tasks are gathered in rank order, so the buffers stay equal.

Departure from the paper: none in the objective; the share of tasks is exact in every batch from the first one that the buffer can fill.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch.utils.data import Sampler
from trl import GRPOTrainer

from coderlplus.alignment.mining import Mined
from coderlplus.engines.batches import Group, ProblemStream, Row, Sample, batch_metrics, groups_of
from coderlplus.engines.run_folder import STATE_FILE, RunFolder
from coderlplus.errors import DataError
from coderlplus.judge import Judge
from coderlplus.loop import AlignmentLoop, mining_metrics
from coderlplus.records import AlignmentTask, Problem, Reward
from coderlplus.rewards import reward_rows

Batch = dict[str, Any]
"""A generation batch as TRL keeps it: tensors by name."""

_Trainer: Any = object  # what a type checker is to think of the next base


class AlignmentMixin(_Trainer):  # type: ignore[misc]
    """Put before a TRL trainer in the bases. `loop` is `None` for plain RLVR; `prompt` makes the messages of a row."""

    def __init__(
        self,
        *args: Any,
        stream: ProblemStream,
        loop: AlignmentLoop | None,
        judge: Judge,
        prompt: Callable[[Row], list[dict[str, str]]],
        run: RunFolder,
        samples_every: int = 10,
        skip_zero_advantage: bool = False,
        **kwargs: Any,
    ) -> None:
        self.loop, self.stream = loop, stream
        self._judge, self._prompt, self._run, self._samples_every = judge, prompt, run, samples_every
        self._skip_zero_advantage = skip_zero_advantage
        self._batches = self._completions = 0  # generated so far, on all ranks together
        self._rows: list[Row] = []  # of the generation batch in work, this rank's slice: one a completion
        self._ids: list[str] = []
        self._rewards: list[Reward] = []
        self._samples: list[Sample] = []
        dataset = Dataset.from_list([{"prompt": prompt(problem)} for problem in stream.problems])
        super().__init__(*args, reward_funcs=[self.reward], train_dataset=dataset, **kwargs)

    # Hook 1
    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        groups = self._groups
        code_groups = max(1, groups - len(self.loop.alignment_groups(groups))) if self.loop else groups
        batches = math.ceil(len(self.stream.problems) / code_groups)
        return Clock(batches * self.args.generation_batch_size * self.args.steps_per_generation * self.num_iterations)

    # Hook 2
    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        if not self.model.training:
            return cast(Batch, super()._generate_and_score_completions(inputs))
        self._started = time.perf_counter()
        step = self.state.global_step + 1
        tasks = self.loop.compose(step, self._groups) if self.loop else [None] * self._groups
        problems = iter(self.stream.take(tasks.count(None)))
        batch: list[Row] = [next(problems) if task is None else task for task in tasks]
        first = self.accelerator.process_index * len(inputs)
        places = [divmod(first + index, self.num_generations) for index in range(len(inputs))]
        self._rows = [batch[group] for group, _ in places]
        self._ids = [f"{step}-{group}-{sample}" for group, sample in places]
        output: Batch = super()._generate_and_score_completions([{"prompt": self._prompt(row)} for row in self._rows])
        self._record(step, batch, output)
        if self._skip_zero_advantage:
            output = without_zero_advantage(output, multiple_of=self.args.steps_per_generation, mean_over_rows=self.loss_type == "grpo")
        return output

    # Hook 3
    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: list[list[int]]) -> torch.Tensor:
        generated = time.perf_counter()
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if not self.model.training:
            return rewards
        judged = time.perf_counter()
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        texts = [completion[0]["content"] for completion in completions]
        self._samples = [
            Sample(completion=text, reward=reward, tokens=len(ids), clipped=ids[-1] not in ends)
            for text, reward, ids in zip(texts, self._rewards, completion_ids_list, strict=True)
        ]
        if self.loop:
            self._mine(self.loop, texts)
        traced = time.perf_counter()
        self._log({"seconds/generation": generated - self._started, "seconds/judging": judged - generated, "seconds/tracing": traced - judged})
        return rewards

    # Hook 4
    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        folder.mkdir(parents=True, exist_ok=True)
        half_used = self._step % (self.args.steps_per_generation * self.num_iterations) != 0
        if half_used:
            torch.save(self._buffered_inputs, folder / f"generation_{self.accelerator.process_index}.pt")
        if self.args.should_save:
            state = {
                "micro_step": self._step,
                "batches": self._batches,
                "completions": self._completions,
                "position": self.stream.position,
                "loop": self.loop.state_dict() if self.loop else None,
            }
            (folder / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
        super()._save_checkpoint(model, trial)

    # Hook 5
    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        path = Path(checkpoint) / STATE_FILE
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            self._step, self._batches, self._completions = state["micro_step"], state["batches"], state["completions"]
            self.stream.position = state["position"]
            if self.loop and state["loop"]:
                self.loop.load_state_dict(state["loop"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} is damaged ({error}); delete its folder to resume from the checkpoint before") from error
        generation = Path(checkpoint) / f"generation_{self.accelerator.process_index}.pt"
        if generation.exists():
            self._buffered_inputs = torch.load(generation, map_location=self.accelerator.device, weights_only=True)

    @property
    def _groups(self) -> int:
        return int(self.args.generation_batch_size // self.num_generations)

    def reward(self, completions: list[Any], **_: Any) -> list[float | None]:
        """The one reward function that TRL sees."""
        texts = [completion[0]["content"] for completion in completions]
        score = self.loop.reward if self.loop else functools.partial(reward_rows, self._judge)
        self._rewards = score(self._rows, texts, rollout_ids=self._ids)
        return [reward.value for reward in self._rewards]

    def _mine(self, loop: AlignmentLoop, texts: list[str]) -> None:
        """Mine this rank's samples; every rank adds the tasks of all ranks in the same order."""
        mined = loop.mine(self.state.global_step + 1, self._rows, texts, self._rewards)
        everyone: list[Mined] = gather_object([mined])
        loop.add((task for one in everyone for task in one.tasks), [one.outcomes for one in everyone])
        rejects = sum((Counter(one.rejects) for one in everyone), Counter())
        tasks = [task for one in everyone for task in one.tasks]
        together = Mined(tasks=tasks, rejects=rejects, traced=sum(one.traced for one in everyone))
        self._log(mining_metrics(together) | {"buffer/size": float(len(loop.buffer))})

    def _record(self, step: int, batch: Sequence[Row], output: Batch) -> None:
        """Metrics of the whole generation batch, and its samples when it is inspected; every rank calls this."""
        groups = groups_of(batch, gather_object(self._samples), self.num_generations)
        self._completions += len(groups) * self.num_generations
        self._log({"samples": float(self._completions)} | batch_metrics(groups, step))
        # two batches in a row, so that the failed samples which the tasks of the second come from are there too
        if self._batches % self._samples_every in (0, 1):
            advantages = self.accelerator.gather(output["advantages"]).tolist()
            if self.accelerator.is_main_process:
                self._run.write_samples(sample_lines(step, groups, advantages, self._prompt_text))
        self._batches += 1

    def _prompt_text(self, row: Row) -> str:
        return str(self.processing_class.apply_chat_template(self._prompt(row), tokenize=False, add_generation_prompt=True))

    def _log(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._metrics["train"][name].append(value)


class CodeRLPlusGRPO(AlignmentMixin, GRPOTrainer):  # type: ignore[misc]
    """GRPO and the losses that TRL offers beside it (Dr. GRPO, BNPO, DAPO, CISPO, GSPO, …), by TRL's own configuration."""


class Clock(Sampler[int]):
    """`length` ticks. TRL needs a sampler to know when a pass ends; which rows are in a batch is decided when it is generated."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __iter__(self) -> Iterator[int]:
        return iter([0] * self.length)

    def __len__(self) -> int:
        return self.length


def without_zero_advantage(output: Batch, *, multiple_of: int, mean_over_rows: bool) -> Batch:
    """Leave completions out of the update whose advantage is 0: without KL and entropy terms their gradient is 0 too.

    `output` is TRL's generation batch (B rows). At least `multiple_of` rows are kept, and a multiple of it, so that the batch still splits into
    micro-batches; columns that only hold padding go. The gradient stays the same: losses divided by the tokens of the whole batch need nothing,
    and for one that is a mean over rows (`mean_over_rows`) the advantages are scaled by the share of rows kept.
    """
    advantages_B = output["advantages"]
    total = len(advantages_B)
    count = max(multiple_of, -(-int((advantages_B != 0).sum()) // multiple_of) * multiple_of)
    kept = (advantages_B != 0).int().argsort(descending=True, stable=True)[:count].sort().values
    rows = {name: value[kept] if isinstance(value, torch.Tensor) and value.dim() > 0 else value for name, value in output.items()}
    if mean_over_rows:
        rows["advantages"] = rows["advantages"] * (count / total)
    for side in ("prompt", "completion"):
        used = rows[f"{side}_mask"].any(dim=0)
        used[-1 if side == "prompt" else 0] = True
        of_side = [f"{side}_ids", f"{side}_mask"]
        if side == "completion":
            of_side += [name for name in ("old_per_token_logps", "sampling_per_token_logps") if name in rows]
        rows |= {name: rows[name][:, used] for name in of_side}
    return rows


def sample_lines(step: int, groups: Sequence[Group], advantages: Sequence[float], prompt: Callable[[Row], str]) -> Iterator[dict[str, Any]]:
    """The lines of samples.jsonl of one generation batch; `advantages` has one number a completion."""
    rest = iter(advantages)
    for number, group in enumerate(groups):
        task = group.row if isinstance(group.row, AlignmentTask) else None
        problem = group.row if isinstance(group.row, Problem) else None
        yield {
            "step": step,
            "group": number,
            "kind": task.kind if task else "generation",
            "problem": problem.to_json() if problem else None,
            "task": task.to_json() if task else None,
            "prompt": prompt(group.row),
            "samples": [
                {
                    "rollout_id": f"{step}-{number}-{place}",
                    "completion": sample.completion,
                    "reward": sample.reward.to_json(),
                    "advantage": next(rest),
                }
                for place, sample in enumerate(group.samples)
            ],
        }
