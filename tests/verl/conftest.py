"""Runs on stock verl, without a GPU. They need verl's own environment: `make verl-test`; elsewhere only what needs no
verl is tested."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
VERL = importlib.util.find_spec("verl") is not None
collect_ignore = ["agents.py", "cpu_platform.py", "cpu_rollout.py", "policy.py", "trainer.py"]
if not VERL:
    collect_ignore += ["test_algorithms.py", "test_contract.py", "test_parity.py", "test_runs.py", "test_main_ppo.py"]

PATIENCE_S = 900
STEPS, BATCH, GROUP = 5, 4, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run in a process of its own."""

    output: Path
    status: int
    text: str
    steps: list[dict[str, Any]]
    """What the trainer wrote down of its steps; of a step that was done twice, the later."""

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """metrics.jsonl without times."""
        lines = [json.loads(line) for line in (self.output / "metrics.jsonl").read_text().splitlines()]
        return [{name: value for name, value in line.items() if not name.startswith("seconds/")} for line in lines]

    @property
    def samples(self) -> list[dict[str, Any]]:
        """samples.jsonl without times."""
        groups = [json.loads(line) for line in (self.output / "samples.jsonl").read_text().splitlines()]
        for sample in (sample for group in groups for sample in group["samples"]):
            for name in ("cpu_s", "wall_s", "peak_mb"):
                (sample["reward"]["verdict"] or {}).pop(name, None)
        return groups


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny() -> Any:
    """What the tests of the other engine make their model and problems with."""
    return load(HERE.parent / "engines" / "conftest.py")


def make_model(tiny: Any) -> Any:
    """A Llama, because verl has demands on the tokenizer of a Qwen."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    config = LlamaConfig(
        vocab_size=len(tiny.VOCABULARY), max_position_embeddings=1024, tie_word_embeddings=True, **sizes, **ends
    )
    return LlamaForCausalLM(config)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verl")


@pytest.fixture(scope="session")
def settings(tiny: Any, folder: Path) -> dict[str, Any]:
    """A configuration without `output`: 4 groups of 4, 12 problems to train on and 2 others to evaluate on."""
    from coderlplus.records import CallTest, Problem, write_jsonl

    def problem(sign: str, k: int, name: str) -> Problem:
        tests = tuple(CallTest(args=(x,), expected=x + k if sign == "+" else x * k) for x in (1, 2, 5))
        return Problem(problem_id=name, statement=f"write f(x) = x {sign} {k}", entry_point="f", tests=tests)

    make_model(tiny).save_pretrained(folder / "model")
    tiny.make_tokenizer().save_pretrained(folder / "model")
    rules = [(sign, k) for sign in "+*" for k in range(1, 7)]
    write_jsonl(folder / "problems.jsonl", [problem(sign, k, f"p{number}") for number, (sign, k) in enumerate(rules)])
    write_jsonl(folder / "validation.jsonl", [problem("+", k, f"v{k}") for k in (7, 8)])
    return {
        "model": str(folder / "model"),
        "problems": str(folder / "problems.jsonl"),
        "validation": str(folder / "validation.jsonl"),
        "prompt_template": "{statement}",
        "max_prompt_tokens": 600,
        "samples_every": 1,
        "sandbox": {"workers": 1},
        "alignment": {"alpha": 0.5, "prompt_style": "compact"},
        "verl": {
            "algorithm": {"adv_estimator": "grpo"},
            "data": {"train_batch_size": BATCH, "max_response_length": 4},
            "actor_rollout_ref": {
                "model": {"use_remove_padding": False, "override_config": {"attn_implementation": "sdpa"}},
                "actor": {"ppo_mini_batch_size": BATCH, "ppo_micro_batch_size_per_gpu": 4},
                "rollout": {
                    "name": "cpu",
                    "n": GROUP,
                    "log_prob_micro_batch_size_per_gpu": 4,
                    "agent": {
                        "num_workers": 1,
                        "default_agent_loop": "named_agent",
                        "agent_loop_config_path": str(HERE / "agents.yaml"),
                    },
                },
            },
            "reward": {"num_workers": 1},
            "trainer": {
                "n_gpus_per_node": 1,
                "device": "cpu",
                "logger": ["console"],
                "total_training_steps": STEPS,
                "total_epochs": 100,
                "save_freq": 2,
                "test_freq": -1,
                "val_before_train": False,
            },
            "transfer_queue": {"backend": {"SimpleStorage": {"num_data_storage_units": 1}}},
        },
    }


def over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` over `base`, section by section."""
    both = {
        key: over(base[key], value)
        for key, value in changes.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return base | changes | both


@pytest.fixture(scope="session")
def run(settings: dict[str, Any], folder: Path) -> Any:
    """`run(name, changes, kill=…)` runs `trainer.py` to its end, or to where it is killed."""

    def once(name: str, changes: dict[str, Any] | None = None, *, kill: dict[str, Any] | None = None) -> Outcome:
        output, results = folder / name, folder / f"{name}.steps.jsonl"
        config = over(settings, (changes or {}) | {"output": str(output)})
        job = folder / f"{name}.job.json"
        job.write_text(json.dumps({"config": config, "results": str(results), "kill": kill}))
        status, text = process([sys.executable, str(HERE / "trainer.py"), str(job)])
        lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
        steps = {line["step"]: line for line in lines}
        return Outcome(output=output, status=status, text=text, steps=[steps[step] for step in sorted(steps)])

    return once


ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "VERL_USE_EXTERNAL_MODULES": "cpu_platform",
    "PYTHONPATH": str(HERE),
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",
}


def process(
    command: list[str],
    patience_s: float = PATIENCE_S,
    interrupt: Callable[[], bool] = lambda: False,
    **environment: str,
) -> tuple[int, str]:
    """Exit status and output of a process, which is ended with all that it started when it takes too long, and gets
    Ctrl-C once it is time for it."""
    env = os.environ | ENVIRONMENT | environment
    with tempfile.TemporaryFile("w+") as output:
        started = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=env
        )
        until, late = time.monotonic() + patience_s, ""
        while started.poll() is None:
            if interrupt():
                os.killpg(started.pid, signal.SIGINT)
                interrupt = lambda: False  # noqa: E731
            if time.monotonic() > until:
                os.killpg(started.pid, signal.SIGKILL)
                late = f"\nended after {patience_s} s"
                started.wait()
            time.sleep(0.1)
        output.seek(0)
        return started.returncode, output.read() + late


@pytest.fixture(scope="session")
def spawn() -> Any:
    return process
