"""The same prompts, completions and rewards through both engines: a run on TRL, in TRL's environment, is played to
verl's hooks step by step.

`CODERLPLUS_TRL_PYTHON` names the interpreter of TRL's environment; without it, it is `.venv/bin/python`.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import AutoTokenizer
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.utils import create_rl_dataset, create_rl_sampler
from verl.utils.dataset.rl_dataset import collate_fn

from coderlplus.engines.verl.config import make_verl_config, verl_config
from coderlplus.engines.verl.hooks import CodeRLPlusReward, current
from coderlplus.engines.verl.rows import SCORED, Scored
from coderlplus.errors import SandboxError
from verl import DataProto

TRL_PYTHON = Path(os.environ.get("CODERLPLUS_TRL_PYTHON", Path(__file__).parents[2] / ".venv" / "bin" / "python"))
STEPS, GROUPS, SIZE = 5, 4, 4


@pytest.fixture(scope="module")
def played(settings: dict[str, Any], tiny: Any, folder: Path) -> dict[int, list[dict[str, Any]]]:
    """Step → groups of a TRL run, as its samples.jsonl has them."""
    if not TRL_PYTHON.exists():
        pytest.skip(f"TRL's environment is absent ({TRL_PYTHON}); make install makes it")
    shared = {
        name: settings[name]
        for name in (
            "model",
            "problems",
            "prompt_template",
            "max_prompt_tokens",
            "alignment",
            "samples_every",
            "sandbox",
        )
    }
    trl = {
        "per_device_train_batch_size": GROUPS * SIZE,
        "num_generations": SIZE,
        "max_completion_length": 2,
        "max_steps": STEPS,
        "save_strategy": "no",
        "learning_rate": 1e-2,
        "report_to": "none",
        "generation_kwargs": {"suppress_tokens": [0, *range(2, len(tiny.SPECIAL) + len(tiny.LETTERS))]},
    }
    config = folder / "trl.yaml"
    config.write_text(yaml.safe_dump(shared | {"output": str(folder / "trl"), "threads": 1, "trl": trl}))
    command = [str(TRL_PYTHON), "-c", "from coderlplus.cli import main; main()", "train", str(config)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[int, list[dict[str, Any]]] = {}
    for line in (folder / "trl" / "samples.jsonl").read_text().splitlines():
        group = json.loads(line)
        found.setdefault(group["step"], []).append(group)
    return found


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Tokens of a completion, longest first, and the end."""
    vocabulary = sorted(tokenizer.get_vocab(), key=len, reverse=True)
    ids = []
    while text:
        token = next(token for token in vocabulary if text.startswith(token))
        ids.append(tokenizer.get_vocab()[token])
        text = text[len(token) :]
    return [*ids, tokenizer.eos_token_id]


def completion(batch: dict[str, Any], group: int, sample: int, tokens: list[int]) -> DataProto:
    """A completion as verl's agent loop hands it to a reward worker."""
    responses, prompts = torch.tensor([tokens]), torch.ones(1, 3, dtype=torch.long)
    tensors = {
        "prompts": prompts,
        "responses": responses,
        "attention_mask": torch.ones(1, 3 + len(tokens), dtype=torch.long),
    }
    names = ("data_source", "reward_model", "extra_info")
    fields = {name: np.array([batch[name][group]]) for name in names} | {"session_id": np.array([sample])}
    return DataProto.from_dict(tensors, non_tensors=fields)


def grpo(rewards: list[float], uids: list[int]) -> list[float]:
    tensors = {"token_level_rewards": torch.tensor(rewards)[:, None], "response_mask": torch.ones(len(rewards), 1)}
    data = DataProto.from_dict(tensors, non_tensors={"uid": np.array([str(uid) for uid in uids], dtype=object)})
    found: list[float] = (
        compute_advantage(data, adv_estimator="grpo", num_repeat=SIZE).batch["advantages"][:, 0].tolist()
    )
    return found


def test_both_engines_give_the_same_tasks_rewards_and_advantages(
    played: dict[int, list[dict[str, Any]]], settings: dict[str, Any], folder: Path
) -> None:
    assert list(played) == list(range(1, STEPS + 1))
    composed = verl_config(make_verl_config(settings | {"output": str(folder / "parity")}))
    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    data = create_rl_dataset(composed.data.train_files, composed.data, tokenizer, None)
    loader = StatefulDataLoader(
        data, batch_size=GROUPS, drop_last=True, collate_fn=collate_fn, sampler=create_rl_sampler(composed.data, data)
    )
    manager = CodeRLPlusReward(composed, tokenizer)
    batches = iter(loader)
    tasks = 0
    for step, groups in played.items():
        batch = next(batches)
        rewards: list[float] = []
        for number, group in enumerate(groups):
            truth = batch["reward_model"][number]["ground_truth"]
            if group["task"]:
                tasks += 1
                assert json.loads(truth) == group["task"]
            else:
                assert truth == group["problem"]["problem_id"]
            text = tokenizer.apply_chat_template(
                list(batch["raw_prompt"][number]), tokenize=False, add_generation_prompt=True
            )
            assert text == group["prompt"]
            for place, sample in enumerate(group["samples"]):
                result = asyncio.run(
                    manager.run_single(completion(batch, number, place, token_ids(tokenizer, sample["completion"])))
                )
                scored = Scored.from_json(result["reward_extra_info"][SCORED])
                assert (scored.completion, result["reward_score"]) == (sample["completion"], sample["reward"]["value"])
                assert without_times(scored.reward.to_json()) == without_times(sample["reward"])
                current["steps"].add([scored])
                rewards.append(result["reward_score"])
        found = grpo(rewards, [number for number in range(GROUPS) for _ in range(SIZE)])
        deviations = [
            statistics.stdev(sample["reward"]["value"] for sample in group["samples"])
            for group in groups
            for _ in range(SIZE)
        ]
        on_trl = [sample["advantage"] for group in groups for sample in group["samples"]]
        # TRL adds 1e-4 to a deviation, verl 1e-6
        expected = [
            advantage * (deviation + 1e-4) / (deviation + 1e-6)
            for advantage, deviation in zip(on_trl, deviations, strict=True)
        ]
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
        current["steps"].finish(range(GROUPS))
        assert step == current["steps"].step
    assert tasks == 2 * (STEPS - 1)


def without_times(reward: dict[str, Any]) -> dict[str, Any]:
    verdict = {
        name: value for name, value in (reward["verdict"] or {}).items() if name not in ("cpu_s", "wall_s", "peak_mb")
    }
    return reward | {"verdict": verdict}


def test_a_completion_on_which_the_sandbox_fails_has_no_reward(settings: dict[str, Any], folder: Path) -> None:
    changes = {"output": str(folder / "faults"), "sandbox": {"workers": 1, "timeout_s": 1e-6}}
    composed = verl_config(make_verl_config(settings | changes))
    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    batch = collate_fn([create_rl_dataset(composed.data.val_files, composed.data, tokenizer, None)[0]])
    manager, program = (
        CodeRLPlusReward(composed, tokenizer),
        token_ids(tokenizer, "def f(x):\n    y = x + 1\n    return y\n"),
    )
    with pytest.raises(SandboxError, match="excluded from its group"):
        asyncio.run(manager.run_single(completion(batch, 0, 0, program)))
