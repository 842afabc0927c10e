"""Evaluation and training with vLLM itself, on a CPU. They need its own environment: `make vllm-test`; elsewhere they
are left out.

Models are made on the spot, but for those tests that need one that can speak: `bench/real_model.py` makes it.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
collect_ignore = ["plugin", "trainer.py", "stock.py"]
if importlib.util.find_spec("vllm") is None:
    collect_ignore += [path.name for path in HERE.glob("test_*.py")]

ENVIRONMENT = {
    "PYTHONPATH": str(HERE / "plugin"),
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"tests_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


engines = load(HERE.parent / "engines" / "conftest.py")
problems_file = engines.problems_file
WORDS = [1, *range(len(engines.SPECIAL) + len(engines.LETTERS), len(engines.VOCABULARY))]
"""The end, whole programs and whole answers."""


def make_model(words: Sequence[int], **changes: int) -> Any:
    """A random Llama of 100,000 parameters, with heads of a size that vLLM has kernels for. It says only `words`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    heads = {"num_key_value_heads": 1, "head_dim": 64, "max_position_embeddings": 1024}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    config = LlamaConfig(vocab_size=len(engines.VOCABULARY), **(sizes | heads | ends | changes))
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 4.0  # a feature that is always there, and what it says of each token
        model.lm_head.weight[:, 0] = -4.0
        model.lm_head.weight[list(words), 0] = 4.0
    return model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random model and a tokenizer of letters and whole programs."""
    folder = tmp_path_factory.mktemp("model")
    make_model(WORDS).save_pretrained(folder)
    engines.make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def settings(tiny_model: Path, problems_file: Path) -> dict[str, Any]:
    """A run on TRL with vLLM, still without `output` and mode: 4 groups of 4, whole programs and answers only."""
    return {
        "model": str(tiny_model),
        "problems": str(problems_file),
        "prompt_template": "{statement}",
        "threads": 1,
        "samples_every": 1,
        "sandbox": {"workers": 1},
        "alignment": {"alpha": 0.5, "prompt_style": "compact"},
        "trl": {
            "use_vllm": True,
            "vllm_max_model_length": 1024,
            "per_device_train_batch_size": 16,
            "num_generations": 4,
            "max_completion_length": 2,
            "max_steps": 3,
            "save_steps": 1,
            "learning_rate": 1e-2,
            "report_to": "none",
        },
    }


@dataclass(frozen=True, slots=True)
class Done:
    """A process that has ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one sentence that a user sees."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err[-3000:]
        return lines[0]


def run(command: Sequence[str | Path], timeout_s: float = 280, **environment: str) -> Done:
    """A command of this environment's Python to its end."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env=os.environ | ENVIRONMENT | environment,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
