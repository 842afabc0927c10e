"""verl's synchronous trainer on a machine without a GPU, killed where a test wants it: `python trainer.py JOB.json`.

Real are verl's trainer, data loader, agent loops, reward workers, transfer queue, replay buffer, advantages, the order
in which a checkpoint is written, and resume. In the place of the workers that train and the servers that sample stands
a policy without a prompt: a table of logits over whole programs, and one over answers. A job is {"config": a run's
settings, "results": file, "kill": {"step", "at"} or null}; `results` gets one line a step.
"""

from __future__ import annotations

import functools
import json
import math
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import ray
import torch
import transfer_queue as tq
from agents import Client
from omegaconf import OmegaConf
from policy import Policy
from verl.experimental.reward_loop import RewardLoopManager
from verl.trainer.ppo.v1 import AgentLoopManagerTQ, PPOTrainerSync
from verl.utils.tracking import Tracking

from coderlplus.engines.verl import hooks, train
from coderlplus.engines.verl.config import make_verl_config
from coderlplus.engines.verl.fetching import FetchedSteps

RATE = 0.5


class Worker:
    """What the trainer asks of its worker group: weights that are saved and loaded."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.logits: dict[str, list[float]] = {"program": [0.0] * 12, "answer": [0.0] * 5}
        self._dispatch_info = {"actor": [0]}

    def save_checkpoint(self, path: str, *_: Any, **__: Any) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)
        torch.save(self.logits, Path(path) / "model_world_size_1_rank_0.pt")

    def load_checkpoint(self, local_path: str, **_: Any) -> None:
        self.logits = torch.load(Path(local_path) / "model_world_size_1_rank_0.pt", weights_only=True)

    def sleep_replicas(self) -> None: ...

    def update_weights(self, step: int | None = None) -> None:
        ray.get(self.policy.load.remote(self.logits, step))

    def get_n_gpus(self) -> int:
        return 1


class Trainer(PPOTrainerSync):
    """The parts that need a GPU are left out, or done on the table."""

    def _setup(self) -> None:
        self._init_tokenizer()
        self._init_dataloader()
        self._init_dump_executor()
        self.ref_in_actor, self.teacher_model_manager = False, None
        self.reward_loop_manager = RewardLoopManager(config=self.config)
        self.client = Client(ray.remote(num_cpus=0)(Policy).remote(self.config.actor_rollout_ref.model.path))
        self.actor_rollout_wg = self.checkpoint_manager = self.resource_pool_manager = Worker(self.client.policy)
        self._load_checkpoint()

    def _compute_old_log_prob(self, batch: Any, metrics: Any) -> Any:
        return batch

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        names = ["advantages", "responses", "rm_scores", "uid", "extra_info", "reward_model"]
        fields = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=names)
        steps: FetchedSteps = hooks.current["steps"]
        options = ray.get(self.client.policy.all_options.remote())
        worker = self.actor_rollout_wg
        before = {kind: list(logits) for kind, logits in worker.logits.items()}
        line: dict[str, Any] = {"step": self.global_steps, "samples": []}
        for key, advantages, tokens, scores, extra, truth in zip(
            batch.keys, *(list(fields[name]) for name in (*names[:3], *names[4:])), strict=True
        ):
            extra, truth = getattr(extra, "data", extra), getattr(truth, "data", truth)
            advantage, token = float(advantages[0]), int(tokens[0])
            kind = "answer" if extra["task"] else "program"
            p = softmax(before[kind])
            chosen = options[kind].index(token)
            for index in range(len(p)):
                worker.logits[kind][index] += RATE * advantage * ((index == chosen) - p[index])
            sample = {
                "number": int(extra["index"]),
                "sample": int(key.split("_")[1]),
                "truth": truth["ground_truth"],
                "token": token,
            }
            line["samples"].append(sample | {"reward": float(scores.sum()), "advantage": advantage})
        line["weights"] = worker.logits
        line["buffer"] = len(steps.loop.buffer) if steps.loop else 0
        with Path(self.config.results).open("a") as file:
            file.write(json.dumps(line) + "\n")
        return batch


def softmax(logits: list[float]) -> list[float]:
    weights = [math.exp(value - max(logits)) for value in logits]
    return [weight / sum(weights) for weight in weights]


def run_here(job: dict[str, Any], composed: Any) -> None:
    """As `TaskRunnerV1.run` does it, in this process."""
    OmegaConf.resolve(composed)
    OmegaConf.set_struct(composed, False)
    composed.results = job["results"]
    composed.transfer_queue.enable = True
    ray.init(
        address="local",
        num_cpus=8,
        include_dashboard=False,
        object_store_memory=150_000_000,
        logging_level="ERROR",
        log_to_driver=bool(job.get("loud")),
    )
    tq.init(composed.transfer_queue)
    trainer = Trainer(config=composed)
    trainer.init()
    handles = trainer.get_reward_handles()
    manager = AgentLoopManagerTQ.create(
        config=composed, llm_client=trainer.client, teacher_client=None, reward_loop_worker_handles=handles
    )
    trainer.fit(manager)


def kill_at(step: int, at: str) -> None:
    """Have this process kill itself the first time that it does something in a step, or later."""
    owner, name = {
        "fetch": (FetchedSteps, "fetch"),
        "finish": (FetchedSteps, "finish"),
        "mine": (FetchedSteps, "finish_mining"),
        "update": (Trainer, "_update_actor"),
        "save": (Trainer, "_save_checkpoint"),
        "state": (FetchedSteps, "state_dict"),
        "log": (Tracking, "log"),
    }[at]
    original = getattr(owner, name)
    done: list[int] = []

    @functools.wraps(original)
    def deadly(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs) if at in ("state", "finish") else None
        now = (
            hooks.current["steps"].step + (at == "fetch") if "steps" in hooks.current else 0
        )  # fetching begins a step
        done.append(now)
        if now >= step:
            os.kill(os.getpid(), signal.SIGKILL)
        return result if at in ("state", "finish") else original(self, *args, **kwargs)

    setattr(owner, name, deadly)


def main(path: str) -> None:
    job = json.loads(Path(path).read_text())
    torch.set_num_threads(1)
    random.seed(os.getpid())  # nothing may depend on it
    if job.get("kill"):
        kill_at(**job["kill"])
    train._run = lambda composed, _folder: run_here(job, composed)
    train.train(make_verl_config(job["config"]))


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)
