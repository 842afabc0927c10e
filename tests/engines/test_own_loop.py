"""examples/own_loop.py: a training loop of one's own mixes, learns from its failures, and goes on exactly."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_loop.py"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("own_loop", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 150


def test_a_run_that_was_interrupted_is_the_run_that_was_not(
    example: Any, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suppressed = [str(token) for token in settings["trl"]["generation_kwargs"]["suppress_tokens"]]
    sizes = ["--groups", "4", "--size", "4", "--new-tokens", "2", "--alpha", "0.5", "--learning-rate", "1e-2"]
    common = [settings["model"], settings["problems"], *sizes, "--suppress", *suppressed]
    example.main([*common, "--output", str(tmp_path / "whole"), "--steps", "4"])
    example.main([*common, "--output", str(tmp_path / "parts"), "--steps", "2"])
    example.main([*common, "--output", str(tmp_path / "parts"), "--steps", "4", "--resume"])
    lines = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "parts")
    ]
    assert lines[0] == lines[1]
    assert [line["mix/alignment_share"] for line in lines[0]] == [0, 0.5, 0.5, 0.5]
    weights = [(tmp_path / name / "final" / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_advantages_are_those_of_grpo(example: Any) -> None:
    values = example.group_advantages([1.0, 0.0, None, 1.0, 0.5, 0.5, 0.5, 0.5], 4)
    deviation = (2 / 9) ** 0.5
    expected = torch.tensor([1 / 3, -2 / 3, 0, 1 / 3, 0, 0, 0, 0]) / (deviation + 1e-4)
    torch.testing.assert_close(values, expected * torch.tensor([1, 1, 0, 1, 0, 0, 0, 0]))


def test_tokens_after_the_end_count_nowhere(example: Any) -> None:
    class Model:
        device = "cpu"

        def generate(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
            return torch.cat([input_ids, torch.tensor([[5, 1, 0, 0], [5, 6, 7, 8], [1, 0, 0, 0]])], 1)

    class Tokenizer:
        pad_token_id, eos_token_id = 0, 1

        def apply_chat_template(self, *_: Any, **__: Any) -> str:
            return ""

        def __call__(self, prompts: list[str], **_: Any) -> Any:
            from transformers import BatchEncoding

            return BatchEncoding(
                {"input_ids": torch.full((3, 2), 9), "attention_mask": torch.ones(3, 2, dtype=torch.long)}
            )

    from coderlplus.records import Problem, StdioTest

    rows = [Problem(problem_id="p", statement="", tests=(StdioTest("", ""),))] * 3
    _, attention, mask = example.sample(Model(), Tokenizer(), rows, 4, [])
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]
    assert attention[:, :2].all()
