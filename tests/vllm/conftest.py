"""Evaluation and training with vLLM itself, on a CPU. They need its own environment: `make vllm-test`; elsewhere they
are left out.

Models are made on the spot, but for those tests that need one that can speak: `bench/real_model.py` makes it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
collect_ignore = ["plugin", "trainer.py", "stock.py"]
if importlib.util.find_spec("vllm") is None:
    collect_ignore += [path.name for path in HERE.glob("test_*.py")]
else:
    os.environ |= {
        "PYTHONPATH": str(HERE / "plugin"),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    sys.path.insert(0, str(HERE / "plugin"))


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


def make_model(words: Sequence[int], *, spread: float = 1.0, **changes: int) -> Any:
    """A random Llama of 100,000 parameters, with heads of a size that vLLM has kernels for. It says only `words`, and
    with a large `spread` anything, but that by far rather than another."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    heads = {"num_key_value_heads": 1, "head_dim": 64, "max_position_embeddings": 1024}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    config = LlamaConfig(
        vocab_size=len(engines.VOCABULARY), initializer_range=0.02 * spread, **(sizes | heads | ends | changes)
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 4.0  # a feature that is always there, and what it says of each token
        model.lm_head.weight[:, 0] = -4.0 * spread
        model.lm_head.weight[list(words), 0] = 4.0 * spread
    return model


def saved(folder: Path, **changes: Any) -> Path:
    make_model(WORDS, **changes).save_pretrained(folder)
    engines.make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random model and a tokenizer of letters and whole programs."""
    return saved(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def sharp_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose most likely token is likely by far: rounding does not matter."""
    return saved(tmp_path_factory.mktemp("model") / "sharp", spread=10.0)


@pytest.fixture
def copied_model(tiny_model: Path, tmp_path: Path) -> Path:
    """One to damage."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copied"))


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


@pytest.fixture(scope="session")
def run() -> Callable[..., Done]:
    """A command of `coderlplus`, or a script, to its end."""

    def run(command: Sequence[str | Path], **environment: str) -> Done:
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | environment,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """A command that serves at the port that is its last word, from when it answers to the end of the context."""

    @contextlib.contextmanager
    def serve(*command: Any) -> Iterator[subprocess.Popen[bytes]]:
        with tempfile.TemporaryFile() as log:
            words = [sys.executable, *map(str, command)]
            process = subprocess.Popen(words, start_new_session=True, stdout=log, stderr=subprocess.STDOUT)
            try:
                for _ in range(2400):
                    with contextlib.suppress(OSError):
                        urllib.request.urlopen(f"http://127.0.0.1:{command[-1]}/health")
                        break
                    assert process.poll() is None, log.seek(0) or log.read()[-3000:]
                    time.sleep(0.1)
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    return serve


@pytest.fixture(scope="session")
def command() -> str:
    return str(Path(sys.executable).with_name("coderlplus"))


@pytest.fixture(scope="session")
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
