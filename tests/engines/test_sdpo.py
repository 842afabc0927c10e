"""SDPO on TRL's experimental trainer, with the rewards of our judge: the baseline of examples/sdpo.py."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from typing import Any

import pytest

import coderlplus as crl
from coderlplus.engines.trl.versions import HOOKS, parameters_of

pytest.importorskip("trl.experimental.sdpo")


@pytest.fixture
def example() -> Any:
    path = Path(__file__).parents[2] / "examples" / "sdpo.py"
    spec = importlib.util.spec_from_file_location("sdpo", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def short(settings: dict[str, Any]) -> dict[str, Any]:
    """Two steps of two groups."""
    kept = ("num_generations", "max_completion_length", "learning_rate", "generation_kwargs", "report_to")
    steps = {"max_steps": 2, "per_device_train_batch_size": 8, "logging_steps": 1, "use_cpu": True, "seed": 1}
    return {name: settings["trl"][name] for name in kept} | steps


def test_two_steps_learn_from_the_successes_of_their_groups(
    example: Any, short: dict[str, Any], tiny_model: Path, problems_file: Path, tmp_path: Path
) -> None:
    with crl.open_sandbox(workers=1) as sandbox:
        trainer = example.train(str(tiny_model), str(problems_file), str(tmp_path), sandbox, **short)
    logs = [line for line in trainer.state.log_history if "loss" in line]
    assert len(logs) == 2
    assert all("self_distillation/success_group_fraction" in line for line in logs)
    assert (tmp_path / "final" / "config.json").exists()


def test_a_failure_of_the_sandbox_stops_it_and_is_no_reward_of_0(
    example: Any,
    short: dict[str, Any],
    tiny_model: Path,
    problems_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crl, "code_reward", lambda judge: lambda completions, **_: [None] * len(completions))
    with crl.open_sandbox(workers=1) as sandbox, pytest.raises(crl.SandboxError, match="failed on a sample"):
        example.train(str(tiny_model), str(problems_file), str(tmp_path), sandbox, **short)


def test_what_keeps_it_from_being_an_algorithm_of_train_is_still_so(example: Any) -> None:
    """docs/related.md says it."""
    trainer = example.SDPOTrainer
    assert parameters_of(trainer, "_generate_and_score_completions") is None
    assert parameters_of(trainer, "_generate") != HOOKS["_generate"]
    assert "nansum" in inspect.getsource(trainer._prepare_training_batch)
