"""A model small enough to train in a test, which nevertheless writes programs that run: whole functions are single
tokens of its vocabulary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from coderlplus.records import CallTest, Problem, write_jsonl

PROGRAMS = [f"def f(x):\n    y = x {sign} {k}\n    return y\n" for sign in "+*-" for k in (1, 2, 3, 4)]
ANSWERS = ["2", "3", "4", '{"output": 3, "y": 3}', '{"output": 2, "y": 2}']
SPECIAL = ["<pad>", "<eos>", "<unk>", "<user>", "<assistant>"]
LETTERS = list("abcdefghijklmnopqrstuvwxyz0123456789 +-*()=:`\n")
VOCABULARY = [*SPECIAL, *LETTERS, *PROGRAMS, *(answer for answer in ANSWERS if answer not in LETTERS)]
TEMPLATE = (
    "{% for m in messages %}<user>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def make_tokenizer() -> Any:
    """Letters in, whole programs out."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(
        models.WordLevel({token: number for number, token in enumerate(VOCABULARY)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<user>", "<assistant>"]})
    fast.chat_template = TEMPLATE
    return fast


def make_model() -> Any:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random model of about 14,000 parameters and its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def problems_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve problems: `f(x)` is `x + k`, or `x * k` and so on."""
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    rules = {
        f"x {sign} {k}": (lambda x, sign=sign, k=k: x + k if sign == "+" else x * k)
        for sign in "+*"
        for k in (1, 2, 3, 4, 5, 6)
    }
    write_jsonl(
        path,
        [
            Problem(
                problem_id=f"p{number}",
                statement=f"write f(x) = {rule}",
                entry_point="f",
                tests=tuple(CallTest(args=(x,), expected=function(x)) for x in (1, 2, 5)),
            )
            for number, (rule, function) in enumerate(rules.items())
        ],
    )
    return path


@pytest.fixture(scope="session")
def settings(tiny_model: Path, problems_file: Path) -> dict[str, Any]:
    """A configuration of a few seconds, still without `output`: 4 groups of 4, sampling whole programs and answers
    only."""
    return {
        "model": str(tiny_model),
        "problems": str(problems_file),
        "prompt_template": "{statement}",
        "threads": 1,
        "samples_every": 2,
        "sandbox": {"workers": 1},
        "alignment": {"alpha": 0.5, "prompt_style": "compact"},
        "trl": {
            "per_device_train_batch_size": 16,
            "num_generations": 4,
            "max_completion_length": 2,
            "max_steps": 6,
            "save_steps": 2,
            "learning_rate": 1e-2,
            "report_to": "none",
            "generation_kwargs": {"suppress_tokens": [0, *range(2, len(SPECIAL) + len(LETTERS))]},
        },
    }


Runs = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def run_jobs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Runs]:
    """`run_jobs(jobs)` does jobs of `processes.py` one after the other, with the settings of a run as `config`:
    results by name, each with its `folder`. Further arguments are environment variables."""
    from coderlplus.engines.trl.config import make_config

    def run(jobs: Mapping[str, Mapping[str, Any]], **environment: str) -> Runs:
        work = tmp_path_factory.mktemp("jobs")
        lines = []
        for number, job in enumerate(jobs.values()):
            file = work / f"{number}.yaml"
            file.write_text(make_config(job["config"]).to_yaml())
            lines.append({"processes": 1, "kill": None, "prepare": []} | job | {"config": str(file)})
        (work / "jobs.json").write_text(json.dumps(lines))
        command = [
            sys.executable,
            str(Path(__file__).with_name("processes.py")),
            str(work / "jobs.json"),
            str(work / "results.json"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
        assert done.returncode == 0, done.stderr[-3000:]
        results = json.loads((work / "results.json").read_text())
        return {
            name: result | {"folder": Path(jobs[name]["config"]["output"])}
            for name, result in zip(jobs, results, strict=True)
        }

    return run
