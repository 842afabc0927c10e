"""The three classes that stock verl 0.9.1 loads by name; everything else in this package is without verl.

    data.custom_cls                   CodeRLPlusDataset       composes each batch when it is fetched; checkpointed
    reward.reward_manager             CodeRLPlusReward        scores one completion at a time, in the reward workers
    trainer.v1.sampler.custom_sampler CodeRLPlusReplayBuffer  hands completions to mining, metrics to verl's log

Data set and replay buffer live in one process (verl's task runner) and meet in `current`. A reward worker is a process
of its own, somewhere in the cluster; what it finds travels with the completion, through verl's own queue. A completion
on which the sandbox failed raises: verl then trains on the rest of the group, whose mean and deviation are those
of the rest, so the failure is never a reward of 0.

Ranks and algorithms are verl's: advantages, losses, KL, critic and the filtering of groups (DAPO) are configured as in
any verl run.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
import transfer_queue
from omegaconf import DictConfig, OmegaConf
from transfer_queue import KVBatchMeta
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.utils.dataset.rl_dataset import RLHFDataset

from coderlplus.engines.batches import ProblemStream
from coderlplus.engines.generation import rollout_id
from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.verl.config import PluginSettings, plugin_settings, workers_for
from coderlplus.engines.verl.fetching import FetchedSteps
from coderlplus.engines.verl.rows import SCORED, Place, Scored, row_fields, row_of
from coderlplus.errors import ConfigError, DataError, SandboxError
from coderlplus.judge import Judge
from coderlplus.loop import AlignmentLoop
from coderlplus.problems import read_problems
from coderlplus.problems.prompts import conversation, user_message
from coderlplus.records import AlignmentTask, Problem, Reward
from coderlplus.rewards import answer_reward, answer_trial, rollout_of, trial_reward, verdict_reward
from verl import DataProto

current: dict[str, FetchedSteps] = {}
"""The `"steps"` of the training data set of this process, once there is one."""


class CodeRLPlusDataset(RLHFDataset):  # type: ignore[misc]
    """Problems as verl's data set: `data.train_files` and `data.val_files` are files that `coderlplus.problems` reads.

    What a training batch holds is decided when it is fetched, not by verl's sampler, so tasks come from failures up to
    the step before.
    """

    def __init__(
        self, data_files: Any, tokenizer: Any, config: DictConfig, processor: Any = None, max_samples: int = -1
    ) -> None:
        self.settings = read_plugin_settings(config)
        super().__init__(
            data_files=data_files, tokenizer=tokenizer, config=config, processor=processor, max_samples=max_samples
        )
        training, evaluation = _paths(config.train_files), _paths(config.val_files)
        # verl does not say which of the two it makes; the one for training comes first
        is_training = _paths(data_files) == training and (training != evaluation or "steps" not in current)
        self.steps = self._make_steps() if is_training else None

    def _read_files_and_tokenize(self) -> None:
        problems = [*_problems(self.data_files).values()]
        self._counting = copy.deepcopy(self.tokenizer)  # for mining: one must not be used by two threads
        fitting = [problem for problem in problems if self._fits(user_message(problem, self.settings.prompt_template))]
        if not fitting:
            raise ConfigError(
                f"all {len(problems)} prompts are longer than data.max_prompt_length = {self.max_prompt_length} tokens"
            )
        if len(fitting) < len(problems):
            print(
                f"{len(problems) - len(fitting)} of {len(problems)} problems left out: prompts over "
                f"{self.max_prompt_length} tokens"
            )
        self.dataframe = fitting[: self.max_samples] if self.max_samples > 0 else fitting

    def _make_steps(self) -> FetchedSteps:
        if (workers := self.config.dataloader_num_workers) != 0:
            raise ConfigError(
                f"data.dataloader_num_workers must be 0, not {workers}: a batch is composed at the moment it is "
                "fetched"
            )
        settings, seed = self.settings, int(self.config.get("seed") or 0)
        loop = None
        if settings.alignment:
            self._sandbox = settings.sandbox.open_for_tracing(workers_for(settings, 1), settings.sandbox.workers)
            loop = AlignmentLoop(settings.alignment, self._sandbox, Judge(self._sandbox), seed, prompt_fits=self._fits)
        if settings.output:
            settings.output.mkdir(parents=True, exist_ok=True)
        current["steps"] = FetchedSteps(
            ProblemStream(self.dataframe, seed),
            loop,
            int(self.config.train_batch_size),
            timeout_s=settings.sandbox.timeout_s,
            run=RunFolder(settings.output) if settings.output else None,
            samples_every=settings.samples_every,
            prompt_text=lambda row: str(self._template(settings.messages(row), tokenize=False)),
        )
        current["steps"].warn_without_room(int(self.config.train_batch_size), "raise data.train_batch_size")
        return current["steps"]

    def __len__(self) -> int:
        if self.steps is None:
            return len(self.dataframe)
        return self.steps.batches_a_pass(self.steps.batch_size) * self.steps.batch_size

    def __getitem__(self, item: int) -> dict[str, Any]:
        return self.__getitems__([item])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        evaluation = [] if self.steps else [(self.dataframe[index], Place(step=0, number=index)) for index in indices]
        rows = self.steps.fetch(len(indices)) if self.steps else evaluation
        # verl wants a tensor in every row
        return [
            row_fields(row, place, self.settings.messages(row)) | {"dummy_tensor": torch.zeros(1, dtype=torch.uint8)}
            for row, place in rows
        ]

    def state_dict(self) -> dict[str, Any]:
        return self.steps.state_dict() if self.steps else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.steps:
            self.steps.load_state_dict(state)

    def _template(self, messages: list[dict[str, str]], **arguments: Any) -> Any:
        extra = {
            key: value
            for key, value in self.apply_chat_template_kwargs.items()
            if key not in ("tokenize", "return_dict", "return_tensors")
        }
        return self._counting.apply_chat_template(messages, add_generation_prompt=True, **extra, **arguments)

    def _fits(self, content: str) -> bool:
        messages = conversation(content, self.settings.system_prompt)
        return len(self._template(messages, return_dict=True)["input_ids"]) <= int(self.max_prompt_length)


class CodeRLPlusReward(RewardManagerBase):  # type: ignore[misc]
    """R_gen of programs and R_sem of answers. Every reward worker has a sandbox of its own with its part of the CPUs
    of its node."""

    def __init__(self, config: DictConfig, tokenizer: Any, compute_score: Any = None, **_: Any) -> None:
        super().__init__(config, tokenizer, compute_score)
        self.settings = read_plugin_settings(config.data)
        self._problems = _problems([*_paths(config.data.train_files), *_paths(config.data.val_files)])
        nodes = max(1, int(config.trainer.nnodes))
        sharing, most = int(config.reward.num_workers), self.settings.sandbox.workers
        sandbox = self.settings.sandbox.open(
            workers_for(self.settings, -(-sharing // nodes)), None if most is None else max(1, most // sharing)
        )
        self._judge = Judge(sandbox)
        self._ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        item = data[-1:][0]
        fields = item.non_tensor_batch
        length = item.batch["responses"].shape[-1]
        tokens = item.batch["responses"][: int(item.batch["attention_mask"][-length:].sum())]
        completion = self.tokenizer.decode(tokens, skip_special_tokens=True)
        row, place = row_of(fields, self._problems)
        sample = int(fields.get("session_id", 0))
        name = rollout_id(place.step, place.number, sample)
        reward = await self._reward(row, completion, name)
        if reward.value is None:
            raise SandboxError(f"completion {name} has no reward: sandbox failure; excluded from its group")
        found: dict[str, Any] = {"acc": reward.value}
        if place.is_training:
            clipped = len(tokens) == 0 or int(tokens[-1]) not in self._ends
            scored = Scored(
                place=place, sample=sample, completion=completion, reward=reward, tokens=len(tokens), clipped=clipped
            )
            found[SCORED] = scored.to_json()
        return {"reward_score": reward.value, "reward_extra_info": found}

    async def _reward(self, row: Problem | AlignmentTask, completion: str, name: str) -> Reward:
        if isinstance(row, AlignmentTask):
            weight = self.settings.alignment.format_weight if self.settings.alignment else 0.0
            run = answer_trial(row, completion)
            if run is None:
                return answer_reward(row, completion, format_weight=weight)
            try:
                verdict = await asyncio.wait_for(self._judge.judge_async(*run), self.settings.sandbox.timeout_s)
            except TimeoutError:
                return Reward(kind=row.kind, value=None)
            return trial_reward(row, verdict, format_weight=weight)
        rollout = rollout_of(row, completion, name)
        try:
            verdict = await asyncio.wait_for(self._judge.judge_async(row, rollout), self.settings.sandbox.timeout_s)
        except TimeoutError:
            return Reward(kind="generation", value=None, program=rollout.program)
        return verdict_reward(rollout.program, verdict, in_process_checks=self.settings.sandbox.in_process_checks)


class CodeRLPlusReplayBuffer(ReplayBuffer):  # type: ignore[misc]
    """verl's replay buffer of the synchronous trainer. With group filtering, `sampler_kwargs` hold `filter_groups` and
    `train_batch_size`, which verl does not hand to a replay buffer that is not its own."""

    def __init__(self, *, sampler_kwargs: Mapping[str, Any], **kwargs: Any) -> None:
        if kwargs["trainer_mode"] != "sync":
            raise ConfigError(
                f"trainer.v1.trainer_mode must be sync, not {kwargs['trainer_mode']}: CodeRL+ composes a batch from "
                "the step before"
            )
        filtering = sampler_kwargs.get("filter_groups") or {}
        if filtering.get("enable"):
            kwargs |= {
                "filter_groups_metric": str(filtering["metric"]),
                "train_batch_size": int(sampler_kwargs["train_batch_size"]),
                "gen_batch_size": 1,
                "max_inflight_gen_batches": int(filtering.get("max_inflight_gen_batches", 1)),
            }
        super().__init__(sampler_kwargs=sampler_kwargs, **kwargs)
        self._most_batches = int(filtering.get("max_num_gen_batches") or 0)
        self._numbers: dict[str, int] = {}
        """uid → number of the group in the step."""

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[KVBatchMeta, dict[str, Any]]:
        batch: KVBatchMeta
        metrics: dict[str, Any]
        if partition_id != "train":
            batch, metrics = super().sample(global_steps, partition_id, batch_size)
            return batch, metrics
        steps = _steps()
        self._numbers.clear()
        try:
            batch, metrics = super().sample(global_steps, partition_id, batch_size)
        except RuntimeError as error:
            if "no materializable" in str(error):
                raise SandboxError(
                    f"no completion of step {global_steps} has a reward; the output of the reward workers says why"
                ) from error
            raise
        chosen = sorted({self._numbers[_uid(key)] for key in batch.keys})
        found = steps.finish(chosen)
        return batch, metrics | {f"coderlplus/{name}": value for name, value in found.items()}

    def _clear_groups(self, partition_id: str, uids: set[str]) -> None:
        if partition_id == "train" and uids:
            self._read(uids)  # what is filtered out has failed, most often, and makes tasks as well
        super()._clear_groups(partition_id, uids)

    def _materialize_batch(
        self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: dict[str, dict[str, Any]]
    ) -> KVBatchMeta:
        if partition_id == "train":
            self._read(set(selected_prompt_uids))
            self._clear_groups(
                partition_id,
                (self.finished_keys[partition_id] | self.failure_keys[partition_id]) - set(selected_prompt_uids),
            )
        batch = super()._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)
        if partition_id == "train":  # the order of arrival would depend on chance
            batch.reorder(sorted(range(len(batch.keys)), key=lambda index: self._order(batch.keys[index])))
        return batch

    def _evict_terminal_groups(self, global_steps: int, partition_id: str, eviction_reasons: Any) -> Any:
        result = super()._evict_terminal_groups(global_steps, partition_id, eviction_reasons)
        if partition_id == "train" and eviction_reasons[1]:
            _steps().filtered_out(self._numbers[uid] for uid in eviction_reasons[1] if uid in self._numbers)
        return result

    def _terminal_eviction_reasons(self, global_steps: int, partition_id: str) -> Any:
        stale, idle, failed, counts = super()._terminal_eviction_reasons(global_steps, partition_id)
        if partition_id == "train" and self.filter_groups_metric is not None:
            steps = _steps()
            steps.may_refill = True
            if self._most_batches and steps.replaced >= (self._most_batches - 1) * steps.batch_size:
                idle, counts = set(), type(counts)()
        return stale, idle, failed, counts

    def _sampleable_terminal_keys(self, partition_id: str, eviction_reasons: Any) -> set[str]:
        """With filtering, no more groups of an objective than its share as long as others are coming: a surplus of one
        must not stand in for the other."""
        keys: set[str] = super()._sampleable_terminal_keys(partition_id, eviction_reasons)
        if partition_id != "train" or self.filter_groups_metric is None:
            return keys
        self._read(keys)
        coming = self.pending_keys[partition_id] or self.running_keys[partition_id] or _steps().is_waiting
        return set(self._by_share(keys)[0]) if coming else keys

    def _select_prompt_uids(self, partition_id: str, sampleable_keys: set[str], batch_size: int) -> Any:
        ordered, *snapshots = super()._select_prompt_uids(partition_id, sampleable_keys, len(sampleable_keys))
        if partition_id == "train":
            self._read(sampleable_keys)
            ordered = [uid for part in self._by_share(sampleable_keys) for uid in part]
        return ordered[:batch_size], *snapshots

    def _by_share(self, uids: set[str]) -> tuple[list[str], list[str]]:
        """Groups in order: those that the shares of the two objectives ask for, and the rest."""
        steps = _steps()
        taken: dict[str, list[str]] = defaultdict(list)
        rest = []
        for uid in sorted(uids, key=lambda uid: (self._numbers.get(uid, math.inf), uid)):
            number = self._numbers.get(uid)
            if number is None or len(taken[steps.objective(number)]) >= steps.planned(steps.objective(number)):
                rest.append(uid)  # without a number: no completion of it has a reward
            else:
                taken[steps.objective(number)].append(uid)
        return [uid for part in taken.values() for uid in part], rest

    def _order(self, key: str) -> tuple[int, int, int]:
        _, session, index = key.rsplit("_", 2)
        return self._numbers[_uid(key)], int(session), int(index)

    def _read(self, uids: set[str]) -> None:
        """Take what the reward workers found for the completions of these groups, once."""
        partition = self.partitions["train"]
        last: dict[str, str] = {}  # of a conversation of several outputs the last one has the reward
        for key in sorted(
            (key for key in partition if _uid(key) in uids - self._numbers.keys()),
            key=lambda key: int(key.rsplit("_", 1)[1]),
        ):
            last[key.rsplit("_", 1)[0]] = key
        if not last:
            return
        keys = list(last.values())
        fields = transfer_queue.kv_batch_get(keys=keys, partition_id="train", select_fields=["extra_fields"])[
            "extra_fields"
        ]
        for key, value in zip(keys, fields, strict=True):
            found = (getattr(value, "data", value) or {}).get("reward_extra_info") or {}
            if SCORED not in found:
                raise ConfigError(
                    "the rewards are not of CodeRLPlusReward: set reward.reward_manager (see docs/verl.md)"
                )
            scored = Scored.from_json(found[SCORED])
            _steps().add([scored])
            self._numbers[_uid(key)] = scored.place.number


def read_plugin_settings(data: DictConfig) -> PluginSettings:
    """The section `data.coderlplus`. Raises `ConfigError`."""
    section = data.get("coderlplus")
    return plugin_settings(OmegaConf.to_container(section, resolve=True) if section is not None else None)


def _problems(files: Any) -> dict[str, Problem]:
    """The problems of several files by id. Raises `DataError` if two of them give one id to different problems."""
    problems: dict[str, Problem] = {}
    for path in _paths(files):
        for problem in read_problems(path):
            if problems.setdefault(problem.problem_id, problem) != problem:
                raise DataError(
                    f"{path}: another file gives the id {problem.problem_id!r} to another problem; ids must be "
                    "unique in a run"
                )
    if not problems:
        raise ConfigError(f"{', '.join(_paths(files)) or 'no file'} holds no problems")
    return problems


def _steps() -> FetchedSteps:
    if "steps" not in current:
        raise ConfigError("the training data set is not CodeRLPlusDataset: set data.custom_cls (see docs/verl.md)")
    return current["steps"]


def _paths(files: Any) -> list[str]:
    return [files] if isinstance(files, str) else [str(path) for path in files]


def _uid(key: str) -> str:
    return key.split("_")[0]
